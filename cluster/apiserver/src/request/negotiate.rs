//! What the client accepts: JSON or YAML, as the object, a Table or only its metadata.

use api::Status;

/// The media types answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Json,
    Yaml,
}

/// What of the object is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    Object,
    Table,
    Metadata,
}

/// The outcome of the negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub shape: Shape,
    pub r#as: As,
}

const ACCEPTED: [&str; 2] = ["application/json", "application/yaml"];

impl Negotiated {
    pub(crate) const JSON: Negotiated = Negotiated { shape: Shape::Json, r#as: As::Object };

    /// Chooses among the clauses of an `Accept` header in the order of their weight.
    pub(crate) fn from_accept(accept: &str) -> Result<Self, Status> {
        if accept.trim().is_empty() {
            return Ok(Self::JSON);
        }
        let mut clauses: Vec<(f32, &str)> = accept.split(',').map(|c| (weight(c), c.trim())).collect();
        // Stable: clauses of the same weight stay in the client's order.
        clauses.sort_by(|a, b| b.0.total_cmp(&a.0));
        clauses
            .iter()
            .filter(|(q, _)| *q > 0.0)
            .find_map(|(_, clause)| Self::from_clause(clause))
            .ok_or_else(|| Status::not_acceptable(&ACCEPTED))
    }

    fn from_clause(clause: &str) -> Option<Self> {
        let mut parts = clause.split(';').map(str::trim);
        let shape = match parts.next()? {
            "application/json" | "application/*" | "*/*" => Shape::Json,
            "application/yaml" => Shape::Yaml,
            _ => return None,
        };
        let mut kind = "";
        let mut group_version = (true, true);
        for (key, value) in parts.filter_map(|p| p.split_once('=')) {
            match key.trim() {
                "as" => kind = value,
                "g" => group_version.0 = value == "meta.k8s.io",
                "v" => group_version.1 = value == "v1",
                _ => {}
            }
        }
        let r#as = match (kind, group_version) {
            ("", _) => As::Object,
            ("Table", (true, true)) => As::Table,
            ("PartialObjectMetadata" | "PartialObjectMetadataList", (true, true)) => As::Metadata,
            _ => return None,
        };
        Some(Self { shape, r#as })
    }

    /// For what is never a table: discovery, reviews, errors.
    pub(crate) fn plain(self) -> Self {
        Self { r#as: As::Object, ..self }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self.shape {
            Shape::Json => "application/json",
            Shape::Yaml => "application/yaml",
        }
    }
}

fn weight(clause: &str) -> f32 {
    let q = clause.split(';').skip(1).find_map(|p| p.trim().strip_prefix("q="));
    q.and_then(|q| q.parse().ok()).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_tried_in_order() {
        let table = [
            ("", Some((Shape::Json, As::Object))),
            ("*/*", Some((Shape::Json, As::Object))),
            ("application/vnd.kubernetes.protobuf,application/json", Some((Shape::Json, As::Object))),
            ("application/vnd.kubernetes.protobuf", None),
            ("application/yaml", Some((Shape::Yaml, As::Object))),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Some((Shape::Json, As::Table)),
            ),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", None),
            (
                "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
                Some((Shape::Json, As::Metadata)),
            ),
            ("application/json;q=0.5,application/yaml", Some((Shape::Yaml, As::Object))),
        ];
        for (accept, expected) in table {
            let got = Negotiated::from_accept(accept).ok().map(|n| (n.shape, n.r#as));
            assert_eq!(got, expected, "{accept}");
        }
    }
}
