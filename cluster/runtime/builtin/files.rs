//! `cat` and `ls`.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::sys;

pub fn cat(args: &[String]) -> io::Result<()> {
    sys::die_of_closed_pipes();
    let mut out = io::stdout().lock();
    if args.is_empty() {
        io::copy(&mut io::stdin(), &mut out)?;
    }
    for arg in args {
        if arg == "-" {
            io::copy(&mut io::stdin(), &mut out)?;
        } else {
            let named = |e: io::Error| io::Error::new(e.kind(), format!("{arg}: {e}"));
            io::copy(&mut File::open(arg).map_err(named)?, &mut out).map_err(named)?;
        }
    }
    Ok(())
}

pub fn ls(args: &[String]) -> io::Result<()> {
    sys::die_of_closed_pipes();
    let flags: String = args.iter().filter(|a| a.starts_with('-')).flat_map(|a| a[1..].chars()).collect();
    let mut paths: Vec<&str> = args.iter().filter(|a| !a.starts_with('-')).map(String::as_str).collect();
    if paths.is_empty() {
        paths.push(".");
    }
    let (long, all) = (flags.contains('l'), flags.contains(['a', 'A']));
    let mut out = io::stdout().lock();
    for path in &paths {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{path}: {e}"));
        let meta = std::fs::symlink_metadata(path).map_err(named)?;
        let follows = !long && std::fs::metadata(path).is_ok_and(|m| m.is_dir());
        if flags.contains('d') || !(meta.is_dir() || follows) {
            line(&mut out, Path::new(path), path, &meta, long)?;
            continue;
        }
        if paths.len() > 1 {
            writeln!(out, "{path}:")?;
        }
        let entries = std::fs::read_dir(path).map_err(named)?.flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        for name in names.iter().filter(|n| all || !n.starts_with('.')) {
            let full = Path::new(path).join(name);
            if let Ok(meta) = std::fs::symlink_metadata(&full) {
                line(&mut out, &full, name, &meta, long)?;
            }
        }
    }
    Ok(())
}

fn line(out: &mut impl Write, path: &Path, name: &str, meta: &Metadata, long: bool) -> io::Result<()> {
    if !long {
        return writeln!(out, "{name}");
    }
    let kind = meta.file_type();
    let letter = match () {
        () if kind.is_dir() => 'd',
        () if kind.is_symlink() => 'l',
        () if kind.is_char_device() => 'c',
        () if kind.is_block_device() => 'b',
        () if kind.is_fifo() => 'p',
        () if kind.is_socket() => 's',
        () => '-',
    };
    let bit =
        |index: u32| if meta.mode() & (1 << index) != 0 { b"xwr"[index as usize % 3] as char } else { '-' };
    let mode: String = (0..9).rev().map(bit).collect();
    let link = std::fs::read_link(path).map(|t| format!(" -> {}", t.display())).unwrap_or_default();
    let (links, uid, gid) = (meta.nlink(), meta.uid(), meta.gid());
    writeln!(out, "{letter}{mode} {links:>3} {uid:>5} {gid:>5} {:>10} {name}{link}", meta.len())
}
