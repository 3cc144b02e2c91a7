//! `hostPath` volumes: the path is checked, and made when its type says so.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Why a path of the node can not be used.
#[derive(Debug, thiserror::Error)]
pub enum HostPathError {
    #[error("hostPath type check failed: {path} is not {what}")]
    WrongType { path: String, what: &'static str },
    #[error("hostPath {path}: {source}")]
    Io { path: String, source: io::Error },
}

/// Checks `path` against the volume's `type`. Blocking.
pub fn check(path: &str, kind: &str) -> Result<(), HostPathError> {
    let io = |source| HostPathError::Io { path: path.to_owned(), source };
    let wrong = |what| Err(HostPathError::WrongType { path: path.to_owned(), what });
    match kind {
        "" => return Ok(()),
        "DirectoryOrCreate" if !Path::new(path).exists() => {
            fs::create_dir_all(path).map_err(io)?;
            return fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(io);
        }
        "FileOrCreate" if !Path::new(path).exists() => {
            let made = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path);
            return made.map(drop).map_err(io);
        }
        _ => {}
    }
    let found = fs::metadata(path).ok().map(|m| m.file_type());
    let is = |test: fn(&fs::FileType) -> bool| found.as_ref().is_some_and(test);
    match kind {
        "Directory" | "DirectoryOrCreate" if !is(fs::FileType::is_dir) => wrong("a directory"),
        "File" | "FileOrCreate" if !is(fs::FileType::is_file) => wrong("a file"),
        "Socket" if !is(FileTypeExt::is_socket) => wrong("a socket file"),
        "CharDevice" if !is(FileTypeExt::is_char_device) => wrong("a character device"),
        "BlockDevice" if !is(FileTypeExt::is_block_device) => wrong("a block device"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked_and_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        check(&path("d"), "DirectoryOrCreate").unwrap();
        check(&path("f"), "FileOrCreate").unwrap();
        let cases = [
            ("d", "Directory", true),
            ("d", "File", false),
            ("f", "File", true),
            ("f", "DirectoryOrCreate", false),
            ("no", "Directory", false),
            ("no", "", true),
            ("f", "Socket", false),
        ];
        for (name, kind, good) in cases {
            assert_eq!(check(&path(name), kind).is_ok(), good, "{name} {kind}");
        }
        check("/dev/null", "CharDevice").unwrap();
        let text = check(&path("f"), "Directory").unwrap_err().to_string();
        assert!(text.ends_with("/f is not a directory"), "{text}");
    }
}
