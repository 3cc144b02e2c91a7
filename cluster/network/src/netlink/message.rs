//! Encoding and decoding of netlink messages (`man 7 netlink`): native-endian headers, attributes of
//! length, type and payload, everything aligned to four bytes.

/// Length of `struct nlmsghdr`.
const HEADER_LEN: usize = 16;
/// Length of `struct nlattr`.
const ATTRIBUTE_HEADER_LEN: usize = 4;
/// Marks an attribute whose payload is attributes.
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that are not flags.
const TYPE_MASK: u16 = 0x3fff;

/// A growing buffer of one or several netlink messages.
#[derive(Default)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Appends a message; `body` writes what follows the header.
    pub fn push(&mut self, kind: u16, flags: u16, sequence: u32, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]); // port id: the kernel fills it
        body(self);
        let len = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&len.to_ne_bytes());
    }

    /// Appends bytes as they are: the fixed part of a body. Their length must be a multiple of four.
    pub fn raw(&mut self, bytes: &[u8]) {
        debug_assert_eq!(bytes.len() % 4, 0);
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends an attribute. `payload` is at most 65,531 bytes long.
    pub fn attribute(&mut self, kind: u16, payload: &[u8]) {
        let len = ATTRIBUTE_HEADER_LEN + payload.len();
        assert!(len <= u16::MAX as usize, "a netlink attribute is too long: {len} bytes");
        self.bytes.extend_from_slice(&(len as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Appends an attribute made of attributes.
    pub fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        body(self);
        let len = self.bytes.len() - start;
        assert!(len <= u16::MAX as usize, "a netlink attribute is too long: {len} bytes");
        self.bytes[start..start + 2].copy_from_slice(&(len as u16).to_ne_bytes());
    }

    /// Appends a NUL-terminated string.
    pub fn string(&mut self, kind: u16, value: &str) {
        let mut payload = Vec::with_capacity(value.len() + 1);
        payload.extend_from_slice(value.as_bytes());
        payload.push(0);
        self.attribute(kind, &payload);
    }

    /// Appends a number in network byte order, as all of netfilter wants them.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// Appends a number in network byte order.
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.attribute(kind, &value.to_be_bytes());
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// `struct nlmsghdr` without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
}

/// The messages of a received datagram. Ends at the first that is damaged.
pub fn messages(mut datagram: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    std::iter::from_fn(move || {
        let len = u32::from_ne_bytes(datagram.get(..4)?.try_into().ok()?) as usize;
        if len < HEADER_LEN || len > datagram.len() {
            return None;
        }
        let (message, rest) = (&datagram[..len], &datagram[len.next_multiple_of(4).min(datagram.len())..]);
        datagram = rest;
        let header = Header {
            kind: u16::from_ne_bytes([message[4], message[5]]),
            flags: u16::from_ne_bytes([message[6], message[7]]),
            sequence: u32::from_ne_bytes([message[8], message[9], message[10], message[11]]),
        };
        Some((header, &message[HEADER_LEN..]))
    })
}

/// Attributes in a payload, in order. Ends at the first that is damaged.
#[derive(Clone, Copy)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Attributes<'a> {
    /// The payload of the first attribute of this type.
    pub fn find(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find_map(|(k, payload)| (k == kind).then_some(payload))
    }

    /// The attributes nested in the first attribute of this type.
    pub fn nested(self, kind: u16) -> Option<Attributes<'a>> {
        self.find(kind).map(Attributes)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.0.get(..ATTRIBUTE_HEADER_LEN)?;
        let len = u16::from_ne_bytes([header[0], header[1]]) as usize;
        let kind = u16::from_ne_bytes([header[2], header[3]]) & TYPE_MASK;
        let payload = self.0.get(ATTRIBUTE_HEADER_LEN..len)?;
        self.0 = &self.0[len.next_multiple_of(4).min(self.0.len())..];
        Some((kind, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_encoded_as_the_kernel_reads_it() {
        let mut m = Message::default();
        m.push(0x0a00, 0x0405, 7, |m| {
            m.raw(&[2, 0, 0, 0]);
            m.string(1, "tri");
            m.nested(2, |m| m.be32(3, 0x01020304));
            m.attribute(4, &[9]);
        });
        #[rustfmt::skip]
        let expected = [
            48, 0, 0, 0, 0x00, 0x0a, 0x05, 0x04, 7, 0, 0, 0, 0, 0, 0, 0,
            2, 0, 0, 0,
            8, 0, 1, 0, b't', b'r', b'i', 0,
            12, 0, 2, 0x80, 8, 0, 3, 0, 1, 2, 3, 4,
            5, 0, 4, 0, 9, 0, 0, 0,
        ];
        assert_eq!(m.as_bytes(), expected);
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        let mut m = Message::default();
        for sequence in [1, 2] {
            m.push(5, 6, sequence, |m| {
                m.attribute(1, b"abc");
                m.nested(2, |m| m.attribute(3, b"inner"));
            });
        }
        let got: Vec<_> = messages(m.as_bytes()).collect();
        assert_eq!(got.len(), 2);
        assert_eq!(got[1].0, Header { kind: 5, flags: 6, sequence: 2 });
        assert_eq!(Attributes(got[1].1).find(1), Some(&b"abc"[..]));
        assert_eq!(Attributes(got[1].1).nested(2).and_then(|n| n.find(3)), Some(&b"inner"[..]));
        assert_eq!(Attributes(got[1].1).find(9), None);
    }

    #[test]
    fn damaged_input_ends_the_iteration() {
        assert_eq!(messages(&[1, 2]).count(), 0);
        assert_eq!(messages(&[255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).count(), 0);
        assert_eq!(Attributes(&[2, 0, 1, 0]).count(), 0);
        assert_eq!(Attributes(&[200, 0, 1, 0, 5]).count(), 0);
    }
}
