//! `echo`, `env`, `hostname`, `id`, `kill`, `ps`, `sleep`.

use std::io::{self, Write};
use std::time::Duration;

use crate::{fail, sys};

pub fn echo(args: &[String]) -> io::Result<()> {
    let (newline, words) = match args.first().map(String::as_str) {
        Some("-n") => ("", &args[1..]),
        Some("-e") => ("\n", &args[1..]),
        _ => ("\n", args),
    };
    io::stdout().write_all(format!("{}{newline}", words.join(" ")).as_bytes())
}

pub fn env() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (key, value) in std::env::vars_os() {
        writeln!(out, "{}={}", key.to_string_lossy(), value.to_string_lossy())?;
    }
    Ok(())
}

pub fn hostname() -> io::Result<()> {
    io::stdout().write_all(&std::fs::read("/proc/sys/kernel/hostname")?)
}

pub fn id() -> io::Result<()> {
    let (uid, gid, groups) = sys::identity();
    let groups: Vec<String> = groups.iter().map(|g| named("/etc/group", *g)).collect();
    let (user, group) = (named("/etc/passwd", uid), named("/etc/group", gid));
    let groups = if groups.is_empty() { String::new() } else { format!(" groups={}", groups.join(",")) };
    writeln!(io::stdout(), "uid={user} gid={group}{groups}")
}

fn named(database: &str, number: u32) -> String {
    let text = std::fs::read_to_string(database).unwrap_or_default();
    let entry = text.lines().find(|line| line.split(':').nth(2) == Some(&number.to_string()));
    match entry.and_then(|line| line.split(':').next()) {
        Some(name) => format!("{number}({name})"),
        None => number.to_string(),
    }
}

/// Names of the signals that people send, with their numbers.
const SIGNALS: [(&str, i32); 10] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("PIPE", 13),
    ("TERM", 15),
    ("CONT", 18),
    ("STOP", 19),
];

/// `kill [-SIGNAL | -s SIGNAL] PID...`
pub fn kill(args: &[String]) -> io::Result<()> {
    let (signal, pids) = match args {
        [flag, name, pids @ ..] if flag == "-s" => (name.as_str(), pids),
        [flag, pids @ ..] if flag.starts_with('-') => (&flag[1..], pids),
        pids => ("TERM", pids),
    };
    let name = signal.to_ascii_uppercase();
    let name = name.trim_start_matches("SIG");
    let by_name = SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let Some(number) = by_name.or_else(|| name.parse().ok()) else {
        return fail(format!("unknown signal {signal:?}"));
    };
    if pids.is_empty() {
        return fail("usage: kill [-SIGNAL] PID...");
    }
    for pid in pids {
        let pid = pid.parse().map_err(|_| io::Error::other(format!("invalid process number {pid:?}")))?;
        sys::send_signal(pid, number)?;
    }
    Ok(())
}

pub fn ps() -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{:>7} {:>5} COMMAND", "PID", "UID")?;
    let entries = std::fs::read_dir("/proc")?.flatten();
    let mut pids: Vec<u32> = entries.filter_map(|e| e.file_name().to_string_lossy().parse().ok()).collect();
    pids.sort_unstable();
    for pid in pids {
        let Ok(command) = std::fs::read(format!("/proc/{pid}/cmdline")) else { continue };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().unwrap_or("?").to_owned()
        };
        let words: Vec<_> = command.split(|b| *b == 0).map(String::from_utf8_lossy).collect();
        let text = words.join(" ");
        let text = if text.trim().is_empty() { format!("[{}]", field("Name:")) } else { text };
        writeln!(out, "{pid:>7} {:>5} {}", field("Uid:"), text.trim())?;
    }
    Ok(())
}

pub fn sleep(args: &[String]) -> io::Result<()> {
    let mut total = Duration::ZERO;
    for arg in args {
        let (number, unit) = match arg.find(|c: char| c.is_ascii_alphabetic()) {
            Some(at) => arg.split_at(at),
            None => (arg.as_str(), "s"),
        };
        let factor = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return fail(format!("invalid time {arg:?}")),
        };
        total += match number.parse::<f64>() {
            Ok(number) if number >= 0.0 && number < 1e12 => Duration::from_secs_f64(number * factor),
            _ if arg == "infinity" || arg == "inf" => Duration::from_secs(1 << 40),
            _ => return fail(format!("invalid time {arg:?}")),
        };
    }
    // As the first process of a container it would otherwise ignore being told to stop.
    sys::catch_stop();
    let end = std::time::Instant::now() + total;
    std::thread::scope(|_| {
        while !sys::stopped() {
            let left = end.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
        std::process::exit(128 + sys::SIGTERM)
    })
}
