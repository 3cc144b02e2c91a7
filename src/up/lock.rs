//! One `up` or `down` at a time.

use std::fs::File;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use super::layout::Files;

/// Held until dropped.
pub fn take(files: &Files) -> Result<File> {
    let path = files.lock();
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            bail!(
                "another `trireme up` or `trireme down` is at work on {}: wait for it",
                files.root.display()
            )
        }
        Err(error) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}
