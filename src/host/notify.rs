//! Readiness, told the way systemd defines it (sd_notify(3)): `READY=1` to the datagram socket that
//! `NOTIFY_SOCKET` names. Units of `Type=notify` and `trireme up` both listen for it.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const VARIABLE: &str = "NOTIFY_SOCKET";

/// Says that this process is ready; without a listener it does nothing.
pub fn ready(name: &str) {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    let told = UnixDatagram::unbound()
        .and_then(|socket| socket.send_to(format!("READY=1\nSTATUS={name}").as_bytes(), path));
    if let Err(error) = told {
        tracing::warn!(%error, "could not tell that {name} is ready");
    }
}

/// The listening end.
pub struct Listener {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Listener {
    /// `path` must be short: a socket's path has at most 107 bytes.
    pub fn open(path: &Path) -> Result<Listener> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let socket = UnixDatagram::bind(path).with_context(|| format!("bind {}", path.display()))?;
        Ok(Listener { socket, path: path.to_owned() })
    }

    /// The variable to give to a process that should tell when it is ready.
    pub fn variable(&self) -> (&'static str, String) {
        (VARIABLE, self.path.display().to_string())
    }

    /// The name of the next process that says it is ready; `None` when `patience` ran out.
    pub fn next(&self, patience: Duration) -> Result<Option<String>> {
        let deadline = Instant::now() + patience;
        let mut buffer = [0; 256];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("wait for readiness"),
            };
            if let Some(name) = name_of(&buffer[..length]) {
                return Ok(Some(name));
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It lies in a folder of temporary files: a leftover is replaced by the next `open`.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn name_of(message: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(message).ok()?;
    let mut lines = text.lines();
    lines.any(|line| line == "READY=1").then_some(())?;
    text.lines().find_map(|line| line.strip_prefix("STATUS=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_arrives_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let listener = Listener::open(&folder.path().join("n.sock")).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.send_to(b"STATUS=starting", &listener.path).unwrap();
        sender.send_to(b"READY=1\nSTATUS=server-2", &listener.path).unwrap();
        assert_eq!(listener.next(Duration::from_secs(5)).unwrap().as_deref(), Some("server-2"));
        assert_eq!(listener.next(Duration::from_millis(1)).unwrap(), None);
    }
}
