//! The few messages of etcd's v3 API that the benches speak, encoded by hand.
//!
//! Field numbers are those of etcd's `rpc.proto` and `kv.proto`. Our own members answer the same
//! messages, so that one client measures both; the two fields that etcd does not have (the node of
//! an object, and a watch by node) have numbers far above its own.

use bytes::Bytes;

pub const PUT: &str = "/etcdserverpb.KV/Put";
pub const RANGE: &str = "/etcdserverpb.KV/Range";
pub const WATCH: &str = "/etcdserverpb.Watch/Watch";
pub const STATUS: &str = "/etcdserverpb.Maintenance/Status";
pub const MOVE_LEADER: &str = "/etcdserverpb.Maintenance/MoveLeader";
/// A line of text to one of our members; see `member.rs`.
pub const COMMAND: &str = "/trireme.Bench/Command";

/// All of them.
pub const METHODS: &[&str] = &[PUT, RANGE, WATCH, STATUS, MOVE_LEADER, COMMAND];

/// Number of the field that names an object's node, and a watch's.
const NODE: u64 = 1000;

/// Bytes before each message of a gRPC stream: not compressed, length.
pub const PREFIX: usize = 5;

/// A message being written, with room for its prefix.
pub struct Message(Vec<u8>);

impl Message {
    pub fn new(capacity: usize) -> Message {
        let mut out = Vec::with_capacity(PREFIX + capacity);
        out.extend_from_slice(&[0; PREFIX]);
        Message(out)
    }

    pub fn int(&mut self, field: u64, value: u64) -> &mut Message {
        if value > 0 {
            varint(&mut self.0, field << 3);
            varint(&mut self.0, value);
        }
        self
    }

    pub fn bytes(&mut self, field: u64, value: &[u8]) -> &mut Message {
        varint(&mut self.0, field << 3 | 2);
        varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Bytes that are no field.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Message {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The fields alone, to be put into another message.
    pub fn inner(&self) -> &[u8] {
        &self.0[PREFIX..]
    }

    pub fn finish(mut self) -> Bytes {
        let len = (self.0.len() - PREFIX) as u32;
        self.0[1..PREFIX].copy_from_slice(&len.to_be_bytes());
        Bytes::from(self.0)
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// One field of a received message.
pub enum Value<'a> {
    Int(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message; ends at the first byte that makes no sense.
pub struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Int(self.varint()?),
            2 => {
                let len = self.varint()? as usize;
                let (bytes, rest) = self.0.split_at_checked(len)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

/// A `PutRequest`; with a node only for our own members.
pub fn put_request(key: &str, value: &[u8], node: Option<&str>) -> Bytes {
    let mut message = Message::new(key.len() + value.len() + 40);
    message.bytes(1, key.as_bytes()).bytes(2, value);
    if let Some(node) = node {
        message.bytes(NODE, node.as_bytes());
    }
    message.finish()
}

/// What a `PutRequest` says.
#[derive(Default)]
pub struct Put<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub node: Option<&'a [u8]>,
}

pub fn read_put(message: &[u8]) -> Put<'_> {
    let mut put = Put::default();
    for field in Fields(message) {
        match field {
            (1, Value::Bytes(key)) => put.key = key,
            (2, Value::Bytes(value)) => put.value = value,
            (NODE, Value::Bytes(node)) => put.node = Some(node),
            _ => {}
        }
    }
    put
}

/// A linearizable `RangeRequest` of one key.
pub fn get_request(key: &str) -> Bytes {
    let mut message = Message::new(key.len() + 8);
    message.bytes(1, key.as_bytes());
    message.finish()
}

/// A `WatchRequest` that creates a watch of a prefix; with a node only for our own members.
pub fn watch_request(prefix: &str, node: Option<&str>) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    let mut create = Message::new(128);
    create.bytes(1, prefix.as_bytes()).bytes(2, &end);
    if let Some(node) = node {
        create.bytes(NODE, node.as_bytes());
    }
    let mut message = Message::new(160);
    message.bytes(1, create.inner());
    message.finish()
}

/// Prefix and node of a `WatchRequest`.
pub fn read_watch(message: &[u8]) -> (String, Option<String>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (mut prefix, mut node) = (String::new(), None);
    for field in Fields(message) {
        let (1, Value::Bytes(create)) = field else { continue };
        for field in Fields(create) {
            match field {
                (1, Value::Bytes(bytes)) => prefix = text(bytes),
                (NODE, Value::Bytes(bytes)) => node = Some(text(bytes)),
                _ => {}
            }
        }
    }
    (prefix, node)
}

/// A `KeyValue`.
pub fn key_value(key: &[u8], created: u64, revision: u64, value: &[u8]) -> Message {
    let mut message = Message::new(key.len() + value.len() + 40);
    message.bytes(1, key).int(2, created).int(3, revision).bytes(5, value);
    message
}

/// A `ResponseHeader`.
pub fn header(member: u64, revision: u64, term: u64) -> Message {
    let mut message = Message::new(40);
    message.int(2, member).int(3, revision).int(4, term);
    message
}

/// What a `WatchResponse` says: the watch exists, or events with revisions and values.
pub enum Watched<'a> {
    Created,
    Canceled,
    Events(Vec<(u64, &'a [u8])>),
}

pub fn read_watched(message: &[u8]) -> Watched<'_> {
    let mut events = Vec::new();
    for field in Fields(message) {
        match field {
            (3, Value::Int(1)) => return Watched::Created,
            (4, Value::Int(1)) => return Watched::Canceled,
            (11, Value::Bytes(event)) => {
                let kv = Fields(event).find_map(|field| match field {
                    (2, Value::Bytes(kv)) => Some(kv),
                    _ => None,
                });
                events.push(read_key_value(kv.unwrap_or_default()));
            }
            _ => {}
        }
    }
    Watched::Events(events)
}

/// Revision and value.
fn read_key_value(message: &[u8]) -> (u64, &[u8]) {
    let (mut revision, mut value): (u64, &[u8]) = (0, &[]);
    for field in Fields(message) {
        match field {
            (3, Value::Int(found)) => revision = found,
            (5, Value::Bytes(found)) => value = found,
            _ => {}
        }
    }
    (revision, value)
}

/// The first field of a message, when it is bytes.
pub fn first_bytes(message: &[u8]) -> &[u8] {
    match Fields(message).next() {
        Some((_, Value::Bytes(bytes))) => bytes,
        _ => &[],
    }
}

/// The value in a `RangeResponse` of one key.
pub fn read_range(message: &[u8]) -> Option<&[u8]> {
    Fields(message).find_map(|field| match field {
        (2, Value::Bytes(kv)) => Some(read_key_value(kv).1),
        _ => None,
    })
}

/// Member that answers and member that leads, of a `StatusResponse`; 0 when there is none.
pub fn read_status(message: &[u8]) -> (u64, u64) {
    let (mut member, mut leader) = (0, 0);
    for field in Fields(message) {
        match field {
            (1, Value::Bytes(header)) => {
                let own = Fields(header).find_map(|field| match field {
                    (2, Value::Int(id)) => Some(id),
                    _ => None,
                });
                member = own.unwrap_or(0);
            }
            (4, Value::Int(id)) => leader = id,
            _ => {}
        }
    }
    (member, leader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = put_request("/a", &[7; 300], Some("n1"));
        assert_eq!(bytes[1..PREFIX], ((bytes.len() - PREFIX) as u32).to_be_bytes());
        let put = read_put(&bytes[PREFIX..]);
        assert_eq!((put.key, put.value.len(), put.node), (&b"/a"[..], 300, Some(&b"n1"[..])));
        let watch = watch_request("/pods/", Some("n2"));
        assert_eq!(read_watch(&watch[PREFIX..]), ("/pods/".to_owned(), Some("n2".to_owned())));
        let kv = key_value(b"/a", 3, 70_000, b"value");
        let mut event = Message::new(0);
        event.bytes(2, kv.inner());
        let mut response = Message::new(0);
        response.bytes(11, event.inner());
        let Watched::Events(events) = read_watched(response.inner()) else { panic!("events") };
        assert_eq!(events, vec![(70_000, &b"value"[..])]);
    }
}
