//! Validation of FlowSchema and PriorityLevelConfiguration.

use serde_json::Value;

use crate::field::FieldError;
use crate::kinds::checks::Errors;
use crate::meta;
use crate::names;
use crate::value::{flag, get, has, int, items, text, texts};

const MAX_PRECEDENCE: i64 = 10_000;
const MAX_QUEUES: i64 = 10_000_000;
/// Bits of a hash that may choose the queues of a flow.
const MAX_HASH_BITS: i64 = 60;

pub fn flow_schema(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = get(object, "spec");
    let precedence = int(spec, "matchingPrecedence").unwrap_or_default();
    let mut refuse = |detail: String| errors.invalid("spec.matchingPrecedence", precedence, detail);
    match precedence {
        ..=0 => refuse("must be a positive value".into()),
        1 if meta::name(object) != "exempt" => {
            refuse("only the schema named 'exempt' may have matchingPrecedence 1".into());
        }
        _ if precedence > MAX_PRECEDENCE => refuse(format!("must not be greater than {MAX_PRECEDENCE}")),
        _ => {}
    }
    let method = get(spec, "distinguisherMethod");
    let methods = ["ByNamespace", "ByUser"];
    if !method.is_null() && !methods.contains(&text(method, "type")) {
        errors.0.push(FieldError::not_supported("spec.distinguisherMethod.type", method.clone(), methods));
    }
    match text(spec, "priorityLevelConfiguration.name") {
        "" => errors.required("spec.priorityLevelConfiguration.name", "must reference a priority level"),
        name => errors.reasons("spec.priorityLevelConfiguration.name", name, names::subdomain(name)),
    }
    for (i, rule) in items(spec, "rules").iter().enumerate() {
        rule_with_subjects(rule, &format!("spec.rules[{i}]"), &mut errors);
    }
    errors.0
}

fn rule_with_subjects(rule: &Value, path: &str, errors: &mut Errors) {
    let subjects = items(rule, "subjects");
    if subjects.is_empty() {
        errors.required(format!("{path}.subjects"), "subjects must contain at least one value");
    }
    for (i, of) in subjects.iter().enumerate() {
        subject(of, &format!("{path}.subjects[{i}]"), errors);
    }
    let (resources, others) = (items(rule, "resourceRules"), items(rule, "nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.required(path, detail);
    }
    for (i, rule) in resources.iter().enumerate() {
        resource_rule(rule, &format!("{path}.resourceRules[{i}]"), errors);
    }
    for (i, rule) in others.iter().enumerate() {
        let at = format!("{path}.nonResourceRules[{i}]");
        verbs(rule, &at, errors);
        if list(
            rule,
            &at,
            "nonResourceURLs",
            "nonResourceURLs must contain at least one value",
            "non-resource URLs",
            errors,
        ) {
            for (i, url) in texts(rule, "nonResourceURLs").enumerate() {
                url_path(url, &format!("{at}.nonResourceURLs[{i}]"), errors);
            }
        }
    }
}

const SUBJECTS: [(&str, &str); 3] =
    [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];

fn subject(subject: &Value, path: &str, errors: &mut Errors) {
    let kind = text(subject, "kind");
    let Some((_, own)) = SUBJECTS.iter().find(|(known, _)| *known == kind) else {
        let kinds = ["Group", "ServiceAccount", "User"];
        errors.0.push(FieldError::not_supported(format!("{path}.kind"), kind, kinds));
        return;
    };
    let (named, at) = (get(subject, own), format!("{path}.{own}"));
    if named.is_null() {
        errors.required(at.as_str(), format!("{own} is required when subject kind is '{kind}'"));
    } else {
        let name = text(named, "name");
        errors.present(named, &at, "name");
        if kind == "ServiceAccount" {
            if !matches!(name, "" | "*") {
                errors.reasons(&format!("{at}.name"), name, names::subdomain(name));
            }
            match text(named, "namespace") {
                "" => {
                    errors.required(format!("{at}.namespace"), "must specify namespace for service account")
                }
                space => errors.reasons(&format!("{at}.namespace"), space, names::label(space)),
            }
        }
    }
    for (kind, other) in SUBJECTS.iter().filter(|(_, other)| other != own && has(subject, other)) {
        let detail = format!("{other} is forbidden when subject kind is not '{kind}'");
        errors.forbidden(format!("{path}.{other}"), detail);
    }
}

/// A list that must not be empty, where `*` stands alone. True when its values are to be looked at.
fn list(rule: &Value, path: &str, field: &str, empty: &str, others: &str, errors: &mut Errors) -> bool {
    let values = items(rule, field);
    let at = format!("{path}.{field}");
    let any = values.iter().any(|v| v == "*");
    if values.is_empty() {
        errors.required(at, empty);
    } else if any && values.len() > 1 {
        let detail = format!("if '*' is present, must not specify other {others}");
        errors.invalid(at, values.to_vec(), detail);
    }
    !any
}

fn verbs(rule: &Value, path: &str, errors: &mut Errors) {
    const VERBS: [&str; 9] =
        ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
    let known = list(rule, path, "verbs", "verbs must contain at least one value", "verbs", errors);
    if known && texts(rule, "verbs").any(|verb| !VERBS.contains(&verb)) {
        let given = get(rule, "verbs").clone();
        errors.0.push(FieldError::not_supported(format!("{path}.verbs"), given, VERBS));
    }
}

fn resource_rule(rule: &Value, path: &str, errors: &mut Errors) {
    verbs(rule, path, errors);
    let empty = "resource rules must supply at least one api group";
    list(rule, path, "apiGroups", empty, "api groups", errors);
    let empty = "resource rules must supply at least one resource";
    list(rule, path, "resources", empty, "resources", errors);
    if items(rule, "namespaces").is_empty() && flag(rule, "clusterScope") {
        return;
    }
    let empty = "resource rules that are not cluster scoped must supply at least one namespace";
    if list(rule, path, "namespaces", empty, "namespaces", errors) {
        for (i, namespace) in texts(rule, "namespaces").enumerate() {
            for reason in names::label(namespace) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {reason}");
                errors.invalid(format!("{path}.namespaces[{i}]"), namespace, detail);
            }
        }
    }
}

/// A path such as `/healthz` or `/apis/*`.
fn url_path(url: &str, path: &str, errors: &mut Errors) {
    let stars = url.matches('*').count();
    let wrong = match url {
        "" => "must not be empty",
        "/" => return,
        _ if !url.starts_with('/') => "must start with slash",
        _ if url.contains(' ') => "must not contain white-space",
        _ if url.contains("//") => "must not contain double slash",
        _ if stars > 1 || stars == 1 && !url.ends_with("/*") => "wildcard can only do suffix matching",
        _ => return,
    };
    errors.invalid(path, url, wrong);
}

pub fn priority_level(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = get(object, "spec");
    let kind = text(spec, "type");
    if (meta::name(object) == "exempt") != (kind == "Exempt") {
        errors.invalid("spec.type", kind, "must be 'Exempt' if and only if `name` is 'exempt'");
    }
    let (exempt, limited) = (get(spec, "exempt"), get(spec, "limited"));
    match kind {
        "Exempt" => {
            if !limited.is_null() {
                errors.forbidden("spec.limited", "must be nil if the type is not Limited");
            }
            shares(exempt, "spec.exempt", &mut errors);
        }
        "Limited" => {
            if !exempt.is_null() {
                errors.forbidden("spec.exempt", "must be nil if the type is Limited");
            }
            match limited.is_null() {
                true => errors.required("spec.limited", "must not be empty when type is Limited"),
                false => limited_level(limited, &mut errors),
            }
        }
        kind => {
            errors.0.push(FieldError::not_supported("spec.type", kind, ["Exempt", "Limited"]));
        }
    }
    errors.0
}

fn shares(level: &Value, path: &str, errors: &mut Errors) {
    if let Some(shares) = int(level, "nominalConcurrencyShares").filter(|n| *n < 0) {
        let at = format!("{path}.nominalConcurrencyShares");
        errors.invalid(at, shares, "must be a non-negative integer");
    }
    if let Some(percent) = int(level, "lendablePercent").filter(|p| !(0..=100).contains(p)) {
        let at = format!("{path}.lendablePercent");
        errors.invalid(at, percent, "must be between 0 and 100, inclusive");
    }
}

fn limited_level(limited: &Value, errors: &mut Errors) {
    shares(limited, "spec.limited", errors);
    if let Some(percent) = int(limited, "borrowingLimitPercent").filter(|p| *p < 0) {
        let detail = "if specified, must be a non-negative integer";
        errors.invalid("spec.limited.borrowingLimitPercent", percent, detail);
    }
    const RESPONSE: &str = "spec.limited.limitResponse";
    let response = get(limited, "limitResponse");
    let (queuing, at) = (get(response, "queuing"), format!("{RESPONSE}.queuing"));
    match (text(response, "type"), queuing.is_null()) {
        ("Reject", true) => {}
        ("Reject", false) => {
            errors.forbidden(at, "must be nil if limited.limitResponse.type is not Limited");
        }
        ("Queue", true) => {
            errors.required(at, "must not be empty if limited.limitResponse.type is Limited");
        }
        ("Queue", false) => queues(queuing, &at, errors),
        (kind, _) => {
            let kinds = ["Queue", "Reject"];
            errors.0.push(FieldError::not_supported(format!("{RESPONSE}.type"), kind, kinds));
        }
    }
}

fn queues(queuing: &Value, path: &str, errors: &mut Errors) {
    let number = |field: &str| int(queuing, field).unwrap_or_default();
    let (length, queues, hand) = (number("queueLengthLimit"), number("queues"), number("handSize"));
    if length <= 0 {
        errors.invalid(format!("{path}.queueLengthLimit"), length, "must be positive");
    }
    let at = format!("{path}.queues");
    if queues <= 0 {
        errors.invalid(at, queues, "must be positive");
    } else if queues > MAX_QUEUES {
        errors.invalid(at, queues, format!("must not be greater than {MAX_QUEUES}"));
    }
    let at = format!("{path}.handSize");
    if hand <= 0 {
        errors.invalid(at, hand, "must be positive");
    } else if hand > queues {
        errors.invalid(at, hand, format!("should not be greater than queues ({queues})"));
    } else if entropy_bits(queues, hand) > MAX_HASH_BITS {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MAX_HASH_BITS}"
        );
        errors.invalid(at, hand, detail);
    }
}

/// Bits of a hash that deal a hand of so many queues out of all of them.
fn entropy_bits(queues: i64, hand: i64) -> i64 {
    // Enough for each number up to `queues` to be drawn about evenly.
    (hand as f64 * (queues as f64).log2()).ceil() as i64
}
