//! Reads a log file from where it was asked for to its end, and goes on while it grows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::{Filter, Options};

const BLOCK: usize = 64 * 1024;
/// A record longer than this is passed over.
const MAX_RECORD: usize = 1 << 20;

/// Why a log can not be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to open log file {path:?}: {source}")]
pub struct LogError {
    path: PathBuf,
    source: io::Error,
}

/// Sends the log at `path` to `out`, in pieces. With `follow` it ends after `ended` has resolved (the container wrote its
/// last byte before) and everything is read. Ends early when nobody receives.
pub async fn stream(
    path: &Path,
    options: Options,
    ended: impl Future<Output = ()>,
    out: mpsc::Sender<Bytes>,
) -> Result<(), LogError> {
    let fail = |source| LogError { path: path.to_owned(), source };
    let watch = if options.follow { Some(Watch::new(path).map_err(fail)?) } else { None };
    let mut reader = Reader::open(path, options.tail).map_err(fail)?;
    let mut filter = Filter::new(options);
    tokio::pin!(ended);
    let mut last_round = watch.is_none();
    loop {
        loop {
            let mut shown = Vec::new();
            let more = reader.read(&mut filter, &mut shown).map_err(fail)?;
            if !shown.is_empty() && out.send(shown.into()).await.is_err() {
                return Ok(());
            }
            if filter.is_full() {
                return Ok(());
            }
            if !more {
                break;
            }
        }
        if reader.reopen_if_rotated().map_err(fail)? {
            continue;
        }
        let Some(watch) = watch.as_ref().filter(|_| !last_round) else { return Ok(()) };
        tokio::select! {
            changed = watch.changed() => changed.map_err(fail)?,
            () = &mut ended => last_round = true,
            () = out.closed() => return Ok(()),
        }
    }
}

struct Reader {
    path: PathBuf,
    file: File,
    pending: Vec<u8>,
    skipping: bool,
}

impl Reader {
    fn open(path: &Path, tail: Option<u64>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if let Some(lines) = tail {
            let start = tail_offset(&mut file, lines)?;
            file.seek(SeekFrom::Start(start))?;
        }
        Ok(Reader { path: path.to_owned(), file, pending: Vec::new(), skipping: false })
    }

    /// Reads the next block; whether there may be more.
    fn read(&mut self, filter: &mut Filter, out: &mut Vec<u8>) -> io::Result<bool> {
        let mut block = [0u8; BLOCK];
        let n = self.file.read(&mut block)?;
        let mut rest = &block[..n];
        while let Some(at) = rest.iter().position(|b| *b == b'\n') {
            let (line, tail) = rest.split_at(at + 1);
            rest = tail;
            if std::mem::take(&mut self.skipping) {
                self.pending.clear();
            } else if self.pending.is_empty() {
                filter.push(line, out);
            } else {
                self.pending.extend_from_slice(line);
                filter.push(&self.pending, out);
                self.pending.clear();
            }
        }
        if self.pending.len() + rest.len() > MAX_RECORD {
            self.skipping = true;
            self.pending.clear();
        } else if !self.skipping {
            self.pending.extend_from_slice(rest);
        }
        Ok(n > 0)
    }

    /// Goes on with the new file when another one has taken the path.
    fn reopen_if_rotated(&mut self) -> io::Result<bool> {
        let Ok(there) = std::fs::metadata(&self.path) else { return Ok(false) };
        let here = self.file.metadata()?;
        if (there.dev(), there.ino()) == (here.dev(), here.ino()) {
            return Ok(false);
        }
        self.file = File::open(&self.path)?;
        self.pending.clear();
        Ok(true)
    }
}

/// Where the last `lines` lines begin.
fn tail_offset(file: &mut File, lines: u64) -> io::Result<u64> {
    let len = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(len);
    }
    let mut found = 0u64;
    let mut end = len;
    let mut block = vec![0u8; BLOCK];
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        for (i, byte) in part.iter().enumerate().rev() {
            let at = start + i as u64;
            if *byte == b'\n' && at + 1 != len {
                found += 1;
                if found == lines {
                    return Ok(at + 1);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

/// Wakes when the file, or what is at its path, changes.
struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    fn new(path: &Path) -> io::Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        inotify::add_watch(&fd, path, inotify::WatchFlags::MODIFY)?;
        if let Some(dir) = path.parent() {
            let names =
                inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::MODIFY;
            inotify::add_watch(&fd, dir, names)?;
        }
        // Sound: an `OwnedFd` keeps its descriptor open, and never gives it away, until it is dropped.
        Ok(Watch(unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)?))
    }

    async fn changed(&self) -> io::Result<()> {
        let mut guard = self.0.readable().await?;
        let mut events = [0u8; 4096];
        loop {
            match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut events)?)) {
                Ok(Ok(n)) if n > 0 => {}
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(e)) => return Err(e),
                Err(_would_block) => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tokio::sync::oneshot;

    fn line(text: &str) -> String {
        format!("2026-11-21T02:00:00Z stdout F {text}\n")
    }

    async fn all(mut rx: mpsc::Receiver<Bytes>) -> String {
        let mut out = Vec::new();
        while let Some(piece) = rx.recv().await {
            out.extend_from_slice(&piece);
        }
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn the_last_lines_are_found_across_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let long = "x".repeat(BLOCK / 3);
        let text: String = (0..10).map(|i| line(&format!("{i}{long}"))).collect();
        std::fs::write(&path, text).unwrap();
        for n in [0u64, 1, 4, 9, 10, 20] {
            let (tx, rx) = mpsc::channel(1000);
            let options = Options { tail: Some(n), ..Options::default() };
            stream(&path, options, std::future::pending(), tx).await.unwrap();
            assert_eq!(all(rx).await.lines().count() as u64, n.min(10), "{n}");
        }
    }

    #[tokio::test]
    async fn a_follower_sees_what_is_written_also_after_rotation_and_ends_with_the_container() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, line("one")).unwrap();
        let (tx, mut rx) = mpsc::channel(10);
        let (end_tx, end_rx) = oneshot::channel::<()>();
        let follower = tokio::spawn({
            let path = path.clone();
            async move {
                let options = Options { follow: true, ..Options::default() };
                let ended = async { drop(end_rx.await) };
                stream(&path, options, ended, tx).await.unwrap();
            }
        });
        assert_eq!(rx.recv().await.unwrap(), "one\n");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(line("two").as_bytes()).unwrap();
        assert_eq!(rx.recv().await.unwrap(), "two\n");
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        std::fs::write(&path, line("three")).unwrap();
        assert_eq!(rx.recv().await.unwrap(), "three\n");
        std::fs::write(&path, format!("{}{}", line("three"), line("last"))).unwrap();
        end_tx.send(()).unwrap();
        assert_eq!(all(rx).await, "last\n");
        follower.await.unwrap();
    }
}
