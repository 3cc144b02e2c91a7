//! Sets of field paths, and their FieldsV1 form.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

/// One step of a path.
#[derive(Clone, Debug)]
pub enum Element {
    /// A property or map key.
    Field(String),
    /// A list item by its keys, sorted by name.
    Key(Vec<(String, Value)>),
    /// A set item by its value.
    Value(Value),
    /// An item of an atomic list; only read, never made.
    Index(i64),
}

impl Element {
    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }

    /// `f:spec`, `k:{"name":"a"}`, `v:"a"`, `i:0`.
    fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let keys: Map<String, Value> = keys.iter().cloned().collect();
                format!("k:{}", Value::Object(keys))
            }
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// `None` for a kind of step that this release does not know.
    fn decode(text: &str) -> Result<Option<Self>, BadFields> {
        let bad = || BadFields(text.to_string());
        let (kind, rest) = text.split_once(':').ok_or_else(bad)?;
        match kind {
            "f" => Ok(Some(Self::Field(rest.to_string()))),
            "v" => {
                let value = serde_json::from_str(rest).map_err(|_| bad())?;
                Ok(Some(Self::Value(value)))
            }
            "i" => Ok(Some(Self::Index(rest.parse().map_err(|_| bad())?))),
            "k" => {
                let keys: Map<String, Value> = serde_json::from_str(rest).map_err(|_| bad())?;
                let mut keys: Vec<(String, Value)> = keys.into_iter().collect();
                keys.sort_by(|a, b| a.0.cmp(&b.0));
                Ok(Some(Self::Key(keys)))
            }
            _ => Ok(None),
        }
    }
}

impl fmt::Display for Element {
    /// `.spec`, `[name="a"]`, `[="a"]`, `[0]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                f.write_str("[")?;
                for (i, (name, value)) in keys.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{name}={value}")?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Value(a), Self::Value(b)) => compare_values(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => {
                for ((name_a, a), (name_b, b)) in a.iter().zip(b) {
                    let order = name_a.cmp(name_b).then_with(|| compare_values(a, b));
                    if order != Ordering::Equal {
                        return order;
                    }
                }
                a.len().cmp(&b.len())
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element {}

/// A total order in which numbers compare by value (`1` is `1.0`).
pub(super) fn compare_values(a: &Value, b: &Value) -> Ordering {
    let rank = |v: &Value| match v {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => {
                let float = |n: &serde_json::Number| n.as_f64().unwrap_or_default();
                float(a).total_cmp(&float(b))
            }
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let differing = a.iter().zip(b).map(|(a, b)| compare_values(a, b));
            let first = differing.into_iter().find(|order| order.is_ne());
            first.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let differing =
                a.iter().zip(b).map(|((k, a), (l, b))| k.cmp(l).then_with(|| compare_values(a, b)));
            let first = differing.into_iter().find(|order| order.is_ne());
            first.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

/// A FieldsV1 document that can not be read.
#[derive(Debug, thiserror::Error)]
#[error("not a field path element: {0}")]
pub struct BadFields(String);

/// A set of paths. The empty path is never in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set(pub(super) BTreeMap<Element, Node>);

/// What a set holds below one step. A node without membership and children does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub member: bool,
    pub children: Set,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

impl Set {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn insert(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let node = match self.0.contains_key(first) {
            true => self.0.get_mut(first),
            false => Some(self.0.entry(first.clone()).or_default()),
        };
        let Some(node) = node else {
            return;
        };
        match rest.is_empty() {
            true => node.member = true,
            false => node.children.insert(rest),
        }
    }

    pub fn has(&self, path: &[Element]) -> bool {
        match path.split_first() {
            None => false,
            Some((first, [])) => self.0.get(first).is_some_and(|node| node.member),
            Some((first, rest)) => {
                let node = self.0.get(first);
                node.is_some_and(|node| node.children.has(rest))
            }
        }
    }

    /// From paths of property names.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<Element> = path.iter().map(|f| Element::Field(f.to_string())).collect();
            set.insert(&path);
        }
        set
    }

    pub fn union(mut self, other: &Self) -> Self {
        self.extend(other);
        self
    }

    fn extend(&mut self, other: &Self) {
        for (element, theirs) in &other.0 {
            match self.0.get_mut(element) {
                Some(ours) => {
                    ours.member |= theirs.member;
                    ours.children.extend(&theirs.children);
                }
                None => {
                    self.0.insert(element.clone(), theirs.clone());
                }
            }
        }
    }

    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for (element, ours) in &self.0 {
            let Some(theirs) = other.0.get(element) else {
                continue;
            };
            let node = Node {
                member: ours.member && theirs.member,
                children: ours.children.intersection(&theirs.children),
            };
            if !node.is_empty() {
                both.0.insert(element.clone(), node);
            }
        }
        both
    }

    /// The paths of `self` that are not in `other`. A parent in `other` does not remove children.
    pub fn difference(mut self, other: &Self) -> Self {
        self.subtract(other, false);
        self
    }

    /// Like [`Set::difference`], and a path in `other` also removes all below it.
    pub fn recursive_difference(mut self, other: &Self) -> Self {
        self.subtract(other, true);
        self
    }

    fn subtract(&mut self, other: &Self, recursive: bool) {
        if other.is_empty() {
            return;
        }
        self.0.retain(|element, ours| {
            let Some(theirs) = other.0.get(element) else {
                return true;
            };
            if theirs.member {
                ours.member = false;
                if recursive {
                    return false;
                }
            }
            ours.children.subtract(&theirs.children, recursive);
            !ours.is_empty()
        });
    }

    /// Calls `visit` for each path, parents first, in order.
    pub fn each(&self, visit: &mut impl FnMut(&[Element])) {
        fn walk(set: &Set, path: &mut Vec<Element>, visit: &mut impl FnMut(&[Element])) {
            for (element, node) in &set.0 {
                path.push(element.clone());
                if node.member {
                    visit(path);
                }
                walk(&node.children, path, visit);
                path.pop();
            }
        }
        walk(self, &mut Vec::new(), visit);
    }

    /// The FieldsV1 document.
    pub fn to_fields(&self) -> Value {
        Value::Object(self.to_map(false))
    }

    fn to_map(&self, member: bool) -> Map<String, Value> {
        let mut map = Map::new();
        if member && !self.is_empty() {
            map.insert(".".into(), Value::Object(Map::new()));
        }
        for (element, node) in &self.0 {
            let below = node.children.to_map(node.member);
            map.insert(element.encode(), Value::Object(below));
        }
        map
    }

    /// Reads a FieldsV1 document.
    pub fn from_fields(fields: &Value) -> Result<Self, BadFields> {
        let mut set = Self::default();
        let Some(map) = fields.as_object() else {
            return Ok(set);
        };
        for (key, below) in map {
            if key == "." {
                continue;
            }
            let Some(element) = Element::decode(key)? else {
                continue;
            };
            let children = Self::from_fields(below)?;
            let node = Node { member: children.is_empty() || below.get(".").is_some(), children };
            set.0.insert(element, node);
        }
        Ok(set)
    }
}
