//! Files that only root may read, written whole or not at all.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes `bytes` aside and renames: a reader sees the old file or the new one.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let staged = path.with_extension("new");
    let put = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&staged, path)
    };
    put().with_context(|| format!("write {}", path.display()))
}
