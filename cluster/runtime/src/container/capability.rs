//! Capabilities: names, sets and giving them up.

use std::io;
use std::str::FromStr;

use caps::{CapSet, Capability, CapsHashSet};

/// What a container has unless told otherwise: the set the container runtimes agreed upon.
const DEFAULT: [Capability; 14] = [
    Capability::CAP_AUDIT_WRITE,
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_KILL,
    Capability::CAP_MKNOD,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
    Capability::CAP_SYS_CHROOT,
];

fn bit(capability: Capability) -> u64 {
    1 << capability.index()
}

/// All capabilities of this process, which is all it can give.
fn available() -> u64 {
    let held = caps::read(None, CapSet::Permitted).unwrap_or_default();
    held.into_iter().map(bit).fold(0, |all, one| all | one)
}

/// The bit set for a specification; `Err` names a capability that does not exist.
pub fn resolve(privileged: bool, add: &[String], drop: &[String]) -> Result<u64, String> {
    let named = |names: &[String]| -> Result<u64, String> {
        names.iter().try_fold(0, |all, name| Ok(all | parse(name)?))
    };
    if privileged {
        return Ok(available());
    }
    let default = DEFAULT.into_iter().map(bit).fold(0, |all, one| all | one);
    let is_all = |names: &[String]| names.iter().any(|n| n.eq_ignore_ascii_case("ALL"));
    let (added, dropped) = (named(add)?, named(drop)?);
    // As the container runtimes do it: `ALL` first, single names after it.
    let mut set = default;
    if is_all(add) {
        set = u64::MAX;
    }
    if is_all(drop) {
        set = 0;
    }
    let single = |names: &[String], bits: u64| if is_all(names) { singles(names) } else { bits };
    set |= single(add, added);
    set &= !single(drop, dropped);
    Ok(set & available())
}

fn singles(names: &[String]) -> u64 {
    let parsed = names.iter().filter(|n| !n.eq_ignore_ascii_case("ALL")).filter_map(|n| parse(n).ok());
    parsed.fold(0, |all, one| all | one)
}

fn parse(name: &str) -> Result<u64, String> {
    let upper = name.to_ascii_uppercase();
    if upper == "ALL" {
        return Ok(u64::MAX);
    }
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    Capability::from_str(&full).map(bit).map_err(|_| format!("unknown capability {name:?}"))
}

fn expand(bits: u64) -> CapsHashSet {
    caps::all().into_iter().filter(|c| bits & bit(*c) != 0).collect()
}

/// Takes everything else out of the bounding set, and the inheritable and ambient sets away.
pub fn bound(keep: u64) -> io::Result<()> {
    for capability in caps::all() {
        if keep & bit(capability) == 0 && caps::has_cap(None, CapSet::Bounding, capability).unwrap_or(false) {
            caps::drop(None, CapSet::Bounding, capability).map_err(io::Error::other)?;
        }
    }
    caps::clear(None, CapSet::Inheritable).map_err(io::Error::other)
}

/// Sets effective and permitted capabilities.
pub fn set(bits: u64) -> io::Result<()> {
    let permitted = caps::read(None, CapSet::Permitted).map_err(io::Error::other)?;
    let wanted: CapsHashSet = expand(bits).intersection(&permitted).copied().collect();
    caps::set(None, CapSet::Effective, &wanted).map_err(io::Error::other)?;
    caps::set(None, CapSet::Permitted, &wanted).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_of(add: &[&str], drop: &[&str]) -> u64 {
        let owned = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        resolve(false, &owned(add), &owned(drop)).expect("resolve")
    }

    #[test]
    fn adding_and_dropping() {
        let all = available();
        let default = set_of(&[], &[]);
        assert_eq!(set_of(&["NET_ADMIN"], &[]), (default | bit(Capability::CAP_NET_ADMIN)) & all);
        assert_eq!(set_of(&["cap_net_admin"], &["ALL"]), bit(Capability::CAP_NET_ADMIN) & all);
        assert_eq!(set_of(&["ALL"], &["MKNOD"]), all & !bit(Capability::CAP_MKNOD));
        assert_eq!(set_of(&[], &["ALL"]), 0);
        assert!(resolve(false, &["FLY".into()], &[]).is_err());
    }
}
