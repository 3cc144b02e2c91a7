//! The members of a simulated cluster: started, killed, started again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use store::{Environment, Limits, MemberId, OpenError, Pace, Store, StoreConfig, Timings, Work};

use super::disk::Platter;
use super::net::Net;
use super::observe;
use super::process::Process;
use super::world::{EPOCH_MS, World};

/// Where a member is reached.
#[must_use]
pub fn addr_of(member: MemberId) -> String {
    format!("member-{member}:1")
}

/// The cluster.
pub struct Cluster {
    pub world: Arc<World>,
    pub net: Arc<Net>,
    limits: Limits,
    config: Template,
    members: Mutex<BTreeMap<MemberId, Member>>,
}

/// What all configurations share.
struct Template {
    tls_server: Arc<rustls::ServerConfig>,
    tls_client: Arc<rustls::ClientConfig>,
}

/// One member.
struct Member {
    platter: Arc<Platter>,
    /// What its clock says too much, milliseconds.
    clock_ahead_ms: Arc<AtomicI64>,
    state: State,
}

/// How a member does.
enum State {
    Stopped,
    Starting(Arc<Process>),
    Running(Running),
    /// Its data is damaged, or it was removed: it must not come back as it is.
    Out,
}

/// A member that runs.
#[derive(Clone)]
pub struct Running {
    pub store: Store,
    pub process: Arc<Process>,
}

/// No certificate: the simulated network needs none.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

impl Template {
    fn new() -> Template {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(NoCertificate));
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        Template { tls_server: Arc::new(server), tls_client: Arc::new(client) }
    }
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed; its host goes on.
    Kill,
    /// The host loses power.
    Power,
}

impl Cluster {
    #[must_use]
    pub fn new(world: Arc<World>, limits: Limits) -> Arc<Cluster> {
        let net = Net::new(world.clone());
        Arc::new(Cluster { world, net, limits, config: Template::new(), members: Mutex::default() })
    }

    /// A new, empty member.
    pub fn add(&self, member: MemberId) {
        let platter = Platter::new(&self.world, member);
        let clock_ahead_ms = Arc::new(AtomicI64::new(0));
        self.members.lock().insert(member, Member { platter, clock_ahead_ms, state: State::Stopped });
    }

    fn config_of(&self, member: MemberId) -> StoreConfig {
        StoreConfig {
            id: member,
            data_dir: PathBuf::from("/data"),
            peer_listen: SocketAddr::from(([127, 0, 0, 1], 1)),
            peer_advertise: addr_of(member),
            tls_server: self.config.tls_server.clone(),
            tls_client: self.config.tls_client.clone(),
            peer_server_name: "peer".to_owned(),
            timings: Timings {
                write: Duration::from_secs(2),
                read: Duration::from_millis(1500),
                catch_up: Duration::from_secs(5),
                ..Timings::default()
            },
            limits: self.limits.clone(),
            history: store::DEFAULT_HISTORY,
            registry: prometheus::Registry::new(),
        }
    }

    fn environment(&self, member: &Member, process: &Arc<Process>) -> Environment {
        let ahead = member.clock_ahead_ms.clone();
        let world = self.world.clone();
        let clock = move || {
            let now_ms = EPOCH_MS + world.elapsed().as_millis() as u64;
            now_ms.saturating_add_signed(ahead.load(Ordering::SeqCst))
        };
        let platter = member.platter.clone();
        let pace: Pace = Arc::new(move || {
            let wait = Duration::from_millis(platter.sync_ms());
            Box::pin(async move {
                if wait.is_zero() { tokio::task::yield_now().await } else { tokio::time::sleep(wait).await }
            })
        });
        Environment {
            disk: member.platter.of(&self.world, process),
            network: self.net.of(process, &addr_of(process.member)),
            clock: Arc::new(clock),
            work: Work::Paced(pace),
        }
    }

    /// Starts a stopped member. Nothing happens to one that is not stopped.
    ///
    /// # Errors
    /// Its store does not open.
    pub async fn start(self: &Arc<Self>, id: MemberId) -> Result<(), OpenError> {
        let process = Arc::new(Process::new(id));
        let env = {
            let mut members = self.members.lock();
            let Some(member) = members.get_mut(&id) else { return Ok(()) };
            if !matches!(member.state, State::Stopped) {
                return Ok(());
            }
            member.state = State::Starting(process.clone());
            self.environment(member, &process)
        };
        let opened = Store::open_in(self.config_of(id), env).await;
        let mut members = self.members.lock();
        let Some(member) = members.get_mut(&id) else { return Ok(()) };
        let ours = matches!(&member.state, State::Starting(now) if Arc::ptr_eq(now, &process));
        match opened {
            Ok(store) if ours && !process.is_gone() => {
                let running = Running { store, process };
                member.state = State::Running(running.clone());
                drop(members);
                observe::start(&self.world, &running);
                Ok(())
            }
            Ok(store) => {
                if ours {
                    member.state = State::Stopped;
                }
                bury(store);
                Ok(())
            }
            Err(error) => {
                let gone = process.is_gone();
                process.kill();
                if ours {
                    member.state = State::Stopped;
                }
                drop(members);
                self.net.crash(id, false);
                if gone { Ok(()) } else { Err(error) }
            }
        }
    }

    /// Ends a member's process, now. It is stopped afterwards, unless it is out.
    pub fn crash(&self, id: MemberId, how: Crash) {
        let mut members = self.members.lock();
        let Some(member) = members.get_mut(&id) else { return };
        if !matches!(member.state, State::Out) {
            end(std::mem::replace(&mut member.state, State::Stopped));
        }
        member.platter.put_out_fuse();
        if how == Crash::Power {
            member.platter.power_cut();
        }
        drop(members);
        self.net.crash(id, how == Crash::Power);
    }

    /// Stops a member in an orderly way.
    pub async fn shut_down(&self, id: MemberId) {
        if let Some(running) = self.running(id) {
            let stopping = running.store.shutdown();
            // A shutdown that hangs is killed, as an init system would do.
            drop(tokio::time::timeout(Duration::from_secs(10), stopping).await);
            self.crash(id, Crash::Kill);
        }
    }

    /// A member never comes back.
    pub fn exclude(&self, id: MemberId) {
        self.crash(id, Crash::Kill);
        if let Some(member) = self.members.lock().get_mut(&id) {
            member.state = State::Out;
        }
    }

    /// A member, when it runs.
    #[must_use]
    pub fn running(&self, id: MemberId) -> Option<Running> {
        match &self.members.lock().get(&id)?.state {
            State::Running(running) if !running.process.is_gone() => Some(running.clone()),
            _ => None,
        }
    }

    /// Everybody that runs.
    #[must_use]
    pub fn all_running(&self) -> Vec<Running> {
        self.ids().into_iter().filter_map(|id| self.running(id)).collect()
    }

    /// Everybody that is not out.
    #[must_use]
    pub fn ids(&self) -> Vec<MemberId> {
        let members = self.members.lock();
        members.iter().filter(|(_, m)| !matches!(m.state, State::Out)).map(|(id, _)| *id).collect()
    }

    /// Those whose process is gone although nobody stopped it: they ran into their fuse.
    #[must_use]
    pub fn fallen(&self) -> Vec<MemberId> {
        let members = self.members.lock();
        let gone = |member: &Member| match &member.state {
            State::Running(running) => running.process.is_gone(),
            _ => false,
        };
        members.iter().filter(|(_, member)| gone(member)).map(|(id, _)| *id).collect()
    }

    #[must_use]
    pub fn is_stopped(&self, id: MemberId) -> bool {
        self.members.lock().get(&id).is_some_and(|member| matches!(member.state, State::Stopped))
    }

    /// The disk of a member.
    #[must_use]
    pub fn platter(&self, id: MemberId) -> Option<Arc<Platter>> {
        self.members.lock().get(&id).map(|member| member.platter.clone())
    }

    /// Sets a member's clock ahead (or behind).
    pub fn set_clock(&self, id: MemberId, ahead_ms: i64) {
        if let Some(member) = self.members.lock().get(&id) {
            member.clock_ahead_ms.store(ahead_ms, Ordering::SeqCst);
        }
    }
}

fn end(state: State) {
    match state {
        State::Running(running) => {
            running.process.kill();
            bury(running.store);
        }
        State::Starting(process) => process.kill(),
        State::Stopped | State::Out => {}
    }
}

/// Ends the tasks of a store whose process is gone: nothing they do has an effect any more.
fn bury(store: Store) {
    tokio::spawn(async move { store.kill().await });
}
