//! What a rule is made of. Expressions are evaluated in order; one that does not match ends the rule.

use super::numbers as n;
use crate::netlink::Message;

/// One of the sixteen 32-bit registers. Longer values occupy consecutive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(pub u8);

impl Register {
    /// `NFT_REG32_00` is 8; the number 0 is the verdict.
    fn number(self) -> u32 {
        debug_assert!(self.0 < 16);
        8 + u32::from(self.0)
    }
}

/// Where evaluation goes on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Drop,
    Jump(String),
    Goto(String),
}

/// A part of the packet's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    SourceAddress,
    DestinationAddress,
    SourcePort,
    DestinationPort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DynsetOp {
    Add,
    /// Restarts the element's timeout.
    Update,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FibSide {
    Source,
    Destination,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    Payload {
        field: Field,
        into: Register,
    },
    L4Protocol {
        into: Register,
    },
    InputInterface {
        into: Register,
    },
    OutputInterface {
        into: Register,
    },
    Mark {
        into: Register,
    },
    SetMark {
        from: Register,
    },
    ConntrackState {
        into: Register,
    },
    /// The IPv4 address to which the connection's first packet was sent.
    OriginalDestination {
        into: Register,
    },
    Compare {
        register: Register,
        comparison: Comparison,
        with: Vec<u8>,
    },
    /// `into = (from & mask) ^ xor`, of `mask.len()` bytes.
    Bitwise {
        from: Register,
        into: Register,
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    Immediate {
        into: Register,
        value: Vec<u8>,
    },
    /// Matches when the set has the key that begins at `key`.
    Contains {
        set: &'static str,
        key: Register,
    },
    /// Matches when the map has the key; puts its value into registers.
    Lookup {
        map: &'static str,
        key: Register,
        into: Register,
    },
    /// Follows the verdict of a verdict map; does not match when it lacks the key.
    VerdictMap {
        map: &'static str,
        key: Register,
    },
    Dynset {
        map: &'static str,
        op: DynsetOp,
        key: Register,
        value: Register,
        timeout_ms: u64,
    },
    /// A random number below `modulus`, native byte order.
    Random {
        into: Register,
        modulus: u32,
    },
    /// The kind of an address (`RTN_*`), native byte order.
    AddressType {
        side: FibSide,
        into: Register,
    },
    Dnat {
        address: Register,
        port: Register,
    },
    Masquerade,
    RejectWithReset,
    RejectWithPortUnreachable,
    Untracked,
    Verdict(Verdict),
}

impl Expression {
    /// Writes the expression as one element of a rule's list.
    pub(super) fn encode(&self, m: &mut Message) {
        m.nested(n::rule::LIST_ELEMENT, |m| {
            m.string(n::rule::EXPRESSION_NAME, self.name());
            m.nested(n::rule::EXPRESSION_DATA, |m| self.encode_data(m));
        });
    }

    fn name(&self) -> &'static str {
        use Expression::*;
        match self {
            Payload { .. } => "payload",
            L4Protocol { .. }
            | InputInterface { .. }
            | OutputInterface { .. }
            | Mark { .. }
            | SetMark { .. } => "meta",
            ConntrackState { .. } | OriginalDestination { .. } => "ct",
            Compare { .. } => "cmp",
            Bitwise { .. } => "bitwise",
            Immediate { .. } | Verdict(_) => "immediate",
            Contains { .. } | Lookup { .. } | VerdictMap { .. } => "lookup",
            Dynset { .. } => "dynset",
            Random { .. } => "numgen",
            AddressType { .. } => "fib",
            Dnat { .. } => "nat",
            Masquerade => "masq",
            RejectWithReset | RejectWithPortUnreachable => "reject",
            Untracked => "notrack",
        }
    }

    fn encode_data(&self, m: &mut Message) {
        use Expression::*;
        match self {
            Payload { field, into } => encode_payload(m, *field, *into),
            L4Protocol { into } => encode_meta(m, n::meta::L4PROTO, *into),
            InputInterface { into } => encode_meta(m, n::meta::IIFNAME, *into),
            OutputInterface { into } => encode_meta(m, n::meta::OIFNAME, *into),
            Mark { into } => encode_meta(m, n::meta::MARK, *into),
            SetMark { from } => {
                m.be32(n::meta::KEY, n::meta::MARK);
                m.be32(n::meta::SREG, from.number());
            }
            ConntrackState { into } => {
                m.be32(n::ct::DREG, into.number());
                m.be32(n::ct::KEY, n::ct::STATE);
            }
            OriginalDestination { into } => {
                m.be32(n::ct::DREG, into.number());
                m.be32(n::ct::KEY, n::ct::DESTINATION_IPV4);
                m.attribute(n::ct::DIRECTION, &[n::ct::ORIGINAL]);
            }
            Compare { register, comparison, with } => encode_compare(m, *register, *comparison, with),
            Bitwise { from, into, mask, xor } => encode_bitwise(m, *from, *into, mask, xor),
            Immediate { into, value } => {
                m.be32(n::immediate::DREG, into.number());
                m.nested(n::immediate::DATA, |m| m.attribute(n::data::VALUE, value));
            }
            Verdict(verdict) => {
                m.be32(n::immediate::DREG, 0);
                m.nested(n::immediate::DATA, |m| verdict.encode(m));
            }
            Contains { set, key } => encode_lookup(m, set, *key, None),
            Lookup { map, key, into } => encode_lookup(m, map, *key, Some(into.number())),
            VerdictMap { map, key } => encode_lookup(m, map, *key, Some(0)),
            Dynset { map, op, key, value, timeout_ms } => {
                encode_dynset(m, map, *op, *key, *value, *timeout_ms)
            }
            Random { into, modulus } => encode_random(m, *into, *modulus),
            AddressType { side, into } => encode_fib(m, *side, *into),
            Dnat { address, port } => encode_dnat(m, *address, *port),
            Masquerade => m.be32(n::nat::MASQUERADE_FLAGS, n::nat::RANDOM_FULLY),
            RejectWithReset => m.be32(n::reject::TYPE, n::reject::TCP_RESET),
            RejectWithPortUnreachable => {
                m.be32(n::reject::TYPE, n::reject::ICMP_UNREACHABLE);
                m.attribute(n::reject::ICMP_CODE, &[n::reject::PORT_UNREACHABLE]);
            }
            Untracked => {}
        }
    }
}

impl Verdict {
    /// Writes the `NFTA_DATA_VERDICT` attribute.
    pub(super) fn encode(&self, m: &mut Message) {
        let (code, chain) = match self {
            Verdict::Drop => (n::verdict::DROP, None),
            Verdict::Jump(chain) => (n::verdict::JUMP, Some(chain)),
            Verdict::Goto(chain) => (n::verdict::GOTO, Some(chain)),
        };
        m.nested(n::data::VERDICT, |m| {
            m.be32(n::data::VERDICT_CODE, code as u32);
            if let Some(chain) = chain {
                m.string(n::data::VERDICT_CHAIN, chain);
            }
        });
    }
}

fn encode_payload(m: &mut Message, field: Field, into: Register) {
    let (base, offset, len) = match field {
        Field::SourceAddress => (n::payload::NETWORK_HEADER, 12, 4),
        Field::DestinationAddress => (n::payload::NETWORK_HEADER, 16, 4),
        Field::SourcePort => (n::payload::TRANSPORT_HEADER, 0, 2),
        Field::DestinationPort => (n::payload::TRANSPORT_HEADER, 2, 2),
    };
    m.be32(n::payload::DREG, into.number());
    m.be32(n::payload::BASE, base);
    m.be32(n::payload::OFFSET, offset);
    m.be32(n::payload::LEN, len);
}

fn encode_meta(m: &mut Message, key: u32, into: Register) {
    m.be32(n::meta::KEY, key);
    m.be32(n::meta::DREG, into.number());
}

fn encode_compare(m: &mut Message, register: Register, comparison: Comparison, with: &[u8]) {
    m.be32(n::compare::SREG, register.number());
    m.be32(
        n::compare::OP,
        match comparison {
            Comparison::Equal => n::compare::EQUAL,
            Comparison::NotEqual => n::compare::NOT_EQUAL,
        },
    );
    m.nested(n::compare::DATA, |m| m.attribute(n::data::VALUE, with));
}

fn encode_bitwise(m: &mut Message, from: Register, into: Register, mask: &[u8], xor: &[u8]) {
    m.be32(n::bitwise::SREG, from.number());
    m.be32(n::bitwise::DREG, into.number());
    m.be32(n::bitwise::LEN, mask.len() as u32);
    m.nested(n::bitwise::MASK, |m| m.attribute(n::data::VALUE, mask));
    m.nested(n::bitwise::XOR, |m| m.attribute(n::data::VALUE, xor));
}

fn encode_lookup(m: &mut Message, set: &str, key: Register, into: Option<u32>) {
    m.string(n::lookup::SET, set);
    m.be32(n::lookup::SREG, key.number());
    if let Some(into) = into {
        m.be32(n::lookup::DREG, into);
    }
}

fn encode_dynset(m: &mut Message, map: &str, op: DynsetOp, key: Register, value: Register, timeout_ms: u64) {
    m.string(n::dynset::SET, map);
    m.be32(
        n::dynset::OP,
        match op {
            DynsetOp::Add => n::dynset::ADD,
            DynsetOp::Update => n::dynset::UPDATE,
            DynsetOp::Delete => n::dynset::DELETE,
        },
    );
    m.be32(n::dynset::SREG_KEY, key.number());
    m.be32(n::dynset::SREG_DATA, value.number());
    m.be64(n::dynset::TIMEOUT, timeout_ms);
}

fn encode_random(m: &mut Message, into: Register, modulus: u32) {
    m.be32(n::numgen::DREG, into.number());
    m.be32(n::numgen::MODULUS, modulus);
    m.be32(n::numgen::TYPE, n::numgen::RANDOM);
}

fn encode_fib(m: &mut Message, side: FibSide, into: Register) {
    m.be32(n::fib::DREG, into.number());
    m.be32(n::fib::RESULT, n::fib::ADDRESS_TYPE);
    m.be32(
        n::fib::FLAGS,
        match side {
            FibSide::Source => n::fib::SOURCE,
            FibSide::Destination => n::fib::DESTINATION,
        },
    );
}

fn encode_dnat(m: &mut Message, address: Register, port: Register) {
    m.be32(n::nat::TYPE, n::nat::DNAT);
    m.be32(n::nat::FAMILY, libc::NFPROTO_IPV4 as u32);
    m.be32(n::nat::REG_ADDRESS, address.number());
    m.be32(n::nat::REG_PORT, port.number());
}

/// Shorthands in which rules read well.
impl Expression {
    pub fn equal(register: Register, with: impl Into<Vec<u8>>) -> Self {
        Expression::Compare { register, comparison: Comparison::Equal, with: with.into() }
    }

    pub fn not_equal(register: Register, with: impl Into<Vec<u8>>) -> Self {
        Expression::Compare { register, comparison: Comparison::NotEqual, with: with.into() }
    }

    /// Matches packets to (or from) an address of this node. Uses the last register.
    pub fn is_local(side: FibSide) -> [Self; 2] {
        let r = Register(15);
        [Expression::AddressType { side, into: r }, Self::equal(r, n::fib::LOCAL.to_ne_bytes())]
    }

    /// Matches packets not from (or to) an address of this node. Uses the last register.
    pub fn is_not_local(side: FibSide) -> [Self; 2] {
        let r = Register(15);
        [Expression::AddressType { side, into: r }, Self::not_equal(r, n::fib::LOCAL.to_ne_bytes())]
    }

    /// Matches packets of no connection that the kernel knows. Uses the last register.
    pub fn is_invalid() -> [Self; 3] {
        let r = Register(15);
        [
            Expression::ConntrackState { into: r },
            Expression::Bitwise {
                from: r,
                into: r,
                mask: n::ct::STATE_INVALID.to_ne_bytes().to_vec(),
                xor: vec![0; 4],
            },
            Self::not_equal(r, [0; 4]),
        ]
    }

    /// Matches an address inside (or outside) a network. Uses the last register.
    pub fn within(field: Field, network: ipnet::Ipv4Net, comparison: Comparison) -> [Self; 3] {
        let r = Register(15);
        [
            Expression::Payload { field, into: r },
            Expression::Bitwise {
                from: r,
                into: r,
                mask: network.netmask().octets().to_vec(),
                xor: vec![0; 4],
            },
            Expression::Compare { register: r, comparison, with: network.network().octets().to_vec() },
        ]
    }

    /// Matches packets of connections that began to an address inside a network. Uses the last register.
    pub fn original_destination_within(network: ipnet::Ipv4Net) -> [Self; 3] {
        let r = Register(15);
        [
            Expression::OriginalDestination { into: r },
            Expression::Bitwise {
                from: r,
                into: r,
                mask: network.netmask().octets().to_vec(),
                xor: vec![0; 4],
            },
            Self::equal(r, network.network().octets()),
        ]
    }
}
