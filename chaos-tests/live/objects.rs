//! The workload in the language of the API: calls become requests, answers become outcomes. Pure.
//!
//! The objects are PodTemplates, which no controller touches and whose deletion answers the object
//! with the revision of the deletion. The token is an annotation, the group of keys a label.

use serde_json::{Value, json};

use super::wire::{Answer, Ask};
use crate::history::{Call, Guard, Op, Outcome, Seen, Token};

/// The namespace of everything that the workload writes.
pub const NAMESPACE: &str = "chaos";
/// Where it lives.
pub const COLLECTION: &str = "/api/v1/namespaces/chaos/podtemplates";
/// Keys of one group: a read sees them all at one revision.
pub const NAMES: [&str; 3] = ["a", "b", "c"];

/// The name of an object.
#[must_use]
pub fn key(group: u64, name: &str) -> String {
    format!("g{group:06}-{name}")
}

/// The value of the label of an object with this name.
#[must_use]
pub fn group_of(key: &str) -> &str {
    key.split('-').next().unwrap_or(key)
}

fn object(key: &str, token: Token) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PodTemplate",
        "metadata": {
            "name": key, "labels": {"group": group_of(key)}, "annotations": {"token": token.to_string()},
        },
        "template": {"spec": {"containers": [{"name": "main", "image": "none.invalid/none"}]}},
    })
}

/// The request of a call. A read of one key is a get, of several a list of their group.
#[must_use]
pub fn ask(call: &Call) -> Ask {
    match call {
        Call::Read { keys } if keys.len() == 1 => Ask::get(format!("{COLLECTION}/{}", keys[0])),
        Call::Read { keys } => Ask::get(format!(
            "{COLLECTION}?labelSelector=group%3D{}",
            group_of(keys.first().map_or("", |k| k))
        )),
        Call::Txn { guards, ops } => write(guards.first(), &ops[0]),
    }
}

fn write(guard: Option<&Guard>, op: &Op) -> Ask {
    let path = format!("{COLLECTION}/{}", op.key());
    let json = "application/json";
    match (op, guard) {
        (Op::Put { key, token, .. }, Some(Guard::Absent { .. })) => {
            let body = Some(object(key, *token));
            Ask { method: "POST", path: COLLECTION.to_owned(), content_type: json, body }
        }
        (Op::Put { key, token, .. }, Some(Guard::At { revision, .. })) => {
            let mut body = object(key, *token);
            body["metadata"]["resourceVersion"] = revision.to_string().into();
            Ask { method: "PUT", path, content_type: json, body: Some(body) }
        }
        // Server-side apply creates or changes: a put without a condition.
        (Op::Put { key, token, .. }, _) => Ask {
            method: "PATCH",
            path: format!("{path}?fieldManager=chaos-apply&force=true"),
            content_type: "application/apply-patch+yaml",
            body: Some(object(key, *token)),
        },
        (Op::Delete { .. }, guard) => {
            let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
            if let Some(Guard::At { revision, .. }) = guard {
                body["preconditions"] = json!({"resourceVersion": revision.to_string()});
            }
            Ask { method: "DELETE", path, content_type: json, body: Some(body) }
        }
    }
}

/// What an answer says of a call.
#[must_use]
pub fn outcome(call: &Call, answer: Answer) -> Outcome {
    match call {
        Call::Read { keys } => read_outcome(keys, answer),
        Call::Txn { guards, ops } => write_outcome(guards.first(), &ops[0], answer),
    }
}

fn read_outcome(keys: &[String], answer: Answer) -> Outcome {
    match answer {
        Answer::Said(200, body) if keys.len() == 1 => {
            Outcome::Read { revision: 0, seen: vec![Seen { key: keys[0].clone(), found: found(&body) }] }
        }
        Answer::Said(404, _) if keys.len() == 1 => {
            Outcome::Read { revision: 0, seen: vec![Seen { key: keys[0].clone(), found: None }] }
        }
        Answer::Said(200, body) => {
            let objects = listed(&body);
            let found = |key: &String| objects.iter().find(|o| o.key == *key).and_then(|o| o.found);
            let seen = keys.iter().map(|key| Seen { key: key.clone(), found: found(key) }).collect();
            match revision_of(&body) {
                Some(revision) => Outcome::Read { revision, seen },
                None => Outcome::Failed { reason: "a list without a revision".to_owned() },
            }
        }
        other => Outcome::Failed { reason: reason(other) },
    }
}

fn write_outcome(guard: Option<&Guard>, op: &Op, answer: Answer) -> Outcome {
    let key = op.key().to_owned();
    let creates = matches!(guard, Some(Guard::Absent { .. }));
    // A deletion without a guard is refused by a 404 only, an apply by neither.
    let needs_object = matches!(op, Op::Delete { .. }) || (guard.is_some() && !creates);
    match answer {
        Answer::Said(200 | 201, body) => match revision_of(&body) {
            Some(revision) => Outcome::Applied { revision },
            None => Outcome::Unknown { reason: format!("an answer without a revision: {body}") },
        },
        Answer::Said(404, _) if needs_object => Outcome::Conflict { key, current: None },
        // Something else is there; the API does not say at which revision.
        Answer::Said(409, _) if guard.is_some() => Outcome::Conflict { key, current: Some(0) },
        answer @ (Answer::Said(400..=499 | 503 | 507, _) | Answer::NotSent(_)) => {
            Outcome::Rejected { reason: reason(answer) }
        }
        other => Outcome::Unknown { reason: reason(other) },
    }
}

fn reason(answer: Answer) -> String {
    match answer {
        Answer::Said(code, body) => format!("{code} {}", body["message"].as_str().unwrap_or_default()),
        Answer::NotSent(reason) => format!("not sent: {reason}"),
        Answer::Lost(reason) => reason,
    }
}

/// The revision of an object or a list.
#[must_use]
pub fn revision_of(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

fn found(object: &Value) -> Option<(u64, Token)> {
    Some((revision_of(object)?, token_of(object)))
}

/// The token of an object; 0 when it has none.
#[must_use]
pub fn token_of(object: &Value) -> Token {
    let token = object["metadata"]["annotations"]["token"].as_str();
    token.and_then(|token| token.parse().ok()).unwrap_or(0)
}

/// The name of an object.
#[must_use]
pub fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// The objects of a list.
#[must_use]
pub fn listed(list: &Value) -> Vec<Seen> {
    let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    items.iter().map(|item| Seen { key: name_of(item), found: found(item) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txn(guard: Option<Guard>, op: Op) -> Call {
        Call::Txn { guards: guard.into_iter().collect(), ops: vec![op] }
    }

    fn put() -> Op {
        Op::Put { key: key(1, "a"), token: 5, epoch: None, expires: false }
    }

    fn absent() -> Option<Guard> {
        Some(Guard::Absent { key: key(1, "a") })
    }

    fn at() -> Option<Guard> {
        Some(Guard::At { key: key(1, "a"), revision: 7, token: 4 })
    }

    #[test]
    fn each_write_has_its_verb() {
        let delete = || Op::Delete { key: key(1, "a") };
        let verb = |guard, op| ask(&txn(guard, op)).method;
        assert_eq!(
            [verb(absent(), put()), verb(at(), put()), verb(None, put()), verb(at(), delete())],
            ["POST", "PUT", "PATCH", "DELETE"]
        );
        let body = ask(&txn(at(), put())).body.unwrap();
        assert_eq!((revision_of(&body), token_of(&body)), (Some(7), 5));
    }

    #[test]
    fn only_a_clear_refusal_is_no_doubt() {
        let said = |code| Answer::Said(code, json!({"metadata": {}}));
        let kind = |guard: Option<Guard>, op: Op, answer| match outcome(&txn(guard, op), answer) {
            Outcome::Conflict { current, .. } => {
                if current.is_some() {
                    "other"
                } else {
                    "nothing"
                }
            }
            Outcome::Rejected { .. } => "rejected",
            Outcome::Unknown { .. } => "unknown",
            _ => "else",
        };
        let delete = || Op::Delete { key: key(1, "a") };
        assert_eq!(kind(absent(), put(), said(409)), "other");
        assert_eq!(kind(at(), put(), said(409)), "other");
        assert_eq!(kind(at(), put(), said(404)), "nothing");
        assert_eq!(kind(None, delete(), said(404)), "nothing");
        // The namespace is missing: that says nothing of the key.
        assert_eq!(kind(absent(), put(), said(404)), "rejected");
        assert_eq!(kind(None, put(), said(409)), "rejected");
        assert_eq!(kind(None, put(), said(503)), "rejected");
        assert_eq!(kind(None, put(), Answer::NotSent(String::new())), "rejected");
        assert_eq!(kind(None, put(), said(504)), "unknown");
        assert_eq!(kind(None, put(), said(500)), "unknown");
        assert_eq!(kind(None, put(), said(200)), "unknown", "an answer without a revision");
        assert_eq!(kind(None, put(), Answer::Lost(String::new())), "unknown");
    }

    #[test]
    fn a_read_sees_the_keys_it_asked_for() {
        let item =
            json!({"metadata": {"name": key(1, "b"), "resourceVersion": "3", "annotations": {"token": "9"}}});
        let list = json!({"metadata": {"resourceVersion": "4"}, "items": [item]});
        let keys: Vec<String> = NAMES.iter().map(|name| key(1, name)).collect();
        let Outcome::Read { revision, seen } =
            outcome(&Call::Read { keys: keys.clone() }, Answer::Said(200, list))
        else {
            panic!("no read")
        };
        let found: Vec<_> = seen.iter().map(|seen| seen.found).collect();
        assert_eq!((revision, found), (4, vec![None, Some((3, 9)), None]));
    }
}
