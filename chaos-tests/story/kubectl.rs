//! The unmodified kubectl, as a user calls it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, text};
use crate::tools;

/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(60);

impl Cluster {
    /// kubectl with this cluster's kubeconfig.
    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tools::kubectl());
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments).stdin(Stdio::null());
        command.env("KUBECACHEDIR", self.kubeconfig().with_extension("cache"));
        command.env("HOME", self.kubeconfig().parent().expect("a folder"));
        command
    }

    /// Runs kubectl, whatever comes of it.
    pub fn try_k(&self, line: &str) -> Output {
        self.kubectl(&words(line)).output().expect("kubectl runs")
    }

    /// Runs kubectl, which must succeed; returns what it printed.
    pub fn k(&self, line: &str) -> String {
        let output = self.try_k(line);
        assert!(output.status.success(), "kubectl {line}: {}\n{}", text(&output), self.logs());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs kubectl, which must fail; returns what it said.
    pub fn k_fails(&self, line: &str) -> String {
        let output = self.try_k(line);
        assert!(!output.status.success(), "kubectl {line} succeeded: {}", text(&output));
        text(&output)
    }

    /// `kubectl apply -f -`.
    pub fn apply(&self, manifest: &str) -> String {
        self.k_with_input("apply -f -", manifest)
    }

    pub fn k_with_input(&self, line: &str, input: &str) -> String {
        let output = self.try_k_with_input(line, input);
        assert!(output.status.success(), "kubectl {line}: {}\n{input}\n{}", text(&output), self.logs());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn try_k_with_input(&self, line: &str, input: &str) -> Output {
        let mut command = self.kubectl(&words(line));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl runs");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("kubectl reads");
        child.wait_with_output().expect("kubectl ends")
    }

    /// Repeats a kubectl command until its output is as wished; panics with the last one after `PATIENCE`.
    pub fn k_until(&self, line: &str, wished: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.try_k(line);
            let shown = text(&output);
            if output.status.success() && wished(&shown) {
                return shown;
            }
            assert!(Instant::now() < deadline, "kubectl {line}: not as wished:\n{shown}\n{}", self.logs());
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// One field of one object, by jsonpath.
    pub fn field(&self, object: &str, path: &str) -> String {
        self.k(&format!("get {object} -o jsonpath={{{path}}}"))
    }

    /// Starts kubectl in the background; its lines arrive as they are printed.
    pub fn k_follow(&self, line: &str) -> Follow {
        let mut child = self
            .kubectl(&words(line))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        let (sender, lines) = channel();
        let (out, err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let copy = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // The reader may be gone: the test has seen enough.
                let _ = sender.send(line);
            }
        });
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let _ = copy.send(format!("stderr: {line}"));
            }
        });
        Follow { child, lines, line: line.to_owned() }
    }
}

/// A kubectl that runs in the background; dropping it ends it.
pub struct Follow {
    child: Child,
    lines: Receiver<String>,
    line: String,
}

impl Follow {
    /// The first line that is as wished; panics with those that came when there is none in time.
    pub fn wait_for(&self, wished: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut came = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if wished(&line) => return line,
                Ok(line) => came.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("kubectl {}: timed out after {came:#?}", self.line),
                Err(RecvTimeoutError::Disconnected) => panic!("kubectl {}: ended after {came:#?}", self.line),
            }
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Words of a command line; single quotes keep a word together.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 { words.push(part) } else { words.extend(part.split_whitespace()) }
    }
    words
}
