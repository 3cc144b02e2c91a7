//! JSON text to protobuf, without a value tree between them.
//!
//! A message's fields come in any order in JSON and must go out by number, with zeros for those that are
//! missing: the contents are written one after the other as they come, with a [`Span`] each, and put into
//! order behind them; then the first copy is dropped.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::MAGIC;
use super::messages::{Field, Kind, Leaf, Message, Shape, message, of_kind};
use super::scalar::{write_int_or_string, write_quantity, write_time};
use super::wire::{FIXED64, LENGTH, VARINT, put_bytes, put_tag, put_varint, wrap};

/// Why JSON has no protobuf form.
#[derive(Debug, thiserror::Error)]
pub enum NotEncodable {
    /// A custom resource, or a table.
    #[error("objects of {0}/{1} have no protobuf form")]
    Unknown(String, String),
    #[error("the object does not fit its protobuf message: {0}")]
    Misfit(#[from] serde_json::Error),
}

/// Whether objects of this kind have a protobuf form.
pub fn is_known(version: &str, kind: &str) -> bool {
    of_kind(version, kind).is_some()
}

/// The body of an object of a kind. Members that the message does not have are passed over: metadata alone
/// is the whole object written as PartialObjectMetadata.
pub fn encode(version: &str, kind: &str, json: &[u8]) -> Result<Bytes, NotEncodable> {
    let message = known(version, kind)?;
    let mut out = Out { bytes: Vec::with_capacity(json.len() + 128), spans: Vec::new() };
    put_head(&mut out.bytes, version, kind);
    let start = out.bytes.len();
    out.root(message, json)?;
    wrap(&mut out.bytes, start, 2);
    out.bytes.extend_from_slice(TAIL);
    Ok(out.bytes.into())
}

/// As [`encode`], of JSON that says itself what it is.
pub fn from_json(json: &[u8]) -> Result<Bytes, NotEncodable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        #[serde(default)]
        api_version: String,
        #[serde(default)]
        kind: String,
    }
    let head: Head = serde_json::from_slice(json)?;
    encode(&head.api_version, &head.kind, json)
}

/// One event of a watch: the length in four bytes, then a WatchEvent around an object's body.
pub fn watch_frame(word: &str, object: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(object.len() + word.len() + 32);
    frame.extend_from_slice(&[0; 4]);
    put_bytes(&mut frame, 1, word.as_bytes());
    let start = frame.len();
    put_bytes(&mut frame, 1, object);
    wrap(&mut frame, start, 2);
    let length = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame.into()
}

/// Writes a list item by item, when the whole would be too much memory: first every item is measured, then
/// written.
pub struct ListWriter {
    message: &'static Message,
    out: Out,
}

impl ListWriter {
    /// Of items of a kind.
    pub fn new(version: &str, kind: &str) -> Result<Self, NotEncodable> {
        let out = Out { bytes: Vec::new(), spans: Vec::new() };
        Ok(Self { message: known(version, kind)?, out })
    }

    /// What stands before the items, which have so many bytes together.
    pub fn head(version: &str, list_kind: &str, meta: &[u8], items: usize) -> Result<Vec<u8>, NotEncodable> {
        let mut out = Out { bytes: Vec::new(), spans: Vec::new() };
        out.root(known("meta.k8s.io/v1", "ListMeta")?, meta)?;
        wrap(&mut out.bytes, 0, 1);
        let mut head = Vec::with_capacity(out.bytes.len() + 64);
        put_head(&mut head, version, list_kind);
        put_tag(&mut head, 2, LENGTH);
        put_varint(&mut head, (out.bytes.len() + items) as u64);
        head.extend_from_slice(&out.bytes);
        Ok(head)
    }

    /// The next item; valid until the one after it.
    pub fn item(&mut self, json: &[u8]) -> Result<&[u8], NotEncodable> {
        self.out.bytes.clear();
        self.out.root(self.message, json)?;
        wrap(&mut self.out.bytes, 0, 2);
        Ok(&self.out.bytes)
    }

    /// What stands after the items.
    pub const TAIL: &'static [u8] = TAIL;
}

/// The encoding and the media type of the content, both empty.
const TAIL: &[u8] = &[0x1a, 0, 0x22, 0];

fn known(version: &str, kind: &str) -> Result<&'static Message, NotEncodable> {
    of_kind(version, kind).ok_or_else(|| NotEncodable::Unknown(version.to_owned(), kind.to_owned()))
}

fn put_head(out: &mut Vec<u8>, version: &str, kind: &str) {
    out.extend_from_slice(MAGIC);
    let start = out.len();
    put_bytes(out, 1, version.as_bytes());
    put_bytes(out, 2, kind.as_bytes());
    wrap(out, start, 1);
}

/// What is written, and which parts of its end are contents of the message at hand.
struct Out {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

/// One content of the field in a slot.
#[derive(Clone, Copy)]
struct Span {
    slot: u16,
    start: usize,
    end: usize,
}

impl Out {
    fn root(&mut self, message: &'static Message, json: &[u8]) -> Result<(), serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        Content { out: self, kind: KindOf::Whole(message) }.deserialize(&mut reader)?;
        reader.end()
    }

    /// Puts the contents from `first` on into order; they begin at `start`.
    fn assemble(&mut self, message: &Message, start: usize, first: usize) {
        self.spans[first..].sort_by_key(|span| span.slot);
        let end = self.bytes.len();
        let (mut slot, mut next) = (0, first);
        self.fields(message, &mut slot, &mut next);
        self.spans.truncate(first);
        self.bytes.copy_within(end.., start);
        self.bytes.truncate(start + (self.bytes.len() - end));
    }

    fn fields(&mut self, message: &Message, slot: &mut u16, next: &mut usize) {
        for field in &message.fields {
            if let (Shape::Inline, Kind::Message(inner)) = (field.shape, field.kind) {
                let start = self.bytes.len();
                self.fields(super::messages::message(inner), slot, next);
                wrap(&mut self.bytes, start, field.number);
                continue;
            }
            let mut absent = true;
            while let Some(span) = self.spans.get(*next).copied().filter(|s| s.slot == *slot) {
                *next += 1;
                absent = false;
                self.tag(field);
                if wire(field) == LENGTH {
                    put_varint(&mut self.bytes, (span.end - span.start) as u64);
                }
                self.bytes.extend_from_within(span.start..span.end);
            }
            if absent && field.shape == Shape::One && !field.pointer {
                self.zero(field);
            }
            *slot += 1;
        }
    }

    fn tag(&mut self, field: &Field) {
        put_tag(&mut self.bytes, field.number, wire(field));
    }

    /// A field that is no pointer is written even when it is zero.
    fn zero(&mut self, field: &Field) {
        if field.kind == Kind::Bytes {
            return;
        }
        self.tag(field);
        let start = self.bytes.len();
        zero_content(&mut self.bytes, field.kind);
        if wire(field) == LENGTH {
            let mut length = Vec::with_capacity(4);
            put_varint(&mut length, (self.bytes.len() - start) as u64);
            self.bytes.splice(start..start, length);
        }
    }
}

fn wire(field: &Field) -> u32 {
    match (field.shape, field.kind) {
        (Shape::Map, _) => LENGTH,
        (_, kind) => wire_of(kind),
    }
}

fn wire_of(kind: Kind) -> u32 {
    match kind {
        Kind::Bool | Kind::Int => VARINT,
        Kind::Double => FIXED64,
        _ => LENGTH,
    }
}

fn zero_content(out: &mut Vec<u8>, kind: Kind) {
    match kind {
        Kind::Bool | Kind::Int => out.push(0),
        Kind::Double => out.extend_from_slice(&[0; 8]),
        Kind::Quantity => write_quantity(out, "0"),
        Kind::IntOrString => write_int_or_string(out, 0, None),
        Kind::Message(inner) => {
            let message = message(inner);
            let mut nested = Out { bytes: std::mem::take(out), spans: Vec::new() };
            nested.fields(message, &mut 0, &mut 0);
            *out = nested.bytes;
        }
        Kind::Text | Kind::Bytes | Kind::Time | Kind::MicroTime | Kind::Raw => {}
    }
}

/// A field's kind, or the message of a whole object.
#[derive(Clone, Copy)]
enum KindOf {
    Field(Kind),
    Whole(&'static Message),
}

/// Reads a JSON value and writes it as the content of a field; false for null.
struct Content<'o> {
    out: &'o mut Out,
    kind: KindOf,
}

impl Content<'_> {
    fn message(&self) -> Option<&'static Message> {
        match self.kind {
            KindOf::Whole(message) => Some(message),
            KindOf::Field(Kind::Message(index)) => Some(message(index)),
            KindOf::Field(_) => None,
        }
    }

    fn number(self, number: i64) -> Result<bool, &'static str> {
        let out = &mut self.out.bytes;
        match self.kind {
            KindOf::Field(Kind::Int) => put_varint(out, number as u64),
            KindOf::Field(Kind::Double) => out.extend_from_slice(&(number as f64).to_le_bytes()),
            KindOf::Field(Kind::IntOrString) => write_int_or_string(out, number, None),
            KindOf::Field(Kind::Quantity) => write_quantity(out, &number.to_string()),
            _ => return Err("a number is not expected here"),
        }
        Ok(true)
    }
}

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        if !matches!(self.kind, KindOf::Field(Kind::Raw)) {
            return deserializer.deserialize_any(self);
        }
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if raw != "null" {
            put_bytes(&mut self.out.bytes, 1, raw.as_bytes());
        }
        Ok(raw != "null")
    }
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            KindOf::Whole(message) => write!(f, "a {}", message.name),
            KindOf::Field(kind) => write!(f, "{kind:?}"),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<bool, E> {
        let out = &mut self.out.bytes;
        match self.kind {
            KindOf::Field(Kind::Bool) => out.push(u8::from(flag)),
            KindOf::Field(Kind::Message(index)) if message(index).variant("!").is_some() => {
                out.extend_from_slice(&[0x08, u8::from(flag)]);
            }
            _ => return Err(E::custom("a flag is not expected here")),
        }
        Ok(true)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<bool, E> {
        self.number(number).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<bool, E> {
        self.number(number as i64).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<bool, E> {
        match self.kind {
            KindOf::Field(Kind::Double) => self.out.bytes.extend_from_slice(&number.to_le_bytes()),
            KindOf::Field(Kind::Quantity) => write_quantity(&mut self.out.bytes, &number.to_string()),
            _ if number.fract() == 0.0 => return self.number(number as i64).map_err(E::custom),
            _ => return Err(E::custom("a fraction is not expected here")),
        }
        Ok(true)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        let out = &mut self.out.bytes;
        match self.kind {
            KindOf::Field(Kind::Text) => out.extend_from_slice(text.as_bytes()),
            KindOf::Field(Kind::Quantity) => write_quantity(out, text),
            KindOf::Field(Kind::IntOrString) => write_int_or_string(out, 0, Some(text)),
            KindOf::Field(Kind::Time) => write_time(out, text, false).map_err(E::custom)?,
            KindOf::Field(Kind::MicroTime) => write_time(out, text, true).map_err(E::custom)?,
            KindOf::Field(Kind::Bytes) => STANDARD.decode_vec(text, out).map_err(E::custom)?,
            _ => return Err(E::custom("a string is not expected here")),
        }
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let field = self.message().and_then(|m| m.variant("[]"));
        let field = field.ok_or_else(|| A::Error::custom("a list is not expected here"))?;
        loop {
            let start = self.out.bytes.len();
            let content = Content { out: self.out, kind: KindOf::Field(field.kind) };
            match list.next_element_seed(content)? {
                Some(_) => wrap(&mut self.out.bytes, start, field.number),
                None => return Ok(true),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let message = self.message().ok_or_else(|| A::Error::custom("an object is not expected here"))?;
        if let Some(Field { number, kind: Kind::Message(inner), .. }) = message.variant("{}") {
            if message.variant("!").is_some() {
                self.out.bytes.extend_from_slice(&[0x08, 1]);
            }
            let start = self.out.bytes.len();
            let kind = KindOf::Field(Kind::Message(*inner));
            Content { out: &mut *self.out, kind }.visit_map(map)?;
            wrap(&mut self.out.bytes, start, *number);
            return Ok(true);
        }
        let (start, first) = (self.out.bytes.len(), self.out.spans.len());
        while let Some(found) = map.next_key_seed(Member(message))? {
            match found {
                Some(leaf) => map.next_value_seed(Contents { out: &mut *self.out, leaf })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        self.out.assemble(message, start, first);
        Ok(true)
    }
}

/// The name of a member: the field that it is.
struct Member(&'static Message);

impl<'de> DeserializeSeed<'de> for Member {
    type Value = Option<Leaf>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Leaf>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Member {
    type Value = Option<Leaf>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<Leaf>, E> {
        Ok(self.0.leaf(name))
    }
}

/// All that a field holds: one content, or those of a list or a map.
struct Contents<'o> {
    out: &'o mut Out,
    leaf: Leaf,
}

impl Contents<'_> {
    fn content(&mut self) -> Content<'_> {
        Content { out: self.out, kind: KindOf::Field(self.leaf.kind) }
    }

    fn span(&mut self, start: usize) {
        let end = self.out.bytes.len();
        self.out.spans.push(Span { slot: self.leaf.slot, start, end });
    }
}

impl<'de> DeserializeSeed<'de> for Contents<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        if self.leaf.shape != Shape::One {
            return deserializer.deserialize_any(self);
        }
        let start = self.out.bytes.len();
        if self.content().deserialize(deserializer)? {
            self.span(start);
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Contents<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.leaf.shape == Shape::Map { "an object" } else { "a list" })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        if self.leaf.shape != Shape::List {
            return Err(A::Error::custom("a list is not expected here"));
        }
        loop {
            let start = self.out.bytes.len();
            if list.next_element_seed(self.content())?.is_none() {
                return Ok(());
            }
            self.span(start);
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.leaf.shape != Shape::Map {
            return Err(A::Error::custom("an object is not expected here"));
        }
        let first = self.out.spans.len();
        let mut keys: Vec<String> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let start = self.out.bytes.len();
            put_bytes(&mut self.out.bytes, 1, key.as_bytes());
            let at = self.out.bytes.len();
            let kind = self.leaf.kind;
            if !map.next_value_seed(self.content())? {
                zero_content(&mut self.out.bytes, kind);
            }
            match wire_of(kind) {
                LENGTH => wrap(&mut self.out.bytes, at, 2),
                wire => self.out.bytes.splice(at..at, [(2 << 3 | wire) as u8]).for_each(drop),
            }
            self.span(start);
            keys.push(key);
        }
        if !keys.is_sorted() {
            let mut order: Vec<(String, Span)> =
                keys.into_iter().zip(self.out.spans.drain(first..)).collect();
            order.sort_by(|a, b| a.0.cmp(&b.0));
            self.out.spans.extend(order.into_iter().map(|(_, span)| span));
        }
        Ok(())
    }
}
