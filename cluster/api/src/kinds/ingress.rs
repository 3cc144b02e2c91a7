//! Ingress and IngressClass.

mod validate;

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use super::service::load_balancers;
use crate::table::{age_cell, name_cell, or_none, text_cell};
use crate::value::{get, has, items, set_default, text};

pub const INGRESS_CLASS: Builtin =
    Builtin::new("networking.k8s.io", "v1", "IngressClass", "ingressclasses", "l/iqIbDgFyQ=")
        .columns(INGRESS_CLASS_COLUMNS)
        .generation()
        .strategy(&IngressClass);

pub const INGRESS: Builtin = Builtin::new("networking.k8s.io", "v1", "Ingress", "ingresses", "39NQlfNR+bo=")
    .namespaced()
    .short(&["ing"])
    .subresources(&[("status", "Ingress", GET_PATCH_UPDATE)])
    .columns(INGRESS_COLUMNS)
    .generation()
    .strategy(&Ingress);

const INGRESS_CLASS_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Controller", "string", "", 0),
    ("Parameters", "string", "", 0),
    ("Age", "string", "", 0),
];

const INGRESS_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Class", "string", "", 0),
    ("Hosts", "string", "", 0),
    ("Address", "string", "", 0),
    ("Ports", "string", "", 0),
    ("Age", "string", "", 0),
];

/// The annotation from before ingresses had a class.
const CLASS: &str = "kubernetes.io/ingress.class";

struct Ingress;

impl Strategy for Ingress {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        validate::ingress(object)
    }

    fn validate_create(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let annotation = get(object, "metadata.annotations").get(CLASS).and_then(Value::as_str);
        let class = get(object, "spec.ingressClassName").as_str();
        if let (Some(annotation), Some(class)) = (annotation, class)
            && annotation != class
        {
            let detail = "must match `ingressClassName` when both are specified";
            errors.invalid(format!("annotations.{CLASS}"), annotation, detail);
        }
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        validate::status(new)
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        let annotated = get(object, "metadata.annotations").get(CLASS).is_some();
        match old.is_none() && annotated && !has(object, "spec.ingressClassName") {
            true => vec![format!(
                "annotation {CLASS:?} is deprecated, please use 'spec.ingressClassName' instead"
            )],
            false => Vec::new(),
        }
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let secure = !items(object, "spec.tls").is_empty();
        vec![
            name_cell(object),
            or_none(text(object, "spec.ingressClassName")).into(),
            hosts(object).into(),
            load_balancers(object).join(",").into(),
            if secure { "80, 443" } else { "80" }.into(),
            age_cell(object, now),
        ]
    }
}

fn hosts(object: &Value) -> String {
    const MAX: usize = 3;
    let rules = items(object, "spec.rules");
    let mut list: Vec<&str> = Vec::new();
    let mut more = false;
    for host in rules.iter().map(|r| text(r, "host")) {
        more |= list.len() == MAX;
        if !more && !host.is_empty() {
            list.push(host);
        }
    }
    match (list.is_empty(), more) {
        (true, _) => "*".into(),
        (false, true) => format!("{} + {} more...", list.join(","), rules.len() - MAX),
        (false, false) => list.join(","),
    }
}

struct IngressClass;

impl Strategy for IngressClass {
    fn default(&self, _r: &Resource, object: &mut Value) {
        if has(object, "spec.parameters") {
            set_default(object, "spec.parameters.scope", "Cluster");
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        validate::class(get(object, "spec"))
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec.controller");
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let parameters = get(object, "spec.parameters");
        let shown = match parameters.is_null() {
            true => "<none>".into(),
            false => {
                let kind = match text(parameters, "apiGroup") {
                    "" => text(parameters, "kind").to_owned(),
                    group => format!("{}.{group}", text(parameters, "kind")),
                };
                format!("{kind}/{}", text(parameters, "name"))
            }
        };
        vec![
            with_default_mark(object, "ingressclass.kubernetes.io/is-default-class"),
            text_cell(object, "spec.controller"),
            shown.into(),
            age_cell(object, now),
        ]
    }
}

/// The name, with `(default)` when the annotation says that the class is the default.
pub fn with_default_mark(object: &Value, annotation: &str) -> Value {
    let marked = get(object, "metadata.annotations").get(annotation);
    let name = crate::meta::name(object);
    match marked.and_then(Value::as_str) {
        Some("true") => format!("{name} (default)").into(),
        _ => name.into(),
    }
}
