//! The replicated object store: every API server replica is a member of it.
//!
//! # What it owns
//! Objects (opaque bytes with indexed labels and fields) at keys, their history, and the consensus
//! about them: the log, the snapshots, the membership, the connections between members. It knows
//! nothing of Kubernetes and imports none of our other crates.
//!
//! # The contract
//! - **Revision**: one counter for the whole store, +1 for each committed [`Txn`] (and for each
//!   object that expires). Replicas apply the same writes in the same order: the same revision is
//!   the same state on every replica. At apply the revision is spliced into the object's bytes,
//!   which are never touched again: what is read and watched is ready to be sent.
//! - **Write** ([`Store::propose`]): guards and operations, all or nothing. `Ok` means: on the disks
//!   of a quorum, and applied on this replica (so that it reads its own writes, even with
//!   [`Consistency::Local`]). [`WriteError::Rejected`] means surely not applied, now or later;
//!   [`WriteError::Unknown`] means perhaps. A write is applied at most once, however often it was
//!   sent on its way: a ticket (member, start, number) goes with it through the log. So it is
//!   retried inside, over changes of the leader, until it is settled or its time is over.
//! - **Read** ([`Store::view`]): `Linearizable` has every write acknowledged before the call by
//!   anybody (ReadIndex; one round for all that wait); `Local` answers at once and never goes
//!   backwards while the process lives. A [`View`] is immutable and holds up nobody.
//! - **History** ([`Store::view_at`]): every revision of the last minutes, also after a restart, a
//!   change of the leader or the install of a snapshot: snapshots carry the history with them.
//! - **Watch** ([`Store::watch`]): every event after a revision, once, in the order of revisions,
//!   none skipped, from any replica. Events of one transaction have one revision and are handed
//!   out together; who resumes must have seen them all. [`WatchItem::Progress`] says up to where
//!   everything was delivered: at once after catching up and then at least once a second when
//!   nothing else comes. A watcher that does not keep up ends with [`WatchEnd::Lagged`] and can
//!   resume from the last revision it saw. Nothing a watcher does slows the writer.
//! - **Time** arrives in log entries. An object with a TTL is deleted by a proposal of the leader,
//!   as an ordinary delete event, soon after its time (not at it), as long as there is a quorum.
//! - **Membership** ([`Store::add_member`], [`Store::promote_member`], [`Store::remove_member`]): the
//!   leader does it in steps, each safe by itself; asking again resumes. What could stop the cluster
//!   is refused: those who are to be the quorum must answer first. A new member at the address of a
//!   dead one takes its seat, in one change. A removed member that still runs is told so by the others:
//!   it says what to do about it, and neither reads nor writes any more.
//! - **Peers** speak one version of the wire protocol, which stands in the first frame between two of
//!   them: a member of another version is refused, and both log the two numbers.
//! - **Leadership**: a leader that a quorum can not ask and hear, in both directions, is replaced after
//!   the least election time and leads nobody after the longest. Where answers come late, or a silent
//!   leader was just replaced, it gets more time, up to ten heartbeats; time in which a member was not
//!   scheduled itself does not count. Reads never rest on a lease.
//! - **Snapshots** ([`Store::snapshot`], [`offline`]): everything at one revision, as a stream that
//!   blocks nobody. A cluster founded from one goes on at a revision that nobody has seen.
//! - **Limits** ([`Limits`]): each is refused by name. At the size limit writes that grow the store
//!   are refused, deletes work, and objects with a TTL are removed early.
//! - **Room**: shortly before the leader's disk is full, or those of so many that no quorum has room, what
//!   grows is refused by name, whoever is asked, and the log is cut; when a disk is full all the same, a
//!   ballast is given up, so that deletes and restarts still work.
//! - **Faults**: a member whose disk fails, or whose acknowledged data is damaged, stops taking part
//!   and says why ([`Store::stopped`], [`OpenError`]); it never guesses. A torn tail of the log that
//!   was never acknowledged is cut at start.
//!
//! Not promised: order between proposals that wait at the same time; a `Local` view as new after a
//! power cut as before it.
//!
//! # How a write goes
//! ```text
//! propose -> proposals.rs: a ticket -> (peers: to the leader) -> batcher.rs: one entry for all that
//! wait -> openraft -> wal/: one write, one fsync; the same bytes to the peers -> quorum
//! -> machine/: apply on every member, publish the new state -> the caller -> watch/: the watchers
//! ```
//!
//! # The files, in reading order
//! | file | what |
//! |---|---|
//! | `object.rs`, `error.rs`, `config.rs` | the words: objects, transactions, errors, limits |
//! | `view.rs`, `watch/` | reading and watching |
//! | `store.rs`, `open.rs`, `tasks.rs` | the door, putting it together, what runs behind it |
//! | `machine/`, `snapshot.rs`, `export.rs` | the state, its form on disk, and as a stream |
//! | `wal/`, `disk.rs`, `room.rs` | the log, the disk behind a trait, and what happens when it is full |
//! | `proposals.rs`, `batcher.rs`, `reads.rs` | writes and linearizable reads under way |
//! | `peer/` | how members talk |
//! | `pulse.rs`, `failover.rs`, `members.rs`, `leadership.rs` | who leads, who belongs |
//! | `work.rs`, `sabotage.rs`, `inspect.rs` | threads or the simulator's time; deliberate faults and a look inside for it |
//! | `offline.rs` | snapshots checked and restored, lost quorums recovered, on files that nobody uses |
//! | `raft.rs`, `codec.rs`, `metrics.rs` | openraft's types and log entries, bytes, numbers |

mod batcher;
mod codec;
mod config;
mod disk;
mod error;
mod export;
mod failover;
#[cfg(feature = "sabotage")]
mod inspect;
mod leadership;
mod machine;
mod members;
mod metrics;
mod object;
pub mod offline;
mod open;
mod peer;
mod proposals;
mod pulse;
mod raft;
mod reads;
mod room;
#[cfg_attr(not(feature = "sabotage"), allow(dead_code))]
mod sabotage;
mod snapshot;
mod store;
mod tasks;
mod view;
mod wal;
mod watch;
mod work;

pub use batcher::Clock;
pub use config::{DEFAULT_HISTORY, Limits, StoreConfig, Timings};
pub use disk::{Disk, DiskFile, DiskSpace, HostDisk};
pub use error::{Compacted, Doubt, MembershipError, OpenError, ReadError, Rejection, WriteError};
pub use export::SnapshotStream;
#[cfg(feature = "sabotage")]
pub use inspect::LogRecord;
pub use leadership::Leadership;
pub use members::Member;
pub use object::{Applied, Guard, MemberId, Object, Op, Pairs, Put, Revision, SpliceRange, Txn};
pub use open::Environment;
pub use peer::{Incoming, Listener, Network, Socket};
#[cfg(feature = "sabotage")]
pub use sabotage::{SABOTAGES, Sabotage, choose as choose_sabotage};
pub use store::{Status, Store};
pub use view::{Consistency, View};
pub use watch::{Event, EventKind, WatchEnd, WatchItem, WatchRequest, WatchStream};
pub use work::{Pace, Work};
