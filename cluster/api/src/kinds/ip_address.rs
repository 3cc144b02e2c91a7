//! IPAddress and ServiceCIDR.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::meta::{IMMUTABLE, NameRule};
use crate::names;
use crate::table::{age_cell, name_cell};
use crate::value::{get, items, text, texts};

pub const IP_ADDRESS: Builtin =
    Builtin::new("networking.k8s.io", "v1", "IPAddress", "ipaddresses", "3f/plJFChNE=")
        .short(&["ip"])
        .columns(IP_ADDRESS_COLUMNS)
        .names(NameRule::PathSegment)
        .strategy(&Address);

pub const SERVICE_CIDR: Builtin =
    Builtin::new("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", "gNLvruQhW2g=")
        .subresources(&[("status", "ServiceCIDR", GET_PATCH_UPDATE)])
        .columns(SERVICE_CIDR_COLUMNS)
        .status_keeps_metadata()
        .strategy(&Cidr);

const IP_ADDRESS_COLUMNS: &[Col] = &[("Name", "string", "name", 0), ("ParentRef", "string", "", 0)];

const SERVICE_CIDR_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("CIDRs", "string", "", 0), ("Age", "string", "", 0)];

struct Address;

impl Strategy for Address {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.ip("metadata.name", crate::meta::name(object));
        let parent = get(object, "spec.parentRef");
        if parent.is_null() {
            errors.required("spec.parentRef", "");
            return errors.0;
        }
        let group = text(parent, "group");
        if !group.is_empty() {
            errors.reasons("spec.parentRef.group", group, names::subdomain(group));
        }
        errors.present(parent, "spec.parentRef", "resource");
        errors.present(parent, "spec.parentRef", "name");
        for field in ["resource", "name", "namespace"] {
            let value = text(parent, field);
            errors.reasons(&format!("spec.parentRef.{field}"), value, names::path_segment(value));
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec.parentRef");
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, _now: Timestamp) -> Vec<Value> {
        let parent = get(object, "spec.parentRef");
        let shown = match parent.is_null() {
            true => "<none>".into(),
            false => {
                let kind = crate::status::qualified(text(parent, "resource"), text(parent, "group"));
                let parts = [kind.as_str(), text(parent, "namespace"), text(parent, "name")];
                let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
                parts.join("/").to_lowercase()
            }
        };
        vec![name_cell(object), shown.into()]
    }
}

struct Cidr;

impl Strategy for Cidr {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        cidrs(object, &mut errors);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let (is, was) = (items(new, "spec.cidrs"), items(old, "spec.cidrs"));
        // A second address family may be added.
        if is.len() != was.len() && (was.len(), is.len()) != (1, 2) {
            errors.invalid("spec.cidrs", is.to_vec(), IMMUTABLE);
            return errors.0;
        }
        let changed = is.iter().zip(was).enumerate().filter(|(_, (is, was))| is != was);
        for (i, (is, _)) in changed {
            errors.invalid(format!("spec.cidrs[{i}]"), is.clone(), IMMUTABLE);
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let cidrs: Vec<&str> = texts(object, "spec.cidrs").collect();
        vec![name_cell(object), cidrs.join(",").into(), age_cell(object, now)]
    }
}

/// One network, or one of each address family.
fn cidrs(object: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.cidrs";
    let cidrs: Vec<&str> = texts(object, PATH).collect();
    if cidrs.is_empty() {
        return errors.required(PATH, "at least one CIDR required");
    }
    if cidrs.len() > 2 {
        return errors.invalid(PATH, get(object, "spec").clone(), "may only hold up to 2 values");
    }
    let parsed = cidrs.iter().enumerate().map(|(i, cidr)| errors.cidr(&format!("{PATH}[{i}]"), cidr));
    let parsed: Vec<Option<ipnet::IpNet>> = parsed.collect();
    if let [Some(first), Some(second)] = parsed.as_slice()
        && matches!(first, ipnet::IpNet::V4(_)) == matches!(second, ipnet::IpNet::V4(_))
    {
        let detail =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.invalid(PATH, get(object, PATH).clone(), detail);
    }
}
