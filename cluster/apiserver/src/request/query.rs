//! The query of a request, typed where every verb understands it alike.

use std::time::Duration;

use api::Status;
use jiff::SignedDuration;

/// `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    Exact,
    NotOlderThan,
}

/// The parameters, in the order they came. Values may repeat (`command` of exec).
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    raw: String,
    pairs: Vec<(String, String)>,
}

/// More parameters than this are refused.
const MOST_PARAMETERS: usize = 1000;

impl Query {
    pub(crate) fn parse(raw: Option<&str>) -> Self {
        let raw = raw.unwrap_or_default();
        let pairs = form_urlencoded::parse(raw.as_bytes()).into_owned().take(MOST_PARAMETERS).collect();
        Self { raw: raw.to_owned(), pairs }
    }

    /// As it came.
    pub(crate) fn raw(&self) -> &str {
        &self.raw
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The first value of a parameter; empty when it is missing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v)
    }

    pub(crate) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.pairs.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// `timeout`, in Go's words: `30s`, `1m30s`; none when it is absent or zero.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, Status> {
        let text = self.get("timeout");
        if text.is_empty() {
            return Ok(None);
        }
        let bad = || Status::bad_request(format!("invalid timeout specified in the request URL - {text:?}"));
        let span: SignedDuration = match text {
            "0" => SignedDuration::ZERO,
            text => text.parse().map_err(|_| bad())?,
        };
        let timeout = Duration::try_from(span).map_err(|_| bad())?;
        Ok((!timeout.is_zero()).then_some(timeout))
    }

    /// A flag, as Kubernetes reads it: present and not `false` or `0`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.pairs.iter().find(|(k, _)| k == name).is_some_and(|(_, v)| !matches!(v.as_str(), "false" | "0"))
    }

    /// A flag that may be absent.
    pub(crate) fn optional_flag(&self, name: &str) -> Option<bool> {
        self.pairs.iter().any(|(k, _)| k == name).then(|| self.flag(name))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Status> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!("invalid value {text:?} of the query parameter {name}"))
            }),
        }
    }

    /// `resourceVersion`: none when unset, else a number (0: any version will do).
    pub(crate) fn resource_version(&self) -> Result<Option<u64>, Status> {
        match self.get("resourceVersion") {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!("Invalid value: {text:?}: must be a resource version"))
            }),
        }
    }

    pub(crate) fn version_match(&self) -> Result<Option<VersionMatch>, Status> {
        match self.get("resourceVersionMatch") {
            "" => Ok(None),
            "Exact" => Ok(Some(VersionMatch::Exact)),
            "NotOlderThan" => Ok(Some(VersionMatch::NotOlderThan)),
            other => Err(Status::bad_request(format!(
                "resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\""
            ))),
        }
    }

    /// `dryRun`: only `All` is known.
    pub(crate) fn dry_run(&self) -> Result<bool, Status> {
        let mut values = self.all("dryRun").filter(|v| !v.is_empty()).peekable();
        if values.peek().is_none() {
            return Ok(false);
        }
        match values.find(|v| *v != "All") {
            None => Ok(true),
            Some(other) => Err(Status::bad_request(format!(
                "dryRun: Unsupported value: {other:?}: supported values: \"All\""
            ))),
        }
    }

    /// `metadata.name=NAME` of the field selector, which authorization takes for the name.
    pub(crate) fn selected_name(&self) -> Option<String> {
        let selector = self.get("fieldSelector");
        let term = selector.split(',').find_map(|t| t.strip_prefix("metadata.name="))?;
        Some(term.trim_start_matches('=').to_owned()).filter(|name| !name.is_empty())
    }
}
