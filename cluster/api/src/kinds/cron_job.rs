//! CronJob.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use super::{job, pod_spec};
use crate::selector;
use crate::table::{age_cell, name_cell, or_none, since, template_cells, text_cell};
use crate::value::{get, has, items, set_default, set_text, text};

pub const CRON_JOB: Builtin = Builtin::new("batch", "v1", "CronJob", "cronjobs", "sd5LIXh4Fjs=")
    .namespaced()
    .short(&["cj"])
    .categories(&["all"])
    .subresources(&[("status", "CronJob", GET_PATCH_UPDATE)])
    .columns(CRON_JOB_COLUMNS)
    .generation()
    .strategy(&CronJob);

const CRON_JOB_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Schedule", "string", "", 0),
    ("Timezone", "string", "", 0),
    ("Suspend", "boolean", "", 0),
    ("Active", "integer", "", 0),
    ("Last Schedule", "string", "", 0),
    ("Age", "string", "", 0),
    ("Containers", "string", "", 1),
    ("Images", "string", "", 1),
    ("Selector", "string", "", 1),
];

struct CronJob;

impl Strategy for CronJob {
    fn default(&self, _r: &Resource, object: &mut Value) {
        job::default_spec(object, "spec.jobTemplate.spec");
        set_text(object, "spec.concurrencyPolicy", "Allow");
        set_default(object, "spec.suspend", false);
        set_default(object, "spec.successfulJobsHistoryLimit", 3);
        set_default(object, "spec.failedJobsHistoryLimit", 1);
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let name = crate::meta::name(object);
        if name.len() > MAX_NAME {
            errors.invalid("metadata.name", name, format!("must be no more than {MAX_NAME} characters"));
        }
        let spec = get(object, "spec");
        schedule(text(spec, "schedule"), &mut errors);
        errors.non_negative(spec, "spec", "startingDeadlineSeconds");
        if has(spec, "timeZone") {
            time_zone(text(spec, "timeZone"), &mut errors);
        }
        let policy = text(spec, "concurrencyPolicy");
        errors.one_of("spec.concurrencyPolicy", policy, &["Allow", "Forbid", "Replace"]);
        const TEMPLATE: &str = "spec.jobTemplate.spec";
        let template = get(object, TEMPLATE);
        job::validate_spec(template, TEMPLATE, &mut errors);
        if has(template, "selector") {
            let value = get(template, "selector").clone();
            errors.invalid(format!("{TEMPLATE}.selector"), value, "`selector` will be auto-generated");
        }
        if crate::value::flag(template, "manualSelector") {
            let path = format!("{TEMPLATE}.manualSelector");
            errors.0.push(FieldError::not_supported(path, true, ["nil", "false"]));
        }
        errors.non_negative(spec, "spec", "successfulJobsHistoryLimit");
        errors.non_negative(spec, "spec", "failedJobsHistoryLimit");
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        const SPEC: &str = "spec.jobTemplate.spec";
        let mut found = pod_spec::of_workload(object, old, "spec.jobTemplate.spec.template");
        found.extend(job::many_indexes(object, SPEC));
        if old.is_some() && text(object, "spec.schedule").contains("TZ") {
            found.push("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".into());
        }
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let last = match has(object, "status.lastScheduleTime") {
            true => since(get(object, "status.lastScheduleTime"), now),
            false => "<none>".into(),
        };
        let suspended = match get(object, "spec.suspend") {
            Value::Bool(true) => "True",
            Value::Bool(false) => "False",
            _ => "<unset>",
        };
        let [names, images] = template_cells(object, "spec.jobTemplate.spec.template.spec");
        vec![
            name_cell(object),
            text_cell(object, "spec.schedule"),
            or_none(text(object, "spec.timeZone")).into(),
            suspended.into(),
            items(object, "status.active").len().into(),
            last.into(),
            age_cell(object, now),
            names,
            images,
            selector::format_value(get(object, "spec.jobTemplate.spec.selector")).into(),
        ]
    }
}

/// Names of jobs get eleven more characters.
const MAX_NAME: usize = 52;

fn schedule(schedule: &str, errors: &mut Errors) {
    const PATH: &str = "spec.schedule";
    if schedule.is_empty() {
        errors.required(PATH, "");
        return;
    }
    if let Err(why) = cron(schedule) {
        errors.invalid(PATH, schedule, why);
    }
    if schedule.contains("TZ") {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.invalid(PATH, schedule, detail);
    }
}

fn time_zone(zone: &str, errors: &mut Errors) {
    const PATH: &str = "spec.timeZone";
    if zone.is_empty() {
        errors.invalid(PATH, zone, "timeZone must be nil or non-empty string");
    } else if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.invalid(PATH, zone, detail);
    } else if jiff::tz::TimeZone::get(zone).is_err() {
        errors.invalid(PATH, zone, format!("unknown time zone {zone}"));
    }
}

/// Bounds of the five fields: minute, hour, day of month, month, day of week.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 7, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// Checks a cron schedule: five fields, or one of the `@` words.
fn cron(schedule: &str) -> Result<(), String> {
    let schedule = match schedule.strip_prefix("TZ=").or(schedule.strip_prefix("CRON_TZ=")) {
        Some(rest) => rest.split_once(' ').map_or("", |(_, rest)| rest),
        None => schedule,
    };
    if let Some(word) = schedule.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        return match known.contains(&word) || word.starts_with("every ") {
            true => Ok(()),
            false => Err(format!("unrecognized descriptor: @{word}")),
        };
    }
    let parts: Vec<&str> = schedule.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: {parts:?}", parts.len()));
    }
    for (part, (low, high, words)) in parts.iter().zip(FIELDS) {
        for piece in part.split(',') {
            field(piece, low, high, words)?;
        }
    }
    Ok(())
}

/// `*`, `5`, `1-5`, `*/2`, `1-30/5`, `mon`.
fn field(piece: &str, low: u32, high: u32, words: &[&str]) -> Result<(), String> {
    let (range, step) = piece.split_once('/').map_or((piece, None), |(r, s)| (r, Some(s)));
    let number = |text: &str| -> Result<u32, String> {
        let word = words.iter().position(|w| text.eq_ignore_ascii_case(w));
        let of_word = word.and_then(|i| u32::try_from(i).ok()).map(|i| i + low);
        let of_digits = || text.parse().map_err(|_| format!("failed to parse int from {text}"));
        of_word.map_or_else(of_digits, Ok)
    };
    if let Some(step) = step
        && number(step)? == 0
    {
        return Err(format!("step of range should be a positive number: {piece}"));
    }
    if matches!(range, "*" | "?") {
        return Ok(());
    }
    let (start, end) = match range.split_once('-') {
        Some((start, end)) => (number(start)?, number(end)?),
        None => (number(range)?, number(range)?),
    };
    match () {
        () if start < low => Err(format!("beginning of range ({start}) below minimum ({low}): {piece}")),
        () if end > high => Err(format!("end of range ({end}) above maximum ({high}): {piece}")),
        () if start > end => {
            Err(format!("beginning of range ({start}) beyond end of range ({end}): {piece}"))
        }
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::cron;

    #[test]
    fn schedules() {
        for good in ["* * * * *", "*/5 0-6,12 1 jan-mar MON", "@hourly", "@every 5m", "0 0 * * 7"] {
            assert_eq!(cron(good), Ok(()), "{good}");
        }
        for bad in ["", "* * * *", "60 * * * *", "* * 0 * *", "*/0 * * * *", "@never", "a * * * *"] {
            assert!(cron(bad).is_err(), "{bad}");
        }
    }
}
