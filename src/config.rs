//! What `trireme server` and `trireme agent` share: the configuration file, defaults of the machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

use anyhow::{Context, Result, bail};
use ipnet::Ipv4Net;
use serde::de::DeserializeOwned;

/// Reads a YAML configuration file; none is an empty one. An unknown field is refused by name.
pub fn read<T: DeserializeOwned + Default>(path: Option<&Path>) -> Result<T> {
    let Some(path) = path else { return Ok(T::default()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is not a usable configuration", path.display()))
}

/// The token given, or the one in the file given.
pub fn token(given: Option<String>, file: Option<&Path>) -> Result<Option<String>> {
    match (given, file) {
        (Some(_), Some(_)) => bail!("give the token or its file, not both"),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            Ok(Some(text.trim().to_owned()))
        }
        (given, None) => Ok(given),
    }
}

/// The machine's name, in the lower case that node names have.
pub fn host_name() -> Result<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    if name.is_empty() || name == "(none)" {
        bail!("this machine has no name: give --name");
    }
    Ok(name)
}

/// The address that the machine's default route goes out from. No packet is sent.
pub fn own_address() -> Result<IpAddr> {
    let found = UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()));
    match found {
        Ok(address) if !address.ip().is_unspecified() => Ok(address.ip()),
        _ => bail!("this machine has no default route to tell its address by: give it by its option"),
    }
}

/// The cluster DNS address: the tenth of the Services' range.
pub fn dns_address(service_cidr: Ipv4Net) -> Result<Ipv4Addr> {
    if service_cidr.prefix_len() > 24 {
        bail!("the service range {service_cidr} is too small: at most /24");
    }
    Ok(Ipv4Addr::from(u32::from(service_cidr.network()) + 10))
}

/// The name servers of a resolv.conf(5), port 53; a missing file names none.
pub fn resolvers(path: &Path) -> Result<Vec<SocketAddr>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let addresses = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    Ok(addresses
        .filter_map(|rest| rest.trim().parse().ok())
        .map(|ip: IpAddr| SocketAddr::new(ip, 53))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        name: Option<String>,
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, "name: a\n").unwrap();
        assert_eq!(read::<Sample>(Some(&path)).unwrap(), Sample { name: Some("a".into()) });
        std::fs::write(&path, "nmae: a\n").unwrap();
        let refused = format!("{:#}", read::<Sample>(Some(&path)).unwrap_err());
        assert!(refused.contains("nmae") && refused.contains("c.yaml"), "{refused}");
    }

    #[test]
    fn name_servers_are_read_and_the_rest_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        assert!(resolvers(&path).unwrap().is_empty());
        std::fs::write(&path, "# x\nsearch a\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\n").unwrap();
        assert_eq!(resolvers(&path).unwrap(), [SocketAddr::from(([10, 0, 0, 2], 53))]);
    }

    #[test]
    fn the_dns_address_is_the_tenth() {
        let cases =
            [("10.96.0.0/16", Some("10.96.0.10")), ("10.0.5.0/24", Some("10.0.5.10")), ("10.0.0.0/30", None)];
        for (range, expected) in cases {
            let found = dns_address(range.parse().unwrap()).ok().map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected);
        }
    }
}
