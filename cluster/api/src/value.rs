//! Short ways to read and write fields of `serde_json` objects. Paths are dotted (`spec.replicas`)
//! and name object members only. Reading an absent path answers an empty value, never an error.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// The value at `path`, or null.
pub fn get<'a>(object: &'a Value, path: &str) -> &'a Value {
    let mut at = object;
    for part in path.split('.') {
        match at.get(part) {
            Some(next) => at = next,
            None => return &NULL,
        }
    }
    at
}

/// The string at `path`, or "".
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    get(object, path).as_str().unwrap_or_default()
}

/// The integer at `path`.
pub fn int(object: &Value, path: &str) -> Option<i64> {
    get(object, path).as_i64()
}

/// The boolean at `path`, false when absent.
pub fn flag(object: &Value, path: &str) -> bool {
    get(object, path).as_bool().unwrap_or_default()
}

/// True when the path holds anything but null.
pub fn has(object: &Value, path: &str) -> bool {
    !get(object, path).is_null()
}

/// The list at `path`, or an empty one.
pub fn items<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    get(object, path).as_array().map_or(&[], Vec::as_slice)
}

/// The members of the object at `path`.
pub fn members<'a>(object: &'a Value, path: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    get(object, path).as_object().into_iter().flatten()
}

/// The strings of the list at `path`.
pub fn texts<'a>(object: &'a Value, path: &str) -> impl Iterator<Item = &'a str> {
    items(object, path).iter().filter_map(Value::as_str)
}

/// The value at `path` for writing, when it is there.
pub fn get_mut<'a>(object: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut at = object;
    for part in path.split('.') {
        at = at.get_mut(part)?;
    }
    if at.is_null() { None } else { Some(at) }
}

/// The list at `path` for writing; empty when absent.
pub fn items_mut<'a>(object: &'a mut Value, path: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = get_mut(object, path).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

/// The object at `path`, made (with its parents) when absent. A value of another type on the way
/// is left alone and a detached map is never answered: the type was checked before.
pub fn ensure<'a>(object: &'a mut Value, path: &str) -> &'a mut Map<String, Value> {
    let mut at = object;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        at = map_of(at).entry(part).or_insert_with(|| Map::new().into());
    }
    map_of(at)
}

fn map_of(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// Sets the value at `path`, making parents.
pub fn set(object: &mut Value, path: &str, value: impl Into<Value>) {
    let (parent, leaf) = split(path);
    ensure(object, parent).insert(leaf.to_owned(), value.into());
}

/// Sets the value at `path` when there is none (or null), making parents.
pub fn set_default(object: &mut Value, path: &str, value: impl Into<Value>) {
    if !has(object, path) {
        set(object, path, value);
    }
}

/// As [`set_default`], also replacing an empty string.
pub fn set_text(object: &mut Value, path: &str, value: impl Into<Value>) {
    let at = get(object, path);
    if at.is_null() || at.as_str() == Some("") {
        set(object, path, value);
    }
}

/// Removes the member at `path`.
pub fn remove(object: &mut Value, path: &str) -> Option<Value> {
    let (parent, leaf) = split(path);
    let parent = match parent {
        "" => Some(object),
        parent => get_mut(object, parent),
    };
    parent?.as_object_mut()?.remove(leaf)
}

/// Makes `path` in `to` what it is in `from`, absent included.
pub fn copy(from: &Value, to: &mut Value, path: &str) {
    match get(from, path) {
        Value::Null => {
            remove(to, path);
        }
        value => set(to, path, value.clone()),
    }
}

/// A value as Go prints it: `map[a:1 b:[x y]]`.
pub fn go_text(value: &Value) -> String {
    let join = |parts: Vec<String>| parts.join(" ");
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", join(items.iter().map(go_text).collect())),
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            let members = members.into_iter().map(|(name, value)| format!("{name}:{}", go_text(value)));
            format!("map[{}]", join(members.collect()))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Equal as Kubernetes' semantic equality sees it: null, absent, "" of optional fields, empty
/// lists and empty objects are the same; numbers compare by value.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            x.iter().all(|(k, v)| same(v, y.get(k).unwrap_or(&NULL)))
                && y.iter().all(|(k, v)| x.contains_key(k) || is_empty(v))
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        _ => a == b || (is_empty(a) && is_empty(b)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// The type that Go gives a decoded JSON value, as `%T` prints it.
pub fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_and_writes_by_path() {
        let mut object = json!({"a": {"b": 1, "c": ["x"]}});
        assert_eq!(int(&object, "a.b"), Some(1));
        assert_eq!(texts(&object, "a.c").collect::<Vec<_>>(), ["x"]);
        assert_eq!(text(&object, "a.z.q"), "");
        set(&mut object, "d.e", true);
        set_default(&mut object, "d.e", false);
        assert!(flag(&object, "d.e"));
        assert_eq!(remove(&mut object, "a.b"), Some(json!(1)));
        copy(&json!({"a": {"n": 5}}), &mut object, "a.n");
        copy(&json!({}), &mut object, "d");
        assert_eq!(object, json!({"a": {"c": ["x"], "n": 5}}));
    }

    #[test]
    fn emptiness_is_equality() {
        assert!(same(&json!({"a": {}, "b": null}), &json!({"c": []})));
        assert!(!same(&json!({"a": false}), &json!({})));
        assert!(!same(&json!([1]), &json!([])));
    }
}
