//! Validation of a CertificateSigningRequest. Whether the request is signed by its key is for the signer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::field::FieldError;
use crate::kinds::checks::Errors;
use crate::names;
use crate::value::{get, int, items, same, text, texts};

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

const SHORTEST_SECONDS: i64 = 600;
const CONDITIONS: &str = "status.conditions";

/// The words of the first PEM block of a text in base64.
fn pem_type(encoded: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (_, rest) = decoded.split_once("-----BEGIN ")?;
    let (kind, rest) = rest.split_once("-----")?;
    rest.contains(&format!("-----END {kind}-----")).then(|| kind.to_owned())
}

pub fn request(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = get(object, "spec");
    let request = text(spec, "request");
    if pem_type(request).as_deref() != Some("CERTIFICATE REQUEST") {
        errors.invalid("spec.request", request, "PEM block type must be CERTIFICATE REQUEST");
    }
    let usages: Vec<&str> = texts(spec, "usages").collect();
    if usages.is_empty() {
        errors.required("spec.usages", "");
    }
    for (i, usage) in usages.iter().enumerate() {
        if !USAGES.contains(usage) {
            errors.0.push(FieldError::not_supported(format!("spec.usages[{i}]"), *usage, USAGES));
        }
        if usages[..i].contains(usage) {
            errors.duplicate(format!("spec.usages[{i}]"), *usage);
        }
    }
    signer_name(text(spec, "signerName"), &mut errors);
    if let Some(seconds) = int(spec, "expirationSeconds").filter(|s| *s < SHORTEST_SECONDS) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.invalid("spec.expirationSeconds", seconds, detail);
    }
    errors.0
}

/// `DOMAIN/NAME`.
fn signer_name(name: &str, errors: &mut Errors) {
    const AT: &str = "spec.signerName";
    const LEGACY: &str = "kubernetes.io/legacy-unknown";
    match name.split('/').collect::<Vec<_>>().as_slice() {
        _ if name == LEGACY => {
            errors.invalid(AT, name, "the legacy signerName is not allowed via this API version");
        }
        [""] => errors.required(AT, ""),
        [domain, path] => {
            errors.reasons(AT, domain, names::subdomain(domain));
            if !domain.contains('.') {
                let detail = "should be a domain with at least two segments separated by dots";
                errors.invalid(AT, *domain, detail);
            }
            errors.reasons(AT, path, names::subdomain(path));
        }
        _ => {
            let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
            errors.invalid(AT, name, detail);
        }
    }
}

/// Conditions, which are decided once.
pub fn conditions(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let conditions = items(new, CONDITIONS);
    let of =
        |object: &Value, kind: &str| items(object, CONDITIONS).iter().filter(|c| c["type"] == kind).count();
    let mut decided: Vec<&str> = Vec::new();
    for (i, condition) in conditions.iter().enumerate() {
        let (path, kind) = (format!("{CONDITIONS}[{i}]"), text(condition, "type"));
        errors.present(condition, &path, "type");
        let known: &[&str] = match kind {
            "Approved" | "Denied" | "Failed" => &["True"],
            _ => &["False", "True", "Unknown"],
        };
        errors.one_of(&format!("{path}.status"), text(condition, "status"), known);
        let other = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !other.is_empty() && decided.contains(&other) {
            errors.invalid(CONDITIONS, kind, "Approved and Denied conditions are mutually exclusive");
        }
        if decided.contains(&kind) {
            errors.duplicate(format!("{path}.type"), kind);
        }
        decided.push(kind);
    }
    let removed = |kind: &&str| old.is_some_and(|old| of(new, kind) < of(old, kind));
    for kind in ["Approved", "Denied", "Failed"].iter().filter(|kind| removed(kind)) {
        errors.forbidden(CONDITIONS, format!("updates may not remove a condition of type {kind:?}"));
    }
    errors.0
}

/// A certificate is given once, and is one.
pub fn certificate(new: &Value, old: &Value) -> Vec<FieldError> {
    const AT: &str = "status.certificate";
    let mut errors = Errors::default();
    let (is, was) = (text(new, AT), text(old, AT));
    if is == was {
        return errors.0;
    }
    let wrong = match pem_type(is) {
        _ if is.is_empty() => None,
        None => Some("must contain at least one CERTIFICATE PEM block".to_owned()),
        Some(kind) if kind == "CERTIFICATE" => None,
        Some(kind) => Some(format!("only CERTIFICATE PEM blocks are allowed, found {kind:?}")),
    };
    if let Some(wrong) = wrong {
        errors.invalid(AT, "<certificate data>", wrong);
    }
    if !was.is_empty() && !same(get(new, AT), get(old, AT)) {
        errors.forbidden(AT, "updates may not modify existing certificate content");
    }
    errors.0
}
