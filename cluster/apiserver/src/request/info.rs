//! What a path and a method mean (Kubernetes' RequestInfo).

use http::Method;

/// The meaning of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestInfo {
    /// The path as it came.
    pub path: String,
    /// Names an API resource; otherwise only `path` and `verb` (the lower-case method) are set.
    pub is_resource: bool,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: &'static str,
    pub group: String,
    pub version: String,
    pub namespace: String,
    /// The plural.
    pub resource: String,
    pub subresource: String,
    pub name: String,
    /// What follows the subresource (the path behind a proxy), with its leading slash.
    pub rest: String,
}

fn method_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "unknown",
    }
}

fn resource_verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

impl RequestInfo {
    /// `watch` and `field_name` come from the query: `?watch=true`, and the name that
    /// `fieldSelector=metadata.name=NAME` asks for.
    pub(crate) fn parse(method: &Method, path: &str, watch: bool, field_name: Option<&str>) -> Self {
        let plain = Self { path: path.to_owned(), verb: method_verb(method), ..Self::default() };
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let (group, version, mut rest) = match segments.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return plain,
        };
        let mut info = Self {
            is_resource: true,
            verb: resource_verb(method),
            group: group.to_owned(),
            version: version.to_owned(),
            ..plain
        };
        // The old form: /api/v1/watch/namespaces/x/pods.
        let mut watch = watch;
        if rest[0] == "watch" && rest.len() > 1 {
            watch = true;
            rest = &rest[1..];
        }
        if rest[0] == "namespaces" && rest.len() > 1 {
            info.namespace = decoded(rest[1]);
            if rest.len() > 2 && !matches!(rest[2], "status" | "finalize") {
                rest = &rest[2..];
            }
        }
        info.resource = decoded(rest[0]);
        info.name = rest.get(1).map(|s| decoded(s)).unwrap_or_default();
        info.subresource = rest.get(2).map(|s| decoded(s)).unwrap_or_default();
        if rest.len() >= 3 {
            info.rest = after_segment(path, segments.len() - rest.len() + 3).to_owned();
        }
        info.complete_verb(watch, field_name);
        info
    }

    fn complete_verb(&mut self, watch: bool, field_name: Option<&str>) {
        if self.verb == "get" && watch && self.subresource.is_empty() {
            self.verb = "watch";
        }
        if self.name.is_empty() {
            match self.verb {
                "get" => self.verb = "list",
                "delete" => self.verb = "deletecollection",
                _ => {}
            }
            if matches!(self.verb, "list" | "watch" | "deletecollection") {
                self.name = field_name.unwrap_or_default().to_owned();
            }
        }
    }

    /// Names one object in its path (and not only through a field selector).
    pub(crate) fn names_one(&self) -> bool {
        !self.name.is_empty() && !matches!(self.verb, "list" | "watch" | "deletecollection")
    }

    /// The verb changes something.
    pub(crate) fn is_write(&self) -> bool {
        matches!(self.verb, "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    /// Answers for as long as the client stays: neither counted nor timed like the others.
    pub(crate) fn is_long_running(&self) -> bool {
        self.is_resource
            && (self.verb == "watch"
                || matches!(self.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy"))
    }

    /// `resource`, `namespace` or `cluster`: the label `scope` of the metrics.
    pub(crate) fn scope(&self) -> &'static str {
        if self.names_one() || (self.verb == "create" && !self.subresource.is_empty()) {
            "resource"
        } else if !self.namespace.is_empty() {
            "namespace"
        } else {
            "cluster"
        }
    }
}

/// What follows the `count`-th segment of a path, as it came (percent-encoded, with its slashes).
fn after_segment(path: &str, count: usize) -> &str {
    let mut at = 0;
    for _ in 0..count {
        let start = at + path[at..].bytes().take_while(|b| *b == b'/').count();
        at = path[start..].find('/').map_or(path.len(), |i| start + i);
    }
    &path[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, path: &str, watch: bool) -> String {
        let i = RequestInfo::parse(&method, path, watch, None);
        if !i.is_resource {
            return format!("{} {}", i.verb, i.path);
        }
        [i.verb, &i.group, &i.version, &i.namespace, &i.resource, &i.name, &i.subresource, &i.rest].join("|")
    }

    #[test]
    fn paths_mean_what_kubernetes_means() {
        let table = [
            (Method::GET, "/api/v1/namespaces", false, "list||v1||namespaces|||"),
            (Method::GET, "/api/v1/namespaces/other", false, "get||v1|other|namespaces|other||"),
            (Method::GET, "/api/v1/namespaces/other/pods", false, "list||v1|other|pods|||"),
            (Method::GET, "/api/v1/namespaces/other/pods/foo", false, "get||v1|other|pods|foo||"),
            (Method::GET, "/api/v1/pods", true, "watch||v1||pods|||"),
            (Method::GET, "/api/v1/watch/namespaces/other/pods", false, "watch||v1|other|pods|||"),
            (Method::HEAD, "/api/v1/pods", false, "list||v1||pods|||"),
            (
                Method::PUT,
                "/api/v1/namespaces/other/finalize",
                false,
                "update||v1|other|namespaces|other|finalize|",
            ),
            (Method::GET, "/api/v1/namespaces/other/pods/foo/log", false, "get||v1|other|pods|foo|log|"),
            (Method::POST, "/api/v1/namespaces/other/pods", false, "create||v1|other|pods|||"),
            (Method::DELETE, "/api/v1/namespaces/other/pods", false, "deletecollection||v1|other|pods|||"),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                false,
                "patch|apps|v1|a|deployments|b|scale|",
            ),
            (
                Method::GET,
                "/api/v1/nodes/n/proxy/stats/summary",
                false,
                "get||v1||nodes|n|proxy|/stats/summary",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/proxy/services/proxy/proxy/a%2Fb/",
                false,
                "get||v1|proxy|services|proxy|proxy|/a%2Fb/",
            ),
            (Method::GET, "/api/v1/namespaces/a/pods/b:80/proxy/", false, "get||v1|a|pods|b:80|proxy|/"),
            (Method::GET, "/apis/apps/v1", false, "get /apis/apps/v1"),
            (Method::GET, "/api/v1", false, "get /api/v1"),
            (Method::GET, "/healthz", false, "get /healthz"),
        ];
        for (method, path, watch, expected) in table {
            assert_eq!(parse(method, path, watch), expected, "{path}");
        }
    }
}
