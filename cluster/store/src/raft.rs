//! The types with which openraft is instantiated, and the entries of the log.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError, Raw};
use crate::object::{Guard, MemberId, Op, Txn};

openraft::declare_raft_types!(
    /// openraft, as this store uses it.
    pub(crate) Types:
        D = Command,
        R = (),
        NodeId = u64,
        Node = Peer,
);

pub(crate) type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>;
pub(crate) type Vote = openraft::impls::Vote<LeaderId>;
pub(crate) type LogId = openraft::LogId<LeaderId>;
pub(crate) type Membership = openraft::Membership<u64, Peer>;
pub(crate) type StoredMembership = openraft::StoredMembership<LeaderId, u64, Peer>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<LeaderId, u64, Peer>;
pub(crate) type Payload = openraft::EntryPayload<Command, u64, Peer>;
pub(crate) type Entry = openraft::impls::Entry<LeaderId, Payload>;
pub(crate) type Raft = openraft::Raft<Types, crate::machine::Machine>;

/// How peers reach a member, and by which data folder they know it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Peer {
    /// host:port.
    pub addr: String,
    /// The random number of the data folder with which it joined. A member that comes back with
    /// another folder has forgotten what it promised: it must not vote and is not let in.
    pub folder: u64,
}

/// The application's part of a log entry: an encoded [`Batch`]. Kept as bytes so that the same
/// bytes go to the disk and to the peers, and are decoded once, at apply, without copying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command(pub Bytes);

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "command of {} bytes", self.0.len())
    }
}

/// Format of a [`Batch`] in the log.
const BATCH_VERSION: u8 = 1;

/// All proposals that waited when the leader made the entry.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Batch<'a> {
    /// The leader's clock, milliseconds since the Unix epoch: the only time that apply knows.
    pub now_ms: u64,
    /// Each an encoded [`Proposal`].
    #[serde(borrow)]
    pub proposals: Vec<Raw<'a>>,
}

impl<'a> Batch<'a> {
    pub(crate) fn encode(now_ms: u64, proposals: &[Bytes]) -> Command {
        let size = proposals.iter().map(|p| p.len() + 8).sum::<usize>() + 24;
        let mut out = Vec::with_capacity(size);
        let batch = Batch { now_ms, proposals: proposals.iter().map(|p| Raw(p)).collect() };
        codec::encode_versioned_into(BATCH_VERSION, &batch, &mut out);
        Command(Bytes::from(out))
    }

    pub(crate) fn decode(command: &'a Command) -> Result<Self, CodecError> {
        codec::decode_versioned(&command.0, BATCH_VERSION)
    }
}

/// Who proposed: with these numbers a proposal that was sent twice is applied once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket {
    /// The member that accepted the proposal from its caller.
    pub member: MemberId,
    /// How often that member had been started.
    pub boot: u64,
    /// The proposal's number since that start.
    pub seq: u64,
    /// Every proposal of that start with a lower number is settled: it will not be sent again.
    pub floor: u64,
}

/// One proposal in a [`Batch`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Proposal<'a> {
    pub ticket: Ticket,
    #[serde(borrow)]
    pub body: Body<'a>,
}

/// What is proposed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Body<'a> {
    /// A caller's transaction.
    #[serde(borrow)]
    Txn(TxnRef<'a>),
    /// The leader found objects whose time is over: delete at most `limit` objects that expire at
    /// or before `before_ms`, those that expire first first.
    Expire { before_ms: u64, limit: u32 },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TxnRef<'a> {
    #[serde(borrow)]
    pub guards: Vec<GuardRef<'a>>,
    #[serde(borrow)]
    pub ops: Vec<OpRef<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum GuardRef<'a> {
    Absent { key: &'a str },
    AtRevision { key: &'a str, revision: u64 },
    Lease { key: &'a str, epoch: &'a str },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum OpRef<'a> {
    #[serde(borrow)]
    Put(PutRef<'a>),
    Delete {
        key: &'a str,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PutRef<'a> {
    pub key: &'a str,
    #[serde(borrow)]
    pub value: Raw<'a>,
    pub splice_at: Option<u32>,
    #[serde(borrow)]
    pub labels: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    pub fields: Vec<(&'a str, &'a str)>,
    pub ttl_ms: Option<u64>,
}

impl<'a> TxnRef<'a> {
    pub(crate) fn of(txn: &'a Txn) -> Self {
        TxnRef {
            guards: txn.guards.iter().map(GuardRef::of).collect(),
            ops: txn.ops.iter().map(OpRef::of).collect(),
        }
    }
}

impl<'a> GuardRef<'a> {
    fn of(guard: &'a Guard) -> Self {
        match guard {
            Guard::Absent { key } => GuardRef::Absent { key },
            Guard::AtRevision { key, revision } => GuardRef::AtRevision { key, revision: *revision },
            Guard::Lease { key, epoch } => GuardRef::Lease { key, epoch },
        }
    }
}

impl<'a> OpRef<'a> {
    fn of(op: &'a Op) -> Self {
        match op {
            Op::Delete { key } => OpRef::Delete { key },
            Op::Put(put) => OpRef::Put(PutRef {
                key: &put.key,
                value: Raw(&put.value),
                splice_at: put.splice_at,
                labels: put.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
                fields: put.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
                ttl_ms: put.ttl.map(|ttl| ttl.as_millis() as u64),
            }),
        }
    }
}

/// A log entry on the disk and on the wire.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EntryRef<'a> {
    pub log_id: LogId,
    #[serde(borrow)]
    pub payload: PayloadRef<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum PayloadRef<'a> {
    Blank,
    #[serde(borrow)]
    Normal(Raw<'a>),
    Membership(Membership),
}

impl PayloadRef<'_> {
    /// Bytes of the command.
    pub(crate) fn size(&self) -> usize {
        match self {
            PayloadRef::Normal(raw) => raw.0.len(),
            PayloadRef::Blank | PayloadRef::Membership(_) => 0,
        }
    }
}

impl<'a> EntryRef<'a> {
    pub(crate) fn of(entry: &'a Entry) -> Self {
        let payload = match &entry.payload {
            Payload::Blank => PayloadRef::Blank,
            Payload::Normal(command) => PayloadRef::Normal(Raw(&command.0)),
            Payload::Membership(membership) => PayloadRef::Membership(membership.clone()),
        };
        EntryRef { log_id: entry.log_id, payload }
    }

    /// The entry; its bytes are a part of `source`, from which `self` was decoded.
    pub(crate) fn to_entry(&self, source: &Bytes) -> Entry {
        let payload = match &self.payload {
            PayloadRef::Blank => Payload::Blank,
            PayloadRef::Normal(raw) => Payload::Normal(Command(source.slice_ref(raw.0))),
            PayloadRef::Membership(membership) => Payload::Membership(membership.clone()),
        };
        Entry { log_id: self.log_id, payload }
    }
}

#[cfg(test)]
mod tests {
    use openraft::vote::RaftLeaderId;

    use super::*;
    use crate::object::Put;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn log_id() -> LogId {
        LogId::new(LeaderId::new(5, 2), 1000)
    }

    fn txn() -> Txn {
        Txn {
            guards: vec![
                Guard::Absent { key: "/k".to_owned() },
                Guard::AtRevision { key: "/k".to_owned(), revision: 300 },
                Guard::Lease { key: "/l".to_owned(), epoch: "a/1".to_owned() },
            ],
            ops: vec![
                Op::Put(Put {
                    key: "/k".to_owned(),
                    value: Bytes::from_static(b"{}"),
                    splice_at: Some(1),
                    labels: vec![("l".to_owned(), "1".to_owned())],
                    fields: vec![("f".to_owned(), "2".to_owned())],
                    ttl: Some(std::time::Duration::from_secs(1)),
                }),
                Op::Delete { key: "/d".to_owned() },
            ],
        }
    }

    /// What is on disks today must be readable by every later version: when this fails, the format
    /// changed, and that needs a new version byte and a reader of the old one.
    #[test]
    fn stored_bytes_stay_what_they_are() {
        let txn = txn();
        let ticket = Ticket { member: 2, boot: 3, seq: 400, floor: 390 };
        let proposal = codec::encode(&Proposal { ticket, body: Body::Txn(TxnRef::of(&txn)) });
        let proposal_hex = "0203fb9001fb8601000300022f6b01022f6bfb2c0102022f6c03612f310200022f6b027b7d0101\
                            01016c013101016601320\
                            1fbe80301022f64";
        assert_eq!(hex(&proposal), proposal_hex);
        let command = Batch::encode(1_700_000_000_000, &[Bytes::from(proposal)]);
        assert_eq!(hex(&command.0), format!("01fd0068e5cf8b0100000139{proposal_hex}"));
        let entry = Entry { log_id: log_id(), payload: Payload::Normal(Command(Bytes::from_static(b"xy"))) };
        assert_eq!(hex(&codec::encode(&EntryRef::of(&entry))), "0502fbe80301027879");
        let blank = Entry { log_id: log_id(), payload: Payload::Blank };
        assert_eq!(hex(&codec::encode(&EntryRef::of(&blank))), "0502fbe80300");
        let voters = vec![std::collections::BTreeSet::from([1, 2])];
        let nodes = [1, 2].map(|id| (id, Peer { addr: format!("h{id}:1"), folder: 7 }));
        let nodes = std::collections::BTreeMap::from(nodes);
        let membership = Membership::new(voters, nodes).expect("a membership");
        let entry = Entry { log_id: log_id(), payload: Payload::Membership(membership) };
        let expected = "0502fbe803020102010202010468313a3107020468323a3107";
        assert_eq!(hex(&codec::encode(&EntryRef::of(&entry))), expected);
        assert_eq!(hex(&codec::encode(&Vote::new_committed(5, 2))), "050201");
        assert_eq!(hex(&codec::encode(&Some(log_id()))), "010502fbe803");
    }

    #[test]
    fn what_is_encoded_comes_back() {
        let txn = txn();
        let bytes = codec::encode(&TxnRef::of(&txn));
        let back: TxnRef<'_> = codec::decode(&bytes).expect("decodes");
        assert_eq!(format!("{back:?}"), format!("{:?}", TxnRef::of(&txn)));
        assert!(codec::decode::<TxnRef<'_>>(&bytes[..bytes.len() - 1]).is_err());
        let source = Bytes::from(codec::encode(&EntryRef {
            log_id: log_id(),
            payload: PayloadRef::Normal(Raw(b"abc")),
        }));
        let entry = codec::decode::<EntryRef<'_>>(&source).expect("decodes").to_entry(&source);
        assert_eq!(entry.payload, Payload::Normal(Command(Bytes::from_static(b"abc"))));
        assert!(codec::decode_versioned::<u64>(&[2, 1], 1).is_err());
    }
}
