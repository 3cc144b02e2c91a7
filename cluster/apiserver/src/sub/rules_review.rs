//! SelfSubjectRulesReview: what `kubectl auth can-i --list` shows.

use serde_json::{Value, json};

use crate::authz::PolicyRule;
use crate::call::Call;
use crate::identity::MASTERS;

pub(super) fn self_rules(call: &Call, review: &Value) -> Value {
    let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
    let mut rules = call.server.rbac.read().rules_for(&call.user, namespace);
    if call.user.is_in(MASTERS) {
        let all = || vec!["*".to_owned()];
        rules.push(PolicyRule { verbs: all(), api_groups: all(), resources: all(), ..PolicyRule::default() });
        rules.push(PolicyRule { verbs: all(), non_resource_urls: all(), ..PolicyRule::default() });
    }
    let (urls, resources): (Vec<_>, Vec<_>) =
        rules.into_iter().partition(|r| !r.non_resource_urls.is_empty());
    let resource_rules: Vec<Value> = resources.iter().map(|r| json!(r)).collect();
    let url_rules: Vec<Value> = urls.iter().map(|r| json!(r)).collect();
    // A node's own rules depend on the pods bound to it and are not listed.
    json!({"resourceRules": resource_rules, "nonResourceRules": url_rules, "incomplete": call.user.node().is_some()})
}
