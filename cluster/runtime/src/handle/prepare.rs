//! From a specification and an image to what a shim starts: nothing is left to look up.

use std::path::{Path, PathBuf};

use super::shared::{Entry, Shared};
use crate::container::{DEFAULT_MASKED, DEFAULT_READONLY, Launch, resolve_capabilities};
use crate::error::RuntimeError;
use crate::image::{ImageConfig, Store};
use crate::spec::ContainerSpec;
use crate::status::{ContainerState, ContainerStatus};

/// Digits of a container's id that name its directory: short, because mount options hold it three times.
const DIR_NAME: usize = 16;
/// Largest environment and arguments together; the kernel's own limit is of this order.
const MAX_ARGUMENT_BYTES: usize = 4 << 20;

fn invalid(field: &'static str, reason: impl Into<String>) -> RuntimeError {
    RuntimeError::Invalid { field, reason: reason.into() }
}

/// Name of a container's directory.
pub fn dir_name(id: &str) -> &str {
    &id[..DIR_NAME.min(id.len())]
}

/// Refuses an id that can not name a directory and a cgroup.
pub fn check_id(id: &str) -> Result<(), RuntimeError> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    match !id.is_empty() && id.len() <= 128 && !id.starts_with('.') && id.bytes().all(fine) {
        true => Ok(()),
        false => Err(invalid("id", format!("{id:?} is not 1 to 128 letters, digits and `_.-`"))),
    }
}

/// Makes a container's launch plan and its first status.
pub fn prepare(
    shared: &Shared,
    entry: &Entry,
    spec: ContainerSpec,
) -> Result<(Launch, ContainerStatus), RuntimeError> {
    let wanted = if spec.image_id.is_empty() { &spec.image } else { &spec.image_id };
    let record = shared.store.find(wanted).ok_or_else(|| RuntimeError::ImageNotFound(wanted.clone()))?;
    let image = &record.info.config;
    let args = arguments(&spec, image)?;
    let env = environment(&spec, image, &entry.spec.sandbox.hostname);
    let bytes: usize = args.iter().map(String::len).sum::<usize>()
        + env.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
    if bytes > MAX_ARGUMENT_BYTES {
        return Err(invalid(
            "env",
            format!("arguments and environment are larger than {MAX_ARGUMENT_BYTES} bytes"),
        ));
    }
    for mount in &spec.mounts {
        if !mount.container_path.is_absolute()
            || crate::sys::plain_components(&mount.container_path).is_none()
        {
            let path = mount.container_path.display();
            return Err(invalid("mounts", format!("container path {path} must be absolute, without \"..\"")));
        }
    }
    let capabilities = resolve_capabilities(spec.privileged, &spec.cap_add, &spec.cap_drop)
        .map_err(|reason| invalid("capabilities", reason))?;
    let id = hex::encode(rand::random::<[u8; 32]>());
    let status = first_status(entry, &spec, &id, &record.info.id);
    let launch = Launch {
        dir: dir_name(&id).to_owned(),
        layers: layers(&record.diff_ids),
        args,
        env,
        cwd: if spec.working_dir.is_empty() { image.working_dir.clone() } else { spec.working_dir },
        image_user: image.user.clone(),
        capabilities,
        masked_paths: restricted(spec.masked_paths, DEFAULT_MASKED, spec.privileged),
        readonly_paths: restricted(spec.readonly_paths, DEFAULT_READONLY, spec.privileged),
        cgroup: entry.cgroup().join(&id),
        id,
        user: spec.user,
        privileged: spec.privileged,
        read_only_root: spec.read_only_root,
        no_new_privs: spec.no_new_privs,
        seccomp: spec.seccomp,
        mounts: spec.mounts,
        devices: spec.devices,
        tty: spec.tty,
        stdin: spec.stdin,
        stdin_once: spec.stdin_once,
        resources: spec.resources,
        rlimits: spec.rlimits,
        oom_score_adj: spec.oom_score_adj,
        log_path: spec.log_path,
    };
    Ok((launch, status))
}

fn first_status(entry: &Entry, spec: &ContainerSpec, id: &str, image_id: &str) -> ContainerStatus {
    ContainerStatus {
        id: id.to_owned(),
        sandbox_id: entry.id().to_owned(),
        name: spec.name.clone(),
        attempt: spec.attempt,
        state: ContainerState::Created,
        pid: 0,
        created_at: jiff::Timestamp::now(),
        started_at: None,
        finished_at: None,
        exit_code: None,
        signal: None,
        oom_killed: false,
        message: String::new(),
        image_ref: if spec.image.is_empty() { spec.image_id.clone() } else { spec.image.clone() },
        image_id: image_id.to_owned(),
        labels: spec.labels.clone(),
        annotations: spec.annotations.clone(),
        log_path: spec.log_path.clone(),
    }
}

/// An overlay needs a lower layer; an image without any gets an empty one.
const EMPTY_LAYER: &str = "empty";

fn layers(diff_ids: &[String]) -> Vec<String> {
    let names: Vec<String> = diff_ids.iter().rev().map(|d| Store::layer_name(d).to_owned()).collect();
    // The overlay refuses the same directory twice; the uppermost hides the others anyway.
    let mut seen = std::collections::HashSet::new();
    let names: Vec<String> = names.into_iter().filter(|n| seen.insert(n.clone())).collect();
    if names.is_empty() { vec![EMPTY_LAYER.to_owned()] } else { names }
}

/// As Kubernetes says: a command replaces the image's program and arguments, arguments only the latter.
fn arguments(spec: &ContainerSpec, image: &ImageConfig) -> Result<Vec<String>, RuntimeError> {
    let args = if spec.command.is_empty() {
        let tail = if spec.args.is_empty() { &image.cmd } else { &spec.args };
        [&image.entrypoint[..], tail].concat()
    } else {
        [&spec.command[..], &spec.args].concat()
    };
    if args.is_empty() { Err(invalid("command", "no command specified")) } else { Ok(args) }
}

fn environment(spec: &ContainerSpec, image: &ImageConfig, hostname: &str) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = Vec::new();
    let mut put = |key: &str, value: &str| match env.iter_mut().find(|(k, _)| k == key) {
        Some(entry) => entry.1 = value.to_owned(),
        None => env.push((key.to_owned(), value.to_owned())),
    };
    if !hostname.is_empty() {
        put("HOSTNAME", hostname);
    }
    for pair in &image.env {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        put(key, value);
    }
    spec.env.iter().for_each(|(key, value)| put(key, value));
    env
}

fn restricted(given: Option<Vec<PathBuf>>, usual: &[&str], privileged: bool) -> Vec<PathBuf> {
    match given {
        _ if privileged => Vec::new(),
        Some(paths) => paths,
        None => usual.iter().map(PathBuf::from).collect(),
    }
}

/// Makes the container's directory: upper layer, work directory, mount point, and the list of its layers
/// for the garbage collector.
pub fn make_dirs(root: &Path, launch: &Launch) -> Result<(), RuntimeError> {
    let dir = root.join("containers").join(&launch.dir);
    let io_error = |path: PathBuf| move |source| RuntimeError::Io { path, source };
    for path in [dir.join("u"), dir.join("w"), dir.join("m")] {
        std::fs::create_dir_all(&path).map_err(io_error(path.clone()))?;
    }
    if launch.layers == [EMPTY_LAYER] {
        let path = root.join("images/layers").join(EMPTY_LAYER);
        std::fs::create_dir_all(&path).map_err(io_error(path.clone()))?;
    }
    let path = dir.join("layers");
    std::fs::write(&path, launch.layers.join("\n")).map_err(io_error(path.clone()))
}

/// Layer directories that containers of this root use.
pub fn layers_in_use(root: &Path) -> std::collections::BTreeSet<String> {
    let dirs = std::fs::read_dir(root.join("containers"));
    let dirs = dirs.into_iter().flatten().flatten();
    let lists = dirs.filter_map(|dir| std::fs::read_to_string(dir.path().join("layers")).ok());
    lists.flat_map(|list| list.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_arguments() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let image = ImageConfig { entrypoint: words("e"), cmd: words("c d"), ..ImageConfig::default() };
        for (command, args, expected) in
            [("", "", "e c d"), ("", "x", "e x"), ("y", "", "y"), ("y", "x", "y x")]
        {
            let spec =
                ContainerSpec { command: words(command), args: words(args), ..ContainerSpec::default() };
            assert_eq!(arguments(&spec, &image).expect("arguments"), words(expected));
        }
        assert!(arguments(&ContainerSpec::default(), &ImageConfig::default()).is_err());
    }

    #[test]
    fn environments_merge() {
        let image = ImageConfig { env: vec!["A=1".into(), "B".into()], ..ImageConfig::default() };
        let env = vec![("A".to_owned(), "2".to_owned())];
        let spec = ContainerSpec { env, ..ContainerSpec::default() };
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(environment(&spec, &image, "h"), [pair("HOSTNAME", "h"), pair("A", "2"), pair("B", "")]);
    }

    #[test]
    fn ids_name_directories() {
        assert!(check_id("3f1c-a_b.c").is_ok());
        for bad in ["", ".", "..", "a/b", "a b"] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
    }
}
