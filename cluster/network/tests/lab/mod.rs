//! A small data centre of network namespaces: a switch, nodes on it, pods on nodes, and an API that knows what
//! the test tells it. Namespaces have no names: they end with the test.

pub mod api;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Api;
use network::{HostPort, NetworkConfig, PodNetwork, PodRef};
use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use tokio_util::sync::CancellationToken;

/// How long anything that must work may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough for one retransmission: the switch's own links come alive in their own time.
const CONNECT: Duration = Duration::from_millis(1500);

/// A network namespace.
pub struct Namespace(File);

impl Namespace {
    /// `None` without the right to make one.
    pub fn new() -> Option<Self> {
        let made = std::thread::spawn(|| {
            // SAFETY: only this thread, which ends here, sees the new namespace.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
            File::open("/proc/thread-self/ns/net")
        });
        match made.join().unwrap() {
            Ok(file) => Some(Self(file)),
            Err(error) => {
                assert!(error.kind() == io::ErrorKind::PermissionDenied, "{error}");
                eprintln!("not run: this test makes network namespaces, which needs CAP_SYS_ADMIN");
                None
            }
        }
    }

    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    /// Runs `work` in the namespace. Sockets made there stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            inside.join().unwrap()
        })
    }

    fn links<T: Send, F: Future<Output = T>>(&self, work: impl FnOnce(rtnetlink::Handle) -> F + Send) -> T {
        self.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (connection, handle, _) = rtnetlink::new_connection().unwrap();
                tokio::spawn(connection);
                work(handle).await
            })
        })
    }

    /// What a server at `to` says to us: its name and our address, as `name 10.244.1.2`.
    pub fn tcp(&self, to: &str) -> io::Result<String> {
        let to: SocketAddr = to.parse().unwrap();
        self.run(|| {
            let mut stream = TcpStream::connect_timeout(&to, CONNECT)?;
            stream.set_read_timeout(Some(CONNECT))?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        })
    }

    /// A UDP socket that keeps its port.
    pub fn udp_client(&self, to: &str) -> UdpSocket {
        let socket = self.run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_read_timeout(Some(CONNECT)).unwrap();
        self.run(|| socket.connect(to).unwrap());
        socket
    }

    /// Answers every connection and datagram on `port` with `name` and the client's address.
    pub fn serve(&self, name: &str, port: u16) {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let (tcp, udp) = self.run(|| (TcpListener::bind(any).unwrap(), UdpSocket::bind(any).unwrap()));
        let tcp_name = name.to_owned();
        std::thread::spawn(move || {
            while let Ok((mut stream, peer)) = tcp.accept() {
                // A client that is gone is no failure of the server.
                let _ = stream.write_all(format!("{tcp_name} {}", peer.ip()).as_bytes());
            }
        });
        let udp_name = name.to_owned();
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((_, peer)) = udp.recv_from(&mut buffer) {
                let _ = udp.send_to(format!("{udp_name} {}", peer.ip()).as_bytes(), peer);
            }
        });
    }
}

/// What one datagram over `socket` brings back.
pub fn ask(socket: &UdpSocket) -> io::Result<String> {
    socket.send(b"?")?;
    let mut buffer = [0; 64];
    let len = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..len]).into_owned())
}

/// Waits until `check` gives something.
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// A node with its network running.
pub struct Node {
    pub name: String,
    pub ip: Ipv4Addr,
    pub namespace: Namespace,
    state: tempfile::TempDir,
    running: Option<Running>,
}

struct Running {
    runtime: tokio::runtime::Runtime,
    network: Arc<dyn PodNetwork>,
    shutdown: CancellationToken,
}

/// A pod's namespace.
pub struct Pod {
    pub reference: PodRef,
    pub namespace: Namespace,
    pub ip: Ipv4Addr,
}

/// Everything. The first field ends first.
pub struct Lab {
    pub nodes: Vec<Node>,
    /// A host that is no node, 192.0.2.100.
    pub client: Namespace,
    pub api: Api,
    _switch: Namespace,
}

impl Lab {
    /// A lab with that many nodes, 192.0.2.1 and on; pods of the first are 10.244.1.0/24.
    pub fn new(nodes: u8) -> Option<Self> {
        let switch = Namespace::new()?;
        switch.links(|links| async move {
            links.link().add(LinkBridge::new("switch").up().build()).execute().await.unwrap();
        });
        let client = Namespace::new()?;
        plug(&switch, &client, Ipv4Addr::new(192, 0, 2, 100));
        let api = Api::default();
        let mut all = Vec::new();
        for number in 1..=nodes {
            let ip = Ipv4Addr::new(192, 0, 2, number);
            let namespace = Namespace::new()?;
            plug(&switch, &namespace, ip);
            let name = format!("n{number}");
            api.put(
                "nodes",
                serde_json::json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
                    "spec": {"podCIDR": format!("10.244.{number}.0/24")},
                    "status": {"addresses": [{"type": "InternalIP", "address": ip.to_string()}]}}),
            );
            let mut node = Node { name, ip, namespace, state: tempfile::tempdir().unwrap(), running: None };
            node.start(&api);
            all.push(node);
        }
        let lab = Self { nodes: all, client, api, _switch: switch };
        for node in &lab.nodes {
            let network = node.network();
            eventually("the node is ready", || network.ready().ok());
        }
        Some(lab)
    }
}

/// Connects a namespace to the switch as `eth0`.
fn plug(switch: &Namespace, host: &Namespace, ip: Ipv4Addr) {
    let target = host.0.as_raw_fd();
    let port = format!("port{}", ip.octets()[3]);
    switch.links(|links| async move {
        let peer = LinkMessageBuilder::<LinkUnspec>::new().name("eth0").setns_by_fd(target).build();
        let pair =
            LinkVeth::new(&port, "eth0").set_info_data(InfoData::Veth(InfoVeth::Peer(peer))).up().build();
        links.link().add(pair).execute().await.unwrap();
        let bridge = find(&links, "switch").await;
        let port = find(&links, &port).await;
        let member = LinkUnspec::new_with_index(port).controller(bridge).up().build();
        links.link().set(member).execute().await.unwrap();
    });
    host.links(|links| async move {
        for name in ["lo", "eth0"] {
            let index = find(&links, name).await;
            links.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.unwrap();
        }
        let index = find(&links, "eth0").await;
        links.address().add(index, ip.into(), 24).execute().await.unwrap();
    });
}

async fn find(links: &rtnetlink::Handle, name: &str) -> u32 {
    use futures::TryStreamExt;
    let mut found = links.link().get().match_name(name.to_owned()).execute();
    found.try_next().await.unwrap().unwrap().header.index
}

impl Node {
    fn start(&mut self, api: &Api) {
        let config = NetworkConfig {
            node_name: self.name.clone(),
            node_ip: self.ip.into(),
            interface: None,
            state_dir: self.state.path().to_owned(),
            service_cidr: "10.96.0.0/16".parse().unwrap(),
            cluster_cidr: "10.244.0.0/16".parse().unwrap(),
            cluster_domain: "cluster.local".into(),
            dns_ip: "10.96.0.10".parse().unwrap(),
            upstream_dns: vec![],
            registry: prometheus::Registry::new(),
        };
        let shutdown = CancellationToken::new();
        let (client, token) = (api.clone(), shutdown.clone());
        // The runtime's threads inherit the namespace of the thread that makes it.
        let (runtime, network) = self.namespace.run(|| {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let task = runtime.spawn(async move { network::start(config, client.client(), token).await });
            let network = runtime.block_on(task).unwrap().unwrap();
            (runtime, network)
        });
        self.running = Some(Running { runtime, network, shutdown });
    }

    /// Stops the network's process, so to say, and starts it again.
    pub fn restart(&mut self, api: &Api) {
        self.stop();
        self.start(api);
        let network = self.network();
        eventually("the node is ready again", || network.ready().ok());
    }

    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown.cancel();
            drop(running.network);
            running.runtime.shutdown_timeout(PATIENCE);
        }
    }

    pub fn network(&self) -> Arc<dyn PodNetwork> {
        self.running.as_ref().unwrap().network.clone()
    }

    /// Runs `work` on the node's own runtime.
    pub fn on<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = &self.running.as_ref().unwrap().runtime;
        let task = runtime.spawn(work);
        futures::executor::block_on(task).unwrap()
    }

    /// A connected pod.
    pub fn pod(&self, name: &str, ports: &[HostPort]) -> Pod {
        let reference = PodRef { uid: format!("uid-{name}"), namespace: "default".into(), name: name.into() };
        let mut pod = Pod { reference, namespace: Namespace::new().unwrap(), ip: Ipv4Addr::UNSPECIFIED };
        pod.ip = self.attach(&pod, ports);
        pod
    }

    pub fn attach(&self, pod: &Pod, ports: &[HostPort]) -> Ipv4Addr {
        let (network, reference, path) = (self.network(), pod.reference.clone(), pod.namespace.path());
        let ports = ports.to_vec();
        let address = self.on(async move { network.attach(&reference, &path, &ports).await }).unwrap();
        match address.ips[..] {
            [IpAddr::V4(ip)] => ip,
            ref other => panic!("{other:?}"),
        }
    }

    pub fn detach(&self, pod: &Pod) {
        let (network, uid) = (self.network(), pod.reference.uid.clone());
        self.on(async move { network.detach(&uid).await }).unwrap();
    }

    pub fn retain(&self, uids: &[&str]) {
        let (network, uids) = (self.network(), uids.iter().map(|u| (*u).to_owned()).collect::<HashSet<_>>());
        self.on(async move { network.retain(&uids).await }).unwrap();
    }

    /// Removes everything the network made, as an operator would.
    pub fn cleanup(&mut self) {
        self.stop();
        let state = self.state.path().to_owned();
        self.namespace.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(network::cleanup(&state)).unwrap();
        });
    }

    /// The names of the node's links.
    pub fn link_names(&self) -> Vec<String> {
        self.namespace.links(|links| async move {
            use futures::TryStreamExt;
            use rtnetlink::packet_route::link::LinkAttribute;
            let all: Vec<_> = links.link().get().execute().try_collect().await.unwrap();
            let names = all.iter().flat_map(|l| &l.attributes).filter_map(|a| match a {
                LinkAttribute::IfName(name) => Some(name.clone()),
                _ => None,
            });
            names.collect()
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}
