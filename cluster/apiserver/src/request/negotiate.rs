//! What the client accepts: JSON, YAML or protobuf; the object, a Table or only its metadata.

use api::Status;
use api::protobuf::PROTOBUF;
use serde_json::Value;

/// The media types answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Json,
    Yaml,
    Protobuf,
}

/// What of the object is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    Object,
    Table,
    Metadata,
    /// Only of a list.
    MetadataList,
}

/// What there is to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Objects of a built-in kind.
    Builtin,
    /// Objects of a custom kind: they have no protobuf form, their metadata has.
    Custom,
    /// What is answered once and not stored: it has no table.
    Review,
    /// Documents and errors: only as they are.
    Document,
}

/// The outcome of the negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub shape: Shape,
    pub r#as: As,
    /// The form was asked for in `meta.k8s.io/v1beta1`.
    pub beta: bool,
    pub pretty: bool,
}

/// In the order of preference.
const SHAPES: [(Shape, &str); 3] =
    [(Shape::Json, "application/json"), (Shape::Yaml, "application/yaml"), (Shape::Protobuf, PROTOBUF)];
pub(crate) const ACCEPTED: [&str; 3] = [SHAPES[0].1, SHAPES[1].1, SHAPES[2].1];
const STREAMED: [&str; 2] =
    ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

/// One clause of an `Accept` header.
struct Clause<'h> {
    media: (&'h str, &'h str),
    weight: f32,
    parameters: Vec<(&'h str, &'h str)>,
}

impl Negotiated {
    pub(crate) const JSON: Negotiated =
        Negotiated { shape: Shape::Json, r#as: As::Object, beta: false, pretty: false };

    /// Chooses among the clauses of an `Accept` header in the order of their weight.
    pub(crate) fn from_accept(accept: &str, offer: Offer) -> Result<Self, Status> {
        if accept.is_empty() {
            return Ok(Self::JSON);
        }
        let mut clauses: Vec<Clause<'_>> = accept.split(',').filter_map(Clause::parse).collect();
        // Stable: clauses of the same weight stay in the client's order, but wildcards are the last of them.
        clauses.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.wildcards().cmp(&b.wildcards())));
        let found = clauses.iter().find_map(|clause| {
            let mut shapes = SHAPES.iter().filter(|(_, media)| clause.matches(media));
            shapes.find_map(|(shape, _)| clause.accepts(*shape, offer))
        });
        found.ok_or_else(|| Status::not_acceptable(&ACCEPTED))
    }

    /// For an error: one that can not be told in what the client accepts is told in JSON.
    pub(crate) fn for_error(accept: &str) -> Self {
        Self::from_accept(accept, Offer::Document).unwrap_or(Self::JSON)
    }

    /// What a watch can be sent in.
    pub(crate) fn streamed(self) -> Result<Self, Status> {
        match self.shape {
            Shape::Yaml => Err(Status::not_acceptable(&STREAMED)),
            _ => Ok(self),
        }
    }

    /// For what is never a table: discovery, reviews, errors.
    pub(crate) fn plain(self) -> Self {
        Self { r#as: As::Object, ..self }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self.shape {
            Shape::Json => "application/json",
            Shape::Yaml => "application/yaml",
            Shape::Protobuf => PROTOBUF,
        }
    }

    /// The version that tables and metadata are answered in.
    pub(crate) fn metadata_version(self) -> &'static str {
        if self.beta { "meta.k8s.io/v1beta1" } else { "meta.k8s.io/v1" }
    }

    /// Only metadata is asked for.
    pub(crate) fn metadata(self) -> bool {
        matches!(self.r#as, As::Metadata | As::MetadataList)
    }

    /// Tables and metadata are made in v1; the older version is the same but for its name.
    pub(crate) fn versioned(self, mut formed: Value) -> Value {
        if !self.beta {
            return formed;
        }
        let rename = |value: &mut Value| {
            if value["apiVersion"] == "meta.k8s.io/v1" {
                value["apiVersion"] = self.metadata_version().into();
            }
        };
        rename(&mut formed);
        for inner in formed["rows"].as_array_mut().into_iter().flatten() {
            rename(&mut inner["object"]);
        }
        for inner in formed["items"].as_array_mut().into_iter().flatten() {
            rename(inner);
        }
        formed
    }
}

impl<'h> Clause<'h> {
    fn parse(clause: &'h str) -> Option<Self> {
        let mut parts = clause.split(';').map(str::trim);
        // Some clients write a lone star for "anything".
        let media = match parts.next()? {
            "*" => ("*", "*"),
            media => media.split_once('/')?,
        };
        let mut parsed = Clause { media, weight: 1.0, parameters: Vec::new() };
        for (key, value) in parts.filter_map(|p| p.split_once('=')) {
            match (key.trim(), value.trim()) {
                ("q", weight) => parsed.weight = weight.parse().unwrap_or(1.0),
                pair => parsed.parameters.push(pair),
            }
        }
        Some(parsed)
    }

    fn wildcards(&self) -> u8 {
        u8::from(self.media.0 == "*") + u8::from(self.media.1 == "*")
    }

    fn matches(&self, media: &str) -> bool {
        let (kind, subkind) = media.split_once('/').unwrap_or_default();
        matches!(self.media, ("*", "*"))
            || (self.media.0 == kind && matches!(self.media.1, s if s == "*" || s == subkind))
    }

    fn accepts(&self, shape: Shape, offer: Offer) -> Option<Negotiated> {
        let mut found = Negotiated { shape, ..Negotiated::JSON };
        let (mut kind, mut group, mut version) = (None, "", "");
        for (key, value) in &self.parameters {
            match (*key, *value) {
                ("as", value) => kind = Some(value),
                ("g", value) => group = value,
                ("v", value) => version = value,
                ("stream", "") => {}
                ("stream", value) if value != "watch" || shape == Shape::Yaml => return None,
                ("sv", value) if !value.is_empty() => return None,
                ("pretty", value) => found.pretty = value == "1",
                _ => {}
            }
        }
        let Some(kind) = kind.or((!group.is_empty() || !version.is_empty()).then_some("")) else {
            let none = offer == Offer::Custom && shape == Shape::Protobuf;
            return (!none).then_some(found);
        };
        if offer == Offer::Document || group != "meta.k8s.io" || !matches!(version, "v1" | "v1beta1") {
            return None;
        }
        found.beta = version == "v1beta1";
        found.r#as = match kind {
            "Table" if offer != Offer::Review && shape != Shape::Protobuf => As::Table,
            "PartialObjectMetadata" => As::Metadata,
            "PartialObjectMetadataList" => As::MetadataList,
            _ => return None,
        };
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str, offer: Offer) -> Option<(Shape, As)> {
        Negotiated::from_accept(accept, offer).ok().map(|n| (n.shape, n.r#as))
    }

    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    const METADATA: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
        application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

    #[test]
    fn clauses_are_tried_in_order() {
        let table = [
            ("", Some((Shape::Json, As::Object))),
            ("*/*", Some((Shape::Json, As::Object))),
            ("*", Some((Shape::Json, As::Object))),
            ("application/*", Some((Shape::Json, As::Object))),
            ("application/vnd.kubernetes.protobuf,application/json", Some((Shape::Protobuf, As::Object))),
            ("application/vnd.kubernetes.protobuf;stream=watch", Some((Shape::Protobuf, As::Object))),
            ("application/vnd.kubernetes.protobuf;stream=other", None),
            ("application/yaml;stream=watch", None),
            ("application/yaml", Some((Shape::Yaml, As::Object))),
            ("text/html", None),
            ("text/html,*/*;q=0.1", Some((Shape::Json, As::Object))),
            (TABLE, Some((Shape::Json, As::Table))),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", Some((Shape::Json, As::Table))),
            ("application/json;as=Table;v=v2;g=meta.k8s.io", None),
            ("application/json;as=Table", None),
            ("application/json;as=Status;v=v1;g=meta.k8s.io", None),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", None),
            (METADATA, Some((Shape::Protobuf, As::Metadata))),
            ("application/json;q=0.5,application/yaml", Some((Shape::Yaml, As::Object))),
            ("application/yaml;q=0.8,application/json;q=0.9", Some((Shape::Json, As::Object))),
            ("*/*,application/yaml", Some((Shape::Yaml, As::Object))),
        ];
        for (accept, expected) in table {
            assert_eq!(chosen(accept, Offer::Builtin), expected, "{accept}");
        }
    }

    #[test]
    fn offers_differ() {
        let protobuf = "application/vnd.kubernetes.protobuf";
        assert_eq!(chosen(protobuf, Offer::Custom), None);
        let both = format!("{protobuf},application/json");
        assert_eq!(chosen(&both, Offer::Custom), Some((Shape::Json, As::Object)));
        assert_eq!(chosen(METADATA, Offer::Custom), Some((Shape::Protobuf, As::Metadata)));
        assert_eq!(chosen(METADATA, Offer::Document), Some((Shape::Json, As::Object)));
        assert_eq!(chosen(TABLE, Offer::Document), Some((Shape::Json, As::Object)));
        let only = "application/json;as=Table;v=v1;g=meta.k8s.io";
        assert_eq!(chosen(only, Offer::Review), None);
        assert_eq!(Negotiated::for_error(only), Negotiated::JSON);
        let refused = Negotiated::from_accept("text/html", Offer::Builtin).unwrap_err();
        assert_eq!(refused.code, 406);
        assert!(
            refused
                .message
                .ends_with("application/json, application/yaml, application/vnd.kubernetes.protobuf")
        );
    }
}
