//! The CRI log file: `2026-01-02T03:04:05.000000006Z stdout F text`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A longer line is written in parts marked `P`, the last one `F`.
pub const MAX_LINE: usize = 16 << 10;

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static [u8] {
        match self {
            Stream::Stdout => b"stdout",
            Stream::Stderr => b"stderr",
        }
    }
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes bytes; appends the finished log lines to `out`.
    pub fn push(&mut self, stream: Stream, now: &str, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let room = MAX_LINE - self.pending.len();
            match bytes.iter().take(room + 1).position(|b| *b == b'\n') {
                Some(end) => {
                    self.pending.extend_from_slice(&bytes[..end]);
                    self.emit(stream, now, b"F", out);
                    bytes = &bytes[end + 1..];
                }
                None if bytes.len() >= room => {
                    self.pending.extend_from_slice(&bytes[..room]);
                    self.emit(stream, now, b"P", out);
                    bytes = &bytes[room..];
                }
                None => {
                    self.pending.extend_from_slice(bytes);
                    bytes = &[];
                }
            }
        }
    }

    /// Writes what has no end of line, when the stream has ended.
    pub fn finish(&mut self, stream: Stream, now: &str, out: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            self.emit(stream, now, b"F", out);
        }
    }

    fn emit(&mut self, stream: Stream, now: &str, tag: &[u8], out: &mut Vec<u8>) {
        for part in [now.as_bytes(), stream.name(), tag] {
            out.extend_from_slice(part);
            out.push(b' ');
        }
        out.extend_from_slice(&self.pending);
        out.push(b'\n');
        self.pending.clear();
    }
}

/// A container's log file.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: Option<File>,
    stdout: Lines,
    stderr: Lines,
    /// A write has failed and was reported; cleared by `reopen`.
    broken: bool,
}

impl LogFile {
    /// Opens, or makes, the file; without a path nothing is written.
    pub fn open(path: &Path) -> io::Result<LogFile> {
        let file = if path.as_os_str().is_empty() { None } else { Some(open(path)?) };
        let (stdout, stderr) = (Lines::default(), Lines::default());
        Ok(LogFile { path: path.to_path_buf(), file, stdout, stderr, broken: false })
    }

    /// Opens the path anew, after its file was renamed.
    pub fn reopen(&mut self) -> io::Result<()> {
        if !self.path.as_os_str().is_empty() {
            self.file = Some(open(&self.path)?);
            self.broken = false;
        }
        Ok(())
    }

    /// Logs what a container wrote.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if self.file.is_some() {
            let mut out = Vec::with_capacity(bytes.len() + 128);
            self.lines(stream).push(stream, &now(), bytes, &mut out);
            self.put(&out);
        }
    }

    /// Logs the last, unfinished line of a stream.
    pub fn finish(&mut self, stream: Stream) {
        let mut out = Vec::new();
        self.lines(stream).finish(stream, &now(), &mut out);
        self.put(&out);
    }

    fn lines(&mut self, stream: Stream) -> &mut Lines {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// A full disk must not stop the container: what can not be written is lost, and reported once.
    fn put(&mut self, bytes: &[u8]) {
        let Some(file) = self.file.as_mut().filter(|_| !bytes.is_empty()) else { return };
        if let Err(e) = file.write_all(bytes)
            && !std::mem::replace(&mut self.broken, true)
        {
            eprintln!("{}: {e}: output is lost", self.path.display());
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

fn now() -> String {
    format!("{:.9}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(Stream::Stdout, "T", piece, &mut out);
        }
        lines.finish(Stream::Stdout, "T", &mut out);
        String::from_utf8(out).expect("utf-8").lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_are_joined_and_cut() {
        assert_eq!(cut(&[b"a", b"b\n\nc"]), ["T stdout F ab", "T stdout F ", "T stdout F c"]);
        let long = vec![b'x'; MAX_LINE + 1];
        let parts = cut(&[&long, b"\n"]);
        assert_eq!(parts.len(), 2);
        assert!(parts[0].starts_with("T stdout P x") && parts[0].len() == MAX_LINE + 11);
        assert_eq!(parts[1], "T stdout F x");
        let exact = [vec![b'y'; MAX_LINE], b"\nz\n".to_vec()].concat();
        assert_eq!(cut(&[&exact]).len(), 2, "a line of exactly the limit is whole");
        assert!(now().ends_with('Z') && now().len() == "2026-01-02T03:04:05.000000006Z".len());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn no_byte_is_lost(pieces in proptest::collection::vec(proptest::collection::vec(0u8..3, 0..40_000), 0..4)) {
            let (mut lines, mut out) = (Lines::default(), Vec::new());
            let text = |v: &Vec<u8>| v.iter().map(|b| [b'a', b'b', b'\n'][*b as usize]).collect::<Vec<u8>>();
            let mut whole = Vec::new();
            for piece in pieces.iter().map(text) {
                lines.push(Stream::Stdout, "T", &piece, &mut out);
                whole.extend(piece);
            }
            lines.finish(Stream::Stdout, "T", &mut out);
            let mut back = String::new();
            for line in String::from_utf8(out).expect("utf-8").lines() {
                back += &line[11..];
                if &line[9..10] == "F" { back.push('\n'); }
            }
            let mut expected = String::from_utf8(whole).expect("utf-8");
            if !expected.is_empty() && !expected.ends_with('\n') { expected.push('\n'); }
            proptest::prop_assert_eq!(back, expected);
        }
    }
}
