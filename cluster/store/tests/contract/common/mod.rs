//! A cluster in one process, over loopback and real TLS.

pub mod disk;
pub mod net;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::PrivateKeyDer;
use store::{
    Applied, Consistency, Environment, Guard, Limits, MemberId, Op, Put, Store, StoreConfig, Timings, Txn,
    View, Work, WriteError,
};
use tempfile::TempDir;

/// The longest that anything here may take.
pub const DEADLINE: Duration = Duration::from_secs(30);

const PEER_NAME: &str = "peer.trireme.internal";

/// The certificates of one cluster.
#[derive(Clone)]
pub struct Tls {
    pub server: Arc<rustls::ServerConfig>,
    pub client: Arc<rustls::ClientConfig>,
}

impl Tls {
    pub fn new() -> Tls {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("key")).expect("authority");
        let key = KeyPair::generate().expect("key");
        let cert = CertificateParams::new(vec![PEER_NAME.to_owned()])
            .expect("parameters")
            .signed_by(&key, &ca)
            .expect("certificate");
        let chain = vec![cert.der().clone()];
        let private = || PrivateKeyDer::try_from(key.serialize_der()).expect("key");
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).expect("root");
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .expect("verifier");
        let server = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), private())
            .expect("server configuration");
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, private())
            .expect("client configuration");
        Tls { server: Arc::new(server), client: Arc::new(client) }
    }
}

pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port")
}

/// The members of a cluster, open or not.
pub struct Cluster {
    pub tls: Tls,
    pub dir: TempDir,
    pub addrs: Vec<SocketAddr>,
    pub stores: Vec<Option<Store>>,
    pub limits: Limits,
    pub timings: Timings,
    /// Instead of loopback and TLS.
    pub net: Option<Arc<net::MemNet>>,
    /// Per member that has one (and with [`Cluster::net`]): makes its syncs fail.
    pub failing: Vec<Arc<AtomicBool>>,
    /// Per member that has one (and with [`Cluster::net`]): how much its disk holds.
    pub quotas: Vec<Arc<disk::Quota>>,
}

impl Cluster {
    pub fn empty() -> Cluster {
        // Shown with RUST_LOG=info and --nocapture; a second call in one process is no error.
        drop(
            tracing_subscriber::fmt()
                .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
                .with_test_writer()
                .try_init(),
        );
        Cluster {
            tls: Tls::new(),
            dir: TempDir::new().expect("a folder"),
            addrs: Vec::new(),
            stores: Vec::new(),
            limits: Limits { ballast_bytes: 1 << 20, ..Limits::default() },
            timings: Timings::default(),
            net: None,
            failing: Vec::new(),
            quotas: Vec::new(),
        }
    }

    /// `count` members that vote; member 1 began.
    pub async fn of(count: usize) -> Cluster {
        Cluster::empty().grown(count).await
    }

    pub async fn grown(mut self, count: usize) -> Cluster {
        for index in 0..count {
            self.addrs.push(free_port());
            self.stores.push(None);
            self.open(index).await;
            if index == 0 {
                self.store(0).init_cluster().await.expect("a new cluster");
            } else {
                let addr = self.addrs[index].to_string();
                self.store(0).add_member(index as MemberId + 1, addr).await.expect("a new member");
            }
        }
        self
    }

    pub fn config(&self, index: usize) -> StoreConfig {
        StoreConfig {
            id: index as MemberId + 1,
            data_dir: self.data_dir(index),
            peer_listen: self.addrs[index],
            peer_advertise: self.addrs[index].to_string(),
            tls_server: self.tls.server.clone(),
            tls_client: self.tls.client.clone(),
            peer_server_name: PEER_NAME.to_owned(),
            timings: self.timings.clone(),
            limits: self.limits.clone(),
            history: store::DEFAULT_HISTORY,
            registry: prometheus::Registry::new(),
        }
    }

    pub fn data_dir(&self, index: usize) -> std::path::PathBuf {
        self.dir.path().join(format!("member-{}", index + 1))
    }

    pub async fn open(&mut self, index: usize) {
        let config = self.config(index);
        let opened = match &self.net {
            None => Store::open(config).await,
            Some(net) => {
                let network = net.of(config.id, &config.peer_advertise);
                let clock = Arc::new(|| {
                    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                    now.unwrap_or_default().as_millis() as u64
                });
                let fails = self.failing.get(index).cloned().unwrap_or_default();
                let quota = self.quotas.get(index).cloned().unwrap_or_default();
                let disk = Arc::new(disk::FailingDisk { fails, quota });
                Store::open_in(config, Environment { disk, network, clock, work: Work::Threads }).await
            }
        };
        let store = opened.expect("the store opens");
        self.stores[index] = Some(store);
    }

    pub fn store(&self, index: usize) -> &Store {
        self.stores[index].as_ref().expect("this member is open")
    }

    pub async fn kill(&mut self, index: usize) {
        self.stores[index].take().expect("this member is open").kill().await;
    }

    pub fn open_members(&self) -> impl Iterator<Item = &Store> {
        self.stores.iter().flatten()
    }

    /// The index of the member that leads, once all open members agree.
    pub async fn leader(&self) -> usize {
        until("one leader", async || {
            let mut leaders = self.open_members().map(|store| store.status().leader);
            let first = leaders.next()??;
            let index = first as usize - 1;
            (leaders.all(|leader| leader == Some(first)) && self.stores[index].is_some()).then_some(index)
        })
        .await
    }

    /// The index of the member that leads, as all but one see it.
    pub async fn leader_without(&self, except: usize) -> usize {
        let others: Vec<&Store> =
            (0..self.stores.len()).filter(|i| *i != except).filter_map(|i| self.stores[i].as_ref()).collect();
        until("one leader", async || {
            let leader = others.first()?.status().leader.filter(|leader| *leader as usize - 1 != except)?;
            others.iter().all(|store| store.status().leader == Some(leader)).then_some(leader as usize - 1)
        })
        .await
    }

    pub async fn follower(&self) -> usize {
        let leader = self.leader().await;
        (0..self.stores.len()).find(|i| *i != leader && self.stores[*i].is_some()).expect("a follower")
    }

    pub async fn shutdown(mut self) {
        for store in self.stores.iter_mut().filter_map(Option::take) {
            store.kill().await;
        }
    }
}

/// Waits until the condition yields a value.
pub async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let attempt = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            ticks.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, attempt).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// A write of an object that carries its revision.
pub fn put(key: &str, data: &str) -> Put {
    let head = "{\"resourceVersion\":\"";
    Put {
        key: key.to_owned(),
        value: format!("{head}\",\"data\":\"{data}\"}}").into(),
        splice_at: Some(head.len() as u32),
        ..Put::default()
    }
}

pub fn write(put: Put) -> Txn {
    Txn { guards: Vec::new(), ops: vec![Op::Put(put)] }
}

pub fn create(key: &str, data: &str) -> Txn {
    Txn { guards: vec![Guard::Absent { key: key.to_owned() }], ops: vec![Op::Put(put(key, data))] }
}

pub fn delete(key: &str) -> Txn {
    Txn { guards: Vec::new(), ops: vec![Op::Delete { key: key.to_owned() }] }
}

pub async fn apply(store: &Store, txn: Txn) -> Result<Applied, WriteError> {
    tokio::time::timeout(DEADLINE, store.propose(txn)).await.expect("a write is settled in time")
}

pub async fn linearizable(store: &Store) -> View {
    until("a linearizable view", async || store.view(Consistency::Linearizable).await.ok()).await
}

/// The data that [`put`] wrote.
pub fn data(view: &View, key: &str) -> Option<String> {
    let object = view.get(key)?;
    let text = String::from_utf8(object.value.to_vec()).expect("text");
    let (_, rest) = text.split_once("\"data\":\"")?;
    Some(rest.trim_end_matches("\"}").to_owned())
}

/// Text that does not get shorter when it is packed.
pub fn noise(len: usize) -> String {
    let alphabet = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    (0..len).map(|_| alphabet[rand::random_range(0..alphabet.len())] as char).collect()
}

pub fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}
