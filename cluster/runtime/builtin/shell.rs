//! `sh`: a simple shell to look around with. Words, quotes, `$NAME`, `$?`, `;`, `&&`, `||`, pipes, `<`, `>`,
//! `>>`, `2>&1`, and the builtins cd, exec, exit, export, pwd, unset, help, wait. No loops, no functions.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Operator(&'static str),
}

/// Between commands.
const SEPARATORS: [&str; 4] = ["&&", "||", ";", "&"];
/// Within a command.
const OPERATORS: [&str; 6] = ["2>&1", "2>", ">>", "|", "<", ">"];

struct Shell {
    status: i32,
    /// The command at hand is the last one: the shell gives its place to it, so that signals reach it.
    last: bool,
    arguments: Vec<String>,
}

pub fn main(args: &[String]) -> i32 {
    let mut shell = Shell { status: 0, last: false, arguments: Vec::new() };
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            option if option.starts_with('-') && option.ends_with('c') => {
                let script = words.next().cloned().unwrap_or_default();
                shell.arguments = words.cloned().collect();
                shell.script(&script, true);
                return shell.status;
            }
            option if option.starts_with('-') => {}
            file => {
                shell.arguments = std::iter::once(file.to_owned()).chain(words.cloned()).collect();
                return match std::fs::read_to_string(file) {
                    Ok(script) => {
                        shell.script(&script, false);
                        shell.status
                    }
                    Err(e) => {
                        eprintln!("sh: {file}: {e}");
                        127
                    }
                };
            }
        }
    }
    shell.interactive()
}

impl Shell {
    fn interactive(&mut self) -> i32 {
        let terminal = io::stdin().is_terminal();
        if terminal {
            // As in other shells, ^C is for the program that runs, not for the shell.
            crate::sys::catch_stop();
        }
        loop {
            if terminal {
                let place = std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default();
                print!("{place} $ ");
                let _gone = io::stdout().flush();
            }
            let mut line = String::new();
            match io::stdin().lock().read_line(&mut line) {
                Ok(0) => return self.status,
                Ok(_) => self.script(&line, false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => println!(),
                Err(_) => return self.status,
            }
        }
    }

    /// Runs line by line; each command is expanded when its turn comes, after the ones before it.
    fn script(&mut self, text: &str, then_end: bool) {
        let text = text.trim_end().replace("\\\n", "");
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let mut run_next = true;
            for (command, separator) in split_list(line) {
                self.last = then_end && separator.is_empty() && lines.peek().is_none();
                if run_next && !command.trim().is_empty() {
                    match self.tokens(&command) {
                        Ok(tokens) => self.pipeline(&tokens, separator == "&"),
                        Err(e) => {
                            eprintln!("sh: {e}");
                            self.status = 2;
                        }
                    }
                }
                run_next = match separator {
                    "&&" => self.status == 0,
                    "||" => self.status != 0,
                    _ => true,
                };
            }
        }
    }

    fn pipeline(&mut self, tokens: &[Token], background: bool) {
        let parts: Vec<&[Token]> = tokens.split(|t| *t == Token::Operator("|")).collect();
        let count = parts.len();
        let (mut input, mut children) = (None, Vec::new());
        for (index, part) in parts.into_iter().enumerate() {
            match self.command(part, input.take(), index + 1 < count, count == 1 && !background) {
                Ok(Some(mut child)) => {
                    input = child.stdout.take().map(Stdio::from);
                    children.push(child);
                }
                Ok(None) => {}
                Err(e) => {
                    eprintln!("sh: {e}");
                    self.status = if e.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
                }
            }
        }
        if background {
            self.status = 0;
            return;
        }
        for mut child in children {
            if let Ok(status) = wait(&mut child) {
                self.status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
        }
    }

    /// Starts a program, or runs a builtin.
    fn command(
        &mut self,
        tokens: &[Token],
        input: Option<Stdio>,
        piped: bool,
        alone: bool,
    ) -> io::Result<Option<Child>> {
        let (mut words, mut stdin, mut stdout, mut stderr) = (Vec::new(), input, None, None);
        let mut tokens = tokens.iter();
        while let Some(token) = tokens.next() {
            let operator = match token {
                Token::Word(word) => {
                    words.push(word.clone());
                    continue;
                }
                Token::Operator(operator) => *operator,
            };
            if operator == "2>&1" {
                stderr = Some(match &stdout {
                    Some(file) => File::try_clone(file)?.into(),
                    None => Stdio::from(io::stdout()),
                });
                continue;
            }
            let Some(Token::Word(path)) = tokens.next() else { return crate::fail("syntax error") };
            let named = |e: io::Error| io::Error::other(format!("{path}: {e}"));
            let mut options = OpenOptions::new();
            match operator {
                "<" => stdin = Some(File::open(path).map_err(named)?.into()),
                ">" => stdout = Some(File::create(path).map_err(named)?),
                "2>" => stderr = Some(File::create(path).map_err(named)?.into()),
                _ => stdout = Some(options.append(true).create(true).open(path).map_err(named)?),
            }
        }
        let mut variables = Vec::new();
        while let Some((key, value)) = words.first().and_then(|w| assignment(w)) {
            variables.push((key, value));
            words.remove(0);
        }
        let Some(name) = words.first().cloned() else {
            for (key, value) in variables {
                set_variable(&key, &value);
            }
            self.status = 0;
            return Ok(None);
        };
        if alone && self.builtin(&name, &words[1..])? {
            return Ok(None);
        }
        let exec = name == "exec" && words.len() > 1;
        let words = if exec { &words[1..] } else { &words[..] };
        let mut command = program(&words[0]);
        command.args(&words[1..]).envs(variables);
        command.stdin(stdin.unwrap_or_else(Stdio::inherit));
        command.stdout(match stdout {
            Some(file) => file.into(),
            None if piped => Stdio::piped(),
            None => Stdio::inherit(),
        });
        command.stderr(stderr.unwrap_or_else(Stdio::inherit));
        if alone && (exec || self.last) {
            return Err(explain(&words[0], command.exec()));
        }
        command.spawn().map(Some).map_err(|e| explain(&name, e))
    }

    /// False when there is no such builtin.
    fn builtin(&mut self, name: &str, args: &[String]) -> io::Result<bool> {
        self.status = 0;
        match name {
            ":" | "wait" | "set" => {}
            "cd" => {
                let home = std::env::var("HOME").unwrap_or_else(|_| "/".into());
                let dir = args.first().unwrap_or(&home);
                if let Err(e) = std::env::set_current_dir(dir) {
                    eprintln!("sh: cd: {dir}: {e}");
                    self.status = 1;
                }
            }
            "pwd" => println!("{}", std::env::current_dir()?.display()),
            "exit" => std::process::exit(args.first().and_then(|a| a.parse().ok()).unwrap_or(self.status)),
            "export" => {
                for (key, value) in args.iter().filter_map(|a| assignment(a)) {
                    set_variable(&key, &value);
                }
            }
            // SAFETY: the shell has one thread.
            "unset" => args.iter().for_each(|a| unsafe { std::env::remove_var(a) }),
            "help" => {
                println!("builtins: cd exec exit export pwd unset\ntools: {}", crate::APPLETS.join(" "))
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn variable(&self, name: &str) -> String {
        match name {
            "?" => self.status.to_string(),
            "$" => std::process::id().to_string(),
            "#" => self.arguments.len().saturating_sub(1).to_string(),
            "@" | "*" => self.arguments.get(1..).unwrap_or_default().join(" "),
            _ => match name.parse::<usize>() {
                Ok(index) => self.arguments.get(index).cloned().unwrap_or_default(),
                Err(_) => std::env::var(name).unwrap_or_default(),
            },
        }
    }

    fn tokens(&self, line: &str) -> Result<Vec<Token>, String> {
        let letters: Vec<char> = line.chars().collect();
        let (mut tokens, mut word, mut at) = (Vec::new(), None::<String>, 0);
        while at < letters.len() {
            let rest: String = letters[at..].iter().take(4).collect();
            let operator = OPERATORS.into_iter().find(|o| rest.starts_with(o));
            let operator = operator.filter(|o| !o.starts_with('2') || word.is_none());
            match (letters[at], operator) {
                (' ' | '\t' | '\r', _) => {
                    tokens.extend(word.take().map(Token::Word));
                    at += 1;
                }
                (_, Some(operator)) => {
                    tokens.extend(word.take().map(Token::Word));
                    tokens.push(Token::Operator(operator));
                    at += operator.len();
                }
                ('\'', _) => {
                    let end =
                        letters[at + 1..].iter().position(|c| *c == '\'').ok_or("unterminated quote")?;
                    word.get_or_insert_default().extend(&letters[at + 1..at + 1 + end]);
                    at += end + 2;
                }
                ('"', _) => at = self.double_quoted(&letters, at + 1, word.get_or_insert_default())?,
                ('\\', _) => {
                    word.get_or_insert_default().extend(letters.get(at + 1));
                    at += 2;
                }
                ('$', _) => {
                    let (value, next) = self.expand(&letters, at);
                    // Unquoted, an empty variable is no word, and one with blanks is several.
                    let mut pieces = value.split_whitespace().peekable();
                    while let Some(piece) = pieces.next() {
                        word.get_or_insert_default().push_str(piece);
                        if pieces.peek().is_some() {
                            tokens.extend(word.take().map(Token::Word));
                        }
                    }
                    at = next;
                }
                (letter, _) => {
                    word.get_or_insert_default().push(letter);
                    at += 1;
                }
            }
        }
        tokens.extend(word.map(Token::Word));
        Ok(tokens)
    }

    fn double_quoted(&self, letters: &[char], mut at: usize, word: &mut String) -> Result<usize, String> {
        loop {
            match letters.get(at) {
                None => return Err("unterminated quote".into()),
                Some('"') => return Ok(at + 1),
                Some('\\') if matches!(letters.get(at + 1), Some('"' | '\\' | '$' | '`')) => {
                    word.push(letters[at + 1]);
                    at += 2;
                }
                Some('$') => {
                    let (value, next) = self.expand(letters, at);
                    word.push_str(&value);
                    at = next;
                }
                Some(letter) => {
                    word.push(*letter);
                    at += 1;
                }
            }
        }
    }

    /// The value of `$NAME` or `${NAME}` at a dollar sign, and where it ends.
    fn expand(&self, letters: &[char], at: usize) -> (String, usize) {
        let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        match letters.get(at + 1) {
            Some('{') => {
                let name: String = letters[at + 2..].iter().take_while(|c| **c != '}').collect();
                let end = (at + 3 + name.chars().count()).min(letters.len());
                match name.split_once(":-") {
                    Some((name, default)) if self.variable(name).is_empty() => (default.to_owned(), end),
                    Some((name, _)) => (self.variable(name), end),
                    None => (self.variable(&name), end),
                }
            }
            Some(special @ ('?' | '$' | '#' | '@' | '*' | '0'..='9')) => {
                (self.variable(&special.to_string()), at + 2)
            }
            Some(letter) if is_name(letter) => {
                let name: String = letters[at + 1..].iter().take_while(|c| is_name(c)).collect();
                (self.variable(&name), at + 1 + name.len())
            }
            _ => ("$".into(), at + 1),
        }
    }
}

fn explain(name: &str, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => io::Error::new(error.kind(), format!("{name}: not found")),
        kind => io::Error::new(kind, format!("{name}: {error}")),
    }
}

/// Cuts a line at the separators outside of quotes: each command with what follows it.
fn split_list(line: &str) -> Vec<(String, &'static str)> {
    let letters: Vec<char> = line.chars().collect();
    let (mut parts, mut part, mut quote, mut at) = (Vec::new(), String::new(), None, 0);
    while at < letters.len() {
        let letter = letters[at];
        let rest: String = letters[at..].iter().take(2).collect();
        let separator = SEPARATORS.into_iter().find(|s| quote.is_none() && rest.starts_with(s));
        // The ampersand of `2>&1` belongs to its command.
        let separator = separator.filter(|s| *s != "&" || !part.ends_with('>'));
        if let Some(separator) = separator {
            parts.push((std::mem::take(&mut part), separator));
            at += separator.len();
            continue;
        }
        match (letter, quote) {
            ('\\', None | Some('"')) => {
                part.push(letter);
                at += 1;
                part.extend(letters.get(at));
                at += 1;
                continue;
            }
            ('#', None) if part.is_empty() || part.ends_with([' ', '\t']) => break,
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if open == letter => quote = None,
            _ => {}
        }
        part.push(letter);
        at += 1;
    }
    parts.push((part, ""));
    parts
}

fn set_variable(key: &str, value: &str) {
    // SAFETY: the shell has one thread.
    unsafe { std::env::set_var(key, value) };
}

fn assignment(word: &str) -> Option<(String, String)> {
    let (key, value) = word.split_once('=')?;
    let name = !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    name.then(|| (key.to_owned(), value.to_owned()))
}

/// A tool of this program is found even when the root holds nothing else.
fn program(name: &str) -> Command {
    if crate::APPLETS.contains(&name) {
        let mut command = Command::new("/proc/self/exe");
        command.arg0(name);
        return command;
    }
    Command::new(name)
}

fn wait(child: &mut Child) -> io::Result<std::process::ExitStatus> {
    loop {
        match child.wait() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
