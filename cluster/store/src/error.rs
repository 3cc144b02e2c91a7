//! One error type per operation; each says what happened and what can be done.

use std::path::PathBuf;

use crate::object::{MemberId, Revision};

/// Why [`crate::Store::open`] failed, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses the data folder.
    #[error(
        "{path} is in use by another process (it holds the lock file): stop it, or give this server another data folder"
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is damaged in its acknowledged part.
    #[error(
        "{path} is damaged at byte {offset}: {problem}. This member must not vote with it. Empty its data folder and join it again: it gets its seat back; if no quorum is left, recover from the newest intact member"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// A file or folder is not what is needed.
    #[error("{path} can not be used: {problem}")]
    Unusable {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The folder belongs to another member.
    #[error(
        "{path} belongs to member {found}, but this server is member {expected}: give it its own data folder, or start it with its old id"
    )]
    ForeignFolder {
        /// The data folder.
        path: PathBuf,
        /// Whose it is.
        found: MemberId,
        /// Who we are.
        expected: MemberId,
    },
    /// Written by a version this one does not know.
    #[error(
        "{path} has format {found}, this version reads up to {supported}: start the version that wrote it, or a newer one"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest known here.
        supported: u32,
    },
    /// The peer port can not be bound.
    #[error("cannot listen for peers on {addr}: {source}")]
    Listen {
        /// The address.
        addr: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A setting makes no sense.
    #[error("configuration: {problem}")]
    Config {
        /// What is wrong.
        problem: String,
    },
    /// The consensus engine did not start.
    #[error("consensus did not start: {problem}")]
    Raft {
        /// What it said.
        problem: String,
    },
}

/// What happened to a write that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Surely not applied, now or later.
    #[error("rejected: {0}")]
    Rejected(#[from] Rejection),
    /// It may have been applied, or may yet be: read before trying again.
    #[error("outcome unknown: {0}")]
    Unknown(Doubt),
}

/// Why a write was surely not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum Rejection {
    /// A guard did not hold, or a delete found nothing.
    #[error("conflict on {key} (guard {guard:?}, current revision {current:?})")]
    Conflict {
        /// Index of the guard in the transaction; none when a delete found nothing.
        guard: Option<u32>,
        /// The key.
        key: String,
        /// Revision of what is there; none when nothing is.
        current: Option<Revision>,
    },
    /// The lease is no longer held in the writer's epoch.
    #[error("fenced: {key} is in epoch {current:?}")]
    Fenced {
        /// Index of the guard.
        guard: u32,
        /// The key of the lease.
        key: String,
        /// Its epoch now; none when it is gone.
        current: Option<String>,
    },
    /// No leader is known or can be reached, or too few members are.
    #[error("no quorum: {reason}")]
    NoQuorum {
        /// What is missing.
        reason: String,
    },
    /// This store has no membership yet.
    #[error("this store belongs to no cluster yet")]
    NotReady,
    /// The store is at its size limit and the write would grow it.
    #[error("storage is full: {used} of {limit} bytes; deletes still work")]
    StorageFull {
        /// Bytes in use.
        used: u64,
        /// The limit.
        limit: u64,
    },
    /// The disk of the leader, or those of so many that no quorum is left, are nearly full and the write
    /// would grow the store.
    #[error("the disk is nearly full: {free} of {total} bytes are free; deletes still work")]
    DiskFull {
        /// Bytes that are free.
        free: u64,
        /// Bytes of the disk.
        total: u64,
    },
    /// An object or the whole transaction is over a limit.
    #[error("{what} has {size}, the limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The transaction makes no sense.
    #[error("invalid transaction: {reason}")]
    Invalid {
        /// Why.
        reason: String,
    },
    /// Too many proposals wait already.
    #[error("overloaded: {waiting} proposals wait")]
    Overloaded {
        /// How many.
        waiting: u64,
    },
    /// The store is stopping.
    #[error("shutting down")]
    ShuttingDown,
}

/// Why the outcome of a write is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum Doubt {
    /// No answer in time.
    #[error("not committed within {waited_ms} ms")]
    Timeout {
        /// How long we waited.
        waited_ms: u64,
    },
    /// The leader lost its office, or the connection to it broke, while the write was under way.
    #[error("the leader changed")]
    LeaderLost,
    /// The store stopped while the write was under way.
    #[error("the store stopped")]
    Stopped,
    /// This member stopped for a fault of its own.
    #[error("this member failed: {problem}")]
    Fault {
        /// What failed.
        problem: String,
    },
}

/// Why a view could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Leadership could not be confirmed in time.
    #[error("no quorum: {reason}")]
    NoQuorum {
        /// What is missing.
        reason: String,
    },
    /// This store has no membership yet.
    #[error("this store belongs to no cluster yet")]
    NotReady,
    /// The store is stopping.
    #[error("shutting down")]
    ShuttingDown,
}

/// The revision asked for is outside the history that is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("revision {requested} is not kept: the history goes from {oldest} to {newest}")]
pub struct Compacted {
    /// What was asked for.
    pub requested: Revision,
    /// Oldest revision that can be asked for.
    pub oldest: Revision,
    /// Newest revision here.
    pub newest: Revision,
}

/// Why the membership was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum MembershipError {
    /// No leader, or it can not be reached.
    #[error("no quorum: {reason}")]
    NoQuorum {
        /// What is missing.
        reason: String,
    },
    /// The store belongs to no cluster yet.
    #[error("this store belongs to no cluster yet")]
    NotReady,
    /// The store already belongs to a cluster that this call did not make.
    #[error("this store already belongs to a cluster of members {members:?}")]
    AlreadyMember {
        /// Its members.
        members: Vec<MemberId>,
    },
    /// The change could lose the quorum.
    #[error("refused: {reason}")]
    Unsafe {
        /// Why.
        reason: String,
    },
    /// The new member did not catch up in time; ask again to resume.
    #[error("member {id} is not caught up yet ({behind:?} entries behind): ask again to resume")]
    CatchingUp {
        /// The member.
        id: MemberId,
        /// How far it is behind; none when it never answered.
        behind: Option<u64>,
    },
    /// Another change is under way.
    #[error("another membership change is under way: ask again")]
    Busy,
    /// The change may have happened: ask again, it is idempotent.
    #[error("outcome unknown: {reason}; ask again, the change is idempotent")]
    Unknown {
        /// Why.
        reason: String,
    },
    /// The store is stopping.
    #[error("shutting down")]
    ShuttingDown,
}
