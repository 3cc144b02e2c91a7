//! Log files of limited size: a file that grew beyond the limit is renamed, and the shim goes on with a new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use runtime::{ContainerState, Runtime};

/// A file larger than this is rotated.
const MAX_SIZE: u64 = 10 << 20;
/// Files kept of one container, the current one included.
const MAX_FILES: usize = 5;
/// The kernel does not tell when a file passes a size, so sizes are looked at; what grows faster than the disk between two
/// looks is beyond this limit anyway.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Looks after the logs of all running containers, for ever.
pub async fn run(runtime: Arc<Runtime>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for c in runtime.containers().into_iter().filter(|c| c.state == ContainerState::Running) {
            if fs::metadata(&c.log_path).map_or(0, |m| m.len()) <= MAX_SIZE {
                continue;
            }
            let path = c.log_path.clone();
            let renamed = tokio::task::spawn_blocking(move || shift(&path)).await;
            match renamed {
                Ok(Ok(())) => {
                    if let Err(error) = runtime.reopen_log(&c.id).await {
                        tracing::warn!(container = %c.id, %error, "log not reopened");
                    }
                }
                Ok(Err(error)) => tracing::warn!(container = %c.id, %error, "log not rotated"),
                Err(error) => tracing::warn!(container = %c.id, %error, "log not rotated"),
            }
        }
    }
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// `0.log` becomes `0.log.1`, that `0.log.2`, and the oldest goes. Blocking.
fn shift(path: &Path) -> io::Result<()> {
    for number in (1..MAX_FILES).rev() {
        let from = if number == 1 { path.to_owned() } else { numbered(path, number - 1) };
        match fs::rename(from, numbered(path, number)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_files_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        for i in 0..8 {
            fs::write(&path, i.to_string()).unwrap();
            shift(&path).unwrap();
        }
        let read = |n| fs::read_to_string(numbered(&path, n)).unwrap();
        assert_eq!([read(1), read(2), read(3), read(4)], ["7", "6", "5", "4"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    }
}
