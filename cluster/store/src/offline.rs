//! What is done with files while no member runs on them: checking a snapshot, founding a cluster
//! from one, and from what a lost quorum left behind.
//!
//! A cluster that is founded here has one member, with a number and a folder of its own: members
//! of the cluster it came from neither reach it nor are let in. So what they do later can not harm it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openraft::vote::RaftLeaderId;

use crate::config::{DEFAULT_HISTORY, Limits};
use crate::disk::{Disk, DiskFile, HostDisk, Layout};
use crate::error::OpenError;
use crate::machine::{HistoryLimits, SnapshotFiles, State};
use crate::metrics::Metrics;
use crate::object::{MemberId, Revision};
use crate::open::{self, MemberFile};
use crate::raft::{LeaderId, LogId, Membership, Peer, StoredMembership, Vote};
use crate::room::Room;
use crate::snapshot;
use crate::wal::{self, Stored, WalConfig};
use crate::work::Work;

/// Least number of revisions that a restored cluster jumps over.
pub const RAISE_LEAST: Revision = 1_000_000_000;
/// Revisions that it jumps over for each millisecond of the snapshot's age: no cluster writes
/// more, so nobody has seen a revision that the restored one will give again.
pub const RAISE_PER_MS: Revision = 100;

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSummary {
    /// The newest revision.
    pub revision: Revision,
    /// The oldest revision of its history.
    pub oldest: Revision,
    /// Number of objects.
    pub objects: u64,
    /// Bytes of all objects.
    pub bytes: u64,
    /// The cluster's clock when it was made, milliseconds since the Unix epoch; 0 before any write.
    pub made_ms: u64,
    /// Those who voted.
    pub voters: Vec<MemberId>,
}

/// Reads a snapshot, checking every byte; blocking.
///
/// # Errors
/// It can not be read, is damaged or not whole.
pub fn verify(file: &Path) -> Result<SnapshotSummary, OpenError> {
    load(file).map(|state| summary(&state))
}

fn load(file: &Path) -> Result<State, OpenError> {
    let open = std::fs::File::open(file).map_err(open::io_error("open", file))?;
    let mut reader = io::BufReader::with_capacity(1 << 20, open);
    let damaged = |problem: String| OpenError::Unusable { path: file.to_owned(), problem };
    let state = snapshot::read(&mut reader).map_err(|error| damaged(error.to_string()))?;
    match io::copy(&mut reader, &mut io::sink()) {
        Ok(0) => Ok(state),
        Ok(more) => Err(damaged(format!("{more} bytes follow its end"))),
        Err(error) => Err(open::io_error("read", file)(error)),
    }
}

fn summary(state: &State) -> SnapshotSummary {
    let root = &state.root;
    SnapshotSummary {
        revision: root.revision,
        oldest: root.floor,
        objects: root.objects.len() as u64,
        bytes: root.bytes,
        made_ms: root.clock_ms,
        voters: root.membership.voter_ids().collect(),
    }
}

/// The revision from which a restored cluster goes on.
#[must_use]
pub fn raised(revision: Revision, made_ms: u64, now_ms: u64) -> Revision {
    let age_ms = if made_ms == 0 { 0 } else { now_ms.saturating_sub(made_ms) };
    revision.saturating_add(RAISE_LEAST).saturating_add(age_ms.saturating_mul(RAISE_PER_MS))
}

/// Founds a cluster of one member, `id`, with the objects of a snapshot, in a store folder that must
/// not exist. Its revision is [`raised`] and its history is cut: a client that saw a later state of
/// the old cluster is told that its revision is gone, and lists again. Blocking.
///
/// # Errors
/// The snapshot is not usable, the folder exists or can not be written.
pub fn restore(file: &Path, into: &Path, id: MemberId, now_ms: u64) -> Result<SnapshotSummary, OpenError> {
    let mut state = load(file)?;
    let revision = raised(state.root.revision, state.root.clock_ms, now_ms);
    state.cut_history(revision);
    found(into, id, state, None)
}

/// Writes the folder of a cluster's only member, aside first.
fn found(
    into: &Path,
    id: MemberId,
    mut state: State,
    vote: Option<Vote>,
) -> Result<SnapshotSummary, OpenError> {
    if std::fs::symlink_metadata(into).is_ok() {
        let problem = "it exists already; a cluster is founded in a new folder only".to_owned();
        return Err(OpenError::Unusable { path: into.to_owned(), problem });
    }
    let aside = into.with_extension("founding");
    match std::fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(open::io_error("remove", &aside)(error));
        }
        _ => {}
    }
    let disk: Arc<dyn Disk> = Arc::new(HostDisk);
    let layout = Layout { root: aside.clone() };
    disk.create_dir(&aside).map_err(open::io_error("create", &aside))?;
    let member = MemberFile::new(id).write(disk.as_ref(), &layout)?;
    // A later term than anybody has seen, so that it is never mistaken for a part of the old log.
    let last = state.root.applied;
    let seen = last.map(|id| id.leader_id.term).max(vote.map(|vote| vote.leader_id.term));
    let leader = LeaderId::new(seen.unwrap_or(0) + 1, id);
    let log_id = LogId::new(leader, last.map_or(1, |id| id.index + 1));
    // The address is corrected by the member itself, as soon as it leads.
    let node = Peer { addr: String::new(), folder: member.folder };
    let membership = Membership::new(vec![BTreeSet::from([id])], BTreeMap::from([(id, node)]));
    let membership = membership.map_err(|error| OpenError::Raft { problem: error.to_string() })?;
    state.root.applied = Some(log_id);
    state.root.membership = StoredMembership::new(Some(log_id), membership);
    state.sessions.clear();
    let config = wal_config(disk.clone(), &layout, id)?;
    let (files, _) = SnapshotFiles::open(disk.clone(), layout.snapshots(), config.room.clone())?;
    files.save(&state).map_err(open::io_error("write a snapshot in", &layout.snapshots()))?;
    wal::found(config, Vote::new(leader.term, id), log_id)?;
    disk.sync_dir(&aside).map_err(open::io_error("sync", &aside))?;
    disk.rename(&aside, into).map_err(open::io_error("put in place", into))?;
    let parent = into.parent().unwrap_or(into);
    disk.sync_dir(parent).map_err(open::io_error("sync", parent))?;
    Ok(summary(&state))
}

fn wal_config(disk: Arc<dyn Disk>, layout: &Layout, member: MemberId) -> Result<WalConfig, OpenError> {
    let registry = prometheus::Registry::new();
    let metrics = Metrics::new(&registry).map_err(|e| OpenError::Config { problem: e.to_string() })?;
    let limits = Limits::default();
    // What is founded here gets its ballast when its member starts.
    let room = Room::open(disk.clone(), layout.root.clone(), 0, metrics.clone());
    Ok(WalConfig {
        disk,
        room,
        dir: layout.wal(),
        member,
        segment_bytes: limits.segment_bytes,
        cache_bytes: 0,
        long_bytes: u64::MAX,
        metrics,
        work: Work::Threads,
    })
}

/// What one member's store folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The folder.
    pub path: PathBuf,
    /// Whose it is.
    pub id: MemberId,
    /// Term of the last log entry; 0 when there is none.
    pub term: u64,
    /// Index of the last log entry.
    pub last: u64,
    /// Index up to which it knew that everything was committed.
    pub committed: u64,
    /// Those who voted, as it knew last: one set, or two while a change was under way. Every write
    /// needs a majority of each.
    pub voters: Vec<BTreeSet<MemberId>>,
}

/// A folder that is looked at, and can not be used by a member meanwhile.
pub struct Looked {
    /// What it holds.
    pub replica: Replica,
    state: State,
    stored: Stored,
    _lock: Box<dyn Send + Sync>,
}

/// Reads a member's store folder without changing it; blocking.
///
/// # Errors
/// It is in use, damaged, or no store folder.
pub fn look(folder: &Path) -> Result<Looked, OpenError> {
    let layout = Layout { root: folder.to_owned() };
    let path = layout.member();
    if !path.exists() {
        let problem = "it is not the folder of a member".to_owned();
        return Err(OpenError::Unusable { path: folder.to_owned(), problem });
    }
    let lock = HostDisk.lock(&layout.lock()).map_err(open::io_error("lock", folder))?;
    let lock = lock.ok_or(OpenError::Locked { path: layout.lock() })?;
    let disk: Arc<dyn Disk> = Arc::new(Untouched);
    let member = MemberFile::read(disk.as_ref(), &layout)?.ok_or_else(|| OpenError::Damaged {
        path: path.clone(),
        offset: 0,
        problem: "it is empty".to_owned(),
    })?;
    let config = wal_config(disk.clone(), &layout, member.id)?;
    let (_, state) = SnapshotFiles::open(disk, layout.snapshots(), config.room.clone())?;
    let stored = wal::look(config, state.root.applied)?;
    let last = stored.last.max(state.root.applied);
    let replica = Replica {
        path: folder.to_owned(),
        id: member.id,
        term: last.map_or(0, |id| id.leader_id.term),
        last: last.map_or(0, |id| id.index),
        committed: stored.committed.max(state.root.applied).map_or(0, |id| id.index),
        voters: stored.membership.as_ref().map_or_else(
            || state.root.membership.membership().get_joint_config().clone(),
            |membership| membership.get_joint_config().clone(),
        ),
    };
    Ok(Looked { replica, state, stored, _lock: lock })
}

/// From which folder a cluster without a quorum is founded again, and what that may lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Index of the folder with the newest log.
    pub newest: usize,
    /// Voters whose folder was not given.
    pub missing: BTreeSet<MemberId>,
    /// Whether those could have acknowledged writes that no given folder has.
    pub may_lose: bool,
}

/// Decides the recovery; `None` when no folder was given or none of them ever had a member.
///
/// The newest log is the one that would win an election: it has every write of which any of the
/// given folders could have been part of the quorum. Only a quorum among the missing could have
/// acknowledged more (Raft paper, section 5.4).
#[must_use]
pub fn plan(replicas: &[Replica]) -> Option<Recovery> {
    let newest = (0..replicas.len()).max_by_key(|i| (replicas[*i].term, replicas[*i].last))?;
    let voters = &replicas[newest].voters;
    let given: BTreeSet<MemberId> = replicas.iter().map(|replica| replica.id).collect();
    let missing: BTreeSet<MemberId> =
        voters.iter().flatten().copied().filter(|id| !given.contains(id)).collect();
    let without_us = |voters: &BTreeSet<MemberId>| voters.intersection(&missing).count() > voters.len() / 2;
    let may_lose = voters.iter().all(without_us);
    (!voters.is_empty()).then_some(Recovery { newest, missing, may_lose })
}

/// Makes the folder that was looked at the one of a cluster with the only member `id`. What it held
/// stays beside it; returned is where. When writes may be lost, the revision is [`raised`]
/// and the history cut, as by [`restore`]. Blocking.
///
/// # Errors
/// The log can not be read or the new folder not be written; then nothing has changed.
pub fn recover(
    looked: Looked,
    id: MemberId,
    may_lose: bool,
    now_ms: u64,
) -> Result<(PathBuf, SnapshotSummary), OpenError> {
    let Looked { replica, mut state, stored, _lock } = looked;
    let folder = &replica.path;
    let failed = open::io_error("read the log of", folder);
    stored.replay(state.root.applied, |entry| state.apply_entry(&entry, 0, |_, _| {})).map_err(failed)?;
    let limits = Limits::default();
    state.trim(&HistoryLimits {
        window: DEFAULT_HISTORY.max(Duration::from_secs(1)),
        changes: limits.history_events,
        bytes: limits.history_bytes,
    });
    if may_lose {
        state.cut_history(raised(state.root.revision, state.root.clock_ms, now_ms));
    }
    let next = folder.with_extension("recovered");
    match std::fs::remove_dir_all(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(open::io_error("remove", &next)(error));
        }
        _ => {}
    }
    let summary = found(&next, id, state, stored.vote)?;
    let kept = folder.with_extension(format!("before-{id}"));
    HostDisk.rename(folder, &kept).map_err(open::io_error("set aside", folder))?;
    HostDisk.rename(&next, folder).map_err(open::io_error("put in place", folder))?;
    let parent = folder.parent().unwrap_or(folder);
    HostDisk.sync_dir(parent).map_err(open::io_error("sync", parent))?;
    Ok((kept, summary))
}

/// The host's disk, read only: what would change it is passed over.
struct Untouched;

struct UntouchedFile(std::fs::File);

impl Disk for Untouched {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        HostDisk.list(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(UntouchedFile(std::fs::File::open(path)?)))
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        Ok(Some(Box::new(())))
    }
}

impl DiskFile for UntouchedFile {
    fn len(&self) -> io::Result<u64> {
        DiskFile::len(&self.0)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.0.read_at(buffer, position)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Index of the newest, who is missing, whether writes may be lost.
    type Expected = Option<(usize, Vec<MemberId>, bool)>;

    fn replica(id: MemberId, term: u64, last: u64, voters: &[MemberId]) -> Replica {
        let voters: Vec<BTreeSet<MemberId>> =
            (!voters.is_empty()).then(|| voters.iter().copied().collect()).into_iter().collect();
        Replica { path: format!("{id}").into(), id, term, last, committed: 0, voters }
    }

    fn joint(id: MemberId, old: &[MemberId], new: &[MemberId]) -> Replica {
        let sets = [old, new].map(|set| set.iter().copied().collect());
        Replica { voters: sets.to_vec(), ..replica(id, 2, 9, &[]) }
    }

    #[test]
    fn the_newest_log_is_the_one_that_would_win_an_election() {
        let three = [1, 2, 3];
        let cases: Vec<(&str, Vec<Replica>, Expected)> = vec![
            ("nothing given", vec![], None),
            ("never had a member", vec![replica(1, 0, 0, &[])], None),
            (
                "one of three: two may have gone on",
                vec![replica(1, 2, 9, &three)],
                Some((0, vec![2, 3], true)),
            ),
            (
                "two of three: every quorum has one of them",
                vec![replica(1, 2, 9, &three), replica(3, 2, 11, &three)],
                Some((1, vec![2], false)),
            ),
            (
                "a later term wins over a longer log",
                vec![replica(1, 2, 900, &three), replica(2, 3, 7, &three)],
                Some((1, vec![3], false)),
            ),
            (
                "two of four: three are needed to acknowledge",
                vec![replica(1, 2, 9, &[1, 2, 3, 4]), replica(2, 2, 8, &[1, 2, 3, 4])],
                Some((0, vec![3, 4], false)),
            ),
            (
                "two of five",
                vec![replica(1, 2, 9, &[1, 2, 3, 4, 5]), replica(2, 2, 8, &[1, 2, 3, 4, 5])],
                Some((0, vec![3, 4, 5], true)),
            ),
            ("a learner alone", vec![replica(9, 2, 9, &[1])], Some((0, vec![1], true))),
            (
                "a change is under way, and those who are missing are a majority of both sets",
                vec![joint(3, &[1, 2, 3], &[1, 2, 4]), joint(4, &[1, 2, 3], &[1, 2, 4])],
                Some((1, vec![1, 2], true)),
            ),
            (
                "a change is under way, and those who are missing are a majority of one set only",
                vec![joint(1, &[1, 2, 3], &[1, 4, 5]), joint(2, &[1, 2, 3], &[1, 4, 5])],
                Some((1, vec![3, 4, 5], false)),
            ),
            ("the only member", vec![replica(1, 2, 9, &[1])], Some((0, vec![], false))),
        ];
        for (name, replicas, expected) in cases {
            let found = plan(&replicas)
                .map(|plan| (plan.newest, plan.missing.into_iter().collect::<Vec<_>>(), plan.may_lose));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn the_revision_is_raised_beyond_what_anybody_can_have_seen() {
        let hour_ms = 3_600_000;
        let cases = [
            (10, 0, 5_000, 10 + RAISE_LEAST),
            (10, 5_000, 5_000, 10 + RAISE_LEAST),
            (10, 9_000, 5_000, 10 + RAISE_LEAST),
            (10, 1, 1 + hour_ms, 10 + RAISE_LEAST + hour_ms * RAISE_PER_MS),
            (u64::MAX - 1, 1, 2, u64::MAX),
        ];
        for (revision, made_ms, now_ms, expected) in cases {
            assert_eq!(raised(revision, made_ms, now_ms), expected);
        }
    }
}
