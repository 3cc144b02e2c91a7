//! `wget` and `nslookup`, with the name servers of `/etc/resolv.conf`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::fail;

const TYPE_A: u16 = 1;
const TYPE_PTR: u16 = 12;
const TYPE_AAAA: u16 = 28;
const MAX_REDIRECTS: usize = 5;

struct Resolver {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    ndots: usize,
}

impl Resolver {
    fn read() -> Resolver {
        let mut resolver = Resolver { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    resolver.servers.extend(words.next().and_then(|w| w.parse::<IpAddr>().ok()))
                }
                Some("search") => resolver.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let ndots = words.find_map(|w| w.strip_prefix("ndots:")?.parse().ok());
                    resolver.ndots = ndots.unwrap_or(resolver.ndots);
                }
                _ => {}
            }
        }
        resolver
    }

    /// The names to try, in order.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{name}.{}", domain.trim_end_matches('.')));
        let (mut names, bare) = (searched.collect::<Vec<_>>(), name.to_owned());
        let at = if name.matches('.').count() >= self.ndots { 0 } else { names.len() };
        names.insert(at, bare);
        names
    }

    fn lookup(&self, name: &str) -> io::Result<(String, Vec<IpAddr>)> {
        let mut error = format!("no name server in /etc/resolv.conf; can not resolve {name}");
        for candidate in self.candidates(name) {
            let mut found = Vec::new();
            for kind in [TYPE_A, TYPE_AAAA] {
                match self.ask(&candidate, kind) {
                    Ok(answers) => found.extend(answers.into_iter().filter_map(|a| a.parse::<IpAddr>().ok())),
                    Err(e) => error = format!("{candidate}: {e}"),
                }
            }
            if !found.is_empty() {
                return Ok((candidate, found));
            }
        }
        fail(error)
    }

    fn ask(&self, name: &str, kind: u16) -> io::Result<Vec<String>> {
        let mut last = io::Error::other("no name server");
        for server in &self.servers {
            for _ in 0..2 {
                match ask_server(SocketAddr::new(*server, 53), name, kind) {
                    Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                        last = io::Error::other("the name server does not answer");
                    }
                    Err(e) => last = e,
                    done => return done,
                }
            }
        }
        Err(last)
    }
}

fn ask_server(server: SocketAddr, name: &str, kind: u16) -> io::Result<Vec<String>> {
    let local: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((local, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(3)))?;
    socket.connect(server)?;
    let id = (std::process::id() as u16) ^ kind.rotate_left(8);
    let mut query = Vec::new();
    for word in [id, 0x0100, 1, 0, 0, 0] {
        query.extend(word.to_be_bytes());
    }
    for label in name.split('.').filter(|l| !l.is_empty()) {
        if label.len() > 63 {
            return fail("name is too long");
        }
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(kind.to_be_bytes());
    query.extend(1u16.to_be_bytes());
    socket.send(&query)?;
    let mut answer = [0; 4096];
    loop {
        let length = socket.recv(&mut answer)?;
        if answer[..length].starts_with(&id.to_be_bytes()) {
            return parse_answer(&answer[..length], kind).unwrap_or_else(|| fail("damaged answer"));
        }
    }
}

fn parse_answer(bytes: &[u8], kind: u16) -> Option<io::Result<Vec<String>>> {
    let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    match word(2)? & 0xF {
        0 => {}
        3 => return Some(fail("no such name (NXDOMAIN)")),
        code => return Some(fail(format!("the name server answers with code {code}"))),
    }
    let mut at = 12;
    for _ in 0..word(4)? {
        at = read_name(bytes, at)?.1 + 4;
    }
    let mut found = Vec::new();
    for _ in 0..word(6)? {
        at = read_name(bytes, at)?.1;
        let (record, length) = (word(at)?, word(at + 8)? as usize);
        at += 10;
        let data = bytes.get(at..at + length)?;
        match record {
            TYPE_A if kind == TYPE_A => {
                found.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).to_string())
            }
            TYPE_AAAA if kind == TYPE_AAAA => {
                found.push(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).to_string());
            }
            TYPE_PTR if kind == TYPE_PTR => found.push(read_name(bytes, at)?.0),
            _ => {}
        }
        at += length;
    }
    Some(Ok(found))
}

/// A name, with compression, and where it ends.
fn read_name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let (mut name, mut end) = (String::new(), None);
    for _ in 0..128 {
        match *bytes.get(at)? as usize {
            0 => return Some((name, end.unwrap_or(at + 1))),
            high if high >= 0xC0 => {
                end.get_or_insert(at + 2);
                at = ((high & 0x3F) << 8) | *bytes.get(at + 1)? as usize;
            }
            length => {
                name += &String::from_utf8_lossy(bytes.get(at + 1..at + 1 + length)?);
                name.push('.');
                at += 1 + length;
            }
        }
    }
    None
}

fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Ok(vec![address]);
    }
    for line in std::fs::read_to_string("/etc/hosts").unwrap_or_default().lines() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        if let Some(Ok(address)) = words.next().map(str::parse)
            && words.any(|w| w == host)
        {
            return Ok(vec![address]);
        }
    }
    Resolver::read().lookup(host).map(|(_, addresses)| addresses)
}

pub fn nslookup(args: &[String]) -> io::Result<()> {
    let Some(name) = args.first() else { return fail("usage: nslookup NAME [SERVER]") };
    let mut resolver = Resolver::read();
    if let Some(server) = args.get(1) {
        resolver.servers = resolve(server)?;
    }
    let server = resolver.servers.first().map(IpAddr::to_string).unwrap_or_default();
    println!("Server:\t\t{server}\nAddress:\t{server}:53\n");
    if let Ok(IpAddr::V4(address)) = name.parse() {
        let [a, b, c, d] = address.octets();
        for pointer in resolver.ask(&format!("{d}.{c}.{b}.{a}.in-addr.arpa"), TYPE_PTR)? {
            println!("{address}\tname = {pointer}");
        }
        return Ok(());
    }
    let (full, addresses) = resolver.lookup(name)?;
    for address in addresses {
        println!("Name:\t{full}\nAddress: {address}");
    }
    Ok(())
}

/// `wget [-q] [-S] [-T SECONDS] [-O FILE] URL`: to standard output unless told otherwise.
pub fn wget(args: &[String]) -> io::Result<()> {
    let (mut target, mut url, mut patience) = (String::from("-"), None, 30);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-O" => target = words.next().cloned().unwrap_or_default(),
            "-T" => patience = words.next().and_then(|s| s.parse().ok()).unwrap_or(patience),
            "-qO-" | "-q" | "-S" | "-O-" => {}
            option if option.starts_with("--timeout=") => patience = option[10..].parse().unwrap_or(patience),
            option if option.starts_with('-') => return fail(format!("unknown option {option}")),
            other => url = Some(other.to_owned()),
        }
    }
    let Some(mut url) = url else { return fail("usage: wget [-T SECONDS] [-O FILE] URL") };
    for _ in 0..MAX_REDIRECTS {
        match fetch(&url, &target, Duration::from_secs(patience.max(1)))? {
            Some(next) if next.starts_with('/') => {
                let host_end = url.find("://").and_then(|s| url[s + 3..].find('/').map(|e| s + 3 + e));
                url = format!("{}{next}", &url[..host_end.unwrap_or(url.len())]);
            }
            Some(next) => url = next,
            None => return Ok(()),
        }
    }
    fail("too many redirects")
}

/// Fetches a document, or returns where it has moved.
fn fetch(url: &str, target: &str, patience: Duration) -> io::Result<Option<String>> {
    if url.starts_with("https://") {
        return fail("https is not supported by this small tool");
    }
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(io::Error::other)?),
        _ => (authority, 80),
    };
    let mut last = io::Error::other("no address");
    let mut stream = None;
    for address in resolve(host)? {
        match TcpStream::connect_timeout(&SocketAddr::new(address, port), patience) {
            Ok(connected) => {
                stream = Some(connected);
                break;
            }
            Err(e) => last = io::Error::new(e.kind(), format!("can't connect to {address}:{port}: {e}")),
        }
    }
    let Some(mut stream) = stream else { return Err(last) };
    stream.set_read_timeout(Some(patience))?;
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\nUser-Agent: wget\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let (mut status, mut location) = (String::new(), None);
    reader.read_line(&mut status)?;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if header.to_ascii_lowercase().starts_with("location:") {
            location = Some(header[9..].trim().to_owned());
        }
    }
    let code = status.split(' ').nth(1).and_then(|c| c.parse::<u16>().ok()).unwrap_or(0);
    match (code, location) {
        (300..400, Some(location)) => return Ok(Some(location)),
        (200..300, _) => {}
        _ => return fail(format!("server returned error: {}", status.trim())),
    }
    let mut body = reader.by_ref();
    if target == "-" {
        io::copy(&mut body, &mut io::stdout())?;
    } else {
        io::copy(&mut body, &mut File::create(target)?)?;
    }
    Ok(None)
}
