//! Whom a process runs as, and with which limits and capabilities.

use std::io::Read;

use rustix::fs::{Mode, OFlags};

use super::capability;
use super::spawn::Channel;
use super::{Failure, Step};
use crate::spec::{Rlimit, UserSpec};

/// Largest /etc/passwd or /etc/group read.
const MAX_DATABASE_BYTES: u64 = 1 << 20;
/// Most supplementary groups (the kernel's own limit).
const MAX_GROUPS: usize = 65_536;

/// A resolved user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups, the primary one included.
    pub groups: Vec<u32>,
    /// Home directory; `/` when unknown.
    pub home: String,
}

/// Looks the user up in the files of the root this process is in.
pub fn resolve(image_user: &str, spec: &UserSpec) -> Result<Identity, Failure> {
    resolve_in(image_user, spec, &read_database("/etc/passwd"), &read_database("/etc/group"))
}

/// Absent or odd files are as good as empty ones; a pipe or a device is not read.
fn read_database(path: &str) -> String {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(fd) = rustix::fs::open(path, flags, Mode::empty()) else { return String::new() };
    let file = std::fs::File::from(fd);
    if !file.metadata().is_ok_and(|m| m.is_file()) {
        return String::new();
    }
    let mut bytes = Vec::new();
    match file.take(MAX_DATABASE_BYTES).read_to_end(&mut bytes) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    }
}

struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn passwd_entries(text: &str) -> impl Iterator<Item = Passwd<'_>> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        Some(Passwd { name: fields[0], uid, gid, home: fields.get(5).copied().unwrap_or("") })
    })
}

fn group_entries(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        Some((fields[0], fields.get(2)?.parse().ok()?, fields.get(3).copied().unwrap_or("")))
    })
}

fn resolve_in(image_user: &str, spec: &UserSpec, passwd: &str, group: &str) -> Result<Identity, Failure> {
    let (user, image_group) = match image_user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (image_user, None),
    };
    let wanted = match (spec.uid, user) {
        (Some(uid), _) => Some(uid),
        (None, "") => Some(0),
        (None, name) => name.parse().ok(),
    };
    let entry = match wanted {
        Some(uid) => passwd_entries(passwd).find(|e| e.uid == uid),
        None => passwd_entries(passwd).find(|e| e.name == user),
    };
    let uid = wanted.or(entry.as_ref().map(|e| e.uid)).ok_or_else(|| {
        Failure::new(format!("unable to find user {user}: no matching entries in passwd file"))
    })?;
    let image_group = image_group.filter(|g| spec.uid.is_none() && !g.is_empty());
    let gid = match (spec.gid, image_group) {
        (Some(gid), _) => gid,
        (None, Some(name)) => named_group(name, group)?,
        (None, None) => entry.as_ref().map_or(0, |e| e.gid),
    };
    let mut groups = vec![gid];
    if let Some(entry) = entry.as_ref().filter(|_| !spec.strict_groups) {
        let member = |members: &str| members.split(',').any(|m| m.trim() == entry.name);
        groups.extend(group_entries(group).filter(|(_, _, members)| member(members)).map(|(_, gid, _)| gid));
    }
    groups.extend(&spec.supplemental_groups);
    groups.sort_unstable();
    groups.dedup();
    groups.truncate(MAX_GROUPS);
    let home = entry.map(|e| e.home).filter(|h| !h.is_empty()).unwrap_or("/").to_owned();
    Ok(Identity { uid, gid, groups, home })
}

fn named_group(name: &str, group: &str) -> Result<u32, Failure> {
    let by_number = name.parse().ok();
    by_number.or_else(|| group_entries(group).find(|(n, _, _)| *n == name).map(|(_, gid, _)| gid)).ok_or_else(
        || Failure::new(format!("unable to find group {name}: no matching entries in group file")),
    )
}

/// Gives up everything but what the container may have. Nothing of it can be had back.
pub fn assume(identity: &Identity, capabilities: u64) -> Result<(), Failure> {
    capability::bound(capabilities).step("limit capabilities")?;
    // SAFETY: plain calls with values that live through them; this process has one thread.
    unsafe {
        crate::sys::check(libc::setgroups(identity.groups.len(), identity.groups.as_ptr()))
            .step("setgroups")?;
        crate::sys::check(libc::setresgid(identity.gid, identity.gid, identity.gid)).step("setgid")?;
        crate::sys::check(libc::setresuid(identity.uid, identity.uid, identity.uid)).step("setuid")?;
    }
    // Root keeps the set; for others the kernel has just cleared it, and no ambient ones are given.
    let kept = if identity.uid == 0 { capabilities } else { 0 };
    capability::set(kept).step("set capabilities")
}

/// Process limits. Raising a hard limit needs CAP_SYS_RESOURCE, which may be missing.
pub fn limit_resources(limits: &[Rlimit], channel: &Channel) -> Result<(), Failure> {
    for limit in limits {
        let kind = rlimit_kind(&limit.name)
            .ok_or_else(|| Failure::new(format!("unknown process limit {:?}", limit.name)))?;
        let value = libc::rlimit { rlim_cur: limit.soft.min(limit.hard), rlim_max: limit.hard };
        // SAFETY: the structure lives through the call.
        match crate::sys::check(unsafe { libc::setrlimit(kind, &value) }) {
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
                channel.warn(format!("process limit {}: {e}", limit.name));
            }
            other => drop(other.step(format_args!("process limit {}", limit.name))?),
        }
    }
    Ok(())
}

fn rlimit_kind(name: &str) -> Option<libc::__rlimit_resource_t> {
    Some(match name.trim_start_matches("RLIMIT_") {
        "AS" => libc::RLIMIT_AS,
        "CORE" => libc::RLIMIT_CORE,
        "CPU" => libc::RLIMIT_CPU,
        "DATA" => libc::RLIMIT_DATA,
        "FSIZE" => libc::RLIMIT_FSIZE,
        "LOCKS" => libc::RLIMIT_LOCKS,
        "MEMLOCK" => libc::RLIMIT_MEMLOCK,
        "MSGQUEUE" => libc::RLIMIT_MSGQUEUE,
        "NICE" => libc::RLIMIT_NICE,
        "NOFILE" => libc::RLIMIT_NOFILE,
        "NPROC" => libc::RLIMIT_NPROC,
        "RSS" => libc::RLIMIT_RSS,
        "RTPRIO" => libc::RLIMIT_RTPRIO,
        "RTTIME" => libc::RLIMIT_RTTIME,
        "SIGPENDING" => libc::RLIMIT_SIGPENDING,
        "STACK" => libc::RLIMIT_STACK,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:w:/srv:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:\nwebs:x:34:\nlogs:x:40:other,web\n";

    fn find(image: &str, spec: UserSpec) -> Result<(u32, u32, Vec<u32>, String), String> {
        let found = resolve_in(image, &spec, PASSWD, GROUP).map_err(|e| e.message)?;
        Ok((found.uid, found.gid, found.groups, found.home))
    }

    #[test]
    fn users_are_found_as_the_image_and_the_specification_say() {
        let plain = UserSpec::default();
        assert_eq!(find("", plain.clone()), Ok((0, 0, vec![0], "/root".into())));
        assert_eq!(find("web", plain.clone()), Ok((33, 34, vec![34, 40], "/srv".into())));
        assert_eq!(find("web:logs", plain.clone()), Ok((33, 40, vec![40], "/srv".into())));
        assert_eq!(find("1000:7", plain.clone()), Ok((1000, 7, vec![7], "/".into())));
        let spec = UserSpec { uid: Some(33), supplemental_groups: vec![9], ..plain.clone() };
        assert_eq!(find("root:root", spec), Ok((33, 34, vec![9, 34, 40], "/srv".into())));
        let strict = UserSpec { strict_groups: true, gid: Some(5), ..plain.clone() };
        assert_eq!(find("web", strict), Ok((33, 5, vec![5], "/srv".into())));
        let missing = find("nobody", plain);
        assert_eq!(missing, Err("unable to find user nobody: no matching entries in passwd file".into()));
    }
}
