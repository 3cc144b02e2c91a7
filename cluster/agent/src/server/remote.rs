//! Exec and attach, whatever carries their streams: pumps between a session of the runtime and the client.

use std::time::Duration;

use bytes::Bytes;
use runtime::{ExecSession, RuntimeError};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const BLOCK: usize = 32 * 1024;
/// Something that a command left behind may hold its output open: it is not waited for longer than this.
const DRAIN: Duration = Duration::from_secs(2);

/// Which streams the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// The size of a terminal, as clients send it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct Size {
    pub width: u16,
    pub height: u16,
}

/// What goes to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    Stdout(Bytes),
    Stderr(Bytes),
    /// How it ended: the last of all.
    End(Value),
}

/// The client's side. `out` is closed when the client is gone.
pub struct Client {
    pub stdin: mpsc::Receiver<Bytes>,
    pub resize: mpsc::Receiver<Size>,
    pub out: mpsc::Sender<Out>,
}

/// Moves bytes until the session ends; then `ending` says what its exit code means.
pub async fn run(
    mut session: ExecSession,
    client: Client,
    ending: impl FnOnce(Result<i32, RuntimeError>) -> Value,
) {
    let Client { stdin, resize, out } = client;
    let resizer = session.resizer();
    let input = pump_in(session.stdin.take(), stdin);
    let sizes = async move {
        let mut resize = resize;
        while let Some(size) = resize.recv().await {
            if let Err(error) = resizer.resize(size.height, size.width).await {
                tracing::debug!(%error, "terminal not resized");
            }
        }
    };
    let stdout = tokio::spawn(pump_out(session.stdout.take(), out.clone(), Out::Stdout));
    let stderr = tokio::spawn(pump_out(session.stderr.take(), out.clone(), Out::Stderr));
    let work = async {
        let code = session.wait().await;
        let drained = async {
            // A pump that panicked has nothing more to give.
            let _ = stdout.await;
            let _ = stderr.await;
        };
        // The time limit is the point: what is still open then is not the command's own.
        let _ = tokio::time::timeout(DRAIN, drained).await;
        code
    };
    let side = async {
        tokio::join!(input, sizes);
        std::future::pending::<()>().await
    };
    tokio::select! {
        code = work => {
            // A client that is gone needs no answer.
            let _ = out.send(Out::End(ending(code))).await;
        }
        () = out.closed() => {}
        () = side => {}
    }
}

async fn pump_in(writer: Option<runtime::handle::Writer>, mut stdin: mpsc::Receiver<Bytes>) {
    let Some(mut writer) = writer else { return };
    while let Some(bytes) = stdin.recv().await {
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    // The process may have closed its input already.
    let _ = writer.shutdown().await;
}

async fn pump_out<R: AsyncRead + Unpin>(reader: Option<R>, out: mpsc::Sender<Out>, wrap: fn(Bytes) -> Out) {
    let Some(mut reader) = reader else { return };
    let mut block = vec![0u8; BLOCK];
    loop {
        match reader.read(&mut block).await {
            Ok(n) if n > 0 => {
                if out.send(wrap(Bytes::copy_from_slice(&block[..n]))).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

/// The status of a command that ended with `code`: clients take their own exit code from it.
pub fn command_ended(command: &[String], code: i32) -> Value {
    if code == 0 {
        return success();
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: error executing command [{}], exit code {code}",
            command.join(" ")),
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

pub fn success() -> Value {
    json!({"metadata": {}, "status": "Success"})
}

pub fn internal_error(message: &str) -> Value {
    json!({
        "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
        "message": format!("Internal error occurred: {message}"),
        "details": {"causes": [{"message": message}]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_told_as_clients_expect() {
        assert_eq!(command_ended(&[], 0)["status"], "Success");
        let failed = command_ended(&["sh".into(), "-c".into()], 3);
        assert_eq!(failed["reason"], "NonZeroExitCode");
        assert_eq!(failed["details"]["causes"][0], json!({"reason": "ExitCode", "message": "3"}));
        let size: Size = serde_json::from_str(r#"{"Width":80,"Height":24}"#).unwrap();
        assert_eq!((size.width, size.height), (80, 24));
    }
}
