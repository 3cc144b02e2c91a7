//! The table of messages, read once.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::table::MESSAGES;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    Int,
    Double,
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// JSON as it is: raw extensions, field sets, values in schemas.
    Raw,
    /// See [`message`].
    Message(u16),
}

/// How often a field comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    List,
    /// Keys are strings.
    Map,
    /// Its fields stand among those of the message around it.
    Inline,
}

#[derive(Debug)]
pub(super) struct Field {
    pub number: u32,
    /// Of the JSON member.
    pub name: &'static str,
    pub kind: Kind,
    pub shape: Shape,
    /// Absent is not zero.
    pub pointer: bool,
    /// Zero is not shown in JSON.
    pub omit: bool,
}

#[derive(Debug)]
pub(super) struct Message {
    pub name: &'static str,
    /// In the order of their numbers.
    pub fields: Vec<Field>,
    /// JSON names, sorted, of the fields here and in inlined messages.
    leaves: Vec<Leaf>,
    /// The message stands for a JSON value that is no object, or not always one.
    pub union: bool,
}

/// A field as it is found by its JSON name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub name: &'static str,
    /// Its place in the order in which fields are written, inlined ones included.
    pub slot: u16,
    pub kind: Kind,
    pub shape: Shape,
}

impl Message {
    pub(super) fn field(&self, number: u32) -> Option<&Field> {
        let at = self.fields.binary_search_by_key(&number, |f| f.number).ok()?;
        self.fields.get(at)
    }

    /// The field of a JSON member.
    pub(super) fn leaf(&self, name: &str) -> Option<Leaf> {
        let at = self.leaves.binary_search_by(|l| l.name.cmp(name)).ok()?;
        self.leaves.get(at).copied()
    }

    /// All that can stand in its JSON.
    #[cfg(test)]
    pub(super) fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The field of a union that holds objects (`{}`), lists (`[]`) or a flag (`!`).
    pub(super) fn variant(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

struct Table {
    all: Vec<Message>,
    by_name: HashMap<&'static str, u16>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(read)
}

/// Every message there is.
#[cfg(test)]
pub(super) fn all() -> &'static [Message] {
    &table().all
}

pub(super) fn message(index: u16) -> &'static Message {
    &table().all[usize::from(index)]
}

/// The message of a kind.
pub(super) fn of_kind(version: &str, kind: &str) -> Option<&'static Message> {
    let table = table();
    let own = || table.by_name.get(format!("{version}.{kind}").as_str());
    let meta = || table.by_name.get(format!("meta.{kind}").as_str());
    let found = match version {
        // Every group has its DeleteOptions.
        _ if kind == "DeleteOptions" => meta(),
        "meta.k8s.io/v1" | "meta.k8s.io/v1beta1" => meta(),
        "v1" => own().or_else(meta),
        _ => own(),
    };
    found.map(|index| message(*index))
}

fn read() -> Table {
    let lines: Vec<&'static str> = MESSAGES.lines().filter(|l| !l.is_empty()).collect();
    let name_of = |line: &'static str| line.split(' ').next().unwrap_or_default();
    let by_name: HashMap<_, _> = (0..).zip(&lines).map(|(index, line)| (name_of(line), index)).collect();
    let mut all: Vec<Message> = lines.iter().map(|line| read_line(line, &by_name)).collect();
    for index in 0..all.len() {
        let (mut leaves, mut slot) = (Vec::new(), 0);
        gather(&all, &all[index], &mut leaves, &mut slot);
        leaves.sort_by_key(|leaf| leaf.name);
        all[index].leaves = leaves;
    }
    Table { all, by_name }
}

fn read_line(line: &'static str, by_name: &HashMap<&'static str, u16>) -> Message {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let mut fields: Vec<Field> = words.filter_map(|word| read_field(word, by_name)).collect();
    fields.sort_by_key(|field| field.number);
    let union = fields.iter().any(|f| matches!(f.name, "{}" | "[]" | "!"));
    Message { name, fields, leaves: Vec::new(), union }
}

fn read_field(word: &'static str, by_name: &HashMap<&'static str, u16>) -> Option<Field> {
    let (number, rest) = word.split_once(':')?;
    let (name, kind) = rest.split_once(':')?;
    let (kind, omit) = kind.strip_suffix('~').map_or((kind, false), |k| (k, true));
    let (kind, pointer) = kind.strip_suffix('?').map_or((kind, false), |k| (k, true));
    let (kind, shape) = match kind.as_bytes().first()? {
        b'*' => (&kind[1..], Shape::List),
        b'%' => (&kind[1..], Shape::Map),
        _ if name == "." => (kind, Shape::Inline),
        _ => (kind, Shape::One),
    };
    let kind = match kind {
        "s" => Kind::Text,
        "b" => Kind::Bool,
        "i" => Kind::Int,
        "d" => Kind::Double,
        "y" => Kind::Bytes,
        "T" => Kind::Time,
        "U" => Kind::MicroTime,
        "Q" => Kind::Quantity,
        "I" => Kind::IntOrString,
        "R" | "F" => Kind::Raw,
        message => Kind::Message(*by_name.get(message.strip_prefix('M')?)?),
    };
    Some(Field { number: number.parse().ok()?, name, kind, shape, pointer, omit })
}

fn gather(all: &[Message], message: &Message, leaves: &mut Vec<Leaf>, slot: &mut u16) {
    for field in &message.fields {
        match (field.shape, field.kind) {
            (Shape::Inline, Kind::Message(inner)) => gather(all, &all[usize::from(inner)], leaves, slot),
            _ => {
                leaves.push(Leaf { name: field.name, slot: *slot, kind: field.kind, shape: field.shape });
                *slot += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_table_is_read() {
        let lines: Vec<_> = MESSAGES.lines().filter(|l| !l.is_empty()).collect();
        assert_eq!(lines.len(), all().len());
        for (line, message) in lines.iter().zip(all()) {
            assert_eq!(line.split(' ').count() - 1, message.fields.len(), "{line}");
            let numbers = message.fields.windows(2).all(|pair| pair[0].number < pair[1].number);
            assert!(numbers, "{}: two fields have the same number", message.name);
            let names = message.leaves.windows(2).all(|pair| pair[0].name < pair[1].name);
            assert!(names, "{}: two fields have the same name", message.name);
        }
    }
}
