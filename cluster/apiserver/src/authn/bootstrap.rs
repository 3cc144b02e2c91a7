//! Bootstrap tokens: Secrets of type `bootstrap.kubernetes.io/token` in kube-system.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use store::View;

use crate::identity::User;

const GROUP: &str = "system:bootstrappers";

/// The user of a token `ID.SECRET` that is valid now.
pub(super) fn user_of(view: &View, token: &str) -> Option<User> {
    let (id, secret) = token.split_once('.')?;
    if id.len() != 6 || !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return None;
    }
    let object = view.get(&format!("/core/secrets/kube-system/bootstrap-token-{id}"))?;
    let stored: Value = serde_json::from_slice(&object.value).ok()?;
    if stored["type"] != "bootstrap.kubernetes.io/token"
        || stored["metadata"]["deletionTimestamp"].is_string()
    {
        return None;
    }
    let data = |name: &str| {
        let bytes = STANDARD.decode(stored["data"][name].as_str()?).ok()?;
        String::from_utf8(bytes).ok()
    };
    let usable = data("token-id")? == id
        && same_secret(data("token-secret")?.as_bytes(), secret.as_bytes())
        && data("usage-bootstrap-authentication")? == "true"
        && data("expiration")
            .is_none_or(|end| end.parse::<jiff::Timestamp>().is_ok_and(|end| end > jiff::Timestamp::now()));
    if !usable {
        return None;
    }
    let mut user = User::new(&format!("system:bootstrap:{id}"), &[GROUP]);
    let extra = data("auth-extra-groups").unwrap_or_default();
    let is_ours = |group: &&str| group.starts_with("system:bootstrappers:");
    user.groups.extend(extra.split(',').map(str::trim).filter(is_ours).map(str::to_owned));
    Some(user)
}

/// Compares without telling by its time where two secrets differ.
fn same_secret(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
