//! All clients and watchers, on a thread that lives in the cluster's switch, where every server can
//! be reached directly.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::clients::Client;
use super::objects::{self, COLLECTION, NAMESPACE};
use super::recorder::Recorder;
use super::watchers::{Selection, Watcher};
use super::wire::{Access, Answer, Ask, Wire};
use crate::history::{Call, Op, Outcome, What};
use crate::sim::dice::Dice;

/// Clients of each server.
const CLIENTS_PER_SERVER: u64 = 3;
/// Watchers: of everything, by a label and by a field, as many of each.
const WATCHERS: u64 = 6;
/// Clients stop by themselves after so many records.
const MOST_RECORDS: usize = 2_000_000;
/// How long watchers may take to deliver the last write.
const DELIVERY: Duration = Duration::from_secs(30);

/// What everybody of a run shares.
#[derive(Default)]
pub struct Shared {
    pub recorder: Recorder,
    /// Which keys are in use.
    pub round: AtomicU64,
    over: AtomicBool,
    /// The revision of the last write of the run, once it is known.
    last: AtomicU64,
}

impl Shared {
    /// Clients begin nothing new.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.recorder.count() > MOST_RECORDS
    }

    pub fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether nothing more can come for a watcher that stands there.
    #[must_use]
    pub fn has_all(&self, from: Option<u64>, selective: bool) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last > 0 && (selective || from.is_some_and(|from| from >= last))
    }
}

/// Where the cluster is, and with what it is entered.
#[derive(Clone)]
pub struct Door {
    pub access: Access,
    /// Of the API, in the order of the servers.
    pub servers: Vec<SocketAddr>,
    /// The switch's network namespace.
    pub namespace: std::path::PathBuf,
}

impl Door {
    /// Runs `work` on a thread of its own inside the cluster's network.
    pub fn inside<T, W, F>(&self, work: W) -> JoinHandle<Result<T, String>>
    where
        T: Send + 'static,
        W: FnOnce(Door) -> F + Send + 'static,
        F: Future<Output = T>,
    {
        let door = self.clone();
        std::thread::spawn(move || {
            enter(&door.namespace).map_err(|e| format!("enter {}: {e}", door.namespace.display()))?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|e| e.to_string())?;
            Ok(runtime.block_on(work(door)))
        })
    }

    /// As [`Door::inside`], and waits for it.
    ///
    /// # Errors
    /// The namespace can not be entered.
    pub fn ask<T, W, F>(&self, work: W) -> Result<T, String>
    where
        T: Send + 'static,
        W: FnOnce(Door) -> F + Send + 'static,
        F: Future<Output = T>,
    {
        self.inside(work).join().map_err(|_| "a thread inside the cluster panicked".to_owned())?
    }
}

fn enter(namespace: &Path) -> std::io::Result<()> {
    let file = File::open(namespace)?;
    // SAFETY: the descriptor is open, and only this thread changes its namespace.
    match unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Makes the namespace of the workload.
///
/// # Errors
/// No server took it in time.
pub async fn prepare(door: Door) -> Result<(), String> {
    let deadline = Instant::now() + DELIVERY;
    let mut wire = Wire::new(&door.access, door.servers[0]);
    loop {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        let content_type = "application/json";
        let path = "/api/v1/namespaces".to_owned();
        match wire.ask(Ask { method: "POST", path, content_type, body: Some(body) }).await {
            Answer::Said(201 | 409, _) => return Ok(()),
            answer if Instant::now() > deadline => return Err(format!("make a namespace: {answer:?}")),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Works until the run is over and all has been delivered.
pub async fn run(door: Door, seed: u64, shared: Arc<Shared>) {
    let mut clients = tokio::task::JoinSet::new();
    let mut watchers = tokio::task::JoinSet::new();
    for id in 0..WATCHERS {
        let dice = Dice::new(seed, &format!("live watcher {id}"));
        let (access, servers, shared) = (door.access.clone(), door.servers.clone(), shared.clone());
        let selection = [Selection::All, Selection::Label, Selection::Field][id as usize % 3];
        watchers.spawn(Watcher { access, servers, dice, shared, selection }.run());
    }
    for id in 0..CLIENTS_PER_SERVER * door.servers.len() as u64 {
        let at = id % door.servers.len() as u64;
        let wire = Wire::new(&door.access, door.servers[at as usize]);
        let dice = Dice::new(seed, &format!("live client {id}"));
        let shared = shared.clone();
        clients.spawn(Client { id, member: at + 1, wire, dice, shared, seen: Default::default() }.run());
    }
    while clients.join_next().await.is_some() {}
    let problem = match last_write(&door, &shared).await {
        None => Some("the last write of the run was not taken"),
        Some(revision) => {
            shared.last.store(revision, Ordering::Relaxed);
            let all = async { while watchers.join_next().await.is_some() {} };
            let late = tokio::time::timeout(DELIVERY, all).await.is_err();
            late.then_some("a watch did not deliver the last write in time")
        }
    };
    if let Some(text) = problem {
        shared.recorder.record(What::Problem { text: text.to_owned() });
    }
}

/// Writes what every watcher waits for.
async fn last_write(door: &Door, shared: &Shared) -> Option<u64> {
    let deadline = Instant::now() + DELIVERY;
    let mut wire = Wire::new(&door.access, door.servers[0]);
    while Instant::now() < deadline {
        let (op, token) = (shared.recorder.id(), shared.recorder.id());
        let put = Op::Put { key: "z-last".to_owned(), token, epoch: None, expires: false };
        let call = Call::Txn { guards: vec![], ops: vec![put] };
        let client = u64::MAX;
        shared.recorder.record(What::Invoke { op, client, member: 1, call: call.clone() });
        let outcome = objects::outcome(&call, wire.ask(objects::ask(&call)).await);
        shared.recorder.record(What::Return { op, outcome: outcome.clone() });
        if let Outcome::Applied { revision } = outcome {
            return Some(revision);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

/// Whether a server answers confirmed reads; why not.
pub async fn is_ready(door: &Door, at: usize) -> Result<(), String> {
    match Wire::new(&door.access, door.servers[at]).ask(Ask::get("/readyz")).await {
        Answer::Said(200, _) => Ok(()),
        other => Err(format!("server-{} is not ready: {other:?}", at + 1)),
    }
}

/// Which server leads, as the one with the highest term says.
pub async fn leader(door: Door) -> Option<u64> {
    let mut newest = None;
    for server in &door.servers {
        let Answer::Said(200, status) =
            Wire::new(&door.access, *server).ask(Ask::get("/trireme/v1/members")).await
        else {
            continue;
        };
        let leading =
            status["members"].as_array().and_then(|m| m.iter().find(|m| m["leader"] == true).cloned());
        let address = leading.and_then(|m| Some(m["addr"].as_str()?.split(':').next()?.to_owned()));
        let at = door.servers.iter().position(|s| Some(s.ip().to_string()) == address);
        newest = newest.max(status["term"].as_u64().zip(at.map(|at| at as u64 + 1)));
    }
    newest.map(|(_, server)| server)
}

/// What every server has at the same, newest revision.
pub async fn finals(door: Door, shared: Arc<Shared>) {
    let problem = |text: String| shared.recorder.record(What::Problem { text });
    let Answer::Said(200, list) = Wire::new(&door.access, door.servers[0]).ask(Ask::get(COLLECTION)).await
    else {
        return problem("server-1 does not list at the end".to_owned());
    };
    let revision = objects::revision_of(&list).unwrap_or(0);
    let path = format!("{COLLECTION}?resourceVersion={revision}&resourceVersionMatch=Exact");
    for (at, server) in door.servers.iter().enumerate() {
        let member = at as u64 + 1;
        match Wire::new(&door.access, *server).ask(Ask::get(path.as_str())).await {
            Answer::Said(200, list) => {
                let objects = objects::listed(&list);
                let hash = u64::from(crc32fast::hash(list["items"].to_string().as_bytes()));
                shared.recorder.record(What::State { member, revision, hash });
                shared.recorder.record(What::Final { member, revision, objects });
            }
            other => problem(format!("server-{member} does not list revision {revision}: {other:?}")),
        }
    }
}
