//! RBAC rules as values: matching, and whether one set of rules covers another.

use serde::{Deserialize, Serialize};

use super::{Attributes, Target};

/// A rule of a Role or ClusterRole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PolicyRule {
    pub verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

fn has(list: &[String], word: &str) -> bool {
    list.iter().any(|w| w == "*" || w == word)
}

impl PolicyRule {
    pub(crate) fn allows(&self, attributes: &Attributes<'_>) -> bool {
        if !has(&self.verbs, attributes.verb) {
            return false;
        }
        match &attributes.target {
            Target::Url(path) => self.non_resource_urls.iter().any(|pattern| url_matches(pattern, path)),
            Target::Resource { group, resource, subresource, name, .. } => {
                has(&self.api_groups, group)
                    && self.resources.iter().any(|r| resource_matches(r, resource, subresource))
                    && (self.resource_names.is_empty() || self.resource_names.iter().any(|n| n == name))
            }
        }
    }

    /// This rule alone permits all that `one`, a rule of single words, permits.
    fn covers(&self, one: &PolicyRule) -> bool {
        let all = |mine: &[String], theirs: &[String]| theirs.iter().all(|w| has(mine, w));
        if !all(&self.verbs, &one.verbs) {
            return false;
        }
        if !one.non_resource_urls.is_empty() {
            return one.non_resource_urls.iter().all(|u| {
                self.non_resource_urls.iter().any(|mine| mine == u || mine == "*" || url_covers(mine, u))
            });
        }
        let resources = one.resources.iter().all(|theirs| {
            let (resource, subresource) = theirs.split_once('/').unwrap_or((theirs, ""));
            self.resources.iter().any(|mine| mine == theirs || resource_matches(mine, resource, subresource))
        });
        let names = self.resource_names.is_empty()
            || (!one.resource_names.is_empty()
                && one.resource_names.iter().all(|n| self.resource_names.contains(n)));
        all(&self.api_groups, &one.api_groups) && resources && names
    }

    /// The same permissions as rules of one verb, one group, one resource, one name.
    fn split(&self) -> Vec<PolicyRule> {
        let mut parts = Vec::new();
        for verb in &self.verbs {
            for url in &self.non_resource_urls {
                let non_resource_urls = vec![url.clone()];
                parts.push(PolicyRule { verbs: vec![verb.clone()], non_resource_urls, ..Default::default() });
            }
            for group in &self.api_groups {
                for resource in &self.resources {
                    let one = PolicyRule {
                        verbs: vec![verb.clone()],
                        api_groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        ..Default::default()
                    };
                    if self.resource_names.is_empty() {
                        parts.push(one);
                        continue;
                    }
                    let named =
                        |name: &String| PolicyRule { resource_names: vec![name.clone()], ..one.clone() };
                    parts.extend(self.resource_names.iter().map(named));
                }
            }
        }
        parts
    }
}

/// What of `wanted` is not covered by `held`.
pub(crate) fn uncovered(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    wanted
        .iter()
        .flat_map(PolicyRule::split)
        .filter(|one| !held.iter().any(|rule| rule.covers(one)))
        .collect()
}

fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    match pattern.split_once('/') {
        None => subresource.is_empty() && pattern == resource,
        Some((r, s)) => !subresource.is_empty() && s == subresource && (r == "*" || r == resource),
    }
}

fn url_matches(pattern: &str, path: &str) -> bool {
    pattern == "*"
        || pattern == path
        || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix.trim_end_matches('*')))
}

fn url_covers(mine: &str, theirs: &str) -> bool {
    mine.strip_suffix('*').is_some_and(|prefix| theirs.trim_end_matches('*').starts_with(prefix))
}
