//! A batch of changes that the kernel makes all at once or not at all.

use super::expression::{Expression, Verdict};
use super::numbers as n;
use crate::netlink::{Message, RequestError, Socket};

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
/// A list of elements is one attribute, and an attribute has at most 65,535 bytes.
const ELEMENTS_BYTES: usize = 60_000;
const FAMILY: u8 = libc::NFPROTO_IPV4 as u8;

/// Where the kernel enters a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// `NF_INET_*`.
    pub number: u32,
    /// Lower is earlier.
    pub priority: i32,
}

/// What a set's elements map to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    Set,
    /// A map to such values.
    Map(&'static [Part]),
    VerdictMap,
    /// A map that rules write to, whose elements expire.
    DynamicMap {
        value: &'static [Part],
        size: u32,
    },
}

/// A part of a key or value. Each occupies four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Address,
    Protocol,
    Port,
    /// Any number, native byte order.
    Number,
}

/// What `nft` shows the parts as. The kernel does not look at it.
fn type_of(parts: &[Part]) -> u32 {
    let number = |part: &Part| match part {
        Part::Address => n::data::TYPE_IPV4_ADDRESS,
        Part::Protocol => n::data::TYPE_PROTOCOL,
        Part::Port => n::data::TYPE_PORT,
        Part::Number => n::data::TYPE_MARK,
    };
    parts.iter().fold(0, |all, part| all << n::data::TYPE_BITS | number(part))
}

fn len_of(parts: &[Part]) -> u32 {
    4 * parts.len() as u32
}

/// What an element maps to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Nothing,
    Bytes(Vec<u8>),
    Verdict(Verdict),
}

/// An element of a set or map. The parts of a concatenated key are each padded to four bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub key: Vec<u8>,
    pub value: Value,
}

/// Changes of one table.
pub struct Batch {
    table: &'static str,
    message: Message,
    sequence: u32,
    sets: u32,
}

impl Batch {
    pub fn new(table: &'static str) -> Self {
        let mut batch = Self { table, message: Message::default(), sequence: 0, sets: 0 };
        batch.frame(n::BATCH_BEGIN);
        batch
    }

    pub fn add_table(&mut self) {
        let table = self.table;
        self.push(n::message::NEW_TABLE, NLM_F_CREATE, |m| m.string(n::table::NAME, table));
    }

    /// The table must exist: [`Self::add_table`] before makes sure.
    pub fn delete_table(&mut self) {
        let table = self.table;
        self.push(n::message::DELETE_TABLE, 0, |m| m.string(n::table::NAME, table));
    }

    pub fn add_chain(&mut self, name: &str, hook: Option<Hook>) {
        let table = self.table;
        self.push(n::message::NEW_CHAIN, NLM_F_CREATE, |m| {
            m.string(n::chain::TABLE, table);
            m.string(n::chain::NAME, name);
            let Some(hook) = hook else { return };
            m.nested(n::chain::HOOK, |m| {
                m.be32(n::chain::HOOK_NUMBER, hook.number);
                m.be32(n::chain::HOOK_PRIORITY, hook.priority as u32);
            });
            m.be32(n::chain::POLICY, n::verdict::ACCEPT as u32);
            m.string(n::chain::TYPE, hook.kind);
        });
    }

    /// Deletes a chain and its rules. Nothing may refer to it any more.
    pub fn delete_chain(&mut self, name: &str) {
        let table = self.table;
        self.push(n::message::DELETE_RULE, 0, |m| {
            m.string(n::rule::TABLE, table);
            m.string(n::rule::CHAIN, name);
        });
        self.push(n::message::DELETE_CHAIN, 0, |m| {
            m.string(n::chain::TABLE, table);
            m.string(n::chain::NAME, name);
        });
    }

    /// Appends a rule to a chain.
    pub fn add_rule(&mut self, chain: &str, expressions: &[Expression]) {
        let table = self.table;
        self.push(n::message::NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, |m| {
            m.string(n::rule::TABLE, table);
            m.string(n::rule::CHAIN, chain);
            m.nested(n::rule::EXPRESSIONS, |m| expressions.iter().for_each(|e| e.encode(m)));
        });
    }

    pub fn add_set(&mut self, name: &str, key: &[Part], kind: SetKind) {
        let table = self.table;
        self.sets += 1;
        let id = self.sets;
        let (flags, data) = match kind {
            SetKind::Set => (0, None),
            SetKind::Map(value) => (n::set::FLAG_MAP, Some((type_of(value), len_of(value)))),
            SetKind::VerdictMap => (n::set::FLAG_MAP, Some((n::data::TYPE_VERDICT, 16))),
            SetKind::DynamicMap { value, .. } => {
                let flags = n::set::FLAG_MAP | n::set::FLAG_TIMEOUT | n::set::FLAG_DYNAMIC;
                (flags, Some((type_of(value), len_of(value))))
            }
        };
        self.push(n::message::NEW_SET, NLM_F_CREATE, |m| {
            m.string(n::set::TABLE, table);
            m.string(n::set::NAME, name);
            m.be32(n::set::FLAGS, flags);
            m.be32(n::set::KEY_TYPE, type_of(key));
            m.be32(n::set::KEY_LEN, len_of(key));
            if let Some((data_type, len)) = data {
                m.be32(n::set::DATA_TYPE, data_type);
                m.be32(n::set::DATA_LEN, len);
            }
            m.be32(n::set::ID, id);
            if let SetKind::DynamicMap { size, .. } = kind {
                m.nested(n::set::DESCRIPTION, |m| m.be32(n::set::DESCRIPTION_SIZE, size));
            }
        });
    }

    pub fn add_elements(&mut self, set: &str, elements: impl IntoIterator<Item = Element>) {
        self.elements(n::message::NEW_ELEMENT, NLM_F_CREATE, set, elements);
    }

    /// The elements must exist.
    pub fn delete_elements(&mut self, set: &str, keys: impl IntoIterator<Item = Vec<u8>>) {
        let elements = keys.into_iter().map(|key| Element { key, value: Value::Nothing });
        self.elements(n::message::DELETE_ELEMENT, 0, set, elements);
    }

    /// Sends the batch; nothing has changed when this is an error.
    pub fn commit(mut self, socket: &Socket) -> Result<(), RequestError> {
        self.frame(n::BATCH_END);
        socket.transact(&self.message)
    }

    /// The bytes that [`Self::commit`] would send.
    #[cfg(test)]
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.frame(n::BATCH_END);
        self.message.as_bytes().to_vec()
    }

    fn elements(&mut self, kind: u16, flags: u16, set: &str, elements: impl IntoIterator<Item = Element>) {
        let table = self.table;
        let mut elements = elements.into_iter().peekable();
        while elements.peek().is_some() {
            self.push(kind, flags, |m| {
                m.string(n::element::LIST_TABLE, table);
                m.string(n::element::LIST_SET, set);
                m.nested(n::element::LIST_ELEMENTS, |m| {
                    let start = m.len();
                    while m.len() - start < ELEMENTS_BYTES {
                        let Some(element) = elements.next() else { break };
                        m.nested(n::element::LIST_ELEMENT, |m| element.encode(m));
                    }
                });
            });
        }
    }

    /// The first message asks for an acknowledgement, so that a batch is always answered.
    fn push(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Message)) {
        let acknowledge = if self.sequence == 1 { NLM_F_ACK } else { 0 };
        let flags = NLM_F_REQUEST | acknowledge | flags;
        self.message.push(n::SUBSYSTEM << 8 | kind, flags, self.sequence, |m| {
            m.raw(&[FAMILY, 0, 0, 0]);
            body(m);
        });
        self.sequence += 1;
    }

    fn frame(&mut self, kind: u16) {
        let subsystem = n::SUBSYSTEM.to_be_bytes();
        self.message.push(kind, NLM_F_REQUEST, self.sequence, |m| m.raw(&[0, 0, subsystem[0], subsystem[1]]));
        self.sequence += 1;
    }
}

impl Element {
    fn encode(&self, m: &mut Message) {
        m.nested(n::element::KEY, |m| m.attribute(n::data::VALUE, &self.key));
        match &self.value {
            Value::Nothing => {}
            Value::Bytes(bytes) => m.nested(n::element::DATA, |m| m.attribute(n::data::VALUE, bytes)),
            Value::Verdict(verdict) => m.nested(n::element::DATA, |m| verdict.encode(m)),
        }
    }
}
