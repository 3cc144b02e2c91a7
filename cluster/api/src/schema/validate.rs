//! Validation of custom resources against their schema.
//!
//! Messages are those of kube-openapi's validator. On an update, a part that did not change is not
//! checked again (ratcheting), except by rules that compare it with what it was.

use serde_json::{Map, Value, json};

use super::cel::BUDGET;
use super::rules::{Bound, Rules};
use super::tree::{ListType, Schema, Type};
use crate::field::{FieldError, FieldErrorKind};

pub(super) fn validate(schema: &Schema, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    validate_from(schema, value, old, "")
}

/// As [`validate`], for a new value that stands at `path`.
pub(super) fn validate_at(schema: &Schema, value: &Value, path: &str) -> Vec<FieldError> {
    validate_from(schema, value, None, path)
}

fn validate_from(schema: &Schema, value: &Value, old: Option<&Value>, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check(schema, value, old, path, &mut errors);
    check_lists(schema, value, old, path, &mut errors);
    let blocked = errors.iter().any(|error| {
        matches!(
            error.kind,
            FieldErrorKind::Required
                | FieldErrorKind::TooLong
                | FieldErrorKind::TooMany
                | FieldErrorKind::TypeInvalid
        )
    });
    if !blocked {
        check_rules(schema, value, old, path, &mut RuleRun { errors: &mut errors, budget: BUDGET });
    } else if has_rules(schema, 0) {
        let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        errors.push(FieldError::invalid("<nil>", "null", detail));
    }
    errors
}

fn join(path: &str, name: &str) -> String {
    match path.is_empty() {
        true => name.to_string(),
        false => format!("{path}.{name}"),
    }
}

/// The item of the old list that this item was: only items of map lists can be told.
fn correlate<'a>(list: &Schema, old: Option<&'a Value>, item: &Value) -> Option<&'a Value> {
    if list.list != ListType::Map {
        return None;
    }
    let old = old?.as_array()?;
    old.iter().find(|other| list.list_keys.iter().all(|key| other.get(&**key) == item.get(&**key)))
}

fn check(schema: &Schema, value: &Value, old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    if schema.builtin || old == Some(value) {
        return;
    }
    if value.is_null() && schema.nullable {
        return;
    }
    if let Some(wanted) = mismatch(schema, value) {
        let found = type_word(value);
        let detail = format!("{path} in body must be of type {wanted}: {found:?}");
        errors.push(FieldError::type_invalid(path, found, detail));
        return;
    }
    if let Some(rules) = &schema.rules {
        check_value(rules, value, path, errors);
        check_alternatives(rules, value, path, errors);
    }
    match value {
        Value::Object(map) => {
            for name in schema.required.iter().filter(|n| !map.contains_key(&***n)) {
                errors.push(FieldError::required(join(path, name), ""));
            }
            for (name, value) in map {
                if let Some(child) = schema.child(name) {
                    let old = old.and_then(|old| old.get(name));
                    check(child, value, old, &join(path, name), errors);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = schema.item() {
                for (i, item) in items.iter().enumerate() {
                    let old = correlate(schema, old, item);
                    check(child, item, old, &format!("{path}[{i}]"), errors);
                }
            }
        }
        _ => {}
    }
}

fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The type that was wanted, if the value is not of it.
fn mismatch(schema: &Schema, value: &Value) -> Option<&'static str> {
    let is_integer = |n: &serde_json::Number| !n.is_f64() || n.as_f64().is_some_and(|f| f.fract() == 0.0);
    let (wanted, fits) = match schema.kind {
        Type::Any => return None,
        Type::Object => ("object", value.is_object()),
        Type::Array => ("array", value.is_array()),
        Type::Boolean => ("boolean", value.is_boolean()),
        Type::Number => ("number", value.is_number()),
        Type::Int32 | Type::Int64 => ("integer", value.as_number().is_some_and(is_integer)),
        Type::IntOrString | Type::Quantity => {
            ("integer,string", value.is_string() || value.as_number().is_some_and(is_integer))
        }
        Type::String | Type::Bytes | Type::Time | Type::MicroTime => ("string", value.is_string()),
    };
    (!fits).then_some(wanted)
}

fn check_value(rules: &Rules, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut invalid = |detail: String| {
        let detail = format!("{path} in body {detail}");
        errors.push(FieldError::invalid(path, value.clone(), detail));
    };
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            check_number(rules, number, &mut invalid);
        }
        Value::String(text) => {
            let length = text.chars().count() as u64;
            if rules.min_length.is_some_and(|min| length < min) {
                let min = rules.min_length.unwrap_or_default();
                invalid(format!("should be at least {min} chars long"));
            }
            if let Some(pattern) = rules.pattern.as_ref().filter(|p| !p.is_match(text)) {
                invalid(format!("should match '{}'", pattern.as_str()));
            }
            if let Some(max) = rules.max_length.filter(|max| length > *max) {
                errors.push(FieldError::too_long(path, max as usize));
            }
            if let Some(format) = rules.format.filter(|format| !format.accepts(text)) {
                let detail = format!("{path} in body must be of type {}: {text:?}", format.name());
                errors.push(FieldError::type_invalid(path, text.as_str(), detail));
            }
        }
        Value::Array(items) => {
            if let Some(min) = rules.min_items.filter(|min| (items.len() as u64) < *min) {
                let detail = format!("{path} in body should have at least {min} items");
                errors.push(FieldError::invalid(path, items.len(), detail));
            }
            if let Some(max) = rules.max_items.filter(|max| items.len() as u64 > *max) {
                errors.push(FieldError::too_many(path, items.len(), max as usize));
            }
        }
        Value::Object(map) => {
            if let Some(min) = rules.min_properties.filter(|min| (map.len() as u64) < *min) {
                let detail = format!("{path} in body should have at least {min} properties");
                errors.push(FieldError::invalid(path, map.len(), detail));
            }
            if let Some(max) = rules.max_properties.filter(|max| map.len() as u64 > *max) {
                errors.push(FieldError::too_many(path, map.len(), max as usize));
            }
        }
        _ => {}
    }
    if !rules.values.is_empty() && !rules.values.iter().any(|v| same(v, value)) {
        let known = rules.values.iter().map(|known| match known {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        errors.push(FieldError::not_supported(path, value.clone(), known));
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn check_number(rules: &Rules, number: f64, invalid: &mut impl FnMut(String)) {
    if let Some(Bound { at, exclusive }) = rules.minimum {
        match exclusive {
            true if number <= at => invalid(format!("should be greater than {at}")),
            false if number < at => invalid(format!("should be greater than or equal to {at}")),
            _ => {}
        }
    }
    if let Some(Bound { at, exclusive }) = rules.maximum {
        match exclusive {
            true if number >= at => invalid(format!("should be less than {at}")),
            false if number > at => invalid(format!("should be less than or equal to {at}")),
            _ => {}
        }
    }
    if let Some(factor) = rules.multiple_of {
        let times = number / factor;
        if (times - times.round()).abs() > 1e-9 {
            invalid(format!("should be a multiple of {factor}"));
        }
    }
}

fn check_alternatives(rules: &Rules, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let problems = |schema: &Schema| {
        let mut found = Vec::new();
        check(schema, value, None, path, &mut found);
        found
    };
    let mut composite = |detail: String| errors.push(FieldError::invalid(path, "", detail));
    let valid = |list: &[Schema]| list.iter().filter(|s| problems(s).is_empty()).count();
    if !rules.any_of.is_empty() && valid(&rules.any_of) == 0 {
        composite(format!("{path:?} must validate at least one schema (anyOf)"));
        // What is wrong with the alternative that came closest.
        let nearest = rules.any_of.iter().map(problems).min_by_key(Vec::len);
        errors.extend(nearest.into_iter().flatten());
    }
    let mut composite = |detail: String| errors.push(FieldError::invalid(path, "", detail));
    if !rules.one_of.is_empty() {
        match valid(&rules.one_of) {
            1 => {}
            0 => {
                composite(format!(
                    "{path:?} must validate one and only one schema (oneOf). Found none valid"
                ));
                let nearest = rules.one_of.iter().map(problems).min_by_key(Vec::len);
                errors.extend(nearest.into_iter().flatten());
            }
            count => composite(format!(
                "{path:?} must validate one and only one schema (oneOf). Found {count} valid alternatives"
            )),
        }
    }
    let all: Vec<FieldError> = rules.all_of.iter().flat_map(problems).collect();
    if !all.is_empty() {
        errors.extend(all);
        let detail = format!("{path:?} must validate all the schemas (allOf)");
        errors.push(FieldError::invalid(path, "", detail));
    }
    if let Some(not) = &rules.not
        && problems(not).is_empty()
    {
        let detail = format!("{path:?} must not validate the schema (not)");
        errors.push(FieldError::invalid(path, "", detail));
    }
}

/// Items of sets and map lists stand there once.
fn check_lists(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    if schema.builtin || old == Some(value) {
        return;
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(child) = schema.child(name) {
                    let old = old.and_then(|old| old.get(name));
                    check_lists(child, value, old, &join(path, name), errors);
                }
            }
        }
        Value::Array(items) => {
            let mut seen: Vec<Value> = Vec::new();
            for (i, item) in items.iter().enumerate() {
                let path = format!("{path}[{i}]");
                if let Some(identity) = identity(schema, item) {
                    match seen.contains(&identity) {
                        true => errors.push(FieldError::duplicate(&path, identity)),
                        false => seen.push(identity),
                    }
                }
                if let Some(child) = schema.item() {
                    let old = correlate(schema, old, item);
                    check_lists(child, item, old, &path, errors);
                }
            }
        }
        _ => {}
    }
}

fn identity(list: &Schema, item: &Value) -> Option<Value> {
    match (list.list, item) {
        (ListType::Atomic, _) => None,
        (ListType::Set, item) => Some(item.clone()),
        (ListType::Map, Value::Object(map)) => {
            let keys = list.list_keys.iter().filter_map(|key| {
                let value = map.get(&**key)?;
                Some((key.to_string(), value.clone()))
            });
            Some(Value::Object(keys.collect::<Map<_, _>>()))
        }
        (ListType::Map, _) => Some(json!({})),
    }
}

/// Where the rules of one object have come to.
struct RuleRun<'e> {
    errors: &'e mut Vec<FieldError>,
    /// None is left: no further rule is run.
    budget: u64,
}

/// CEL rules, outermost first.
fn check_rules(schema: &Schema, value: &Value, old: Option<&Value>, path: &str, run: &mut RuleRun<'_>) {
    if schema.builtin || value.is_null() {
        return;
    }
    if let Some(rules) = &schema.rules {
        let old_given = old.filter(|old| !old.is_null());
        for rule in &rules.cel {
            if run.budget == 0 || (!rule.is_transition() && old == Some(value)) {
                continue;
            }
            let refusal = rule.check(schema, value, old_given, path, &mut run.budget);
            run.errors.extend(refusal);
        }
        for part in &rules.all_of {
            check_rules(part, value, old, path, run);
        }
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(child) = schema.child(name) {
                    let old = old.and_then(|old| old.get(name));
                    check_rules(child, value, old, &join(path, name), run);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = schema.item() {
                for (i, item) in items.iter().enumerate() {
                    let old = correlate(schema, old, item);
                    check_rules(child, item, old, &format!("{path}[{i}]"), run);
                }
            }
        }
        _ => {}
    }
}

/// Custom schemas are trees; the depth is only a seat belt.
fn has_rules(schema: &Schema, depth: usize) -> bool {
    if schema.builtin || depth > 64 {
        return false;
    }
    let here = schema.rules.as_ref().is_some_and(|rules| !rules.cel.is_empty());
    let fields = schema.properties.iter().map(|field| field.link.get());
    let others = schema.additional.iter().chain(&schema.items).map(|l| l.get());
    here || fields.chain(others).any(|child| has_rules(child, depth + 1))
}
