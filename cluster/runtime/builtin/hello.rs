//! `hello`: a small web server that says where it runs.
//!
//! `GET /` tells pod, node, namespace and address; `/config/` lists and `/config/NAME` serves the files of
//! `$CONFIG_DIR`; `/healthz` and `/readyz` answer `ok`. Each request is a line on standard output.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Component, Path};
use std::time::Duration;

use crate::sys;

const DEFAULT_PORT: u16 = 8080;
const DEFAULT_CONFIG_DIR: &str = "/etc/hello";
const MAX_LINE: u64 = 8 << 10;
const MAX_HEADERS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(10);

pub fn serve() -> io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|p| p.parse().ok()).unwrap_or(DEFAULT_PORT);
    let listener = TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))?;
    sys::catch_stop();
    println!("hello: listening on port {port}");
    // Accepting happens in a thread, because the first process of a container must notice signals.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                if let Err(e) = answer(stream) {
                    eprintln!("hello: {e}");
                }
            });
        }
    });
    sys::catch_children();
    while !sys::stopped() {
        sys::reap();
        sys::wait_for_signal();
    }
    println!("hello: stopping");
    Ok(())
}

fn answer(stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let peer = stream.peer_addr()?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let Some(line) = read_line(&mut reader)? else { return Ok(()) };
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
        let mut close = words.next() != Some("HTTP/1.1");
        for count in 0.. {
            match read_line(&mut reader)? {
                Some(header) if !header.is_empty() && count < MAX_HEADERS => {
                    close |= header.to_ascii_lowercase().replace(' ', "") == "connection:close";
                }
                _ => break,
            }
        }
        let path = target.split('?').next().unwrap_or("/");
        let (status, body) = respond(method, path);
        println!("{} {method} {target} {}", peer.ip(), &status[..3]);
        let connection = if close { "close" } else { "keep-alive" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        if method != "HEAD" {
            stream.write_all(&body)?;
        }
        if close {
            return Ok(());
        }
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    match reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned())),
        // Silence on an idle connection.
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
        Err(e) => Err(e),
    }
}

fn respond(method: &str, path: &str) -> (&'static str, Vec<u8>) {
    if method != "GET" && method != "HEAD" {
        return ("405 Method Not Allowed", b"only GET\n".to_vec());
    }
    match path {
        "/" => ("200 OK", about().into_bytes()),
        "/healthz" | "/readyz" | "/livez" => ("200 OK", b"ok\n".to_vec()),
        "/config" | "/config/" => list_config(),
        _ => match path.strip_prefix("/config/") {
            Some(name) => config_file(name),
            None => ("404 Not Found", b"not found\n".to_vec()),
        },
    }
}

fn about() -> String {
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let mut text =
        format!("Hello from pod {}", variable("POD_NAME").unwrap_or_else(|| hostname.trim().to_owned()));
    for (label, name) in [("namespace", "POD_NAMESPACE"), ("node", "NODE_NAME")] {
        if let Some(value) = variable(name) {
            text += &format!("\n{label}: {value}");
        }
    }
    if let Some(address) = variable("POD_IPS").or_else(|| variable("POD_IP")).or_else(own_address) {
        text += &format!("\naddress: {address}");
    }
    text + "\n"
}

/// The address this machine would send from; nothing is sent.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

fn config_dir() -> String {
    std::env::var("CONFIG_DIR").unwrap_or_else(|_| DEFAULT_CONFIG_DIR.to_owned())
}

/// Mounted ConfigMaps keep their versions in hidden directories, which are left out.
fn list_config() -> (&'static str, Vec<u8>) {
    match std::fs::read_dir(config_dir()) {
        Ok(entries) => {
            let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
            let mut names: Vec<String> = names.filter(|n| !n.starts_with('.')).collect();
            names.sort();
            ("200 OK", names.iter().map(|n| format!("{n}\n")).collect::<String>().into_bytes())
        }
        Err(e) => ("404 Not Found", format!("{e}\n").into_bytes()),
    }
}

fn config_file(name: &str) -> (&'static str, Vec<u8>) {
    let path = Path::new(name);
    if !path.components().all(|c| matches!(c, Component::Normal(_))) {
        return ("404 Not Found", b"not found\n".to_vec());
    }
    match std::fs::read(Path::new(&config_dir()).join(path)) {
        Ok(bytes) => ("200 OK", bytes),
        Err(e) => ("404 Not Found", format!("{e}\n").into_bytes()),
    }
}
