//! Pages of a list: `limit` and `continue`, all of one exact revision. When that is not kept any
//! more the client may go on from the last key in the newest one, knowing that it is another.

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
    /// [`NEWEST`], or the revision of the pages before.
    rv: i64,
    /// The last key of the page before.
    start: String,
}

/// The revision in a token that may be continued in any.
const NEWEST: i64 = -1;

const TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. \
You can start a new list without the continue parameter, or use the continue token in this response to \
retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list \
- objects that were created, modified, or deleted between the time the first chunk was returned and now \
may show up in the list.";

impl Token {
    fn new(rv: i64, start: &str) -> Self {
        Self { v: "meta.k8s.io/v1".into(), rv, start: start.to_owned() }
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn text(&self) -> String {
        // A struct of two strings and a number always serializes.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// Where a list begins, and how far it goes.
pub(super) struct Page {
    pub view: View,
    pub after: Option<String>,
    /// None: all.
    pub limit: Option<usize>,
}

/// How many objects the client wants at most; 0 and nothing are all.
pub(super) fn limit_of(call: &Call) -> Result<Option<usize>, Status> {
    let limit = call.request.query.number("limit")?;
    Ok(limit.filter(|l| *l > 0).map(|l| usize::try_from(l).unwrap_or(usize::MAX)))
}

impl Page {
    pub(super) async fn of(call: &Call) -> Result<Self, Status> {
        let query = &call.request.query;
        let limit = limit_of(call)?;
        let version = query.resource_version()?;
        let matching = query.version_match()?;
        let token = query.get("continue");
        if !token.is_empty() {
            return Self::continued(call, token, version, matching, limit).await;
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

    async fn continued(
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
        let token = Token::parse(token).ok_or_else(|| Status::bad_request("continue key is not valid"))?;
        let view = match Revision::try_from(token.rv) {
            Ok(revision) => {
                let view = Self::exactly(call, revision).await;
                view.map_err(|error| match error.code {
                    410 => Status::expired(TOO_OLD).with_continue(Token::new(NEWEST, &token.start).text()),
                    _ => error,
                })?
            }
            Err(_) => call.server.fresh_view().await?,
        };
        Ok(Self { view, after: Some(token.start), limit })
    }

    /// The token that continues after `last`.
    pub(super) fn token_after(&self, last: &str) -> String {
        let revision = i64::try_from(self.view.revision()).unwrap_or(NEWEST);
        Token::new(revision, last).text()
    }
}

fn forbidden_match(message: &str) -> Status {
    Status::failure(
        422,
        "Invalid",
        format!("ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: {message}"),
    )
}
