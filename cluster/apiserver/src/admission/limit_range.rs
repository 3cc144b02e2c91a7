//! The LimitRanger plugin: the ranges of a namespace fill in what containers do not ask for, and
//! refuse what is too little or too much.

use api::Status;
use serde_json::Value;
use store::View;

use crate::pipeline::{Stored, Write};

pub(super) fn mutate(write: &Write<'_>, view: &View, pod: &mut Value) -> Result<(), Status> {
    for range in ranges(write, view)? {
        api::limit_range::fill(&range.value, pod);
    }
    Ok(())
}

pub(super) fn check(
    write: &Write<'_>,
    view: &View,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let plural = write.storage.plural.as_str();
    let limited = match plural {
        "pods" => old.is_none(),
        "persistentvolumeclaims" => old.is_none_or(|old| old["metadata"]["deletionTimestamp"].is_null()),
        _ => false,
    };
    if !limited || write.subresource.is_some() || !write.storage.group.is_empty() {
        return Ok(());
    }
    for range in ranges(write, view)? {
        api::limit_range::check(&range.value, plural, object).map_err(|why| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            Status::forbidden("", plural, name, why)
        })?;
    }
    Ok(())
}

fn ranges(write: &Write<'_>, view: &View) -> Result<Vec<Stored>, Status> {
    view.range(&format!("/core/limitranges/{}/", write.namespace), None).map(Stored::parse).collect()
}
