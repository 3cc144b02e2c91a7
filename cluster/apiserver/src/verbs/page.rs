//! Pages of a list: `limit` and `continue`, all of one exact revision.

use api::Status;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use store::{Revision, View};

use crate::call::Call;
use crate::failure::expired;
use crate::request::VersionMatch;

/// What a continue token holds.
#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    rv: Revision,
    /// The last key of the page before.
    start: String,
}

/// Where a list begins, and how far it goes.
pub(super) struct Page {
    pub view: View,
    pub after: Option<String>,
    /// None: all.
    pub limit: Option<usize>,
}

impl Page {
    pub(super) async fn of(call: &Call) -> Result<Self, Status> {
        let query = &call.request.query;
        let limit =
            query.number("limit")?.filter(|l| *l > 0).map(|l| usize::try_from(l).unwrap_or(usize::MAX));
        let version = query.resource_version()?;
        let matching = query.version_match()?;
        let token = query.get("continue");
        if !token.is_empty() {
            return Self::continued(call, token, version, matching, limit);
        }
        let view = match (version, matching) {
            (None, Some(_)) => {
                return Err(forbidden_match(
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            (Some(0), Some(VersionMatch::Exact)) => {
                return Err(forbidden_match(
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
            (Some(exact), Some(VersionMatch::Exact)) => Self::exactly(call, exact).await?,
            (Some(exact), None) if limit.is_some() && exact > 0 => Self::exactly(call, exact).await?,
            _ => call.view().await?,
        };
        Ok(Self { view, after: None, limit })
    }

    async fn exactly(call: &Call, revision: Revision) -> Result<View, Status> {
        // Waits until it exists here, and refuses what does not exist anywhere yet.
        call.view_not_older(revision).await?;
        call.server.store.view_at(revision).map_err(|c| expired(&c))
    }

    fn continued(
        call: &Call,
        token: &str,
        version: Option<Revision>,
        matching: Option<VersionMatch>,
        limit: Option<usize>,
    ) -> Result<Self, Status> {
        if matching.is_some() {
            return Err(forbidden_match("resourceVersionMatch is forbidden when continue is provided"));
        }
        if version.is_some_and(|v| v != 0) {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let bad = || Status::bad_request("continue key is not valid");
        let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|_| bad())?;
        let token: Token = serde_json::from_slice(&bytes).map_err(|_| bad())?;
        let view = call.server.store.view_at(token.rv).map_err(|_| {
            Status::expired(
                "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.",
            )
        })?;
        Ok(Self { view, after: Some(token.start), limit })
    }

    /// The token that continues after `last`.
    pub(super) fn token_after(&self, last: &str) -> String {
        let token = Token { v: "meta.k8s.io/v1".into(), rv: self.view.revision(), start: last.to_owned() };
        // A struct of two strings and a number always serializes.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }
}

fn forbidden_match(message: &str) -> Status {
    Status::failure(
        422,
        "Invalid",
        format!("ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: {message}"),
    )
}
