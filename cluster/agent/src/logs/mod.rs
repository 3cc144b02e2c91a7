//! Reading the logs of containers: files of CRI records (`TIME STREAM TAG CONTENT`), written by the shim.
//!
//! - this file: records and the choice of what is shown (pure)
//! - `follow`: reading a file that grows, without polling; `rotate`: keeping files small

mod follow;
pub mod rotate;

use jiff::Timestamp;

pub use follow::stream;

/// One record of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// As written: RFC 3339 with nanoseconds.
    pub time: &'a str,
    pub is_stderr: bool,
    /// The record does not end its line.
    pub partial: bool,
    /// With the line's end, when the record ends it.
    pub content: &'a [u8],
}

/// Reads one line of a log file (its newline included); `None` for what is not a record.
pub fn parse(line: &[u8]) -> Option<Record<'_>> {
    let (time, rest) = split(line)?;
    let (stream, rest) = split(rest)?;
    let (tags, content) = split(rest)?;
    let is_stderr = match stream {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    let partial = tags.split(|b| *b == b':').any(|t| t == b"P");
    let content = if partial { content.strip_suffix(b"\n").unwrap_or(content) } else { content };
    Some(Record { time: std::str::from_utf8(time).ok()?, is_stderr, partial, content })
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|b| *b == b' ')?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// Which streams are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    #[default]
    All,
    Stdout,
    Stderr,
}

/// What a reader asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub follow: bool,
    /// Only the last so many records.
    pub tail: Option<u64>,
    /// Nothing older.
    pub since: Option<Timestamp>,
    pub timestamps: bool,
    /// At most so many bytes of output.
    pub limit_bytes: Option<u64>,
    pub streams: Streams,
}

/// Chooses and formats records one after the other.
#[derive(Debug)]
pub struct Filter {
    options: Options,
    left: u64,
    in_line: bool,
}

impl Filter {
    pub fn new(options: Options) -> Self {
        let left = options.limit_bytes.unwrap_or(u64::MAX);
        Filter { options, left, in_line: false }
    }

    /// Appends what is to be shown of `line` to `out`.
    pub fn push(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(record) = parse(line) else { return };
        let wanted = match self.options.streams {
            Streams::All => true,
            Streams::Stdout => !record.is_stderr,
            Streams::Stderr => record.is_stderr,
        };
        let late_enough = self
            .options
            .since
            .is_none_or(|since| record.time.parse::<Timestamp>().is_ok_and(|time| time >= since));
        if !wanted || !late_enough {
            return;
        }
        if self.options.timestamps && !self.in_line {
            self.put(record.time.as_bytes(), out);
            self.put(b" ", out);
        }
        self.in_line = record.partial;
        self.put(record.content, out);
    }

    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let n = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        out.extend_from_slice(&bytes[..n]);
        self.left -= n as u64;
    }

    /// Whether nothing more may be shown.
    pub fn is_full(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-21T02:00:00.000000001Z stdout F one\n\
        2026-11-21T02:00:01.5Z stderr F two\n\
        2026-11-21T02:00:02Z stdout P thr\n\
        2026-11-21T02:00:02.1Z stdout F ee\n\
        damaged\n\
        2026-11-21T02:00:03Z stdout F \n";

    fn show(options: Options) -> String {
        let mut filter = Filter::new(options);
        let mut out = Vec::new();
        for line in LOG.split_inclusive('\n') {
            filter.push(line.as_bytes(), &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn records_are_chosen_and_joined() {
        let since = Some("2026-11-21T02:00:02Z".parse().unwrap());
        let cases = [
            (Options::default(), "one\ntwo\nthree\n\n"),
            (Options { streams: Streams::Stderr, ..Options::default() }, "two\n"),
            (Options { since, ..Options::default() }, "three\n\n"),
            (Options { limit_bytes: Some(6), ..Options::default() }, "one\ntw"),
            (
                Options { since, timestamps: true, ..Options::default() },
                "2026-11-21T02:00:02Z three\n2026-11-21T02:00:03Z \n",
            ),
        ];
        for (options, expected) in cases {
            assert_eq!(show(options.clone()), expected, "{options:?}");
        }
    }
}
