//! The syntax of names: what may be a label key, an object name, a port name. Each check answers
//! the reasons of refusal, in Kubernetes' words; none means it is fine.

use std::sync::LazyLock;

use regex::Regex;

macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(concat!("^(?:", $pattern, ")$")).expect("a valid pattern"));
    };
}

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

pattern!(LABEL_RE, "[a-z0-9]([-a-z0-9]*[a-z0-9])?");
pattern!(SUBDOMAIN_RE, r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*");
pattern!(SUBDOMAIN_UNDERSCORE_RE, r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*");
pattern!(LABEL_1035_RE, "[a-z]([-a-z0-9]*[a-z0-9])?");
pattern!(QUALIFIED_RE, "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]");
pattern!(LABEL_VALUE_RE, "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?");
pattern!(WILDCARD_RE, r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*");
pattern!(CONFIG_KEY_RE, r"[-._a-zA-Z0-9]+");
pattern!(PORT_NAME_RE, "[-a-z0-9]+");
pattern!(HEADER_RE, "[-A-Za-z0-9]+");
pattern!(C_IDENTIFIER_RE, "[A-Za-z_][A-Za-z0-9_]*");

type Reasons = Vec<String>;

/// `must be no more than N characters`.
pub fn max_length(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

/// `must be between A and B, inclusive`.
pub fn range(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

fn pattern_reason(what: &str, pattern: &str, examples: &[&str]) -> String {
    let shown: Vec<String> = examples.iter().map(|e| format!("'{e}'")).collect();
    match shown.is_empty() {
        true => format!("{what} (regex used for validation is '{pattern}')"),
        false => format!("{what} (e.g. {}, regex used for validation is '{pattern}')", shown.join(",  or ")),
    }
}

/// RFC 1123 label.
pub fn label(value: &str) -> Reasons {
    let mut reasons = Vec::new();
    if value.len() > 63 {
        reasons.push(max_length(63));
    }
    if !LABEL_RE.is_match(value) {
        reasons.push(match SUBDOMAIN_RE.is_match(value) {
            true => "must not contain dots".to_owned(),
            false => pattern_reason(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                LABEL,
                &["my-name", "123-abc"],
            ),
        });
    }
    reasons
}

/// RFC 1123 subdomain.
pub fn subdomain(value: &str) -> Reasons {
    let mut reasons = Vec::new();
    if value.len() > 253 {
        reasons.push(max_length(253));
    }
    if !SUBDOMAIN_RE.is_match(value) {
        reasons.push(pattern_reason(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            SUBDOMAIN,
            &["example.com"],
        ));
    }
    reasons
}

/// RFC 1123 subdomain that may contain underscores (DNS search domains).
pub fn subdomain_with_underscore(value: &str) -> Reasons {
    let mut reasons = Vec::new();
    if value.len() > 253 {
        reasons.push(max_length(253));
    }
    if !SUBDOMAIN_UNDERSCORE_RE.is_match(value) {
        reasons.push(pattern_reason(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    reasons
}

/// RFC 1035 label.
pub fn label_1035(value: &str) -> Reasons {
    let mut reasons = Vec::new();
    if value.len() > 63 {
        reasons.push(max_length(63));
    }
    if !LABEL_1035_RE.is_match(value) {
        reasons.push(pattern_reason(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            LABEL_1035,
            &["my-name", "abc-123"],
        ));
    }
    reasons
}

/// `*.example.com`.
pub fn wildcard_subdomain(value: &str) -> Reasons {
    let mut reasons = Vec::new();
    if value.len() > 253 {
        reasons.push(max_length(253));
    }
    if !WILDCARD_RE.is_match(value) {
        reasons.push(pattern_reason(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{SUBDOMAIN}"),
            &["*.example.com"],
        ));
    }
    reasons
}

/// A label key: `name` or `prefix/name`.
pub fn qualified(value: &str) -> Reasons {
    let mut reasons = Vec::new();
    let name = match value.split('/').collect::<Vec<_>>().as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                reasons.push("prefix part must be non-empty".to_owned());
            } else {
                let more = subdomain(prefix).into_iter();
                reasons.extend(more.map(|reason| format!("prefix part {reason}")));
            }
            *name
        }
        _ => {
            let what = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
            let text = pattern_reason(what, QUALIFIED, &["MyName", "my.name", "123-abc"]);
            reasons.push(format!(
                "{text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return reasons;
        }
    };
    if name.is_empty() {
        reasons.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        reasons.push("name part must be no more than 63 bytes".to_owned());
    }
    if !QUALIFIED_RE.is_match(name) {
        let what = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        let text = pattern_reason(what, QUALIFIED, &["MyName", "my.name", "123-abc"]);
        reasons.push(format!("name part {text}"));
    }
    reasons
}

/// A label value.
pub fn label_value(value: &str) -> Reasons {
    let mut reasons = Vec::new();
    if value.len() > 63 {
        reasons.push("must be no more than 63 bytes".to_owned());
    }
    if !LABEL_VALUE_RE.is_match(value) {
        reasons.push(pattern_reason(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            LABEL_VALUE,
            &["MyValue", "my_value", "12345"],
        ));
    }
    reasons
}

/// A name that is one segment of a path.
pub fn path_segment(value: &str) -> Reasons {
    if value == "." || value == ".." {
        return vec![format!("may not be '{value}'")];
    }
    let mut reasons = Vec::new();
    for part in ["/", "%"] {
        if value.contains(part) {
            reasons.push(format!("may not contain '{part}'"));
        }
    }
    reasons
}

/// A port's name (IANA service name).
pub fn port_name(value: &str) -> Reasons {
    let mut reasons = Vec::new();
    if value.len() > 15 {
        reasons.push(max_length(15));
    }
    if !PORT_NAME_RE.is_match(value) {
        reasons.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !value.bytes().any(|b| b.is_ascii_lowercase()) {
        reasons.push("must contain at least one letter (a-z)".to_owned());
    }
    if value.contains("--") {
        reasons.push("must not contain consecutive hyphens".to_owned());
    }
    if value.starts_with('-') || value.ends_with('-') {
        reasons.push("must not begin or end with a hyphen".to_owned());
    }
    reasons
}

/// A port number.
pub fn port(value: i64) -> Reasons {
    match (1..=65535).contains(&value) {
        true => Vec::new(),
        false => vec![range(1, 65535)],
    }
}

/// A key of a ConfigMap or Secret.
pub fn config_key(value: &str) -> Reasons {
    let mut reasons = Vec::new();
    if value.len() > 253 {
        reasons.push(max_length(253));
    }
    if !CONFIG_KEY_RE.is_match(value) {
        reasons.push(pattern_reason(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match value {
        "." => reasons.push("must not be '.'".to_owned()),
        ".." => reasons.push("must not be '..'".to_owned()),
        value if value.starts_with("..") => {
            reasons.push("must not start with '..'".to_owned());
        }
        _ => {}
    }
    reasons
}

/// The name of an environment variable.
pub fn env_var(value: &str) -> Reasons {
    if value.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    match value.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=') {
        true => Vec::new(),
        false => vec![
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        ],
    }
}

/// The name of an HTTP header.
pub fn http_header(value: &str) -> Reasons {
    match HEADER_RE.is_match(value) {
        true => Vec::new(),
        false => vec![pattern_reason(
            "a valid HTTP header must consist of alphanumeric characters or '-'",
            "[-A-Za-z0-9]+",
            &["X-Header-Name"],
        )],
    }
}

/// A C identifier.
pub fn c_identifier(value: &str) -> Reasons {
    match C_IDENTIFIER_RE.is_match(value) {
        true => Vec::new(),
        false => vec![pattern_reason(
            "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
            "[A-Za-z_][A-Za-z0-9_]*",
            &["my_name", "MY_NAME", "MyName"],
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses() {
        type Check = fn(&str) -> Reasons;
        let cases: &[(Check, &str, &[&str])] = &[
            (label, "a-b1", &[]),
            (label, "a.b", &["must not contain dots"]),
            (subdomain, "a.b-c.d", &[]),
            (
                subdomain,
                "A",
                &[
                    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
                ],
            ),
            (qualified, "kubernetes.io/metadata.name", &[]),
            (qualified, "/x", &["prefix part must be non-empty"]),
            (label_value, "", &[]),
            (path_segment, "a/b", &["may not contain '/'"]),
            (port_name, "http", &[]),
            (port_name, "80", &["must contain at least one letter (a-z)"]),
            (config_key, "..a", &["must not start with '..'"]),
            (env_var, "A B", &[]),
        ];
        for (check, value, reasons) in cases {
            assert_eq!(check(value), *reasons, "{value}");
        }
        assert!(label("X")[0].contains("(e.g. 'my-name',  or '123-abc', regex used"));
    }
}
