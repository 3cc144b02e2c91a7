//! The images that are part of this program: `trireme/pause` and `trireme/hello`.
//!
//! Both have one layer with one static program that plays many parts, by the name it is called by.

use std::fs::File;

use super::document::{Config, RootFs, RunConfig, architecture};
use super::name::Name;
use super::store::{Store, digest_of};
use crate::error::ImageError;

/// Names of the images.
const PAUSE: &str = "trireme/pause:latest";
const HELLO: &str = "trireme/hello:latest";

/// The program, compiled by the build script.
const TOOLS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tools"));
/// The parts it plays, each a link in `/bin`.
const APPLETS: &[&str] = &[
    "cat", "echo", "env", "false", "hello", "hostname", "id", "kill", "ls", "nslookup", "pause", "ps", "sh",
    "sleep", "tar", "true", "wget",
];
const PASSWD: &str = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";
const NSSWITCH: &str = "hosts: files dns\n";

/// Enters the built-in images into the store, unless they are there.
pub fn install(store: &Store) -> Result<(), ImageError> {
    let layer = layer().map_err(|e| ImageError::Document(format!("built-in layer: {e}")))?;
    let diff_id = digest_of(&layer);
    for (name, command) in [(PAUSE, "/bin/pause"), (HELLO, "/bin/hello")] {
        let config = config(&diff_id, command)?;
        let present = store.find(name).is_some_and(|r| r.info.id == digest_of(&config));
        if present && store.has_layer(&diff_id) {
            continue;
        }
        store.unpack_layer(&diff_id, None, || {
            let path = store.temporary();
            std::fs::write(&path, &layer)?;
            let file = File::open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        })?;
        store.enter(&config, None, &[Name::parse(name)?], &[], layer.len() as u64)?;
    }
    Ok(())
}

fn config(diff_id: &str, command: &str) -> Result<Vec<u8>, ImageError> {
    let run = RunConfig {
        entrypoint: Some(vec![command.to_owned()]),
        env: Some(vec!["PATH=/bin".to_owned()]),
        working_dir: Some("/".to_owned()),
        ..RunConfig::default()
    };
    let config = Config {
        architecture: architecture().to_owned(),
        os: "linux".to_owned(),
        config: Some(run),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![diff_id.to_owned()] },
    };
    serde_json::to_vec(&config).map_err(|e| ImageError::Document(e.to_string()))
}

/// The same bytes for the same program, so that the image keeps its id.
fn layer() -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (dir, mode) in
        [("bin/", 0o755), ("etc/", 0o755), ("etc/hello/", 0o755), ("tmp/", 0o1777), ("var/", 0o755)]
    {
        append(&mut builder, tar::EntryType::Directory, dir, mode, "", &[])?;
    }
    append(&mut builder, tar::EntryType::Regular, "bin/tools", 0o755, "", TOOLS)?;
    for applet in APPLETS {
        append(&mut builder, tar::EntryType::Symlink, &format!("bin/{applet}"), 0o777, "tools", &[])?;
    }
    for (path, text) in [("etc/passwd", PASSWD), ("etc/group", GROUP), ("etc/nsswitch.conf", NSSWITCH)] {
        append(&mut builder, tar::EntryType::Regular, path, 0o644, "", text.as_bytes())?;
    }
    builder.into_inner()
}

fn append(
    builder: &mut tar::Builder<Vec<u8>>,
    kind: tar::EntryType,
    path: &str,
    mode: u32,
    link: &str,
    data: &[u8],
) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_path(path)?;
    header.set_mode(mode);
    header.set_size(data.len() as u64);
    if !link.is_empty() {
        header.set_link_name(link)?;
    }
    header.set_cksum();
    builder.append(&header, data)
}
