//! The protobuf wire format: numbered fields of varints, fixed numbers and bytes.

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub &'static str);

const SHORT: Malformed = Malformed("it ends too early");
const MISMATCH: Malformed = Malformed("a field has another wire type");

/// A field's content.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'b> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'b [u8]),
}

impl<'b> Wire<'b> {
    pub(super) fn bytes(self) -> Result<&'b [u8], Malformed> {
        match self {
            Wire::Bytes(bytes) => Ok(bytes),
            _ => Err(MISMATCH),
        }
    }

    pub(super) fn varint(self) -> Result<u64, Malformed> {
        match self {
            Wire::Varint(number) => Ok(number),
            _ => Err(MISMATCH),
        }
    }

    pub(super) fn fixed64(self) -> Result<u64, Malformed> {
        match self {
            Wire::Fixed64(number) => Ok(number),
            _ => Err(MISMATCH),
        }
    }
}

/// Reads a varint off the front.
pub(super) fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(SHORT)?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed("a number is too long"))
}

/// The fields of a message, in the order they come. Ends after the first error.
pub(super) struct Fields<'b>(pub &'b [u8]);

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u32, Wire<'b>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'b> Fields<'b> {
    fn read(&mut self) -> Result<(u32, Wire<'b>), Malformed> {
        let tag = varint(&mut self.0)?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed("a field number is too large"))?;
        let wire = match tag & 7 {
            0 => Wire::Varint(varint(&mut self.0)?),
            1 => {
                let bytes: [u8; 8] = self.take(8)?.try_into().map_err(|_| SHORT)?;
                Wire::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).map_err(|_| SHORT)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed32
            }
            _ => return Err(Malformed("an unknown wire type")),
        };
        Ok((number, wire))
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], Malformed> {
        if count > self.0.len() {
            return Err(SHORT);
        }
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(taken)
    }
}

/// Wire types.
pub(super) const VARINT: u32 = 0;
pub(super) const FIXED64: u32 = 1;
pub(super) const LENGTH: u32 = 2;

pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The number of a field and how its content is written.
pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, wire: u32) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire));
}

/// A field of bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    put_tag(out, number, LENGTH);
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// Makes what was written since `start` the content of a field.
pub(crate) fn wrap(out: &mut Vec<u8>, start: usize, number: u32) {
    let mut header = Vec::with_capacity(10);
    put_tag(&mut header, number, LENGTH);
    put_varint(&mut header, (out.len() - start) as u64);
    out.splice(start..start, header);
}
