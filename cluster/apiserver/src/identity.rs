//! Who a request comes from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everyone whose credentials were accepted is in this group.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// Those who showed none.
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";
/// May do everything.
pub(crate) const MASTERS: &str = "system:masters";

/// An authenticated user (authentication.k8s.io UserInfo).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    #[serde(rename = "username")]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user by name and groups, as a certificate names them.
    pub(crate) fn new(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|g| (*g).to_owned()).collect();
        Self { name: name.to_owned(), groups, ..Self::default() }
    }

    /// A request without credentials.
    pub(crate) fn anonymous() -> Self {
        Self::new("system:anonymous", &[UNAUTHENTICATED])
    }

    /// With the group that every authenticated user is in.
    pub(crate) fn authenticated(mut self) -> Self {
        if self.name != "system:anonymous" && !self.is_in(AUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }

    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The name of the node this user is, if it is one.
    pub(crate) fn node(&self) -> Option<&str> {
        self.name.strip_prefix("system:node:").filter(|_| self.is_in("system:nodes"))
    }

    /// Namespace and name of the service account this user is, if it is one.
    pub(crate) fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}
