//! JSON with its duplicate fields noted.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Parsed;

pub(super) fn parse(body: &[u8]) -> Result<Parsed, serde_json::Error> {
    let mut notes = Notes::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Node(&mut notes).deserialize(&mut deserializer)?;
    deserializer.end()?;
    let duplicates = notes.duplicates;
    Ok(Parsed { value, duplicates })
}

#[derive(Default)]
struct Notes {
    path: String,
    duplicates: Vec<String>,
}

struct Node<'a>(&'a mut Notes);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
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
            let item = items.next_element_seed(Node(notes))?;
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
        while let Some(name) = fields.next_key::<String>()? {
            let end = notes.path.len();
            if end > 0 {
                notes.path.push('.');
            }
            notes.path.push_str(&name);
            let value = fields.next_value_seed(Node(notes))?;
            if map.insert(name, value).is_some() && !notes.duplicates.contains(&notes.path) {
                notes.duplicates.push(notes.path.clone());
            }
            notes.path.truncate(end);
        }
        Ok(Value::Object(map))
    }
}
