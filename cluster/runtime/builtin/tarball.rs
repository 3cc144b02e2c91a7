//! `tar`: enough of it for `kubectl cp`. Creates, extracts and lists ustar streams, reads GNU long names
//! and pax paths.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use crate::{fail, sys};

const BLOCK: usize = 512;

pub fn tar(args: &[String]) -> io::Result<()> {
    sys::die_of_closed_pipes();
    let (mut mode, mut file, mut paths) = (None, String::from("-"), Vec::new());
    let mut words = args.iter().peekable();
    let mut first = true;
    while let Some(word) = words.next() {
        let flags = match word.strip_prefix('-') {
            Some("") | None if !first => None,
            Some(flags) => Some(flags),
            None => Some(word.as_str()),
        };
        first = false;
        match flags {
            Some(long) if long.starts_with('-') => {}
            Some(flags) => {
                for flag in flags.chars() {
                    match flag {
                        'c' | 'x' | 't' => mode = Some(flag),
                        'f' => file = words.next().cloned().unwrap_or_default(),
                        'C' => std::env::set_current_dir(words.next().map_or(".", |d| d))?,
                        'm' | 'p' | 'v' | 'o' => {}
                        other => return fail(format!("unknown option -{other}")),
                    }
                }
            }
            None => paths.push(word.clone()),
        }
    }
    match mode {
        Some('c') if file == "-" => create(&mut BufWriter::new(io::stdout().lock()), &paths),
        Some('c') => create(&mut BufWriter::new(File::create(file)?), &paths),
        Some(mode) if file == "-" => read_all(&mut BufReader::new(io::stdin().lock()), mode == 'x'),
        Some(mode) => read_all(&mut BufReader::new(File::open(file)?), mode == 'x'),
        None => fail("usage: tar -c|-x|-t [-f FILE] [-C DIR] [PATH...]"),
    }
}

fn create(out: &mut impl Write, paths: &[String]) -> io::Result<()> {
    for path in paths {
        add(out, Path::new(path))?;
    }
    out.write_all(&[0; 2 * BLOCK])?;
    out.flush()
}

fn add(out: &mut impl Write, path: &Path) -> io::Result<()> {
    let meta = std::fs::symlink_metadata(path)
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
    let mut name = path.to_string_lossy().trim_start_matches('/').to_owned();
    let kind = meta.file_type();
    let (letter, size, link) = match () {
        () if kind.is_dir() => (b'5', 0, String::new()),
        () if kind.is_symlink() => (b'2', 0, std::fs::read_link(path)?.to_string_lossy().into_owned()),
        () if kind.is_file() => (b'0', meta.len(), String::new()),
        // Sockets, pipes and devices are not copied.
        () => return Ok(()),
    };
    if kind.is_dir() && !name.ends_with('/') {
        name.push('/');
    }
    for (long, kind) in [(&name, b'L'), (&link, b'K')] {
        if long.len() > 100 {
            out.write_all(&header("././@LongLink", kind, long.len() as u64 + 1, "", 0o644, (0, 0), 0))?;
            let mut data = long.clone().into_bytes();
            data.push(0);
            out.write_all(&data)?;
            pad(out, data.len() as u64)?;
        }
    }
    let mtime = meta.mtime().max(0) as u64;
    out.write_all(&header(
        &name,
        letter,
        size,
        &link,
        meta.mode() & 0o7777,
        (meta.uid(), meta.gid()),
        mtime,
    ))?;
    if kind.is_file() {
        // Exactly as many bytes as were promised, whatever happens to the file meanwhile.
        let copied = io::copy(&mut File::open(path)?.take(size), out)?;
        io::copy(&mut io::repeat(0).take(size - copied), out)?;
        pad(out, size)?;
    }
    if kind.is_dir() {
        let mut names: Vec<PathBuf> = std::fs::read_dir(path)?.flatten().map(|e| e.path()).collect();
        names.sort();
        for inner in names {
            add(out, &inner)?;
        }
    }
    Ok(())
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let rest = (BLOCK - (size % BLOCK as u64) as usize) % BLOCK;
    out.write_all(&[0; BLOCK][..rest])
}

fn header(
    name: &str,
    kind: u8,
    size: u64,
    link: &str,
    mode: u32,
    owner: (u32, u32),
    mtime: u64,
) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, width: usize, text: &[u8]| {
        let length = text.len().min(width);
        block[at..at + length].copy_from_slice(&text[..length]);
    };
    put(0, 100, name.as_bytes());
    put(100, 8, format!("{mode:07o}").as_bytes());
    put(108, 8, format!("{:07o}", owner.0 & 0o7777777).as_bytes());
    put(116, 8, format!("{:07o}", owner.1 & 0o7777777).as_bytes());
    put(124, 12, format!("{size:011o}").as_bytes());
    put(136, 12, format!("{mtime:011o}").as_bytes());
    put(148, 8, b"        ");
    put(156, 1, &[kind]);
    put(157, 100, link.as_bytes());
    put(257, 8, b"ustar  \0");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

struct Head {
    name: String,
    link: String,
    kind: u8,
    size: u64,
    mode: u32,
}

fn number(field: &[u8]) -> u64 {
    if field[0] & 0x80 != 0 {
        return field.iter().skip(field.len() - 8).fold(0, |n, b| n << 8 | u64::from(*b));
    }
    let text = String::from_utf8_lossy(field);
    u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).unwrap_or(0)
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

fn read_head(input: &mut impl Read) -> io::Result<Option<Head>> {
    let mut block = [0; BLOCK];
    match input.read_exact(&mut block) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    if block.iter().all(|b| *b == 0) {
        return Ok(None);
    }
    let (name, prefix) = (text(&block[..100]), text(&block[345..500]));
    let posix = &block[257..263] == b"ustar\0";
    let name = if posix && !prefix.is_empty() { format!("{prefix}/{name}") } else { name };
    let (size, mode) = (number(&block[124..136]), number(&block[100..108]) as u32 & 0o7777);
    Ok(Some(Head { name, link: text(&block[157..257]), kind: block[156], size, mode }))
}

fn read_data(input: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    input.take(size.next_multiple_of(BLOCK as u64)).read_to_end(&mut data)?;
    data.truncate(size as usize);
    Ok(data)
}

fn read_all(input: &mut impl Read, extract: bool) -> io::Result<()> {
    let (mut long_name, mut long_link) = (None, None);
    while let Some(mut head) = read_head(input)? {
        match head.kind {
            b'L' => long_name = Some(text(&read_data(input, head.size)?)),
            b'K' => long_link = Some(text(&read_data(input, head.size)?)),
            b'x' => {
                let data = read_data(input, head.size)?;
                for line in String::from_utf8_lossy(&data).lines() {
                    let pair = line.split_once(' ').and_then(|(_, pair)| pair.split_once('='));
                    match pair {
                        Some(("path", value)) => long_name = Some(value.to_owned()),
                        Some(("linkpath", value)) => long_link = Some(value.to_owned()),
                        _ => {}
                    }
                }
            }
            b'g' => drop(read_data(input, head.size)?),
            _ => {
                head.name = long_name.take().unwrap_or(head.name);
                head.link = long_link.take().unwrap_or(head.link);
                if extract {
                    unpack(input, &head)?;
                } else {
                    println!("{}", head.name);
                    io::copy(&mut input.take(head.size.next_multiple_of(BLOCK as u64)), &mut io::sink())?;
                }
            }
        }
    }
    // Whoever writes must not find the pipe closed.
    io::copy(input, &mut io::sink()).map(drop)
}

fn unpack(input: &mut impl Read, head: &Head) -> io::Result<()> {
    let path: PathBuf = Path::new(&head.name)
        .components()
        .filter_map(|c| if let Component::Normal(name) = c { Some(name) } else { None })
        .collect();
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(named)?;
    }
    match head.kind {
        b'5' => std::fs::create_dir_all(&path).map_err(named),
        b'2' | b'1' => {
            // What was there before; a failure shows in the next step.
            let _absent = std::fs::remove_file(&path);
            let link = |from: &str| {
                if head.kind == b'2' { symlink(from, &path) } else { std::fs::hard_link(from, &path) }
            };
            link(&head.link).map_err(named)
        }
        _ => {
            if std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_symlink()) {
                std::fs::remove_file(&path).map_err(named)?;
            }
            let mut options = std::fs::OpenOptions::new();
            let mut file =
                options.create(true).write(true).truncate(true).mode(0o600).open(&path).map_err(named)?;
            io::copy(&mut input.take(head.size), &mut file).map_err(named)?;
            let rest = head.size.next_multiple_of(BLOCK as u64) - head.size;
            io::copy(&mut input.take(rest), &mut io::sink())?;
            file.set_permissions(std::fs::Permissions::from_mode(head.mode)).map_err(named)
        }
    }
}
