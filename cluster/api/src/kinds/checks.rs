//! Checks that many kinds share. [`Errors`] collects refusals; every check takes the path of the
//! value it looks at.

use std::net::IpAddr;

use serde_json::Value;

use crate::field::FieldError;
use crate::meta::{self, IMMUTABLE};
use crate::names;
use crate::quantity::{BAD_QUANTITY, Quantity};
use crate::value::{get, has, int, items, members, same, text, texts};

const NEGATIVE: &str = "must be greater than or equal to 0";

/// Refusals, in the order they were found.
#[derive(Default)]
pub struct Errors(pub Vec<FieldError>);

impl Errors {
    pub fn required(&mut self, path: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError::required(path, detail));
    }

    pub fn invalid(&mut self, path: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) {
        self.0.push(FieldError::invalid(path, value, detail));
    }

    pub fn forbidden(&mut self, path: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError::forbidden(path, detail));
    }

    pub fn duplicate(&mut self, path: impl Into<String>, value: impl Into<Value>) {
        self.0.push(FieldError::duplicate(path, value));
    }

    pub fn not_found(&mut self, path: impl Into<String>, value: impl Into<Value>) {
        self.0.push(FieldError::not_found(path, value));
    }

    /// One error for each reason.
    pub fn reasons(&mut self, path: &str, value: &str, reasons: Vec<String>) {
        for reason in reasons {
            self.invalid(path, value, reason);
        }
    }

    /// A text that must be there.
    pub fn present(&mut self, object: &Value, path: &str, field: &str) -> bool {
        let there = !text(object, field).is_empty();
        if !there {
            self.required(format!("{path}.{field}"), "");
        }
        there
    }

    /// One of some words; an empty one is missing.
    pub fn one_of(&mut self, path: &str, value: &str, words: &[&str]) {
        match value {
            "" => self.required(path, ""),
            value => self.one_of_or_empty(path, value, words),
        }
    }

    /// One of some words, or empty.
    pub fn one_of_or_empty(&mut self, path: &str, value: &str, words: &[&str]) {
        if !value.is_empty() && !words.contains(&value) {
            self.0.push(FieldError::not_supported(path, value, words));
        }
    }

    /// A number that is not negative, when given.
    pub fn non_negative(&mut self, object: &Value, path: &str, field: &str) {
        if let Some(number) = int(object, field)
            && number < 0
        {
            self.invalid(format!("{path}.{field}"), number, NEGATIVE);
        }
    }

    /// A number greater than zero, when given.
    pub fn positive(&mut self, object: &Value, path: &str, field: &str) {
        if let Some(number) = int(object, field)
            && number <= 0
        {
            self.invalid(format!("{path}.{field}"), number, "must be greater than 0");
        }
    }

    /// A number within bounds, when given.
    pub fn in_range(&mut self, object: &Value, path: &str, field: &str, low: i64, high: i64) {
        if let Some(number) = int(object, field)
            && !(low..=high).contains(&number)
        {
            self.invalid(format!("{path}.{field}"), number, names::range(low, high));
        }
    }

    /// Any of some fields that must stay as they were.
    pub fn immutable(&mut self, new: &Value, old: &Value, path: &str) {
        if !same(get(new, path), get(old, path)) {
            self.invalid(path, get(new, path).clone(), IMMUTABLE);
        }
    }

    /// A port number.
    pub fn port(&mut self, path: &str, number: i64) {
        for reason in names::port(number) {
            self.invalid(path, number, reason);
        }
    }

    /// A port number or name.
    pub fn port_or_name(&mut self, path: &str, port: &Value) {
        match port {
            Value::String(name) => self.reasons(path, name, names::port_name(name)),
            port => self.port(path, port.as_i64().unwrap_or_default()),
        }
    }

    /// Labels (or a selector map) at a path.
    pub fn labels(&mut self, labels: &Value, path: &str) {
        meta::validate_labels(labels, path, &mut self.0);
    }

    /// The name of a CSI driver.
    pub fn driver_name(&mut self, name: &str, path: &str) {
        const LONGEST: usize = 63;
        if name.is_empty() {
            return self.required(path, "");
        }
        if name.len() > LONGEST {
            self.0.push(FieldError::too_long(path, LONGEST));
        }
        self.reasons(path, name, names::subdomain(&name.to_lowercase()));
    }

    /// A quantity greater than zero, when given.
    pub fn positive_quantity(&mut self, object: &Value, path: &str, field: &str) {
        let Some(quantity) = crate::amounts::quantity(get(object, field)) else { return };
        if quantity.is_zero() || quantity.is_negative() {
            self.invalid(format!("{path}.{field}"), quantity.to_string(), "must be positive");
        }
    }

    /// Conditions of a status, each of a type of its own.
    pub fn conditions(&mut self, conditions: &[Value], path: &str) {
        let mut seen: Vec<&str> = Vec::new();
        for (i, condition) in conditions.iter().enumerate() {
            let at = format!("{path}[{i}].type");
            let kind = text(condition, "type");
            if seen.contains(&kind) {
                self.duplicate(at.as_str(), kind);
            }
            seen.push(kind);
            if kind.is_empty() {
                self.required(at, "");
            }
        }
    }

    /// A quantity that is not negative.
    pub fn quantity(&mut self, value: &Value, path: &str) -> Option<Quantity> {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match Quantity::parse(&text) {
            Ok(quantity) => {
                if quantity.is_negative() {
                    self.invalid(path, text, NEGATIVE);
                }
                Some(quantity)
            }
            Err(_) => {
                self.invalid(path, text, BAD_QUANTITY);
                None
            }
        }
    }

    /// An IP address in its usual form.
    pub fn ip(&mut self, path: &str, value: &str) -> Option<IpAddr> {
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        }
        parsed
    }

    /// A network such as `10.0.0.0/8`.
    pub fn cidr(&mut self, path: &str, value: &str) -> Option<ipnet::IpNet> {
        let parsed = value.parse().ok();
        if parsed.is_none() {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            self.invalid(path, value, detail);
        }
        parsed
    }

    /// A count or a percentage (`IntOrString`): not negative, and a percentage at most 100.
    pub fn count_or_percent(&mut self, value: &Value, path: &str) {
        match value {
            Value::Null => {}
            Value::String(text) => match percent(text) {
                None => {
                    let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
                    self.invalid(path, text.as_str(), detail);
                }
                Some(percent) if percent > 100 => {
                    self.invalid(path, text.as_str(), "must not be greater than 100%");
                }
                Some(_) => {}
            },
            number => {
                let number = number.as_i64().unwrap_or_default();
                if number < 0 {
                    self.invalid(path, number, NEGATIVE);
                }
            }
        }
    }

    /// A `metav1.LabelSelector`.
    pub fn label_selector(&mut self, selector: &Value, path: &str) {
        self.labels(get(selector, "matchLabels"), &format!("{path}.matchLabels"));
        for (i, expression) in items(selector, "matchExpressions").iter().enumerate() {
            let path = format!("{path}.matchExpressions[{i}]");
            self.selector_expression(expression, &path);
        }
    }

    fn selector_expression(&mut self, expression: &Value, path: &str) {
        let values = items(expression, "values");
        match text(expression, "operator") {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                self.required(format!("{path}.values"), detail);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                self.forbidden(format!("{path}.values"), detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                self.invalid(format!("{path}.operator"), other, "not a valid selector operator");
            }
        }
        let key = text(expression, "key");
        self.reasons(&format!("{path}.key"), key, names::qualified(key));
        for (i, value) in texts(expression, "values").enumerate() {
            let path = format!("{path}.values[{i}]");
            self.reasons(&path, value, names::label_value(value));
        }
    }
}

/// The number of a percentage, or `None` when it is none.
pub fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().ok())?
}

/// True when an `IntOrString` is a zero of either kind.
pub fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => percent(text) == Some(0),
        number => number.as_i64() == Some(0),
    }
}

/// True when a `metav1.LabelSelector` has no requirement.
pub fn is_empty_selector(selector: &Value) -> bool {
    members(selector, "matchLabels").next().is_none() && items(selector, "matchExpressions").is_empty()
}

/// Checks that a workload's selector is there, is not empty and matches its template's labels.
pub fn workload_selector(errors: &mut Errors, object: &Value, empty: &str) {
    const PATH: &str = "spec.selector";
    if !has(object, PATH) {
        errors.required(PATH, "");
        return;
    }
    let selector = get(object, PATH);
    errors.label_selector(selector, PATH);
    if is_empty_selector(selector) {
        errors.invalid(PATH, selector.clone(), empty);
        return;
    }
    let labels = get(object, "spec.template.metadata.labels");
    if let Ok(Some(parsed)) = crate::selector::LabelSelector::from_value(selector)
        && !parsed.matches_map(labels)
    {
        let shown = if labels.is_null() { Value::Object(serde_json::Map::new()) } else { labels.clone() };
        errors.invalid("spec.template.metadata.labels", shown, "`selector` does not match template `labels`");
    }
}
