//! RBAC escalation: nobody grants rights that he does not have, unless he may `escalate` the role
//! or `bind` it.

use api::Status;
use serde_json::Value;

use crate::authz::{Attributes, PolicyRule, RoleRef, Target, uncovered};
use crate::identity::MASTERS;
use crate::pipeline::Write;

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn check(write: &Write<'_>, object: &Value, old: Option<&Value>) -> Result<(), Status> {
    if write.user.is_in(MASTERS) {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let same = |field: &str| old.is_some_and(|old| old[field] == object[field]);
    let (verb, plural, role_name, rules) = match write.storage.kind.as_str() {
        // An unchanged role grants nothing new.
        "Role" | "ClusterRole" if same("rules") && same("aggregationRule") => return Ok(()),
        "Role" | "ClusterRole" => {
            let rules: Vec<PolicyRule> = match &object["rules"] {
                Value::Null => Vec::new(),
                rules => serde_json::from_value(rules.clone())
                    .map_err(|e| Status::bad_request(format!("rules: {e}")))?,
            };
            ("escalate", write.storage.plural.as_str(), name.to_owned(), rules)
        }
        _ if same("roleRef") && same("subjects") => return Ok(()),
        _ => {
            let role: RoleRef = serde_json::from_value(object["roleRef"].clone())
                .map_err(|e| Status::bad_request(format!("roleRef: {e}")))?;
            let plural = if role.kind == "ClusterRole" { "clusterroles" } else { "roles" };
            let index = write.server.rbac.read();
            if !index.role_exists(&role, write.namespace) && !may(write, "bind", plural, &role.name) {
                return Err(Status::not_found(GROUP, plural, &role.name));
            }
            let rules = index.rules_of(&role, write.namespace);
            ("bind", plural, role.name, rules)
        }
    };
    if may(write, verb, plural, &role_name) {
        return Ok(());
    }
    let held = write.server.rbac.read().rules_for(write.user, write.namespace);
    let missing = uncovered(&held, &rules);
    if missing.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = missing.iter().map(describe).collect();
    let why = format!(
        "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{}",
        write.user.name,
        write.user.groups,
        list.join("\n")
    );
    Err(Status::forbidden(GROUP, &write.resource.plural, name, why))
}

fn may(write: &Write<'_>, verb: &str, resource: &str, name: &str) -> bool {
    let target = Target::Resource {
        group: GROUP,
        resource,
        subresource: "",
        namespace: write.namespace,
        name,
        fields: "",
    };
    write.server.rbac.read().allows(write.user, &Attributes { verb, target })
}

fn describe(rule: &PolicyRule) -> String {
    if !rule.non_resource_urls.is_empty() {
        return format!("{{NonResourceURLs:{:?}, Verbs:{:?}}}", rule.non_resource_urls, rule.verbs);
    }
    let names = match rule.resource_names.is_empty() {
        true => String::new(),
        false => format!(", ResourceNames:{:?}", rule.resource_names),
    };
    format!(
        "{{APIGroups:{:?}, Resources:{:?}{names}, Verbs:{:?}}}",
        rule.api_groups, rule.resources, rule.verbs
    )
}
