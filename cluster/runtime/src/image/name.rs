//! Image names, normalised as docker does it.

use std::fmt;

use crate::error::ImageError;

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// A parsed reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Host with optional port.
    pub registry: String,
    /// Path within it.
    pub repository: String,
    /// Tag; present when there is no digest.
    pub tag: Option<String>,
    /// `sha256:...`.
    pub digest: Option<String>,
}

impl Name {
    /// Parses and completes a reference.
    pub fn parse(text: &str) -> Result<Name, ImageError> {
        let fail =
            |reason: &str| ImageError::InvalidName { name: text.to_owned(), reason: reason.to_owned() };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|d| !is_digest(d)) {
            return Err(fail("invalid digest"));
        }
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|t| !is_tag(t)) {
            return Err(fail("invalid tag"));
        }
        let (registry, repository) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
            _ => (DEFAULT_REGISTRY, path.to_owned()),
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository
        };
        if !is_host(registry) {
            return Err(fail("invalid registry host"));
        }
        if repository.len() > MAX_REPOSITORY || !repository.split('/').all(is_component) {
            return Err(fail("invalid repository: use lower case letters, digits and separators"));
        }
        let tag = match (tag, digest) {
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Name { registry: registry.to_owned(), repository, tag, digest: digest.map(str::to_owned) })
    }

    /// `registry/repository`.
    pub fn base(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// What a registry is asked for: the digest when there is one.
    pub fn reference(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or(DEFAULT_TAG)
    }

    /// `registry/repository@digest`.
    pub fn with_digest(&self, digest: &str) -> String {
        format!("{}@{digest}", self.base())
    }
}

/// With a digest the tag says nothing, and is left out.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "{}@{digest}", self.base()),
            (None, tag) => write!(f, "{}:{}", self.base(), tag.as_deref().unwrap_or(DEFAULT_TAG)),
        }
    }
}

/// The full form of a name: `busybox` is `docker.io/library/busybox:latest`.
pub fn normalize(text: &str) -> Result<String, ImageError> {
    Name::parse(text).map(|name| name.to_string())
}

/// `sha256:` and 64 lower case hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(is_hex)
}

/// 64 lower case hexadecimal digits.
pub fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = tag.bytes();
    tag.len() <= MAX_TAG && bytes.next().is_some_and(word) && bytes.all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
}

fn is_component(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = |b: Option<u8>| b.is_some_and(plain);
    ends(part.bytes().next())
        && ends(part.bytes().last())
        && part.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
        && !part.contains("..")
        && !part.contains("___")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = format!("busybox:1.36@{digest}");
        let full = format!("docker.io/library/busybox@{digest}");
        for (given, expected) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
            ("trireme/hello", "docker.io/trireme/hello:latest"),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
            ("registry.k8s.io/e2e-test-images/agnhost:2.56", "registry.k8s.io/e2e-test-images/agnhost:2.56"),
            (pinned.as_str(), full.as_str()),
        ] {
            assert_eq!(normalize(given).expect(given), expected);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", ":", "a:", "A", "a//b", "a/../b", "a@sha256:12", "a b", "-a", "a:b c", "/a"] {
            assert!(normalize(bad).is_err(), "{bad:?}");
        }
    }
}
