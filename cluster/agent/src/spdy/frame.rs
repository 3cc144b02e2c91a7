//! SPDY/3.1 frames on the wire: pure encoding and decoding over byte buffers (SPDY protocol draft 3.1, section 2.2).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::dictionary::HEADER_DICTIONARY;

const VERSION: u16 = 3;
const CONTROL_BIT: u32 = 0x8000_0000;
const ID_MASK: u32 = 0x7fff_ffff;
/// The longest payload that is accepted in one frame.
pub const MAX_FRAME_LEN: usize = 4 << 20;
/// The longest header block, unpacked.
const MAX_HEADER_BLOCK: usize = 1 << 20;
const MAX_HEADERS: u32 = 1000;

/// The last frame of this side of a stream.
pub const FLAG_FIN: u8 = 0x01;

pub type Headers = Vec<(String, String)>;

/// One frame. Kinds that carry nothing for us (SETTINGS, CREDENTIAL, ...) are `Ignored`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    SynStream { stream: u32, fin: bool, headers: Headers },
    SynReply { stream: u32, fin: bool, headers: Headers },
    RstStream { stream: u32, status: u32 },
    Ping { id: u32 },
    GoAway { last_good: u32, status: u32 },
    Headers { stream: u32, fin: bool, headers: Headers },
    WindowUpdate { stream: u32, delta: u32 },
    Data { stream: u32, fin: bool, data: Bytes },
    Ignored { kind: u16 },
}

/// Why a frame could not be read; the connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("SPDY version {0} instead of 3")]
    Version(u16),
    #[error("a frame of {0} bytes is longer than allowed")]
    TooLong(usize),
    #[error("a frame of kind {kind} is cut short")]
    Short { kind: u16 },
    #[error("a header block can not be unpacked")]
    HeaderBlock,
    #[error("a header block is longer than allowed")]
    HeaderBlockTooLong,
}

/// Encoder and decoder of one connection: the header compression has a memory in both directions.
pub struct Codec {
    compress: Compress,
    decompress: Decompress,
}

impl Default for Codec {
    fn default() -> Self {
        let mut compress = Compress::new(Compression::best(), true);
        compress.set_dictionary(&HEADER_DICTIONARY).expect("a fresh zlib stream accepts a dictionary");
        Self { compress, decompress: Decompress::new(true) }
    }
}

impl Codec {
    /// Takes the next whole frame out of `buf`; `None` when more bytes are needed.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if buf.len() < 8 {
            return Ok(None);
        }
        let word = u32::from_be_bytes([buf[0], buf[1], buf[2], buf[3]]);
        let flags = buf[4];
        let len = u32::from_be_bytes([0, buf[5], buf[6], buf[7]]) as usize;
        if len > MAX_FRAME_LEN {
            return Err(FrameError::TooLong(len));
        }
        if buf.len() < 8 + len {
            buf.reserve(8 + len - buf.len());
            return Ok(None);
        }
        buf.advance(8);
        let payload = buf.split_to(len).freeze();
        if word & CONTROL_BIT == 0 {
            return Ok(Some(Frame::Data {
                stream: word & ID_MASK,
                fin: flags & FLAG_FIN != 0,
                data: payload,
            }));
        }
        let version = ((word >> 16) & 0x7fff) as u16;
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        self.decode_control((word & 0xffff) as u16, flags, payload).map(Some)
    }

    fn decode_control(&mut self, kind: u16, flags: u8, mut p: Bytes) -> Result<Frame, FrameError> {
        let least = match kind {
            1 => 10,
            2 | 6 | 8 => 4,
            3 | 7 | 9 => 8,
            _ => return Ok(Frame::Ignored { kind }),
        };
        if p.len() < least {
            return Err(FrameError::Short { kind });
        }
        let fin = flags & FLAG_FIN != 0;
        let first = p.get_u32() & ID_MASK;
        Ok(match kind {
            1 => {
                p.advance(6); // associated stream, priority, credential slot
                Frame::SynStream { stream: first, fin, headers: self.unpack(&p)? }
            }
            2 => Frame::SynReply { stream: first, fin, headers: self.unpack(&p)? },
            3 => Frame::RstStream { stream: first, status: p.get_u32() },
            6 => Frame::Ping { id: first },
            7 => Frame::GoAway { last_good: first, status: p.get_u32() },
            8 => Frame::Headers { stream: first, fin, headers: self.unpack(&p)? },
            _ => Frame::WindowUpdate { stream: first, delta: p.get_u32() & ID_MASK },
        })
    }

    /// Appends `frame` to `out`.
    pub fn encode(&mut self, frame: &Frame, out: &mut BytesMut) {
        match frame {
            Frame::Data { stream, fin, data } => {
                out.reserve(8 + data.len());
                out.put_u32(stream & ID_MASK);
                out.put_u32((u32::from(*fin as u8) << 24) | data.len() as u32);
                out.put_slice(data);
            }
            Frame::SynStream { stream, fin, headers } => {
                let mut p = BytesMut::new();
                p.put_u32(*stream);
                p.put_u32(0);
                p.put_u16(0);
                self.pack(headers, &mut p);
                control(1, *fin, &p, out);
            }
            Frame::SynReply { stream, fin, headers } | Frame::Headers { stream, fin, headers } => {
                let kind = if matches!(frame, Frame::SynReply { .. }) { 2 } else { 8 };
                let mut p = BytesMut::new();
                p.put_u32(*stream);
                self.pack(headers, &mut p);
                control(kind, *fin, &p, out);
            }
            Frame::RstStream { stream, status } => control_pair(3, *stream, *status, out),
            Frame::GoAway { last_good, status } => control_pair(7, *last_good, *status, out),
            Frame::WindowUpdate { stream, delta } => control_pair(9, *stream, *delta, out),
            Frame::Ping { id } => control(6, false, &id.to_be_bytes(), out),
            Frame::Ignored { kind } => control(*kind, false, &[], out),
        }
    }

    fn pack(&mut self, headers: &Headers, out: &mut BytesMut) {
        let mut plain = Vec::new();
        plain.put_u32(headers.len() as u32);
        for (name, value) in headers {
            for text in [name.to_ascii_lowercase().as_str(), value] {
                plain.put_u32(text.len() as u32);
                plain.put_slice(text.as_bytes());
            }
        }
        let mut packed = Vec::with_capacity(plain.len() + 64);
        let start = self.compress.total_in();
        loop {
            let done = (self.compress.total_in() - start) as usize;
            packed.reserve(256);
            self.compress
                .compress_vec(&plain[done..], &mut packed, FlushCompress::Sync)
                .expect("zlib compresses any input");
            let all_taken = (self.compress.total_in() - start) as usize == plain.len();
            if all_taken && packed.len() < packed.capacity() {
                break;
            }
        }
        out.put_slice(&packed);
    }

    fn unpack(&mut self, packed: &[u8]) -> Result<Headers, FrameError> {
        let mut plain = Vec::with_capacity(1024);
        let start = self.decompress.total_in();
        loop {
            let done = (self.decompress.total_in() - start) as usize;
            let before = plain.len();
            plain.reserve(1024);
            match self.decompress.decompress_vec(&packed[done..], &mut plain, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => break,
                Ok(_) => {}
                Err(e) if e.needs_dictionary().is_some() => {
                    self.decompress
                        .set_dictionary(&HEADER_DICTIONARY)
                        .map_err(|_| FrameError::HeaderBlock)?;
                    continue;
                }
                Err(_) => return Err(FrameError::HeaderBlock),
            }
            if plain.len() > MAX_HEADER_BLOCK {
                return Err(FrameError::HeaderBlockTooLong);
            }
            let taken = (self.decompress.total_in() - start) as usize;
            if taken == packed.len() && plain.len() < plain.capacity() {
                break;
            }
            if taken == done && plain.len() == before {
                return Err(FrameError::HeaderBlock);
            }
        }
        parse_headers(&plain)
    }
}

fn parse_headers(mut plain: &[u8]) -> Result<Headers, FrameError> {
    let word = |p: &mut &[u8]| -> Result<u32, FrameError> {
        if p.len() < 4 { Err(FrameError::HeaderBlock) } else { Ok(p.get_u32()) }
    };
    let count = word(&mut plain)?;
    if count > MAX_HEADERS {
        return Err(FrameError::HeaderBlockTooLong);
    }
    let text = |p: &mut &[u8]| -> Result<String, FrameError> {
        let len = word(p)? as usize;
        if p.len() < len {
            return Err(FrameError::HeaderBlock);
        }
        let (head, rest) = p.split_at(len);
        *p = rest;
        String::from_utf8(head.to_vec()).map_err(|_| FrameError::HeaderBlock)
    };
    let mut headers = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let name = text(&mut plain)?;
        headers.push((name, text(&mut plain)?));
    }
    Ok(headers)
}

fn control(kind: u16, fin: bool, payload: &[u8], out: &mut BytesMut) {
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    out.put_u32((u32::from(fin as u8) << 24) | payload.len() as u32);
    out.put_slice(payload);
}

fn control_pair(kind: u16, a: u32, b: u32, out: &mut BytesMut) {
    let mut p = [0u8; 8];
    p[..4].copy_from_slice(&a.to_be_bytes());
    p[4..].copy_from_slice(&b.to_be_bytes());
    control(kind, false, &p, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
    }

    fn round_trip(frames: &[Frame]) {
        let (mut enc, mut dec) = (Codec::default(), Codec::default());
        let mut wire = BytesMut::new();
        for f in frames {
            enc.encode(f, &mut wire);
        }
        // Byte by byte, so that every cut is tried.
        let (mut buf, mut got) = (BytesMut::new(), Vec::new());
        for byte in wire.iter() {
            buf.put_u8(*byte);
            while let Some(f) = dec.decode(&mut buf).unwrap() {
                got.push(f);
            }
        }
        assert_eq!(got, frames);
        assert!(buf.is_empty());
    }

    #[test]
    fn frames_come_back() {
        round_trip(&[
            Frame::SynStream { stream: 1, fin: false, headers: headers(&[("streamtype", "error")]) },
            Frame::SynReply { stream: 1, fin: false, headers: vec![] },
            Frame::SynStream {
                stream: 3,
                fin: true,
                headers: headers(&[("streamtype", "stdin"), ("port", "80")]),
            },
            Frame::Data { stream: 3, fin: false, data: Bytes::from_static(b"hello") },
            Frame::Data { stream: 3, fin: true, data: Bytes::new() },
            Frame::Headers { stream: 3, fin: false, headers: headers(&[("a", "b")]) },
            Frame::Ping { id: 7 },
            Frame::WindowUpdate { stream: 1, delta: 65536 },
            Frame::RstStream { stream: 1, status: 5 },
            Frame::GoAway { last_good: 3, status: 0 },
        ]);
    }

    /// Bytes that Go's compress/zlib (level 9, SPDY dictionary) makes begin with the dictionary's Adler-32.
    #[test]
    fn the_dictionary_is_the_one_of_the_protocol() {
        assert_eq!(HEADER_DICTIONARY.len(), 1423);
        let mut wire = BytesMut::new();
        Codec::default().encode(&Frame::SynReply { stream: 1, fin: false, headers: vec![] }, &mut wire);
        assert_eq!(wire[12] & 0x0f, 8, "deflate");
        assert_ne!(wire[13] & 0x20, 0, "a preset dictionary is announced");
        assert_eq!(wire[14..18], 0xe3c6_a7c2u32.to_be_bytes());
    }

    #[test]
    fn damaged_frames_are_refused() {
        let cases: [&[u8]; 4] = [
            &[0x80, 2, 0, 1, 0, 0, 0, 0],
            &[0x80, 3, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1],
            &[0, 0, 0, 1, 0, 0xff, 0xff, 0xff],
            &[0x80, 3, 0, 2, 0, 0, 0, 8, 0, 0, 0, 1, 1, 2, 3, 4],
        ];
        for case in cases {
            assert!(Codec::default().decode(&mut BytesMut::from(case)).is_err(), "{case:?}");
        }
    }

    proptest! {
        #[test]
        fn any_headers_and_data_come_back(
            pairs in proptest::collection::vec(("[a-z-]{1,40}", ".{0,300}"), 0..40),
            data in proptest::collection::vec(any::<u8>(), 0..3000),
        ) {
            let h: Headers = pairs;
            round_trip(&[
                Frame::SynStream { stream: 1, fin: false, headers: h.clone() },
                Frame::Data { stream: 1, fin: false, data: data.into() },
                Frame::SynStream { stream: 3, fin: false, headers: h },
            ]);
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut buf = BytesMut::from(&bytes[..]);
            let mut codec = Codec::default();
            while let Ok(Some(_)) = codec.decode(&mut buf) {}
        }
    }
}
