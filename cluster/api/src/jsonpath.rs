//! The JSONPath subset of custom columns: `.a.b`, `['k']`, `[0]`, `[*]`, `[?(@.x=="y")]`.

use jiff::Timestamp;
use serde_json::Value;

use crate::table::since;

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Member(String),
    Index(i64),
    All,
    /// Items whose member at the path equals the text.
    Filter(Vec<String>, bool, String),
}

/// The cell of a custom column: the values found, typed by the column's type; several are joined
/// by commas, none is null.
pub fn cell(object: &Value, path: &str, kind: &str, now: Timestamp) -> Value {
    let found = find(object, path);
    let (Some(first), more) = (found.first(), found.len() > 1) else {
        return Value::Null;
    };
    match kind {
        "integer" => match first {
            Value::Number(n) => n.as_i64().map_or_else(|| n.as_f64().map(|f| f as i64).into(), Value::from),
            _ => Value::Null,
        },
        "number" => first.as_f64().map_or(Value::Null, Value::from),
        "boolean" => first.as_bool().map_or(Value::Null, Value::from),
        "date" => match first {
            Value::String(_) => since(first, now).into(),
            _ => Value::Null,
        },
        _ if more => {
            let texts: Vec<String> = found.iter().map(|v| plain(v)).collect();
            texts.join(",").into()
        }
        _ if first.is_null() => Value::Null,
        _ => plain(first).into(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// All values at a path.
pub fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut at = vec![object];
    for step in parse(path) {
        at = at.into_iter().flat_map(|value| take(value, &step)).collect();
    }
    at
}

fn take<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match (step, value) {
        (Step::Member(name), Value::Object(map)) => map.get(name).into_iter().collect(),
        (Step::Index(i), Value::Array(list)) => {
            let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
            let i = if *i < 0 { length + i } else { *i };
            usize::try_from(i).ok().and_then(|i| list.get(i)).into_iter().collect()
        }
        (Step::All, Value::Array(list)) => list.iter().collect(),
        (Step::All, Value::Object(map)) => map.values().collect(),
        (Step::Filter(path, equal, text), Value::Array(list)) => {
            let matches = |item: &&Value| {
                let found = path.iter().try_fold(*item, |at, name| at.get(name));
                found.is_some_and(|v| (plain(v) == *text) == *equal)
            };
            list.iter().filter(matches).collect()
        }
        _ => Vec::new(),
    }
}

fn parse(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let Some(end) = inner.find(']') else {
                return Vec::new();
            };
            match bracket(&inner[..end]) {
                Some(step) => steps.push(step),
                None => return Vec::new(),
            }
            rest = &inner[end + 1..];
            continue;
        }
        let name = rest.trim_start_matches('.');
        let (name, after) = member(name);
        match name.as_str() {
            "" => {}
            "*" => steps.push(Step::All),
            _ => steps.push(Step::Member(name)),
        }
        if after.len() == rest.len() {
            return Vec::new();
        }
        rest = after;
    }
    steps
}

/// A member's name up to the next `.` or `[`; a backslash takes the next character as it is.
fn member(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[i..]),
            c => name.push(c),
        }
    }
    (name, "")
}

fn bracket(inner: &str) -> Option<Step> {
    let inner = inner.trim();
    if inner == "*" {
        return Some(Step::All);
    }
    if let Ok(index) = inner.parse() {
        return Some(Step::Index(index));
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        let (left, equal, right) = match filter.split_once("==") {
            Some((left, right)) => (left, true, right),
            None => filter.split_once("!=").map(|(left, right)| (left, false, right))?,
        };
        let path = left.trim().strip_prefix('@')?;
        let path = path.split('.').filter(|p| !p.is_empty()).map(str::to_owned).collect();
        return Some(Step::Filter(path, equal, unquote(right.trim()).to_owned()));
    }
    Some(Step::Member(unquote(inner).to_owned()))
}

fn unquote(text: &str) -> &str {
    text.trim_matches(|c| c == '\'' || c == '"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells() {
        let object = json!({
            "metadata": {"annotations": {"a.b/c": "x"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"n": 3, "f": 1.5, "on": true, "list": ["a", "b"]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        });
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let cases = [
            (".spec.n", "integer", json!(3)),
            (".spec.n", "string", json!("3")),
            (".spec.f", "number", json!(1.5)),
            (".spec.on", "boolean", json!(true)),
            (".spec.list[*]", "string", json!("a,b")),
            (".spec.list[1]", "string", json!("b")),
            (".spec.list[-1]", "string", json!("b")),
            (".status.conditions[?(@.type==\"Ready\")].status", "string", json!("True")),
            (".metadata.annotations.a\\.b/c", "string", json!("x")),
            (".metadata.annotations['a.b/c']", "string", json!("x")),
            (".metadata.creationTimestamp", "date", json!("60s")),
            (".spec.absent", "string", Value::Null),
        ];
        for (path, kind, expected) in cases {
            assert_eq!(cell(&object, path, kind, now), expected, "{path}");
        }
    }
}
