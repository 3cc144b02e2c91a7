//! What is recorded of a run, by the simulator or by clients of real processes: one record per
//! line of JSON, in the order in which things happened.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

/// A number that only one put of a run writes: by it the value is recognised.
pub type Token = u64;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Milliseconds since the run began.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// A client begins an operation.
    Invoke { op: u64, client: u64, member: u64, call: Call },
    /// The operation ends. An operation without an end has an unknown outcome.
    Return { op: u64, outcome: Outcome },
    /// A member, in its so-manieth start, says who leads.
    Leader { member: u64, start: u64, leader: u64, term: u64 },
    /// A member's state at exactly a revision has this checksum.
    State { member: u64, revision: u64, hash: u64 },
    /// A committed entry of a member's log.
    Log { member: u64, index: u64, term: u64, check: u64 },
    /// A watch begins: events after `from` of keys with the prefix and, when given, with the field
    /// `node`, now or before, of this value (see [`node_of`]).
    Watch { watch: u64, member: u64, prefix: String, from: u64, node: Option<u64> },
    /// A watch delivers an event.
    Event(Event),
    /// A watch says that everything up to a revision was delivered.
    Progress { watch: u64, revision: u64 },
    /// A watch ended. `whole`: its owner left after everything of the last revision had come.
    End { watch: u64, reason: String, whole: bool },
    /// What a member answers after everything has healed.
    Final { member: u64, revision: u64, objects: Vec<Seen> },
    /// A fault that was injected.
    Fault { text: String },
    /// Something that may not happen and needs no history to be seen.
    Problem { text: String },
}

/// An event of a watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub watch: u64,
    pub revision: u64,
    pub key: String,
    /// A deletion; otherwise a put.
    pub delete: bool,
    /// Of a deletion, the token that was deleted.
    pub token: Token,
    pub previous: Option<Token>,
    /// The epoch, when the object is a lease.
    pub epoch: Option<String>,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// A linearizable read of these keys at one revision.
    Read { keys: Vec<String> },
    /// A transaction.
    Txn { guards: Vec<Guard>, ops: Vec<Op> },
}

/// What must hold for a transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "guard", rename_all = "snake_case")]
pub enum Guard {
    Absent {
        key: String,
    },
    /// The key has the value that was seen at this revision.
    At {
        key: String,
        revision: u64,
        token: Token,
    },
    Lease {
        key: String,
        epoch: String,
    },
}

/// What a transaction does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    Put {
        key: String,
        token: Token,
        #[serde(default)]
        epoch: Option<String>,
        /// It may vanish by itself.
        #[serde(default)]
        expires: bool,
    },
    Delete {
        key: String,
    },
}

impl Op {
    /// The key it changes.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Op::Put { key, .. } | Op::Delete { key } => key,
        }
    }
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Everything at this revision; 0 when the answer does not say at which.
    Read {
        revision: u64,
        seen: Vec<Seen>,
    },
    Applied {
        revision: u64,
    },
    /// Surely not applied: a guard on a key did not hold (or a deletion found nothing); this
    /// revision was there instead (0: the answer does not say which).
    Conflict {
        key: String,
        current: Option<u64>,
    },
    /// Surely not applied: the lease had another epoch.
    Fenced {
        key: String,
        current: Option<String>,
    },
    /// Surely not applied, for a reason that says nothing about the data.
    Rejected {
        reason: String,
    },
    /// Perhaps applied, now or later.
    Unknown {
        reason: String,
    },
    /// A read without an answer.
    Failed {
        reason: String,
    },
}

/// An object as a reader saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub key: String,
    /// Its revision and value; none when nothing is there.
    pub found: Option<(u64, Token)>,
}

/// The value of the field `node` of an object with this token.
#[must_use]
pub fn node_of(token: Token) -> u64 {
    token % 3
}

/// Writes a history.
///
/// # Errors
/// What the operating system says.
pub fn write(records: &[Record], mut out: impl Write) -> io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut out, record)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Reads a history.
///
/// # Errors
/// What the operating system says, or which line is no record.
pub fn read(input: impl BufRead) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    for (number, line) in input.lines().enumerate() {
        let record = serde_json::from_str(&line?)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {e}", number + 1)))?;
        records.push(record);
    }
    Ok(records)
}
