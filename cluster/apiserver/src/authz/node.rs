//! What a node may do: the rules of the role `system:node`, narrowed to its own objects and to the
//! secrets, config maps and volumes that pods bound to it use.

use std::sync::Arc;

use api::Status;
use serde_json::Value;
use store::View;

use super::{Attributes, RoleRef, Target};
use crate::identity::User;
use crate::server::Server;

/// True when the node's own rules permit it; others may still.
pub(super) async fn allows(
    server: &Arc<Server>,
    user: &User,
    attributes: &Attributes<'_>,
) -> Result<bool, Status> {
    let Some(node) = user.node() else { return Ok(false) };
    let Target::Resource { resource, subresource, namespace, name, .. } = &attributes.target else {
        return Ok(false);
    };
    let role = RoleRef { kind: "ClusterRole".to_owned(), name: "system:node".to_owned() };
    let by_role = server.rbac.read().rules_of(&role, "").iter().any(|rule| rule.allows(attributes));
    if !by_role {
        return Ok(false);
    }
    let reads = matches!(attributes.verb, "get" | "list" | "watch");
    let own_name = *name == node || (attributes.verb == "create" && name.is_empty());
    match (*resource, *subresource) {
        ("nodes", _) => Ok(reads || own_name),
        ("csinodes", _) => Ok(own_name),
        ("leases", _) => Ok(*namespace == "kube-node-lease" && own_name),
        ("secrets" | "configmaps", _) => {
            used_by_pod(server, node, namespace, |pod| mentions(pod, resource, name)).await
        }
        ("persistentvolumeclaims", _) => {
            used_by_pod(server, node, namespace, |pod| mentions(pod, resource, name)).await
        }
        ("serviceaccounts", _) => {
            used_by_pod(server, node, namespace, |pod| pod["spec"]["serviceAccountName"] == **name).await
        }
        ("pods", "") if attributes.verb == "create" => Ok(true),
        ("pods", _) if !reads => {
            used_by_pod(server, node, namespace, |pod| pod["metadata"]["name"] == **name).await
        }
        _ => Ok(true),
    }
}

/// Some pod of the namespace that is bound to the node passes the test; asked again of a confirmed
/// view, because the pod may just have been bound by another replica.
async fn used_by_pod(
    server: &Arc<Server>,
    node: &str,
    namespace: &str,
    test: impl Fn(&Value) -> bool,
) -> Result<bool, Status> {
    let found = |view: &View| {
        let prefix = format!("/core/pods/{namespace}/");
        let on_node = |o: &Arc<store::Object>| o.field("spec.nodeName") == Some(node);
        view.range(&prefix, None)
            .filter(on_node)
            .any(|o| serde_json::from_slice::<Value>(&o.value).is_ok_and(|pod| test(&pod)))
    };
    if found(&server.local_view().await?) {
        return Ok(true);
    }
    Ok(found(&server.fresh_view().await?))
}

/// The pod's spec names the object in one of the places that refer to such objects.
fn mentions(pod: &Value, resource: &str, name: &str) -> bool {
    let places: &[(&str, &str)] = match resource {
        "secrets" => &[
            ("secret", "secretName"),
            ("secret", "name"),
            ("secretRef", "name"),
            ("secretKeyRef", "name"),
            ("imagePullSecrets", "name"),
        ],
        "configmaps" => &[("configMap", "name"), ("configMapRef", "name"), ("configMapKeyRef", "name")],
        _ => &[("persistentVolumeClaim", "claimName")],
    };
    !name.is_empty() && mentioned_below(&pod["spec"], "", places, name)
}

fn mentioned_below(value: &Value, parent: &str, places: &[(&str, &str)], name: &str) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(key, field)| {
            (field == name && places.iter().any(|(p, k)| *p == parent && k == key))
                || mentioned_below(field, key, places, name)
        }),
        Value::Array(items) => items.iter().any(|item| mentioned_below(item, parent, places, name)),
        _ => false,
    }
}
