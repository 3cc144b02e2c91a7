//! JSON and YAML with their duplicate fields noted.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use serde_saphyr::options::DuplicateKeyPolicy;

use super::Parsed;

pub(super) fn json(body: &[u8]) -> Result<Parsed, serde_json::Error> {
    let mut notes = Notes::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Node::<String>::new(&mut notes).deserialize(&mut deserializer)?;
    deserializer.end()?;
    let duplicates = notes.duplicates;
    Ok(Parsed { value, duplicates })
}

pub(super) fn yaml(text: &str) -> Result<Parsed, serde_saphyr::Error> {
    let mut notes = Notes::default();
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    let value = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        Node::<Spanned<String>>::new(&mut notes).deserialize(deserializer)
    })?;
    let duplicates = notes.duplicates;
    Ok(Parsed { value, duplicates })
}

/// The paths of all fields, in the order of the document.
pub(super) fn order(body: &[u8]) -> Vec<String> {
    let mut notes = Notes { order: Some(Vec::new()), ..Notes::default() };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match Node::<String>::new(&mut notes).deserialize(&mut deserializer) {
        Ok(_) => notes.order.unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

#[derive(Default)]
struct Notes {
    path: String,
    duplicates: Vec<Duplicate>,
    /// Every field met, when that is asked for.
    order: Option<Vec<String>>,
}

/// A field that stands there again: its path, and in YAML its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    pub path: String,
    pub name: String,
    pub line: Option<u64>,
}

/// The name of a field, and the line where it stands if that is known.
trait Name: DeserializeOwned {
    fn into_parts(self) -> (String, Option<u64>);
}

impl Name for String {
    fn into_parts(self) -> (String, Option<u64>) {
        (self, None)
    }
}

impl Name for Spanned<String> {
    fn into_parts(self) -> (String, Option<u64>) {
        (self.value, Some(self.referenced.line()))
    }
}

struct Node<'a, N>(&'a mut Notes, PhantomData<N>);

impl<'a, N> Node<'a, N> {
    fn new(notes: &'a mut Notes) -> Self {
        Self(notes, PhantomData)
    }
}

impl<'de, N: Name> DeserializeSeed<'de> for Node<'_, N> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, N: Name> Visitor<'de> for Node<'_, N> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::from(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::from(n))
    }

    fn visit_f64<E: Error>(self, n: f64) -> Result<Value, E> {
        let number = Number::from_f64(n).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, s: &str) -> Result<Value, E> {
        Ok(Value::from(s))
    }

    fn visit_string<E>(self, s: String) -> Result<Value, E> {
        Ok(Value::String(s))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let notes = self.0;
        let mut list = Vec::new();
        loop {
            let end = notes.path.len();
            notes.path.push_str(&format!("[{}]", list.len()));
            let item = items.next_element_seed(Node::<N>::new(notes))?;
            notes.path.truncate(end);
            match item {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let notes = self.0;
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<N>()? {
            let (name, line) = name.into_parts();
            let end = notes.path.len();
            if end > 0 {
                notes.path.push('.');
            }
            notes.path.push_str(&name);
            if let Some(order) = &mut notes.order {
                order.push(notes.path.clone());
            }
            let twice = map.contains_key(&name);
            if twice && (line.is_some() || notes.duplicates.iter().all(|d| d.path != notes.path)) {
                notes.duplicates.push(Duplicate { path: notes.path.clone(), name: name.clone(), line });
            }
            let value = fields.next_value_seed(Node::<N>::new(notes))?;
            map.insert(name, value);
            notes.path.truncate(end);
        }
        Ok(Value::Object(map))
    }
}
