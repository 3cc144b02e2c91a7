//! The one program of the built-in images. It plays the part that its name (or its first argument) says.
//!
//! Small on purpose: only the standard library, linked statically, so that it runs in an empty root.
#![deny(warnings)]

mod files;
mod hello;
mod info;
mod net;
mod pause;
mod shell;
mod sys;
mod tarball;

use std::io::{self, Write};

/// All parts, for `help` and for the shell.
const APPLETS: &[&str] = &[
    "cat", "echo", "env", "false", "hello", "hostname", "id", "kill", "ls", "nslookup", "pause", "ps", "sh",
    "sleep", "tar", "true", "wget",
];

fn main() {
    let args: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    let name = |text: &str| text.rsplit('/').next().unwrap_or_default().trim_start_matches('-').to_owned();
    let called = args.first().map(|a| name(a)).unwrap_or_default();
    let code = match (APPLETS.contains(&called.as_str()), args.get(1)) {
        (true, _) => run(&called, &args[1..]),
        (false, Some(applet)) => run(&name(applet), &args[2..]),
        (false, None) => {
            println!("tools: {}", APPLETS.join(" "));
            Some(0)
        }
    };
    // A reader that has gone away needs no more output.
    let _gone = io::stdout().flush();
    std::process::exit(code.unwrap_or_else(|| {
        eprintln!("{called}: no such tool; there are: {}", APPLETS.join(" "));
        127
    }));
}

/// Runs one part in this process; `None` when there is no such part.
pub fn run(applet: &str, args: &[String]) -> Option<i32> {
    let done = match applet {
        "cat" => files::cat(args),
        "echo" => info::echo(args),
        "env" => info::env(),
        "false" => return Some(1),
        "hello" => hello::serve(),
        "hostname" => info::hostname(),
        "id" => info::id(),
        "kill" => info::kill(args),
        "ls" => files::ls(args),
        "nslookup" => net::nslookup(args),
        "pause" => pause::pause(),
        "ps" => info::ps(),
        "sh" => return Some(shell::main(args)),
        "sleep" => info::sleep(args),
        "tar" => tarball::tar(args),
        "true" => Ok(()),
        "wget" => net::wget(args),
        _ => return None,
    };
    Some(match done {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("{applet}: {e}");
            1
        }
    })
}

/// An error with words of our own.
pub fn fail<T>(text: impl Into<String>) -> io::Result<T> {
    Err(io::Error::other(text.into()))
}
