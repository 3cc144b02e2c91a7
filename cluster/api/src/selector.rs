//! Label and field selectors, from their string form and from `LabelSelector` values.

use serde_json::Value;

use crate::field::FieldError;
use crate::names;
use crate::status::Status;
use crate::value::{has, items, members, text, texts};

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equals,
    In,
    NotEquals,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One requirement on labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    /// Sorted, without repetitions.
    pub values: Vec<String>,
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|v| v == value);
        let number = |text: &str| text.parse::<i64>().ok();
        let bound = || self.values.first().and_then(|v| number(v));
        match (self.operator, value) {
            (Operator::Equals | Operator::In, value) => value.is_some_and(listed),
            (Operator::NotEquals | Operator::NotIn, value) => !value.is_some_and(listed),
            (Operator::Exists, value) => value.is_some(),
            (Operator::DoesNotExist, value) => value.is_none(),
            (Operator::GreaterThan, value) => value.and_then(number).zip(bound()).is_some_and(|(v, b)| v > b),
            (Operator::LessThan, value) => value.and_then(number).zip(bound()).is_some_and(|(v, b)| v < b),
        }
    }

    /// Checks key and values as Kubernetes' `NewRequirement`.
    fn checked(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Self, String> {
        values.sort_unstable();
        values.dedup();
        check_key(key)?;
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            for (i, value) in values.iter().enumerate() {
                if value.parse::<i64>().is_err() {
                    let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                    let error = FieldError::invalid(format!("values[{i}]"), value.as_str(), detail);
                    return Err(error.to_string());
                }
            }
        }
        for (i, value) in values.iter().enumerate() {
            let reasons = names::label_value(value);
            if !reasons.is_empty() {
                let path = format!("values[{i}][{key}]");
                let error = FieldError::invalid(path, value.as_str(), reasons.join("; "));
                return Err(error.to_string());
            }
        }
        let key = key.to_owned();
        Ok(Self { key, operator, values })
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let reasons = names::qualified(key);
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(FieldError::invalid("<nil>", key, reasons.join("; ")).to_string()),
    }
}

/// A conjunction of requirements; empty selects everything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LabelSelector {
    pub requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// From the `labelSelector` query parameter; errors as Kubernetes words them.
    pub fn parse(text: &str) -> Result<LabelSelector, Status> {
        let tokens = scan(text);
        let mut parser = Parser { tokens, at: 0 };
        parser.selector().map_err(Status::bad_request)
    }

    /// From a `metav1.LabelSelector` value. `None` (for null) selects nothing.
    pub fn from_value(selector: &Value) -> Result<Option<LabelSelector>, String> {
        if selector.is_null() {
            return Ok(None);
        }
        let mut requirements = Vec::new();
        for (key, value) in members(selector, "matchLabels") {
            let values = vec![value.as_str().unwrap_or_default().to_owned()];
            requirements.push(Requirement::checked(key, Operator::In, values)?);
        }
        for expression in items(selector, "matchExpressions") {
            let operator = match text(expression, "operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{other:?} is not a valid label selector operator")),
            };
            let values = texts(expression, "values").map(str::to_owned).collect();
            let key = text(expression, "key");
            requirements.push(Requirement::checked(key, operator, values)?);
        }
        Ok(Some(LabelSelector { requirements }))
    }

    /// From a plain map of labels (Service, ReplicationController). `None` for null.
    pub fn from_map(map: &Value) -> Option<LabelSelector> {
        let map = map.as_object()?;
        let requirements = map.iter().map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: vec![value.as_str().unwrap_or_default().to_owned()],
        });
        Some(LabelSelector { requirements: requirements.collect() })
    }

    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Matches labels given by a lookup.
    pub fn matches_by<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|r| r.matches(get(&r.key)))
    }

    /// Matches a list of labels.
    pub fn matches<K: AsRef<str>, V: AsRef<str>>(&self, labels: &[(K, V)]) -> bool {
        self.matches_by(|key| lookup(labels, key))
    }

    /// Matches a map of labels (`metadata.labels`).
    pub fn matches_map(&self, labels: &Value) -> bool {
        self.matches_by(|key| labels.get(key).and_then(Value::as_str))
    }
}

/// The string form of a `metav1.LabelSelector` value: `a=b,c in (d,e)`; `<none>` when empty.
pub fn format_value(selector: &Value) -> String {
    if !has(selector, "matchLabels") && !has(selector, "matchExpressions") {
        return "<none>".into();
    }
    let mut parts: Vec<(String, String)> = Vec::new();
    for (key, value) in members(selector, "matchLabels") {
        let value = value.as_str().unwrap_or_default();
        parts.push((key.clone(), format!("{key}={value}")));
    }
    for e in items(selector, "matchExpressions") {
        let key = text(e, "key");
        let mut values: Vec<&str> = texts(e, "values").collect();
        values.sort_unstable();
        let values = values.join(",");
        let part = match text(e, "operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        parts.push((key.to_owned(), part));
    }
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    let parts: Vec<String> = parts.into_iter().map(|(_, part)| part).collect();
    match parts.is_empty() {
        true => "<none>".into(),
        false => parts.join(","),
    }
}

/// The string form of a map of labels: `a=b,c=d`; `<none>` when empty.
pub fn format_map(map: &Value) -> String {
    let pairs = map.as_object().into_iter().flatten();
    let mut parts: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    parts.sort_unstable();
    match parts.is_empty() {
        true => "<none>".into(),
        false => parts.join(","),
    }
}

fn lookup<'a, K: AsRef<str>, V: AsRef<str>>(pairs: &'a [(K, V)], key: &str) -> Option<&'a str> {
    let pair = pairs.iter().find(|(k, _)| k.as_ref() == key);
    pair.map(|(_, value)| value.as_ref())
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// One of `( ) , ! = == != < >`.
    Symbol(&'static str),
    End,
}

impl Token {
    fn literal(&self) -> &str {
        match self {
            Token::Word(word) => word,
            Token::Symbol(symbol) => symbol,
            Token::End => "",
        }
    }
}

const SYMBOLS: [&str; 9] = ["!=", "==", "=", "!", "(", ")", ",", "<", ">"];

fn scan(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            tokens.push(Token::Symbol(symbol));
            rest = rest[symbol.len()..].trim_start();
            continue;
        }
        let stop = |c: char| c.is_whitespace() || "=!(),<>".contains(c);
        let end = rest.find(stop).unwrap_or(rest.len());
        tokens.push(Token::Word(rest[..end].to_owned()));
        rest = rest[end..].trim_start();
    }
    tokens.push(Token::End);
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn found(token: &Token, expected: &str) -> String {
        format!("found '{}', expected: {expected}", token.literal())
    }

    fn selector(&mut self) -> Result<LabelSelector, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::End => return Ok(LabelSelector { requirements }),
                Token::Word(_) | Token::Symbol("!") => {}
                other => return Err(Self::found(other, "!, identifier, or 'end of string'")),
            }
            let requirement = self.requirement();
            requirements.push(requirement.map_err(|e| format!("unable to parse requirement: {e}"))?);
            match self.take() {
                Token::End => return Ok(LabelSelector { requirements }),
                Token::Symbol(",") => match self.peek() {
                    Token::Word(_) | Token::Symbol("!") => {}
                    other => return Err(Self::found(other, "identifier after ','")),
                },
                other => return Err(Self::found(&other, "',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = *self.peek() == Token::Symbol("!");
        if negated {
            self.take();
        }
        let key = match self.take() {
            Token::Word(word) => word,
            other => return Err(Self::found(&other, "identifier")),
        };
        check_key(&key)?;
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            let operator = match negated {
                true => Operator::DoesNotExist,
                false => Operator::Exists,
            };
            return Requirement::checked(&key, operator, Vec::new());
        }
        let operator = match self.take() {
            Token::Word(word) if word == "in" => Operator::In,
            Token::Word(word) if word == "notin" => Operator::NotIn,
            Token::Symbol("=" | "==") => Operator::Equals,
            Token::Symbol("!=") => Operator::NotEquals,
            Token::Symbol(">") => Operator::GreaterThan,
            Token::Symbol("<") => Operator::LessThan,
            other => return Err(Self::found(&other, "in, notin, =, ==, !=, gt, lt")),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.list()?,
            _ => vec![self.exact()?],
        };
        Requirement::checked(&key, operator, values)
    }

    fn exact(&mut self) -> Result<String, String> {
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(String::new());
        }
        match self.take() {
            Token::Word(word) => Ok(word),
            other => Err(Self::found(&other, "identifier")),
        }
    }

    /// `(a,b,c)`; an empty item is the empty value.
    fn list(&mut self) -> Result<Vec<String>, String> {
        let open = self.take();
        if open != Token::Symbol("(") {
            return Err(format!("found '{}' expected: '('", open.literal()));
        }
        let mut values = Vec::new();
        if !matches!(self.peek(), Token::Word(_) | Token::Symbol("," | ")")) {
            return Err(Self::found(self.peek(), "',', ')' or identifier"));
        }
        loop {
            values.push(match self.peek() {
                Token::Word(_) => self.take().literal().to_owned(),
                _ => String::new(),
            });
            match self.take() {
                Token::Symbol(")") => return Ok(values),
                Token::Symbol(",") => {}
                other => return Err(Self::found(&other, "',' or ')'")),
            }
        }
    }
}

/// One requirement on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    pub field: String,
    pub value: String,
    /// True for `!=`.
    pub negated: bool,
}

/// A conjunction of field requirements.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FieldSelector {
    pub requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// From the `fieldSelector` query parameter. A backslash escapes `,`, `=` and itself.
    pub fn parse(selector: &str) -> Result<FieldSelector, Status> {
        let mut requirements = Vec::new();
        for part in split_terms(selector).into_iter().filter(|part| !part.is_empty()) {
            let refuse = || {
                let message = format!("invalid selector: '{selector}'; can't understand '{part}'");
                Status::bad_request(message)
            };
            let (field, value, negated) = split_operator(&part).ok_or_else(refuse)?;
            let value = unescape(value).ok_or_else(refuse)?;
            let field = field.to_owned();
            requirements.push(FieldRequirement { field, value, negated });
        }
        Ok(FieldSelector { requirements })
    }

    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The value `field` is required to equal, when there is such a requirement.
    pub fn required(&self, field: &str) -> Option<&str> {
        let mut found = self.requirements.iter().filter(|r| r.field == field && !r.negated);
        found.next().map(|r| r.value.as_str())
    }

    /// Matches fields given by a lookup; an absent one is "".
    pub fn matches_by<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|r| (get(&r.field).unwrap_or_default() == r.value) != r.negated)
    }

    /// Matches a list of fields.
    pub fn matches<K: AsRef<str>, V: AsRef<str>>(&self, fields: &[(K, V)]) -> bool {
        self.matches_by(|name| lookup(fields, name))
    }
}

fn split_terms(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == ',' && !escaped {
            terms.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(term) = terms.last_mut() {
            term.push(c);
        }
    }
    terms
}

fn split_operator(term: &str) -> Option<(&str, &str, bool)> {
    let mut escaped = false;
    for (i, c) in term.char_indices() {
        let rest = &term[i..];
        if !escaped {
            for (operator, negated) in [("!=", true), ("==", false), ("=", false)] {
                if let Some(value) = rest.strip_prefix(operator) {
                    return Some((&term[..i], value, negated));
                }
            }
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

fn unescape(value: &str) -> Option<String> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => plain.push(c),
                _ => return None,
            },
            ',' | '=' => return None,
            c => plain.push(c),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors_match() {
        let labels = [("app", "web"), ("tier", "front"), ("n", "5")];
        let cases = [
            ("", true),
            ("app=web", true),
            ("app==web, tier in (front, back)", true),
            ("app!=web", false),
            ("zone!=a", true),
            ("tier notin (front)", false),
            ("app", true),
            ("!app", false),
            ("!zone", true),
            ("n>4,n<6", true),
            ("n>5", false),
            ("zone in ()", false),
            ("app=", false),
        ];
        for (text, expected) in cases {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.matches(&labels), expected, "{text}");
        }
    }

    #[test]
    fn label_selector_errors() {
        let cases = [
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a,", "found '', expected: identifier after ','"),
            (",a", "found ',', expected: !, identifier, or 'end of string'"),
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ];
        for (text, message) in cases {
            let error = LabelSelector::parse(text).unwrap_err();
            assert_eq!((error.code, error.message.as_str()), (400, message));
        }
        let error = LabelSelector::parse("-a=b").unwrap_err().message;
        assert!(error.starts_with("unable to parse requirement: <nil>: Invalid value: \"-a\": name part"));
    }

    #[test]
    fn selectors_from_values() {
        let value = json!({"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["y", "x"]}, {"key": "d", "operator": "Exists"}]});
        let selector = LabelSelector::from_value(&value).unwrap().unwrap();
        assert!(selector.matches(&[("a", "b"), ("c", "x"), ("d", "")]));
        assert!(!selector.matches(&[("a", "b"), ("c", "x")]));
        assert_eq!(format_value(&value), "a=b,c in (x,y),d");
        assert_eq!(format_map(&json!({})), "<none>");
    }

    #[test]
    fn field_selectors() {
        let s = FieldSelector::parse(r"spec.nodeName=n1,status.phase!=Failed,a==b\,c").unwrap();
        assert_eq!(s.required("spec.nodeName"), Some("n1"));
        assert_eq!(s.required("a"), Some("b,c"));
        assert!(s.matches(&[("spec.nodeName", "n1"), ("status.phase", "Running"), ("a", "b,c")]));
        assert!(!s.matches(&[("spec.nodeName", "n1")]));
        let error = FieldSelector::parse("abc").unwrap_err();
        assert_eq!(error.message, "invalid selector: 'abc'; can't understand 'abc'");
    }
}
