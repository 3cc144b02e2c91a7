//! Schemas of the built-in kinds: k8s-openapi's description of each type, with our facts on top.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use parking_lot::Mutex;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::facts::FACTS;
use super::kinds::{KINDS, Kind};
use super::tree::{Default, Definition, Field, Link, ListType, MapType, PatchStrategy, Schema, Type};

type Definitions = HashMap<&'static str, &'static Definition>;

/// Definitions built so far. They live as long as the process; there are fewer than 600.
static DEFINITIONS: LazyLock<Mutex<Definitions>> = LazyLock::new(Mutex::default);

/// Lines of the table of facts, by definition.
static LINES: LazyLock<HashMap<&'static str, Vec<&'static str>>> = LazyLock::new(read_facts);

pub(super) fn lookup(group: &str, version: &str, kind: &str) -> Option<Arc<Schema>> {
    static SLOTS: LazyLock<Vec<OnceLock<Arc<Schema>>>> =
        LazyLock::new(|| KINDS.iter().map(|_| OnceLock::new()).collect());
    let wanted = (group, version, kind);
    let at = KINDS.binary_search_by(|k| (k.group, k.version, k.kind).cmp(&wanted)).ok()?;
    let built = SLOTS[at].get_or_init(|| build(&KINDS[at]));
    Some(built.clone())
}

/// The metadata every object has.
pub(super) fn object_meta() -> Link {
    lookup("", "v1", "Namespace")
        .and_then(|namespace| namespace.field("metadata").map(|f| f.link.clone()))
        .expect("the namespace has metadata")
}

/// As [`object_meta`], for walkers that hold on to schemas.
pub(crate) fn object_meta_schema() -> Option<&'static Schema> {
    match object_meta() {
        Link::Named(definition) => Some(definition.get()),
        Link::Owned(_) => None,
    }
}

/// A generator whose definitions are named as Kubernetes names them.
pub(crate) fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with(|settings| settings.transforms.clear()).into_generator()
}

fn build(kind: &Kind) -> Arc<Schema> {
    let mut generator = generator();
    (kind.describe)(&mut generator);
    let described = generator.take_definitions(false);
    let mut known = DEFINITIONS.lock();
    let mut fresh = Vec::new();
    for (name, description) in &described {
        if !known.contains_key(name.as_str()) {
            let name: &'static str = Box::leak(name.clone().into_boxed_str());
            let definition = Definition { name, schema: OnceLock::new() };
            let definition: &'static Definition = Box::leak(Box::new(definition));
            known.insert(name, definition);
            fresh.push((definition, description));
        }
    }
    for (definition, description) in fresh {
        let schema = convert_definition(&known, definition.name, description);
        let set = definition.schema.set(Arc::new(schema));
        assert!(set.is_ok(), "{} was built twice", definition.name);
    }
    known[kind.definition].get().clone()
}

/// One word of the table of facts.
#[derive(Clone, Debug, std::default::Default)]
pub(crate) struct Fact {
    pub list: Option<ListType>,
    pub list_keys: Vec<&'static str>,
    pub map: Option<MapType>,
    pub patch: PatchStrategy,
    /// The strategy as Kubernetes spells it (`merge,retainKeys`), empty when there is none.
    pub strategy: String,
    pub merge_key: Option<&'static str>,
    /// `Some(true)`: `-`, `Some(false)`: `+`.
    pub drop_empty: Option<bool>,
    /// `Some("")`: the type's zero value.
    pub default: Option<&'static str>,
}

/// The facts of a definition: whether it is atomic, and what is known of its fields.
#[derive(Debug, std::default::Default)]
pub(crate) struct Facts {
    pub atomic: bool,
    pub fields: HashMap<&'static str, Fact>,
}

/// What the table says of a definition, given its full name.
pub(crate) fn facts(definition: &str) -> Facts {
    let mut facts = Facts::default();
    let Some(name) = definition.strip_prefix("io.k8s.") else {
        return facts;
    };
    for line in LINES.get(name).into_iter().flatten() {
        let mut words = line.split_ascii_whitespace();
        if !line.starts_with(' ') {
            facts.atomic = words.next().is_some_and(|head| head.ends_with("@atomic"));
        }
        for word in words {
            let (field, fact) = read_word(word);
            facts.fields.insert(field, fact);
        }
    }
    facts
}

fn read_facts() -> HashMap<&'static str, Vec<&'static str>> {
    let mut lines: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut name = "";
    for line in FACTS.lines().filter(|line| !line.is_empty()) {
        if !line.starts_with(' ') {
            let head = line.split(' ').next().unwrap_or(line);
            name = head.strip_suffix("@atomic").unwrap_or(head);
        }
        lines.entry(name).or_default().push(line);
    }
    lines
}

fn read_word(word: &'static str) -> (&'static str, Fact) {
    let mut fact = Fact::default();
    let (head, default) = match word.split_once('=') {
        Some((head, default)) => (head, Some(default)),
        None => (word, None),
    };
    fact.default = default;
    let head = match head.strip_suffix('-') {
        Some(rest) => {
            fact.drop_empty = Some(true);
            rest
        }
        None => head,
    };
    let head = match head.strip_suffix('+') {
        Some(rest) => {
            fact.drop_empty = Some(false);
            rest
        }
        None => head,
    };
    let (head, strategy) = match head.split_once('~') {
        Some((head, strategy)) => (head, Some(strategy)),
        None => (head, None),
    };
    let (name, list) = match head.split_once(':') {
        Some((name, list)) => (name, list),
        None => (head, ""),
    };
    match list {
        "set" => fact.list = Some(ListType::Set),
        "atomic" => fact.map = Some(MapType::Atomic),
        "granular" => fact.map = Some(MapType::Granular),
        "" => {}
        map => {
            fact.list = Some(ListType::Map);
            let keys = map.strip_prefix("map(").and_then(|k| k.strip_suffix(')'));
            fact.list_keys = keys.map(|k| k.split(',').collect()).unwrap_or_default();
        }
    }
    if let Some(strategy) = strategy {
        let (words, key) = match strategy.split_once('(') {
            Some((words, key)) => (words, key.strip_suffix(')')),
            None => (strategy, fact.list_keys.first().copied()),
        };
        fact.merge_key = key;
        fact.strategy = words.replace('&', ",");
        fact.patch.merge = words.contains("merge");
        fact.patch.retain_keys = words.contains("retainKeys");
    }
    (name, fact)
}

fn convert_definition(known: &Definitions, name: &'static str, description: &Value) -> Schema {
    let facts = facts(name);
    let mut schema = match special(name) {
        Some(schema) => schema,
        None => convert(known, description, None, &facts.fields),
    };
    schema.name = name;
    schema.builtin = true;
    if facts.atomic {
        schema.map = MapType::Atomic;
    }
    schema
}

/// Definitions whose JSON form says more than their description.
fn special(name: &str) -> Option<Schema> {
    let kind = match name.rsplit('.').next()? {
        "Quantity" => Type::Quantity,
        "IntOrString" => Type::IntOrString,
        "Time" => Type::Time,
        "MicroTime" => Type::MicroTime,
        "RawExtension" | "FieldsV1" => Type::Object,
        "JSON" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            Type::Any
        }
        _ => return None,
    };
    Some(Schema { kind, preserve_unknown: matches!(kind, Type::Object | Type::Any), ..Schema::default() })
}

fn convert(
    known: &Definitions,
    json: &Value,
    fact: Option<&Fact>,
    fields: &HashMap<&'static str, Fact>,
) -> Schema {
    let mut schema = Schema { builtin: true, kind: json_type(json), ..Schema::default() };
    if let Some(properties) = json.get("properties").and_then(Value::as_object) {
        let mut list = convert_properties(known, properties, fields);
        list.sort_by(|a, b| a.name.cmp(&b.name));
        schema.properties = list.into();
    }
    let required = json.get("required").and_then(Value::as_array);
    schema.required =
        required.into_iter().flatten().filter_map(|name| name.as_str().map(Arc::from)).collect();
    schema.additional = json.get("additionalProperties").map(|values| link(known, values, None));
    schema.items = json.get("items").map(|items| link(known, items, None));
    if let Some(fact) = fact {
        schema.list = fact.list.unwrap_or_default();
        schema.list_keys = fact.list_keys.iter().map(|key| Arc::from(*key)).collect();
        schema.map = fact.map.unwrap_or_default();
        schema.patch = fact.patch;
        schema.merge_key = fact.merge_key.map(Arc::from);
    }
    schema
}

fn convert_properties(
    known: &Definitions,
    properties: &Map<String, Value>,
    facts: &HashMap<&'static str, Fact>,
) -> Vec<Field> {
    let mut fields = Vec::with_capacity(properties.len());
    for (name, json) in properties {
        let fact = facts.get(name.as_str());
        let link = link(known, json, fact);
        // Through a reference to a definition under construction the type is not known yet, and
        // such a value is an object.
        let owned = match &link {
            Link::Owned(schema) => Some(schema.kind),
            Link::Named(_) => None,
        };
        let collection = match &link {
            Link::Owned(schema) => matches!(schema.kind, Type::Array | Type::Object),
            Link::Named(_) => false,
        };
        fields.push(Field {
            name: Arc::from(name.as_str()),
            default: fact.and_then(|f| default_of(f, owned)),
            map: fact.and_then(|f| f.map),
            patch: fact.map(|f| f.patch).unwrap_or_default(),
            replace: fact.is_some_and(|f| f.strategy == "replace"),
            drop_empty: fact.and_then(|f| f.drop_empty).unwrap_or(collection),
            link,
        });
    }
    fields
}

fn default_of(fact: &Fact, kind: Option<Type>) -> Option<Default> {
    match fact.default? {
        // The default is the value that is not written.
        "" if fact.drop_empty == Some(true) => None,
        "" => Some(Default::Zero(match kind {
            Some(Type::String | Type::Bytes) => Value::from(""),
            Some(Type::Int32 | Type::Int64) => Value::from(0),
            Some(Type::Number) => Value::from(0.0),
            Some(Type::Boolean) => Value::from(false),
            _ => Value::Object(Map::new()),
        })),
        text => {
            let value = serde_json::from_str(text);
            let value = value.expect("defaults in the table of facts are JSON");
            Some(Default::Value(value))
        }
    }
}

fn link(known: &Definitions, json: &Value, fact: Option<&Fact>) -> Link {
    match json.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            let name = reference.rsplit('/').next().unwrap_or(reference);
            Link::Named(known[name])
        }
        None => {
            let kind = json_type(json);
            match SCALARS.iter().find(|scalar| scalar.kind == kind) {
                Some(scalar) => Link::Owned(scalar.clone()),
                None => Link::Owned(Arc::new(convert(known, json, fact, &HashMap::new()))),
            }
        }
    }
}

/// Scalars of built-in kinds differ in nothing but their type: all fields share these.
static SCALARS: LazyLock<Vec<Arc<Schema>>> = LazyLock::new(|| {
    let kinds =
        [Type::String, Type::Bytes, Type::Time, Type::Int32, Type::Int64, Type::Number, Type::Boolean];
    let plain = |kind| Schema { kind, builtin: true, ..Schema::default() };
    kinds.into_iter().map(|kind| Arc::new(plain(kind))).collect()
});

fn json_type(json: &Value) -> Type {
    let word = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default();
    match (word("type"), word("format")) {
        ("object", _) => Type::Object,
        ("array", _) => Type::Array,
        ("string", "byte") => Type::Bytes,
        ("string", "date-time") => Type::Time,
        ("string", _) => Type::String,
        ("integer", "int32") => Type::Int32,
        ("integer", _) => Type::Int64,
        ("number", _) => Type::Number,
        ("boolean", _) => Type::Boolean,
        _ => Type::Any,
    }
}
