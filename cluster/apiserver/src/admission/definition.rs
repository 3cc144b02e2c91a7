//! Custom resource definitions: names are accepted and the definition is established in the same
//! write, so that a client that sees `Established` can use the resource at once.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use store::View;

use crate::pipeline::Write;
use crate::server::DEFINITIONS;

/// Keeps a definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

pub(super) fn complete(write: &Write<'_>, view: &View, definition: &mut Value, old: Option<&Value>) {
    let now = write.ctx().now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let status = old.map(|o| o["status"].clone()).filter(Value::is_object).unwrap_or_else(|| json!({}));
    let mut conditions =
        Conditions { list: status["conditions"].as_array().cloned().unwrap_or_default(), now };
    let decided = decide(
        &completed(&definition["spec"]["names"]),
        &status["acceptedNames"],
        &Taken::by_others(view, definition),
    );
    match &decided.problem {
        None => {
            conditions.set("NamesAccepted", "True", "NoConflicts", "no conflicts found");
            if !conditions.is_true("Established") {
                let message = "the initial names have been accepted";
                conditions.set("Established", "True", "InitialNamesAccepted", message);
            }
        }
        Some((reason, message)) => {
            conditions.set("NamesAccepted", "False", reason, message);
            if !conditions.is_true("Established") {
                conditions.set("Established", "False", "NotAccepted", "not all names are accepted");
            }
        }
    }
    approve(definition, &mut conditions);
    let stored = stored_versions(&definition["spec"]["versions"], &status["storedVersions"]);
    definition["status"] =
        json!({"conditions": conditions.list, "acceptedNames": decided.names, "storedVersions": stored});
    if old.is_none() {
        match definition["metadata"]["finalizers"].as_array_mut() {
            Some(list) if list.iter().any(|f| f == CLEANUP) => {}
            Some(list) => list.push(CLEANUP.into()),
            None => definition["metadata"]["finalizers"] = json!([CLEANUP]),
        }
    }
}

/// The conditions of a status while they are being set.
struct Conditions {
    list: Vec<Value>,
    now: String,
}

impl Conditions {
    fn is_true(&self, kind: &str) -> bool {
        self.list.iter().any(|c| c["type"] == kind && c["status"] == "True")
    }

    /// The time of a transition is that of the last change of the status.
    fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let condition = json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": self.now,
        });
        match self.list.iter_mut().find(|c| c["type"] == kind) {
            None => self.list.push(condition),
            Some(known) => {
                let since = known["lastTransitionTime"].clone();
                let same = known["status"] == status;
                *known = condition;
                if same {
                    known["lastTransitionTime"] = since;
                }
            }
        }
    }
}

/// Names that the other definitions of the group have.
struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Taken {
    fn by_others(view: &View, definition: &Value) -> Self {
        let mut taken = Taken { resources: BTreeSet::new(), kinds: BTreeSet::new() };
        let own = definition["metadata"]["name"].as_str().unwrap_or_default();
        let group = definition["spec"]["group"].as_str().unwrap_or_default();
        let suffix = format!(".{group}");
        for object in view.range(DEFINITIONS, None) {
            let name = object.key.strip_prefix(DEFINITIONS).unwrap_or_default();
            if name == own || !name.ends_with(&suffix) {
                continue;
            }
            let Ok(other) = serde_json::from_slice::<Value>(&object.value) else { continue };
            let names = &other["status"]["acceptedNames"];
            if other["spec"]["group"] != group {
                continue;
            }
            let short = names["shortNames"].as_array().into_iter().flatten();
            let resources = [&names["plural"], &names["singular"]].into_iter().chain(short);
            taken.resources.extend(resources.filter_map(Value::as_str).map(str::to_owned));
            let kinds = [&names["kind"], &names["listKind"]].into_iter();
            taken.kinds.extend(kinds.filter_map(Value::as_str).map(str::to_owned));
        }
        taken.resources.remove("");
        taken.kinds.remove("");
        taken
    }
}

struct Decided {
    /// The names that are accepted now.
    names: Value,
    /// Reason and message of the refusal.
    problem: Option<(&'static str, String)>,
}

/// Each name is accepted by itself; the last refusal is the one that shows.
fn decide(wanted: &Value, accepted: &Value, taken: &Taken) -> Decided {
    let mut names = match accepted {
        Value::Object(_) => accepted.clone(),
        _ => json!({"plural": "", "kind": ""}),
    };
    let mut problem = None;
    let in_use = |name: &Value| format!("{:?} is already in use", name.as_str().unwrap_or_default());
    let clashes = |name: &Value, set: &BTreeSet<String>| name.as_str().is_some_and(|n| set.contains(n));
    for (field, reason, set) in [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ] {
        if wanted[field] == accepted[field] {
            continue;
        }
        let refused = match wanted[field].as_array() {
            None => clashes(&wanted[field], set).then(|| in_use(&wanted[field])),
            Some(list) => {
                let known = |name: &Value| accepted[field].as_array().is_some_and(|a| a.contains(name));
                let found: Vec<String> =
                    list.iter().filter(|n| !known(n) && clashes(n, set)).map(in_use).collect();
                match found.as_slice() {
                    [] => None,
                    [one] => Some(one.clone()),
                    many => Some(format!("[{}]", many.join(", "))),
                }
            }
        };
        match refused {
            Some(message) => problem = Some((reason, message)),
            None => copy(wanted, &mut names, field),
        }
    }
    copy(wanted, &mut names, "categories");
    Decided { names, problem }
}

fn copy(from: &Value, to: &mut Value, field: &str) {
    match (&from[field], to.as_object_mut()) {
        (Value::Null, Some(map)) => {
            map.remove(field);
        }
        (value, Some(map)) => {
            map.insert(field.to_owned(), value.clone());
        }
        _ => {}
    }
}

/// The names with their defaults.
fn completed(names: &Value) -> Value {
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

/// Groups of the Kubernetes project say who approved their definitions.
fn approve(definition: &Value, conditions: &mut Conditions) {
    const APPROVED: &str = "api-approved.kubernetes.io";
    let group = definition["spec"]["group"].as_str().unwrap_or_default();
    let protected = |domain: &&str| group == *domain || group.ends_with(&format!(".{domain}"));
    if !["k8s.io", "kubernetes.io"].iter().any(protected) {
        return;
    }
    let kind = "KubernetesAPIApprovalPolicyConformant";
    let annotation = definition["metadata"]["annotations"][APPROVED].as_str().unwrap_or_default();
    match annotation.starts_with("unapproved") {
        true => {
            let message = format!("not approved: {annotation:?}");
            conditions.set(kind, "False", "UnapprovedAnnotation", &message);
        }
        false => conditions.set(kind, "True", "ApprovedAnnotation", &format!("approved in {annotation}")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_accepted_one_by_one() {
        let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
        let taken = Taken { resources: set(&["ship", "sh"]), kinds: set(&["Ship"]) };
        let wanted = json!({"plural": "boats", "singular": "ship", "shortNames": ["sh", "bt"], "kind": "Boat", "listKind": "BoatList"});
        let decided = decide(&wanted, &Value::Null, &taken);
        assert_eq!(decided.names, json!({"plural": "boats", "kind": "Boat", "listKind": "BoatList"}));
        let problem = decided.problem.unwrap();
        assert_eq!(problem, ("ShortNamesConflict", "\"sh\" is already in use".to_owned()));
        // What is ours stays ours.
        assert!(decide(&wanted, &wanted, &taken).problem.is_none());
    }
}
