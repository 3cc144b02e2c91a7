//! Whether this process may do what a cluster needs, said before anything is touched.

use anyhow::{Result, bail};
use rustix::thread::{CapabilitySet, capabilities};

/// Capability, its name, and what it is needed for.
const NEEDED: &[(CapabilitySet, &str, &str)] = &[
    (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN", "namespaces and mounts"),
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN", "links, routes and nftables"),
    (CapabilitySet::SYS_CHROOT, "CAP_SYS_CHROOT", "container file systems"),
];

/// Refuses to go on without root and the capabilities that namespaces need.
pub fn check() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("this needs root (it makes namespaces, mounts and cgroups): run it again with sudo");
    }
    let own = capabilities(None)?;
    for (capability, name, purpose) in NEEDED {
        if !own.effective.contains(*capability) {
            bail!(
                "root lacks {name}, which {purpose} need: run outside the container, or give it that capability"
            );
        }
    }
    Ok(())
}
