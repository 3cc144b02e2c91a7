//! Job.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use super::pod_spec;
use crate::meta;
use crate::selector::{self, LabelSelector};
use crate::table::{age_cell, human_duration, name_cell, template_cells};
use crate::value::{copy, ensure, flag, get, has, int, items, same, set, set_default, set_text, text};

pub const JOB: Builtin = Builtin::new("batch", "v1", "Job", "jobs", "mudhfqk/qZY=")
    .namespaced()
    .categories(&["all"])
    .subresources(&[("status", "Job", GET_PATCH_UPDATE)])
    .columns(JOB_COLUMNS)
    .selectable(&[("status.successful=status.succeeded", "0")])
    .generation()
    .strategy(&Job);

const JOB_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Status", "string", "", 0),
    ("Completions", "string", "", 0),
    ("Duration", "string", "", 0),
    ("Age", "string", "", 0),
    ("Containers", "string", "", 1),
    ("Images", "string", "", 1),
    ("Selector", "string", "", 1),
];

struct Job;

impl Strategy for Job {
    fn default(&self, _r: &Resource, object: &mut Value) {
        default_spec(object, "spec");
        let labels = get(object, "spec.template.metadata.labels").clone();
        let own = get(object, "metadata.labels").as_object();
        if !labels.is_null() && own.is_none_or(|l| l.is_empty()) {
            set(object, "metadata.labels", labels);
        }
        set_default(object, "spec.completionMode", "NonIndexed");
        set_default(object, "spec.suspend", false);
        let failed = has(object, "spec.podFailurePolicy");
        let policy = if failed { "Failed" } else { "TerminatingOrFailed" };
        set_default(object, "spec.podReplacementPolicy", policy);
        set_default(object, "spec.manualSelector", false);
        let numbers = (has(object, "spec.completions"), has(object, "spec.parallelism"));
        if numbers == (false, false) {
            set(object, "spec.completions", 1);
        }
        set_default(object, "spec.parallelism", 1);
        let limit = match has(object, "spec.backoffLimitPerIndex") {
            true => i64::from(i32::MAX),
            false => 6,
        };
        set_default(object, "spec.backoffLimit", limit);
    }

    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        if !flag(object, "spec.manualSelector") {
            generate_selector(object);
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        validate_generated(object, &mut errors);
        validate_spec(get(object, "spec"), "spec", &mut errors);
        let selector = get(object, "spec.selector");
        match selector.is_null() {
            true => errors.required("spec.selector", ""),
            false => errors.label_selector(selector, "spec.selector"),
        }
        let labels = get(object, "spec.template.metadata.labels");
        if let Ok(Some(parsed)) = LabelSelector::from_value(selector)
            && !parsed.matches_map(labels)
        {
            let path = "spec.template.metadata.labels";
            errors.invalid(path, labels.clone(), "`selector` does not match template `labels`");
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        validate_completions(new, old, &mut errors);
        errors.immutable(new, old, "spec.selector");
        let mut before = old.clone();
        if flag(old, "spec.suspend") && !has(old, "status.startTime") {
            for path in SCHEDULING {
                copy(new, &mut before, &format!("spec.template.{path}"));
            }
        }
        if !same(get(new, "spec.template"), get(&before, "spec.template")) {
            errors.invalid("spec.template", get(new, "spec.template").clone(), meta::IMMUTABLE);
        }
        for field in
            ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
        {
            errors.immutable(new, old, &format!("spec.{field}"));
        }
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for field in ["active", "succeeded", "failed", "ready", "terminating"] {
            errors.non_negative(get(new, "status"), "status", field);
        }
        errors.0
    }

    /// As ever in `batch/v1`: pods of a deleted job stay unless the client asks otherwise.
    fn orphans_by_default(&self) -> bool {
        true
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut found = pod_spec::of_workload(object, old, "spec.template");
        found.extend(many_indexes(object, "spec"));
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let done = int(object, "status.succeeded").unwrap_or_default();
        let parallel = int(object, "spec.parallelism").unwrap_or_default();
        let completions = match int(object, "spec.completions") {
            Some(wanted) => format!("{done}/{wanted}"),
            None if parallel > 1 => format!("{done}/1 of {parallel}"),
            None => format!("{done}/1"),
        };
        let time = |path| meta::parse_time(text(object, path));
        let end = time("status.completionTime").unwrap_or(now);
        let duration = time("status.startTime").map(|s| human_duration(end.as_second() - s.as_second()));
        let [names, images] = template_cells(object, "spec.template.spec");
        vec![
            name_cell(object),
            status(object).into(),
            completions.into(),
            duration.unwrap_or_default().into(),
            age_cell(object, now),
            names,
            images,
            selector::format_value(get(object, "spec.selector")).into(),
        ]
    }
}

/// What may change in the template of a suspended job that has not started.
const SCHEDULING: [&str; 6] = [
    "metadata.labels",
    "metadata.annotations",
    "spec.nodeSelector",
    "spec.tolerations",
    "spec.schedulingGates",
    "spec.affinity.nodeAffinity",
];

/// Defaults of a job spec, also in the template of a CronJob.
pub fn default_spec(object: &mut Value, path: &str) {
    pod_spec::default_template(object, &format!("{path}.template"));
    if let Some(spec) = crate::value::get_mut(object, path) {
        for rule in crate::value::items_mut(spec, "podFailurePolicy.rules") {
            for pattern in crate::value::items_mut(rule, "onPodConditions") {
                set_text(pattern, "status", "True");
            }
        }
    }
}

const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];

/// Pods of a job are told from all others by the job's uid.
fn generate_selector(object: &mut Value) {
    let (name, uid) = (meta::name(object).to_owned(), text(object, "metadata.uid").to_owned());
    let labels = ensure(object, "spec.template.metadata.labels");
    for key in NAME_LABELS {
        labels.entry(key).or_insert_with(|| name.clone().into());
    }
    for key in UID_LABELS {
        labels.entry(key).or_insert_with(|| uid.clone().into());
    }
    let selector = ensure(object, "spec.selector.matchLabels");
    selector.entry(UID_LABELS[1]).or_insert_with(|| uid.into());
}

fn validate_generated(object: &Value, errors: &mut Errors) {
    if flag(object, "spec.manualSelector") || !has(object, "spec.selector") {
        return;
    }
    let labels = get(object, "spec.template.metadata.labels");
    let (name, uid) = (meta::name(object), text(object, "metadata.uid"));
    let expected = UID_LABELS.map(|key| (key, uid)).into_iter().chain(NAME_LABELS.map(|key| (key, name)));
    let expected: Vec<(&str, &str)> = expected.collect();
    for (key, value) in &expected {
        let given = labels.get(key).and_then(Value::as_str);
        if given != Some(value) {
            let path = format!("spec.template.metadata.labels[{key}]");
            match given {
                None => errors.required("spec.template.metadata.labels", format!("must be '{value}'")),
                Some(given) => errors.invalid(path, given, format!("must be '{value}'")),
            }
        }
    }
    let selector = get(object, "spec.selector");
    if let Ok(Some(parsed)) = LabelSelector::from_value(selector)
        && !parsed.matches(&expected)
    {
        errors.invalid("spec.selector", selector.clone(), "`selector` not auto-generated");
    }
}

fn validate_completions(new: &Value, old: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.completions";
    if text(new, "spec.completionMode") != "Indexed" {
        errors.immutable(new, old, PATH);
    } else if int(new, PATH) != int(old, PATH) && int(new, PATH) != int(new, "spec.parallelism") {
        let detail = "can only be modified in tandem with spec.parallelism";
        errors.invalid(PATH, get(new, PATH).clone(), detail);
    }
}

const MAX_INDEXED_PARALLELISM: i64 = 100_000;

/// A job spec at `path`, without its selector.
pub fn validate_spec(spec: &Value, path: &str, errors: &mut Errors) {
    let counts = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    for field in counts {
        errors.non_negative(spec, path, field);
    }
    let mode = text(spec, "completionMode");
    errors.one_of_or_empty(&format!("{path}.completionMode"), mode, &["NonIndexed", "Indexed"]);
    if mode == "Indexed" {
        if !has(spec, "completions") {
            errors.required(format!("{path}.completions"), "when completion mode is Indexed");
        }
        let parallel = int(spec, "parallelism").unwrap_or_default();
        if parallel > MAX_INDEXED_PARALLELISM {
            let detail = format!(
                "must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
            );
            errors.invalid(format!("{path}.parallelism"), parallel, detail);
        }
    } else {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"] {
            if has(spec, field) {
                let value = get(spec, field).clone();
                errors.invalid(format!("{path}.{field}"), value, "requires indexed completion mode");
            }
        }
    }
    for (i, rule) in items(spec, "podFailurePolicy.rules").iter().enumerate() {
        let at = format!("{path}.podFailurePolicy.rules[{i}].action");
        errors.one_of(&at, text(rule, "action"), &["Count", "FailIndex", "FailJob", "Ignore"]);
    }
    pod_spec::validate_template_value(get(spec, "template"), &format!("{path}.template"), errors);
    restart_policy(spec, path, errors);
}

fn restart_policy(spec: &Value, path: &str, errors: &mut Errors) {
    let at = format!("{path}.template.spec.restartPolicy");
    match text(spec, "template.spec.restartPolicy") {
        "" | "Always" => errors.required(at, "valid values: \"OnFailure\", \"Never\""),
        policy @ ("OnFailure" | "Never") => {
            if has(spec, "podFailurePolicy") && policy != "Never" {
                let detail = "only \"Never\" is supported when podFailurePolicy is specified";
                errors.invalid(at, policy, detail);
            }
        }
        other => errors.one_of(&at, other, &["OnFailure", "Never"]),
    }
}

fn status(object: &Value) -> &'static str {
    let is = |kind: &str| {
        let found = items(object, "status.conditions").iter().find(|c| text(c, "type") == kind);
        found.is_some_and(|c| text(c, "status") == "True")
    };
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if meta::is_deleting(object) => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

/// A job with so many indexes that those which fail may not all be told.
pub fn many_indexes(object: &Value, path: &str) -> Option<String> {
    let spec = get(object, path);
    let number = |field| int(spec, field).unwrap_or_default();
    let many = number("completions") > 100_000 && number("parallelism") > 10_000;
    (many && text(spec, "completionMode") == "Indexed").then(|| {
        format!("{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail")
    })
}
