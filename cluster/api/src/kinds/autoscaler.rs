//! HorizontalPodAutoscaler: stored as `autoscaling/v2`, served as `v1` too.

mod validate;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::Errors;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::table::{age_cell, int_cell, name_cell};
use crate::value::{ensure, get, get_mut, has, int, items, members, remove, set, set_default, text};

pub const HORIZONTAL_POD_AUTOSCALER_V1: Builtin =
    Builtin::new("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "qwQve8ut294=")
        .namespaced()
        .short(&["hpa"])
        .categories(&["all"])
        .subresources(&[("status", "HorizontalPodAutoscaler", GET_PATCH_UPDATE)])
        .stored_as("autoscaling", "v2")
        .columns(HORIZONTAL_POD_AUTOSCALER_COLUMNS)
        .strategy(&OldAutoscaler);

pub const HORIZONTAL_POD_AUTOSCALER_V2: Builtin =
    Builtin::new("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "qwQve8ut294=")
        .namespaced()
        .short(&["hpa"])
        .categories(&["all"])
        .subresources(&[("status", "HorizontalPodAutoscaler", GET_PATCH_UPDATE)])
        .columns(HORIZONTAL_POD_AUTOSCALER_COLUMNS)
        .strategy(&Autoscaler);

const HORIZONTAL_POD_AUTOSCALER_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Reference", "string", "", 0),
    ("Targets", "string", "", 0),
    ("MinPods", "string", "", 0),
    ("MaxPods", "string", "", 0),
    ("Replicas", "string", "", 0),
    ("Age", "string", "", 0),
];

struct Autoscaler;

impl Strategy for Autoscaler {
    fn default(&self, _r: &Resource, object: &mut Value) {
        set_default(object, "spec.minReplicas", 1);
        if items(object, "spec.metrics").is_empty() {
            set(object, "spec.metrics", json!([cpu_metric(DEFAULT_UTILIZATION)]));
        }
        if let Some(behavior) = get_mut(object, "spec.behavior") {
            default_behavior(behavior);
        }
    }

    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        set(object, "status", json!({"desiredReplicas": 0, "currentMetrics": null}));
    }

    fn validate_create(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        validate::spec(object, None)
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        validate::spec(new, Some(old))
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for field in ["currentReplicas", "desiredReplicas"] {
            errors.non_negative(get(new, "status"), "status", field);
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let target = get(object, "spec.scaleTargetRef");
        let low = int(object, "spec.minReplicas").map(|n| n.to_string());
        vec![
            name_cell(object),
            format!("{}/{}", text(target, "kind"), text(target, "name")).into(),
            metrics(object).into(),
            low.unwrap_or_else(|| "<unset>".into()).into(),
            int_cell(object, "spec.maxReplicas"),
            int_cell(object, "status.currentReplicas"),
            age_cell(object, now),
        ]
    }
}

/// Percent of the requested cpu that is aimed at when nothing else is said.
const DEFAULT_UTILIZATION: i64 = 80;

fn cpu_metric(percent: i64) -> Value {
    json!({
        "type": "Resource",
        "resource": {
            "name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": percent},
        },
    })
}

fn default_behavior(behavior: &mut Value) {
    let up = json!([
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ]);
    let down = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
    for (rules, policies) in [("scaleUp", up), ("scaleDown", down)] {
        set_default(behavior, &format!("{rules}.selectPolicy"), "Max");
        set_default(behavior, &format!("{rules}.policies"), policies);
    }
    set_default(behavior, "scaleUp.stabilizationWindowSeconds", 0);
}

const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
    ("External", "external"),
];

/// The first two metrics: current value and target of each.
fn metrics(object: &Value) -> String {
    const MAX: usize = 2;
    let specs = items(object, "spec.metrics");
    let current = items(object, "status.currentMetrics");
    let list: Vec<String> = specs.iter().enumerate().map(|(i, spec)| metric(spec, current.get(i))).collect();
    match list.len() {
        0 => "<none>".into(),
        count if count > MAX => format!("{} + {} more...", list[..MAX].join(", "), count - MAX),
        _ => list.join(", "),
    }
}

fn metric(spec: &Value, status: Option<&Value>) -> String {
    let Some((kind, field)) = SOURCES.iter().find(|(k, _)| *k == text(spec, "type")) else {
        return "<unknown type>".into();
    };
    let (source, target) = (get(spec, field), get(spec, &format!("{field}.target")));
    let now = status.map_or(&Value::Null, |s| get(s, &format!("{field}.current")));
    let amount = |v: &Value| v.as_str().map(str::to_owned);
    let or_unknown = |v: Option<String>| v.unwrap_or_else(|| "<unknown>".into());
    let of_resource = matches!(*kind, "Resource" | "ContainerResource");
    let shown = match (amount(get(target, "averageValue")), of_resource) {
        (Some(wanted), _) => {
            let average = or_unknown(amount(get(now, "averageValue")));
            let note = if matches!(*kind, "Object" | "External") { " (avg)" } else { "" };
            format!("{average}/{wanted}{note}")
        }
        (None, true) => {
            let percent = |v: &Value| int(v, "averageUtilization").map(|p| format!("{p}%"));
            let wanted = percent(target).unwrap_or_else(|| "<auto>".into());
            format!("{}/{wanted}", or_unknown(percent(now)))
        }
        (None, false) => {
            let wanted = amount(get(target, "value")).unwrap_or_default();
            format!("{}/{wanted}", or_unknown(amount(get(now, "value"))))
        }
    };
    match of_resource {
        true => format!("{}: {shown}", text(source, "name")),
        false => shown,
    }
}

/// What `v1` has no field for travels in these annotations.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

struct OldAutoscaler;

impl Strategy for OldAutoscaler {
    fn convert_stored(&self, r: &Resource, mut object: Value) -> Value {
        object["apiVersion"] = r.api_version().into();
        let is_cpu =
            |m: &Value| text(m, "resource.name") == "cpu" && has(m, "resource.target.averageUtilization");
        let metrics = remove(&mut object, "spec.metrics").unwrap_or_default();
        let metrics = metrics.as_array().cloned().unwrap_or_default();
        let (cpu, others): (Vec<Value>, Vec<Value>) = metrics.into_iter().partition(is_cpu);
        if let Some(cpu) = cpu.first() {
            let percent = get(cpu, "resource.target.averageUtilization").clone();
            set(&mut object, "spec.targetCPUUtilizationPercentage", percent);
        }
        if !others.is_empty() {
            annotate(&mut object, METRICS, others.into());
        }
        for (path, annotation) in [
            ("spec.behavior", BEHAVIOR),
            ("status.conditions", CONDITIONS),
            ("status.currentMetrics", CURRENT),
        ] {
            let value = remove(&mut object, path).unwrap_or_default();
            if path == "status.currentMetrics" {
                let cpu = value.as_array().into_iter().flatten().find(|m| text(m, "resource.name") == "cpu");
                let percent = cpu.and_then(|m| int(m, "resource.current.averageUtilization"));
                if let Some(percent) = percent {
                    set(&mut object, "status.currentCPUUtilizationPercentage", percent);
                }
            }
            let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            if !empty {
                annotate(&mut object, annotation, value);
            }
        }
        set_default(&mut object, "status.currentReplicas", 0);
        set_default(&mut object, "status.desiredReplicas", 0);
        object
    }

    fn convert_to_stored(&self, _r: &Resource, mut object: Value) -> Value {
        object["apiVersion"] = "autoscaling/v2".into();
        let mut metrics = match take_annotation(&mut object, METRICS) {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        let percent = remove(&mut object, "spec.targetCPUUtilizationPercentage");
        metrics.extend(percent.and_then(|p| p.as_i64()).map(cpu_metric));
        if !metrics.is_empty() {
            set(&mut object, "spec.metrics", metrics);
        }
        for (path, annotation) in [
            ("spec.behavior", BEHAVIOR),
            ("status.conditions", CONDITIONS),
            ("status.currentMetrics", CURRENT),
        ] {
            if let Some(value) = take_annotation(&mut object, annotation) {
                set(&mut object, path, value);
            }
        }
        let percent = remove(&mut object, "status.currentCPUUtilizationPercentage");
        if let Some(percent) = percent.filter(|_| !has(&object, "status.currentMetrics")) {
            let current = json!([{
                "type": "Resource",
                "resource": {"name": "cpu", "current": {"averageUtilization": percent}},
            }]);
            set(&mut object, "status.currentMetrics", current);
        }
        object
    }

    fn row(&self, r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        Autoscaler.row(r, &self.convert_to_stored(r, object.clone()), now)
    }
}

fn annotate(object: &mut Value, key: &str, value: Value) {
    ensure(object, "metadata.annotations").insert(key.to_owned(), value.to_string().into());
}

fn take_annotation(object: &mut Value, key: &str) -> Option<Value> {
    let annotations = get_mut(object, "metadata.annotations")?.as_object_mut()?;
    let text = annotations.remove(key)?;
    let empty = members(object, "metadata.annotations").next().is_none();
    if empty {
        remove(object, "metadata.annotations");
    }
    serde_json::from_str(text.as_str()?).ok()
}
