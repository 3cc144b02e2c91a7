//! What peers say to each other, beside openraft's own messages.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError, Raw};
use crate::disk::DiskSpace;
use crate::error::MembershipError;
use crate::members::Member;
use crate::object::MemberId;
use crate::raft::{Entry, EntryRef, LogId, SnapshotMeta, Types, Vote};

pub(crate) type AppendRequest = openraft::raft::AppendEntriesRequest<Types>;
pub(crate) type AppendResponse = openraft::raft::AppendEntriesResponse<Types>;
pub(crate) type StreamResult = openraft::raft::StreamAppendResult<Types>;
pub(crate) type VoteRequest = openraft::raft::VoteRequest<Types>;
pub(crate) type VoteResponse = openraft::raft::VoteResponse<Types>;
pub(crate) type TransferRequest = openraft::raft::TransferLeaderRequest<Types>;
pub(crate) type TransferResponse = openraft::raft::TransferLeaderResponse<Types>;

/// The first words of who connects.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub from: MemberId,
    pub to: MemberId,
    /// Where peers reach the one who speaks.
    pub advertise: String,
    /// The number of its data folder.
    pub folder: u64,
    /// The log index of the membership by which it believes to belong to the cluster.
    pub belongs: Option<u64>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// The number of the data folder of the one who answers.
    pub folder: u64,
}

/// [`AppendRequest`] without copies.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AppendRef<'a> {
    vote: Vote,
    prev: Option<LogId>,
    commit: Option<LogId>,
    #[serde(borrow)]
    entries: Vec<EntryRef<'a>>,
}

impl<'a> AppendRef<'a> {
    pub(crate) fn of(request: &'a AppendRequest) -> Self {
        AppendRef {
            vote: request.vote,
            prev: request.prev_log_id,
            commit: request.leader_commit,
            entries: request.entries.iter().map(EntryRef::of).collect(),
        }
    }

    /// About how many bytes the encoding takes.
    pub(crate) fn size(&self) -> usize {
        const AROUND: usize = 64;
        self.entries.iter().map(|entry| entry.payload.size() + AROUND).sum::<usize>() + AROUND
    }

    /// The request in the body of a frame, sharing its bytes.
    pub(crate) fn decode(body: &Bytes) -> Result<AppendRequest, CodecError> {
        let append: AppendRef<'_> = codec::decode(body)?;
        let entries: Vec<Entry> = append.entries.iter().map(|entry| entry.to_entry(body)).collect();
        Ok(AppendRequest {
            vote: append.vote,
            prev_log_id: append.prev,
            leader_commit: append.commit,
            entries,
        })
    }
}

/// Proposals for the leader; each an encoded [`crate::raft::Proposal`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Forward<'a>(#[serde(borrow)] pub Vec<Raw<'a>>);

/// What became of forwarded proposals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Handed {
    /// In the log and committed.
    Committed,
    /// Surely not in the log.
    Refused,
    /// Perhaps in the log.
    Lost,
}

/// Why no read index can be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ReadRefusal {
    NotLeader,
    NoQuorum(String),
}

/// A change of the membership, for the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MembersRequest {
    Add {
        id: MemberId,
        addr: String,
    },
    Remove {
        id: MemberId,
    },
    AddLearner {
        id: MemberId,
        addr: String,
    },
    Promote {
        id: MemberId,
    },
    /// Hands leadership over, to this member or to the one that fits best.
    Lead {
        id: Option<MemberId>,
    },
    /// Changes nothing.
    List,
}

/// The members afterwards, as the leader knows them; `None` when the one asked does not lead.
pub(crate) type MembersResponse = Option<Result<Vec<Member>, MembershipError>>;

/// "Is this leader gone, as you see it?"
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaderGone {
    pub leader: MemberId,
    pub term: u64,
}

/// The answer, and how much of the log the one asked has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaderGoneAnswer {
    pub gone: bool,
    pub last: Option<LogId>,
}

/// "Do you lead?", from a member that believes to belong since this log index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PulseQuestion {
    pub belongs: Option<u64>,
    /// What its disk has left, when that is little.
    pub little: Option<DiskSpace>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PulseAnswer {
    /// Yes, and a quorum asks. `little`: what is left on the disk for which nothing should grow.
    Leads { little: Option<DiskSpace> },
    /// Not so that anything could be committed.
    No,
    /// The one who asks was removed, by the membership of this log index or an earlier one.
    Removed { since: u64 },
}

/// A snapshot is about to be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SnapshotStart {
    pub vote: Vote,
    pub meta: SnapshotMeta,
    /// Bytes of the whole file. The answer is how many of them, from the start, need not be sent.
    pub len: u64,
}
