//! Validation of admission policies and their bindings. Whether expressions compile is not looked at.

use serde_json::{Value, json};

use crate::field::FieldError;
use crate::kinds::checks::Errors;
use crate::kinds::webhook::{match_conditions, rule_with_operations};
use crate::meta;
use crate::names;
use crate::value::{get, has, items, same, text, texts};

const MAX_ANNOTATIONS: usize = 20;
const MAX_ANNOTATION_EXPRESSION: usize = 5 << 10;

/// What is wrong with a policy, given what it was.
pub fn policy(object: &Value, old: Option<&Value>, mutating: bool) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = get(object, "spec");
    errors.one_of("spec.failurePolicy", text(spec, "failurePolicy"), &["Fail", "Ignore"]);
    if has(spec, "paramKind") {
        param_kind(get(spec, "paramKind"), &mut errors);
    }
    let constraints = get(spec, "matchConstraints");
    match constraints.is_null() {
        true => errors.required("spec.matchConstraints", ""),
        false => {
            match_resources(constraints, "spec.matchConstraints", &mut errors);
            if items(constraints, "resourceRules").is_empty() {
                errors.required("spec.matchConstraints.resourceRules", "");
            }
            if mutating {
                no_deletes(constraints, "spec.matchConstraints", &mut errors);
            }
        }
    }
    let unchanged = |field: &str| old.is_some_and(|old| same(get(get(old, "spec"), field), get(spec, field)));
    if !(unchanged("paramKind") && unchanged("matchConditions")) {
        match_conditions(items(spec, "matchConditions"), "spec.matchConditions", &mut errors);
    }
    for (i, variable) in items(spec, "variables").iter().enumerate() {
        let path = format!("spec.variables[{i}]");
        match text(variable, "name") {
            name if name.trim().is_empty() => {
                errors.required(format!("{path}.name"), "name is not specified");
            }
            name if !is_identifier(name) => {
                errors.invalid(format!("{path}.name"), name, "must be a valid CEL identifier");
            }
            _ => {}
        }
        expression(variable, "expression", &path, &mut errors);
    }
    match mutating {
        true => mutations(spec, &mut errors),
        false => validations(object, spec, &mut errors),
    }
    errors.0
}

fn expression(of: &Value, field: &str, path: &str, errors: &mut Errors) {
    if text(of, field).trim().is_empty() {
        errors.required(format!("{path}.{field}"), format!("{field} is not specified"));
    }
}

fn is_identifier(name: &str) -> bool {
    names::c_identifier(name).is_empty() && !crate::schema::is_reserved_in_cel(name)
}

fn validations(object: &Value, spec: &Value, errors: &mut Errors) {
    let (rules, annotations) = (items(spec, "validations"), items(spec, "auditAnnotations"));
    if rules.is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.required("spec.validations", detail);
        return errors.required("spec.auditAnnotations", detail);
    }
    for (i, rule) in rules.iter().enumerate() {
        let path = format!("spec.validations[{i}]");
        expression(rule, "expression", &path, errors);
        for field in ["messageExpression", "message"] {
            let given = text(rule, field);
            if !given.is_empty() && given.trim().is_empty() {
                errors.invalid(format!("{path}.{field}"), given, "must be non-empty if specified");
            }
        }
        let message = text(rule, "message");
        if message.trim().contains(['\n', '\r']) {
            errors.invalid(format!("{path}.message"), message, "must not contain line breaks");
        }
        let reason = text(rule, "reason");
        let reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
        errors.one_of_or_empty(&format!("{path}.reason"), reason, &reasons);
    }
    audit_annotations(annotations, meta::name(object), errors);
}

fn audit_annotations(annotations: &[Value], name: &str, errors: &mut Errors) {
    const PATH: &str = "spec.auditAnnotations";
    if annotations.len() > MAX_ANNOTATIONS {
        let detail = format!("must not have more than {MAX_ANNOTATIONS} auditAnnotations");
        errors.invalid(PATH, annotations.to_vec(), detail);
    }
    let mut seen: Vec<&str> = Vec::new();
    for (i, annotation) in annotations.iter().enumerate() {
        let (path, key) = (format!("{PATH}[{i}]"), text(annotation, "key"));
        let (at, whole) = (format!("{path}.key"), format!("{name}/{key}"));
        errors.reasons(&at, &whole, names::qualified(&whole));
        expression(annotation, "valueExpression", &path, errors);
        if text(annotation, "valueExpression").trim().len() > MAX_ANNOTATION_EXPRESSION {
            let detail = format!("must not exceed {MAX_ANNOTATION_EXPRESSION} bytes in length");
            errors.required(format!("{path}.valueExpression"), detail);
        }
        if seen.contains(&key) {
            errors.duplicate(at, key);
        }
        seen.push(key);
    }
}

fn mutations(spec: &Value, errors: &mut Errors) {
    let list = items(spec, "mutations");
    if list.is_empty() {
        errors.required("spec.mutations", "mutations must contain at least one item");
    }
    for (i, mutation) in list.iter().enumerate() {
        let path = format!("spec.mutations[{i}]");
        let kind = text(mutation, "patchType");
        let (own, other) = match kind {
            "JSONPatch" => ("jsonPatch", "applyConfiguration"),
            "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
            kind => {
                errors.one_of(&format!("{path}.patchType"), kind, &["ApplyConfiguration", "JSONPatch"]);
                continue;
            }
        };
        if !has(mutation, own) {
            errors.required(format!("{path}.{own}"), format!("must be specified when patchType is {kind}"));
        } else if text(get(mutation, own), "expression").trim().is_empty() {
            errors.required(format!("{path}.{own}.expression"), "");
        }
        if has(mutation, other) {
            let detail = format!("must not be specified when patchType is {kind}");
            errors.invalid(format!("{path}.{other}"), format!("{{{other}}}"), detail);
        }
    }
    let policy = text(spec, "reinvocationPolicy");
    errors.one_of("spec.reinvocationPolicy", policy, &["IfNeeded", "Never"]);
}

fn param_kind(param: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.paramKind.apiVersion";
    let version = text(param, "apiVersion");
    let mut refuse = |value: &str, why: String| errors.invalid(PATH, value, why);
    match version.split('/').collect::<Vec<_>>().as_slice() {
        [""] => errors.required(PATH, ""),
        [version] => reasons_in_one(version, names::label_1035(version), refuse),
        [group, short] => {
            if !group.is_empty() {
                reasons_in_one(group, names::subdomain(group), &mut refuse);
            }
            match short.is_empty() {
                true => refuse(version, "version must be specified".into()),
                false => reasons_in_one(short, names::label_1035(short), refuse),
            }
        }
        _ => refuse(version, format!("unexpected GroupVersion string: {version}")),
    }
    let kind = text(param, "kind");
    let reasons = names::label_1035(&kind.to_lowercase());
    if kind.is_empty() {
        errors.required("spec.paramKind.kind", "");
    } else if !reasons.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", reasons.join(","));
        errors.invalid("spec.paramKind.kind", kind, detail);
    }
}

fn reasons_in_one(value: &str, reasons: Vec<String>, mut refuse: impl FnMut(&str, String)) {
    if !reasons.is_empty() {
        refuse(value, reasons.join(","));
    }
}

fn match_resources(resources: &Value, path: &str, errors: &mut Errors) {
    let policy = text(resources, "matchPolicy");
    errors.one_of(&format!("{path}.matchPolicy"), policy, &["Equivalent", "Exact"]);
    for field in ["namespaceSelector", "objectSelector"] {
        errors.label_selector(get(resources, field), &format!("{path}.{field}"));
    }
    for list in ["resourceRules", "excludeResourceRules"] {
        for (i, rule) in items(resources, list).iter().enumerate() {
            let path = format!("{path}.{list}[{i}]");
            let names: Vec<&str> = texts(rule, "resourceNames").collect();
            for (i, name) in names.iter().enumerate() {
                let at = format!("{path}.resourceNames[{i}]");
                errors.reasons(&at, name, names::path_segment(name));
                if names[..i].contains(name) {
                    errors.duplicate(at, *name);
                }
            }
            rule_with_operations(rule, &path, errors);
        }
    }
}

/// What is deleted can not be changed.
fn no_deletes(resources: &Value, path: &str, errors: &mut Errors) {
    let rules = items(resources, "resourceRules").iter();
    let known = ["*", "CONNECT", "CREATE", "UPDATE"];
    for operation in rules.flat_map(|rule| texts(rule, "operations")).filter(|o| !known.contains(o)) {
        let at = format!("{path}.resourceRules.operations");
        errors.0.push(FieldError::not_supported(at, operation, known));
    }
}

/// What is wrong with a binding.
pub fn binding(object: &Value, mutating: bool) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = get(object, "spec");
    match text(spec, "policyName") {
        "" => errors.required("spec.policyName", ""),
        name => errors.reasons("spec.policyName", name, names::subdomain(name)),
    }
    if has(spec, "paramRef") {
        param_ref(get(spec, "paramRef"), &mut errors);
    }
    let resources = get(spec, "matchResources");
    if !resources.is_null() {
        match_resources(resources, "spec.matchResources", &mut errors);
    }
    if mutating {
        no_deletes(resources, "spec.matchResources", &mut errors);
        return errors.0;
    }
    const ACTIONS: &str = "spec.validationActions";
    let actions: Vec<&str> = texts(spec, "validationActions").collect();
    for (i, action) in actions.iter().enumerate() {
        let known = ["Audit", "Deny", "Warn"];
        if !known.contains(action) {
            errors.0.push(FieldError::not_supported(format!("{ACTIONS}[{i}]"), *action, known));
        }
        if actions[..i].contains(action) {
            errors.duplicate(format!("{ACTIONS}[{i}]"), *action);
        }
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.invalid(ACTIONS, json!(actions), detail);
    }
    if actions.is_empty() {
        errors.required(ACTIONS, "at least one validation action is required");
    }
    errors.0
}

fn param_ref(param: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.paramRef";
    const EXCLUSIVE: &str = "name and selector are mutually exclusive";
    let (name, selector) = (text(param, "name"), get(param, "selector"));
    if !name.is_empty() {
        errors.reasons(&format!("{PATH}.name"), name, names::path_segment(name));
    }
    errors.label_selector(selector, &format!("{PATH}.selector"));
    match (name.is_empty(), selector.is_null()) {
        (true, true) => errors.required(PATH, "one of name or selector must be specified"),
        (false, false) => {
            errors.forbidden(format!("{PATH}.name"), EXCLUSIVE);
            errors.forbidden(format!("{PATH}.selector"), EXCLUSIVE);
        }
        _ => {}
    }
    let action = text(param, "parameterNotFoundAction");
    errors.one_of(&format!("{PATH}.parameterNotFoundAction"), action, &["Deny", "Allow"]);
}
