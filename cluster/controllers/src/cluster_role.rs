//! ClusterRoles that are the sum of others.

use crate::{
    Acting,
    drive::{Controller, drive, on},
    objects::{labels, name, selector},
};
use async_trait::async_trait;
use client::ObjectKey;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::{
    Api,
    api::{Patch, PatchParams},
    core::SelectorExt,
};
use std::{sync::Arc, time::Duration};

pub(crate) async fn run(acting: Acting) {
    let all = acting.caches.cluster_roles.clone();
    // Any role may be a part of any sum.
    let sums = on(&acting.caches.cluster_roles, move |_| {
        let sums = all.list().into_iter().filter(|role| role.aggregation_rule.is_some());
        sums.map(|role| ObjectKey::of(&*role)).collect::<Vec<_>>()
    });
    drive(acting.clone(), Runner { acting }, vec![sums]).await;
}

struct Runner {
    acting: Acting,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let roles = &self.acting.caches.cluster_roles;
        let Some(role) = roles.get("", &key.name) else { return Ok(None) };
        if let Some(rules) = plan(&role, &roles.list()) {
            let patch = serde_json::json!({ "metadata": { "resourceVersion": role.metadata.resource_version },
                "rules": rules });
            let api: Api<ClusterRole> = Api::all(self.acting.client.clone());
            roles.note(api.patch(name(&role.metadata), &PatchParams::default(), &Patch::Merge(patch)).await?);
        }
        Ok(None)
    }
}

/// The rules that the role should have; `None` when it has them, or is no sum.
fn plan(role: &ClusterRole, all: &[Arc<ClusterRole>]) -> Option<Vec<PolicyRule>> {
    let selectors = role.aggregation_rule.as_ref()?.cluster_role_selectors.as_ref()?;
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in selectors.iter().filter_map(selector) {
        for part in all.iter().filter(|part| part.metadata.name != role.metadata.name) {
            if selector.matches(labels(&part.metadata)) {
                let new: Vec<_> =
                    part.rules.iter().flatten().filter(|rule| !rules.contains(rule)).cloned().collect();
                rules.extend(new);
            }
        }
    }
    (role.rules.clone().unwrap_or_default() != rules).then_some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::object;
    use serde_json::json;

    #[test]
    fn a_sum_has_the_rules_of_its_parts() {
        let part = |name: &str, resource: &str, label: &str| -> Arc<ClusterRole> {
            Arc::new(object(json!({ "metadata": { "name": name, "labels": { "to": label } },
                "rules": [{ "apiGroups": [""], "resources": [resource], "verbs": ["get"] }] })))
        };
        let sum: ClusterRole = object(json!({ "metadata": { "name": "sum" },
            "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { "to": "sum" } }] } }));
        let all = [
            part("a", "pods", "sum"),
            part("b", "nodes", "other"),
            part("c", "pods", "sum"),
            part("d", "jobs", "sum"),
        ];
        let rules = plan(&sum, &all).unwrap();
        assert_eq!(
            rules.iter().map(|r| r.resources.as_ref().unwrap()[0].as_str()).collect::<Vec<_>>(),
            ["pods", "jobs"]
        );
        assert_eq!(plan(&ClusterRole { rules: Some(rules), ..sum }, &all), None);
        assert_eq!(plan(&all[0], &all), None);
    }
}
