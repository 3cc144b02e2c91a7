//! Which resources the API serves, custom ones included.

use kube::{
    Client,
    api::DynamicObject,
    core::{ApiResource, PartialObjectMeta},
    discovery::{ApiCapabilities, Discovery, Scope},
};

/// An object of any kind, of which only the metadata is read.
pub(crate) type Meta = PartialObjectMeta<DynamicObject>;

/// A resource of which objects can be listed and deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Discovered {
    pub resource: ApiResource,
    pub namespaced: bool,
    pub watchable: bool,
    pub deletes_collections: bool,
}

impl Discovered {
    /// `pods`, `deployments.apps`.
    pub fn name(&self) -> String {
        match self.resource.group.as_str() {
            "" => self.resource.plural.clone(),
            group => format!("{}.{group}", self.resource.plural),
        }
    }
}

/// All resources with the verbs list and delete, each in its group's preferred version.
pub(crate) async fn discover(client: &Client) -> Result<Vec<Discovered>, kube::Error> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let all = discovery.groups().flat_map(|group| group.recommended_resources());
    let mut found: Vec<Discovered> = all.filter_map(|(resource, can)| deletable(resource, &can)).collect();
    found.sort_by_key(Discovered::name);
    Ok(found)
}

fn deletable(resource: ApiResource, can: &ApiCapabilities) -> Option<Discovered> {
    let supports = |verb| can.supports_operation(verb);
    (supports("list") && supports("delete")).then(|| Discovered {
        resource,
        namespaced: can.scope == Scope::Namespaced,
        watchable: supports("watch"),
        deletes_collections: supports("deletecollection"),
    })
}
