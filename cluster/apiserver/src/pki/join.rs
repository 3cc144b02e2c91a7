//! The joiner's half of joining: find a server, make sure it is of the cluster the token names, ask.

mod http;
mod pin;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::http::{Answer, AskError, ask};
use super::issue::new_request;
use super::{Issued, JoinToken, KeyFiles, Pki, PkiError, write_private};

/// How long a new member may take to catch up, and how long servers may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Why joining did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No server answered; the last failure of each.
    #[error("no server could be reached: {}", .0.join("; "))]
    Unreachable(Vec<String>),
    /// The server's CA is not the token's: somebody is in between, or the token is of another cluster.
    #[error("the CA of {0} does not match the token")]
    WrongCa(String),
    /// The server said no.
    #[error("the server refused ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The message of the Status.
        message: String,
    },
    /// The answer can not be understood.
    #[error("the server's answer can not be used: {0}")]
    BadAnswer(#[from] serde_json::Error),
    /// The keys can not be used or kept.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

/// What a node proves itself with. All PEM.
#[derive(Clone, Debug)]
pub struct NodeCredentials {
    /// The cluster's CA.
    pub ca_pem: String,
    /// The client identity `system:node:NAME`.
    pub client: Issued,
    /// The serving identity of the agent's own API (port 10250).
    pub serving: Issued,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeJoinRequest {
    pub node_name: String,
    pub addresses: Vec<IpAddr>,
    pub client_request: String,
    pub serving_request: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeJoinResponse {
    pub ca: String,
    pub client_certificate: String,
    pub serving_certificate: String,
}

/// Fetches the cluster's keys with a server token and keeps them in `dir`; loads them from there
/// when they are present already.
///
/// # Errors
/// See [`JoinError`].
pub async fn join_server(urls: &[String], token: &JoinToken, dir: &Path) -> Result<Pki, JoinError> {
    if let Ok(pki) = Pki::load(dir) {
        return if pki.ca_hash() == token.ca_hash {
            Ok(pki)
        } else {
            Err(JoinError::WrongCa(dir.display().to_string()))
        };
    }
    let tls = Arc::new(pin::pinned_client(token.ca_hash)?);
    let answer = ask_any(urls, &tls, Some(&token.bearer()), "/trireme/v1/join/server", &json!({})).await?;
    let files: KeyFiles = serde_json::from_slice(&answer.body)?;
    Ok(Pki::adopt(files, dir)?)
}

/// Asks the servers to take `addr` (`host:port` of the peer listener) in as Raft member `id`.
/// Returns when it votes, or receives as a `learner`. Resumable: asking again for the same member is
/// no error.
///
/// # Errors
/// See [`JoinError`].
pub async fn join_member(
    urls: &[String],
    pki: &Pki,
    id: u64,
    addr: &str,
    learner: bool,
) -> Result<(), JoinError> {
    let identity = pki.issue_client("trireme:server", &["system:masters"])?;
    let tls = Arc::new(pki.client_tls(&identity)?);
    ask_any(urls, &tls, None, "/trireme/v1/members", &json!({"id": id, "addr": addr, "learner": learner}))
        .await?;
    Ok(())
}

/// Gets a node's certificates with a token. Keys are made here and never leave; all is kept in
/// `dir` and loaded from there when it is present already.
///
/// # Errors
/// See [`JoinError`].
pub async fn join_agent(
    urls: &[String],
    token: &JoinToken,
    node_name: &str,
    addresses: &[IpAddr],
    dir: &Path,
) -> Result<NodeCredentials, JoinError> {
    if let Some(kept) = load_node(dir) {
        return Ok(kept);
    }
    let user = format!("system:node:{node_name}");
    let (client_request, client_key) = new_request(&user)?;
    let (serving_request, serving_key) = new_request(&user)?;
    let request = NodeJoinRequest {
        node_name: node_name.to_owned(),
        addresses: addresses.to_vec(),
        client_request,
        serving_request,
    };
    let tls = Arc::new(pin::pinned_client(token.ca_hash)?);
    let request = serde_json::to_value(&request)?;
    let answer = ask_any(urls, &tls, Some(&token.bearer()), "/trireme/v1/join/node", &request).await?;
    let answer: NodeJoinResponse = serde_json::from_slice(&answer.body)?;
    let credentials = NodeCredentials {
        ca_pem: answer.ca,
        client: Issued { cert_pem: answer.client_certificate, key_pem: client_key },
        serving: Issued { cert_pem: answer.serving_certificate, key_pem: serving_key },
    };
    keep_node(dir, &credentials)?;
    Ok(credentials)
}

const NODE_FILES: [&str; 5] = ["client.key", "serving.key", "client.crt", "serving.crt", "ca.crt"];

/// The CA is written last: when it is there, all is there.
fn keep_node(dir: &Path, node: &NodeCredentials) -> Result<(), PkiError> {
    let texts = [
        &node.client.key_pem,
        &node.serving.key_pem,
        &node.client.cert_pem,
        &node.serving.cert_pem,
        &node.ca_pem,
    ];
    NODE_FILES.iter().zip(texts).try_for_each(|(name, text)| write_private(&dir.join(name), text))
}

/// The credentials that `dir` holds, when it holds all of them.
pub fn load_node(dir: &Path) -> Option<NodeCredentials> {
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).ok();
    let [client_key, serving_key, client_cert, serving_cert, ca] = NODE_FILES.map(read);
    Some(NodeCredentials {
        ca_pem: ca?,
        client: Issued { cert_pem: client_cert?, key_pem: client_key? },
        serving: Issued { cert_pem: serving_cert?, key_pem: serving_key? },
    })
}

/// Asks one server after the other until one accepts or refuses; servers that do not answer, or say
/// that they can not answer now, are asked again.
async fn ask_any(
    urls: &[String],
    tls: &Arc<rustls::ClientConfig>,
    bearer: Option<&str>,
    path: &str,
    body: &Value,
) -> Result<Answer, JoinError> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        let mut failures = Vec::new();
        for url in urls {
            match ask(url, tls, bearer, path, body).await {
                Ok(answer) if answer.status < 300 => return Ok(answer),
                Ok(answer) if matches!(answer.status, 409 | 429 | 503 | 504) => {
                    failures.push(format!("{url}: {}", answer.message()));
                }
                Ok(answer) => {
                    return Err(JoinError::Refused { status: answer.status, message: answer.message() });
                }
                Err(AskError::WrongCa) => return Err(JoinError::WrongCa(url.clone())),
                Err(AskError::Failed(error)) => failures.push(format!("{url}: {error}")),
            }
        }
        if Instant::now() + pause > deadline {
            return Err(JoinError::Unreachable(failures));
        }
        tracing::info!(failures = failures.join("; "), "no server could answer yet, asking again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
