//! Custom resource definitions: names are accepted and the definition is established in the same
//! write, so that a client that sees `Established` can use the resource at once.

use api::Resource;
use serde_json::{Value, json};

use crate::pipeline::Write;

/// Keeps a definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

pub(super) fn complete(write: &Write<'_>, definition: &mut Value, old: Option<&Value>) {
    let now = write.ctx().now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let names = accepted_names(&definition["spec"]["names"]);
    let problem = conflict(write, definition, &names);
    let mut status = old.map(|o| o["status"].clone()).filter(Value::is_object).unwrap_or_else(|| json!({}));
    let mut set = |kind: &str, ok: bool, reason: &str, message: &str| {
        let word = if ok { "True" } else { "False" };
        let conditions = &mut status["conditions"];
        if !conditions.is_array() {
            *conditions = json!([]);
        }
        let Some(list) = conditions.as_array_mut() else { return };
        let condition = json!({
            "type": kind, "status": word, "reason": reason, "message": message, "lastTransitionTime": now,
        });
        match list.iter_mut().find(|c| c["type"] == kind) {
            Some(known) if known["status"] == word => {}
            Some(known) => *known = condition,
            None => list.push(condition),
        }
    };
    match &problem {
        None => {
            set("NamesAccepted", true, "NoConflicts", "no conflicts found");
            set("Established", true, "InitialNamesAccepted", "the initial names have been accepted");
        }
        Some(why) => {
            set("NamesAccepted", false, "NameConflict", why);
            if old.is_none() {
                set("Established", false, "NotAccepted", "not all names are accepted");
            }
        }
    }
    if problem.is_none() {
        status["acceptedNames"] = names;
    } else if !status["acceptedNames"].is_object() {
        status["acceptedNames"] = json!({"plural": "", "kind": ""});
    }
    status["storedVersions"] = stored_versions(&definition["spec"]["versions"], &status["storedVersions"]);
    definition["status"] = status;
    if old.is_none() {
        match definition["metadata"]["finalizers"].as_array_mut() {
            Some(list) if list.iter().any(|f| f == CLEANUP) => {}
            Some(list) => list.push(CLEANUP.into()),
            None => definition["metadata"]["finalizers"] = json!([CLEANUP]),
        }
    }
}

/// The names with their defaults.
fn accepted_names(names: &Value) -> Value {
    let mut names = names.clone();
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    if names["singular"].as_str().unwrap_or_default().is_empty() {
        names["singular"] = kind.to_lowercase().into();
    }
    if names["listKind"].as_str().unwrap_or_default().is_empty() {
        names["listKind"] = format!("{kind}List").into();
    }
    names
}

/// Every version that objects may be stored in.
fn stored_versions(versions: &Value, known: &Value) -> Value {
    let mut stored: Vec<Value> = known.as_array().cloned().unwrap_or_default();
    for version in versions.as_array().into_iter().flatten().filter(|v| v["storage"] == true) {
        if !stored.contains(&version["name"]) {
            stored.push(version["name"].clone());
        }
    }
    stored.into()
}

/// Why the names can not be taken: another definition of the group has one of them.
fn conflict(write: &Write<'_>, definition: &Value, names: &Value) -> Option<String> {
    let own = definition["metadata"]["name"].as_str().unwrap_or_default();
    let group = definition["spec"]["group"].as_str().unwrap_or_default();
    let serving = write.server.serving.get();
    let others = serving
        .registry
        .iter()
        .filter(|r| r.group == group && r.custom.as_ref().is_none_or(|c| c.definition != own));
    let clash = |other: &Resource| {
        let taken = |name: &Value| {
            name.as_str().is_some_and(|n| {
                other.plural == n || other.singular == n || other.short_names.iter().any(|s| s == n)
            })
        };
        let short = names["shortNames"].as_array().into_iter().flatten();
        [&names["plural"], &names["singular"]]
            .into_iter()
            .chain(short)
            .find(|n| taken(n))
            .cloned()
            .or_else(|| (names["kind"] == other.kind.as_str()).then(|| names["kind"].clone()))
    };
    others.filter_map(|r| clash(r)).find_map(|name| name.as_str().map(|n| format!("{n:?} is already in use")))
}
