//! exec, attach and terminals. Needs root and Debian's busybox-static.

mod support;

use std::time::Duration;

use runtime::*;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|w| w.to_string()).collect()
}

async fn read_until(reader: &mut handle::Reader, wanted: &str) -> String {
    let mut seen = String::new();
    let read = async {
        let mut chunk = [0; 1024];
        while !seen.contains(wanted) {
            let count = reader.read(&mut chunk).await.expect("read");
            assert!(count > 0, "ended before {wanted:?}: {seen:?}");
            seen += &String::from_utf8_lossy(&chunk[..count]);
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), read).await.is_err() {
        panic!("no {wanted:?} in {seen:?}");
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_runs_beside_the_container() {
    let f = Fixture::with_busybox("exec").await;
    f.sandbox("p").await;
    let mut spec = f.spec("c", "sleep 1000");
    spec.env = vec![("A".into(), "b".into())];
    spec.user.uid = Some(33);
    let id = f.start("p", spec).await;
    let done = f.exec(&id, "echo $A; pwd; id -u; hostname; echo e >&2; exit 5").await;
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (5, "b\n/tmp\n33\np-host\n", "e\n"));
    assert!(f.exec(&id, "cat /proc/self/cgroup").await.out.contains("/"));
    let error = f.runtime().exec(&id, ExecSpec { cmd: words(&["foo"]), ..ExecSpec::default() }).await;
    match error.err().expect("missing") {
        ExecError::Start { exit_code, message } => {
            assert_eq!(
                (exit_code, message.as_str()),
                (127, "exec: \"foo\": executable file not found in $PATH")
            );
        }
        other => panic!("{other}"),
    }
    let spec = ExecSpec { cmd: words(&["cat"]), stdin: true, ..ExecSpec::default() };
    let mut session = f.runtime().exec(&id, spec).await.expect("exec");
    let mut stdin = session.stdin.take().expect("stdin");
    stdin.write_all(b"through the pipe").await.expect("write");
    drop(stdin);
    let mut text = String::new();
    session.stdout.take().expect("stdout").read_to_string(&mut text).await.expect("read");
    assert_eq!(text, "through the pipe");
    assert_eq!(session.wait().await.expect("wait"), 0);
    let timeout = Duration::from_millis(200);
    let error = f.runtime().exec_sync(&id, words(&["sleep", "555"]), timeout).await.expect_err("timeout");
    assert!(matches!(error, ExecError::Timeout(_)), "{error}");
    wait_for_async(|| async { !f.exec(&id, "ps").await.out.contains("sleep 555") }).await;
    f.runtime().stop_container(&id, libc::SIGTERM, Duration::ZERO).await.expect("stop");
    let error = f.runtime().exec(&id, ExecSpec { cmd: words(&["true"]), ..ExecSpec::default() }).await;
    assert!(error.err().expect("ended").to_string().contains("exited"));
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_with_a_terminal() {
    let f = Fixture::with_busybox("exectty").await;
    f.sandbox("p").await;
    let id = f.start("p", f.spec("c", "sleep 1000")).await;
    let spec = ExecSpec { cmd: words(&["sh"]), tty: true, stdin: true, ..ExecSpec::default() };
    let mut session = f.runtime().exec(&id, spec).await.expect("exec");
    assert!(session.stderr.is_none());
    session.resize(33, 101).await.expect("resize");
    let (mut stdin, mut stdout) = (session.stdin.take().expect("in"), session.stdout.take().expect("out"));
    stdin.write_all(b"tty; stty size; echo $TERM\n").await.expect("write");
    let seen = read_until(&mut stdout, "xterm").await;
    assert!(seen.contains("/dev/pts/0") && seen.contains("33 101"), "{seen}");
    stdin.write_all(b"exit 6\n").await.expect("write");
    assert_eq!(session.wait().await.expect("wait"), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn attach_to_streams() {
    let f = Fixture::with_busybox("attach").await;
    f.sandbox("p").await;
    let mut spec = f.spec("c", "while read l; do echo got $l; echo err $l >&2; done; echo end");
    (spec.stdin, spec.stdin_once) = (true, true);
    let log = spec.log_path.clone();
    let id = f.start("p", spec).await;
    let mut session = f.runtime().attach(&id, true).await.expect("attach");
    let mut stdin = session.stdin.take().expect("stdin");
    let (mut out, mut err) = (session.stdout.take().expect("out"), session.stderr.take().expect("err"));
    stdin.write_all(b"one\n").await.expect("write");
    assert_eq!(read_until(&mut out, "\n").await, "got one\n");
    assert_eq!(read_until(&mut err, "\n").await, "err one\n");
    let second = f.runtime().attach(&id, false).await.expect("attach again");
    drop(second);
    drop(stdin);
    assert_eq!(read_until(&mut out, "end").await, "end\n");
    assert_eq!(session.wait().await.expect("wait"), 0);
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.expect("the end");
    let text = log_text(&log);
    assert!(text.contains("got one\n") && text.contains("err one\n") && text.contains("end\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_with_a_terminal() {
    let f = Fixture::with_busybox("tty").await;
    f.sandbox("p").await;
    let mut spec = f.spec("c", "tty; ls -l /dev/console | cut -c1; read l; stty size; echo got $l; exit 2");
    (spec.tty, spec.stdin) = (true, true);
    let log = spec.log_path.clone();
    let id = f.start("p", spec).await;
    wait_for(|| log_text(&log).contains("/dev/pts/0")).await;
    let mut session = f.runtime().attach(&id, true).await.expect("attach");
    session.resize(20, 70).await.expect("resize");
    let mut out = session.stdout.take().expect("out");
    session.stdin.as_mut().expect("in").write_all(b"hi\n").await.expect("write");
    let seen = read_until(&mut out, "got hi").await;
    assert!(seen.contains("20 70"), "{seen}");
    assert_eq!(session.wait().await.expect("wait"), 2);
    assert!(log_text(&log).contains("\nc\n"), "the console is a device");
}

/// A client that does not read must not lose the container's output, nor stop it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn much_output_arrives_whole() {
    let f = Fixture::with_busybox("bulk").await;
    f.sandbox("p").await;
    let mut spec = f.spec("c", "read l; seq 1 200000");
    spec.stdin = true;
    let log = spec.log_path.clone();
    let id = f.start("p", spec).await;
    let mut session = f.runtime().attach(&id, true).await.expect("attach");
    session.stdin.as_mut().expect("in").write_all(b"\n").await.expect("write");
    let mut out = String::new();
    session.stdout.take().expect("out").read_to_string(&mut out).await.expect("read");
    assert_eq!(out.lines().count(), 200_000);
    f.ended(&id).await;
    assert_eq!(log_text(&log).lines().count(), 200_000);
}
