//! Deliberate faults, so that the simulator can prove that it would find them. Without the feature
//! `sabotage`, which the product never enables, none can be chosen and every question is `false`
//! at compile time.

/// One deliberate fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Sabotage {
    /// The log says that entries are on the disk before they are synced.
    AckBeforeSync = 1,
    /// A leader answers linearizable reads without asking a quorum.
    SkipReadIndex,
    /// A follower answers linearizable reads from what it has.
    FollowerReadsLocal,
    /// A vote is kept in memory only.
    VoteNotPersisted,
    /// A member that was restarted applies some transactions twice.
    AppliedTwiceAfterRestart,
    /// A transaction that was sent twice is applied twice.
    RepeatedTicketApplied,
    /// The first event after a change of the leader is not delivered.
    EventLostAtLeaderChange,
    /// A snapshot lacks the newest change.
    SnapshotWithoutTail,
    /// A snapshot lacks the deletions.
    SnapshotWithoutDeletes,
    /// Some transactions get the revision of the one before.
    RevisionReused,
    /// Guards on revisions are not checked.
    GuardIgnored,
    /// Guards on a lease's epoch are not checked.
    FenceIgnored,
    /// A transaction that is rejected is applied all the same.
    RejectedApplied,
    /// Only the first operation of a transaction is done.
    TransactionSplit,
    /// A leader counts the members that it can not reach when it changes the membership.
    MinorityMembership,
    /// The tail of the log that a crash cut stays in the file.
    TornTailKept,
    /// What was written but not synced before a restart is not synced at the start.
    StartNotSynced,
    /// A file of the log that is used again keeps its old bytes.
    SpareNotZeroed,
    /// The old name of such a file is not gone for good before its bytes are.
    SpareNameNotSynced,
    /// Checksums of the log are not compared.
    ChecksumIgnored,
    /// Checksums of snapshots are not compared.
    SnapshotUnchecked,
    /// Two events are delivered in the wrong order.
    WatchOutOfOrder,
    /// An event is delivered twice.
    WatchDuplicate,
    /// A progress notice stands between the events of one transaction.
    WatchTransactionSplit,
    /// A progress notice promises more than was delivered.
    BookmarkTooEarly,
    /// A watch that resumes misses the first event.
    ResumeSkipsOne,
    /// A watcher by a field does not see that an object has left its value.
    FieldWatchMissesLeavers,
}

/// Every fault with its name on the command line.
pub const SABOTAGES: &[(&str, Sabotage)] = &[
    ("ack-before-fsync", Sabotage::AckBeforeSync),
    ("skip-read-index", Sabotage::SkipReadIndex),
    ("follower-reads-local", Sabotage::FollowerReadsLocal),
    ("vote-not-persisted", Sabotage::VoteNotPersisted),
    ("applied-twice-after-restart", Sabotage::AppliedTwiceAfterRestart),
    ("repeated-ticket-applied", Sabotage::RepeatedTicketApplied),
    ("event-lost-at-leader-change", Sabotage::EventLostAtLeaderChange),
    ("snapshot-without-tail", Sabotage::SnapshotWithoutTail),
    ("snapshot-without-deletes", Sabotage::SnapshotWithoutDeletes),
    ("revision-reused", Sabotage::RevisionReused),
    ("guard-ignored", Sabotage::GuardIgnored),
    ("fence-ignored", Sabotage::FenceIgnored),
    ("rejected-applied", Sabotage::RejectedApplied),
    ("transaction-split", Sabotage::TransactionSplit),
    ("minority-membership", Sabotage::MinorityMembership),
    ("torn-tail-kept", Sabotage::TornTailKept),
    ("start-not-synced", Sabotage::StartNotSynced),
    ("spare-not-zeroed", Sabotage::SpareNotZeroed),
    ("spare-name-not-synced", Sabotage::SpareNameNotSynced),
    ("checksum-ignored", Sabotage::ChecksumIgnored),
    ("snapshot-unchecked", Sabotage::SnapshotUnchecked),
    ("watch-out-of-order", Sabotage::WatchOutOfOrder),
    ("watch-duplicate", Sabotage::WatchDuplicate),
    ("watch-transaction-split", Sabotage::WatchTransactionSplit),
    ("bookmark-too-early", Sabotage::BookmarkTooEarly),
    ("resume-skips-one", Sabotage::ResumeSkipsOne),
    ("field-watch-misses-leavers", Sabotage::FieldWatchMissesLeavers),
];

#[cfg(feature = "sabotage")]
static CHOSEN: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Chooses the fault of every store in this process.
#[cfg(feature = "sabotage")]
pub fn choose(fault: Option<Sabotage>) {
    CHOSEN.store(fault.map_or(0, |fault| fault as u8), std::sync::atomic::Ordering::Relaxed);
}

/// Whether this fault was chosen.
#[cfg(feature = "sabotage")]
pub(crate) fn is(fault: Sabotage) -> bool {
    CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == fault as u8
}

/// Whether this fault was chosen.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn is(_: Sabotage) -> bool {
    false
}
