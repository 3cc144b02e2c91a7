//! Which pod has which address: one small file per pod, so that it survives the agent.
//!
//! A file is replaced atomically but not synced: after a crash of the machine there are no pods either, and a
//! damaged file is dropped.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::{HostPort, NetworkError, PodRef};

/// What a pod was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub address: Ipv4Addr,
    #[serde(default)]
    pub ports: Vec<HostPort>,
}

/// All leases of this node.
pub struct Leases {
    directory: PathBuf,
    by_uid: BTreeMap<String, Lease>,
    used: BTreeSet<Ipv4Addr>,
    /// The last address given: an address rests as long as possible before it is given again.
    last: Option<Ipv4Addr>,
}

impl Leases {
    /// Reads what is there.
    pub fn open(state_dir: &Path) -> Result<Self, NetworkError> {
        let directory = state_dir.join("leases");
        fs::create_dir_all(&directory).map_err(|e| file_error(&directory, e))?;
        let mut leases = Self { directory, by_uid: BTreeMap::new(), used: BTreeSet::new(), last: None };
        for entry in fs::read_dir(&leases.directory).map_err(|e| file_error(&leases.directory, e))? {
            let path = entry.map_err(|e| file_error(&leases.directory, e))?.path();
            let bytes = fs::read(&path).map_err(|e| file_error(&path, e))?;
            match serde_json::from_slice::<Lease>(&bytes) {
                Ok(lease)
                    if path.extension().is_some_and(|e| e == "json") && leases.used.insert(lease.address) =>
                {
                    leases.by_uid.insert(lease.uid.clone(), lease);
                }
                _ => {
                    tracing::warn!(path = %path.display(), "a damaged address lease is dropped");
                    remove(&path)?;
                }
            }
        }
        leases.last = leases.used.last().copied();
        Ok(leases)
    }

    /// The pod's lease; a new one from `network` when it has none. Host ports are as given now.
    pub fn acquire(
        &mut self,
        pod: &PodRef,
        network: Ipv4Net,
        ports: &[HostPort],
    ) -> Result<Lease, NetworkError> {
        self.check_ports(&pod.uid, ports)?;
        let known = self.by_uid.get(&pod.uid);
        let address = match known {
            Some(lease) if lease.ports == ports => return Ok(lease.clone()),
            Some(lease) => lease.address,
            None => self.free(network).ok_or(NetworkError::NoFreeAddress(network.into()))?,
        };
        let lease = Lease {
            uid: pod.uid.clone(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            address,
            ports: ports.to_vec(),
        };
        self.write(&lease)?;
        self.used.insert(address);
        self.last = Some(address);
        self.by_uid.insert(pod.uid.clone(), lease.clone());
        Ok(lease)
    }

    /// Forgets the pod's lease; the address is free again.
    pub fn release(&mut self, uid: &str) -> Result<Option<Lease>, NetworkError> {
        let Some(lease) = self.by_uid.get(uid) else { return Ok(None) };
        remove(&self.path(uid)?)?;
        self.used.remove(&lease.address);
        Ok(self.by_uid.remove(uid))
    }

    pub fn get(&self, uid: &str) -> Option<&Lease> {
        self.by_uid.get(uid)
    }

    pub fn all(&self) -> impl Iterator<Item = &Lease> {
        self.by_uid.values()
    }

    /// The first free address after the last one given. The first of the network is the node's own, the last is
    /// its broadcast address.
    fn free(&self, network: Ipv4Net) -> Option<Ipv4Addr> {
        let (first, last) =
            (u32::from(network.network()) + 1, u32::from(network.broadcast()).checked_sub(1)?);
        let start = match self.last.map(u32::from) {
            Some(last_given) if (first..last).contains(&last_given) => last_given + 1,
            _ => first,
        };
        (start..=last).chain(first..start).map(Ipv4Addr::from).find(|a| !self.used.contains(a))
    }

    fn check_ports(&self, uid: &str, ports: &[HostPort]) -> Result<(), NetworkError> {
        let mut taken: HashMap<_, Vec<_>> = HashMap::new();
        for lease in self.by_uid.values().filter(|l| l.uid != uid) {
            for port in &lease.ports {
                taken.entry((port.protocol, port.host_port)).or_default().push((port.host_ip, &lease.uid));
            }
        }
        for port in ports {
            let others = taken.get(&(port.protocol, port.host_port)).into_iter().flatten();
            let is_any = |ip: Option<std::net::IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
            let clash = |ip| ip == port.host_ip || is_any(ip) || is_any(port.host_ip);
            if let Some((_, by)) = others.into_iter().find(|(ip, _)| clash(*ip)) {
                let (uid, by) = (uid.to_owned(), (*by).clone());
                return Err(NetworkError::HostPortTaken { uid, port: port.host_port, by });
            }
        }
        Ok(())
    }

    fn write(&self, lease: &Lease) -> Result<(), NetworkError> {
        let path = self.path(&lease.uid)?;
        let temporary = path.with_extension("new");
        let bytes =
            serde_json::to_vec(lease).map_err(|source| NetworkError::Lease { path: path.clone(), source })?;
        fs::write(&temporary, bytes).map_err(|e| file_error(&temporary, e))?;
        fs::rename(&temporary, &path).map_err(|e| file_error(&path, e))
    }

    fn path(&self, uid: &str) -> Result<PathBuf, NetworkError> {
        let is_plain =
            !uid.is_empty() && uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        match is_plain {
            true => Ok(self.directory.join(format!("{uid}.json"))),
            false => Err(NetworkError::InvalidUid(uid.to_owned())),
        }
    }
}

fn remove(path: &Path) -> Result<(), NetworkError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(file_error(path, e)),
        _ => Ok(()),
    }
}

fn file_error(path: &Path, source: io::Error) -> NetworkError {
    NetworkError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;

    fn pod(uid: &str) -> PodRef {
        PodRef { uid: uid.into(), namespace: "default".into(), name: uid.into() }
    }

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn port(host_ip: Option<&str>, host_port: u16, protocol: Protocol) -> HostPort {
        HostPort { protocol, host_ip: host_ip.map(|ip| ip.parse().unwrap()), host_port, container_port: 80 }
    }

    #[test]
    fn a_lease_is_kept_over_a_restart_and_free_after_release() {
        let dir = tempfile::tempdir().unwrap();
        let mut leases = Leases::open(dir.path()).unwrap();
        let a = leases.acquire(&pod("a"), net("10.244.1.0/24"), &[]).unwrap();
        let b = leases.acquire(&pod("b"), net("10.244.1.0/24"), &[]).unwrap();
        assert_eq!(a.address, Ipv4Addr::new(10, 244, 1, 1));
        assert_eq!(b.address, Ipv4Addr::new(10, 244, 1, 2));
        assert_eq!(leases.acquire(&pod("a"), net("10.244.1.0/24"), &[]).unwrap(), a);

        let mut leases = Leases::open(dir.path()).unwrap();
        assert_eq!(leases.get("a"), Some(&a));
        assert_eq!(leases.release("a").unwrap(), Some(a));
        assert_eq!(leases.release("a").unwrap(), None);
        assert_eq!(Leases::open(dir.path()).unwrap().all().cloned().collect::<Vec<_>>(), [b]);
    }

    #[test]
    fn an_address_rests_before_it_is_given_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut leases = Leases::open(dir.path()).unwrap();
        let network = net("10.244.1.0/29"); // .1 to .6
        let address = |leases: &mut Leases, uid: &str| {
            leases.acquire(&pod(uid), network, &[]).unwrap().address.octets()[3]
        };
        assert_eq!(address(&mut leases, "a"), 1);
        leases.release("a").unwrap();
        assert_eq!(
            (2..=6).map(|i| address(&mut leases, &format!("p{i}"))).collect::<Vec<_>>(),
            [2, 3, 4, 5, 6]
        );
        assert_eq!(address(&mut leases, "b"), 1);
        let error = leases.acquire(&pod("c"), network, &[]).unwrap_err();
        assert!(matches!(error, NetworkError::NoFreeAddress(_)), "{error}");
    }

    #[test]
    fn a_damaged_file_is_dropped_and_a_bad_uid_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Leases::open(dir.path()).unwrap());
        fs::write(dir.path().join("leases/x.json"), b"{").unwrap();
        fs::write(dir.path().join("leases/y.new"), b"").unwrap();
        let mut leases = Leases::open(dir.path()).unwrap();
        assert_eq!(leases.all().count(), 0);
        assert_eq!(fs::read_dir(dir.path().join("leases")).unwrap().count(), 0);
        let error = leases.acquire(&pod("../x"), net("10.244.1.0/24"), &[]).unwrap_err();
        assert!(matches!(error, NetworkError::InvalidUid(_)), "{error}");
    }

    #[test]
    fn a_host_port_belongs_to_one_pod() {
        let dir = tempfile::tempdir().unwrap();
        let mut leases = Leases::open(dir.path()).unwrap();
        let network = net("10.244.1.0/24");
        leases.acquire(&pod("a"), network, &[port(Some("127.0.0.1"), 8080, Protocol::Tcp)]).unwrap();
        leases.acquire(&pod("b"), network, &[port(Some("10.0.0.1"), 8080, Protocol::Tcp)]).unwrap();
        leases.acquire(&pod("c"), network, &[port(Some("127.0.0.1"), 8080, Protocol::Udp)]).unwrap();
        let error = leases.acquire(&pod("d"), network, &[port(None, 8080, Protocol::Tcp)]).unwrap_err();
        assert!(matches!(error, NetworkError::HostPortTaken { port: 8080, .. }), "{error}");
        assert!(leases.get("d").is_none());
    }
}
