//! The last step: environment, search path, `execve`.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::identity::Identity;
use super::setup::c_string;
use super::{Failure, Launch, plain};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program's environment: the container's, then `more`, then what every program expects.
pub fn environment(launch: &Launch, identity: &Identity, more: &[(String, String)]) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = Vec::with_capacity(launch.env.len() + more.len() + 3);
    let mut put = |key: &str, value: &str, replace: bool| match env.iter_mut().find(|(k, _)| k == key) {
        Some(entry) if replace => entry.1 = value.to_owned(),
        Some(_) => {}
        None => env.push((key.to_owned(), value.to_owned())),
    };
    for (key, value) in launch.env.iter().chain(more) {
        put(key, value, true);
    }
    put("PATH", DEFAULT_PATH, false);
    put("HOME", &identity.home, false);
    if launch.tty {
        put("TERM", "xterm", false);
    }
    env
}

/// Executes the program; returns only when that failed.
pub fn execute(args: &[String], env: &[(String, String)]) -> Failure {
    let Some(name) = args.first().filter(|name| !name.is_empty()) else {
        return Failure::new("no command specified");
    };
    let path = env.iter().find(|(k, _)| k == "PATH").map_or(DEFAULT_PATH, |(_, v)| v);
    let program = match find(name, path) {
        Ok(program) => program,
        Err(failure) => return failure,
    };
    match execve(&program, args, env) {
        Err(failure) => failure,
        Ok(error) => {
            let code = if error.raw_os_error() == Some(libc::ENOENT) { 127 } else { 126 };
            Failure { exit_code: code, message: format!("exec {}: {}", program.display(), plain(&error)) }
        }
    }
}

fn execve(program: &Path, args: &[String], env: &[(String, String)]) -> Result<io::Error, Failure> {
    let path = c_string(&program.to_string_lossy())?;
    let args: Vec<CString> = args.iter().map(|a| c_string(a)).collect::<Result<_, _>>()?;
    let env: Vec<CString> =
        env.iter().map(|(k, v)| c_string(&format!("{k}={v}"))).collect::<Result<_, _>>()?;
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arg_pointers, env_pointers) = (pointers(&args), pointers(&env));
    // SAFETY: both arrays end with a null pointer and their strings live through the call. Descriptors
    // from 3 on are marked first: nothing of the shim leaks into the program.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        libc::execve(path.as_ptr(), arg_pointers.as_ptr(), env_pointers.as_ptr());
    }
    Ok(io::Error::last_os_error())
}

/// Finds a program as a shell does, and says what is wrong with it in the words Kubernetes users know.
fn find(name: &str, path: &str) -> Result<PathBuf, Failure> {
    if name.contains('/') {
        let program = PathBuf::from(name);
        return match check(&program) {
            Ok(()) => Ok(program),
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                let message = format!("exec: {name:?}: stat {name}: {}", plain(&e));
                Err(Failure { exit_code: 127, message })
            }
            Err(e) => Err(Failure { exit_code: 126, message: format!("exec: {name:?}: {}", plain(&e)) }),
        };
    }
    let mut denied = None;
    for dir in path.split(':') {
        let program = Path::new(if dir.is_empty() { "." } else { dir }).join(name);
        match check(&program) {
            Ok(()) => return Ok(program),
            Err(e) if e.raw_os_error() == Some(libc::EACCES) => denied = Some(e),
            Err(_) => {}
        }
    }
    Err(match denied {
        Some(e) => Failure { exit_code: 126, message: format!("exec: {name:?}: {}", plain(&e)) },
        None => {
            let message = format!("exec: {name:?}: executable file not found in $PATH");
            Failure { exit_code: 127, message }
        }
    })
}

fn check(program: &Path) -> io::Result<()> {
    let meta = std::fs::metadata(program)?;
    if meta.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    // Root may "access" everything, but executes only what has the bit for somebody.
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    Ok(rustix::fs::access(program, rustix::fs::Access::EXEC_OK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("data"), "x").expect("write");
        let path = dir.path().to_string_lossy().into_owned();
        let missing = find("foo", &path).expect_err("missing");
        assert_eq!(missing.message, "exec: \"foo\": executable file not found in $PATH");
        assert_eq!(missing.exit_code, 127);
        let denied = find("data", &path).expect_err("denied");
        assert_eq!((denied.exit_code, denied.message.as_str()), (126, "exec: \"data\": permission denied"));
        let absolute = find("/no/such", "").expect_err("missing");
        assert_eq!(absolute.message, "exec: \"/no/such\": stat /no/such: no such file or directory");
    }
}
