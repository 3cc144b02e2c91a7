//! Defaults of a pod spec.

use serde_json::{Value, json};

use crate::quantity::{Format, Quantity};
use crate::value::{
    flag, get, get_mut, has, int, items, items_mut, members, set, set_default, set_text, text,
};

/// Lists of containers in a pod spec.
pub const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Defaults of the pod template at `path` (`spec.template`) of `object`.
pub fn default_template(object: &mut Value, path: &str) {
    if let Some(template) = get_mut(object, path) {
        default_spec(template, "spec");
    }
}

/// Defaults that hold for the pod spec at `path` in a pod as in a template.
pub fn default_spec(object: &mut Value, path: &str) {
    let Some(spec) = get_mut(object, path) else {
        return;
    };
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set_text(spec, "restartPolicy", "Always");
    set_default(spec, "securityContext", json!({}));
    set_default(spec, "terminationGracePeriodSeconds", 30);
    set_text(spec, "schedulerName", "default-scheduler");
    mirror_service_account(spec);
    for list in CONTAINER_LISTS {
        items_mut(spec, list).for_each(default_container);
    }
    items_mut(spec, "volumes").for_each(default_volume);
    if flag(spec, "hostNetwork") {
        default_host_ports(spec);
    }
}

/// Defaults that only a pod itself gets, not a template.
pub fn default_pod(spec: &mut Value) {
    for list in ["initContainers", "containers"] {
        items_mut(spec, list).for_each(request_the_limits);
    }
    default_pod_level_requests(spec);
    set_default(spec, "enableServiceLinks", true);
}

/// `serviceAccount` is the old name of `serviceAccountName`: the new one wins, both are shown.
pub fn mirror_service_account(spec: &mut Value) {
    let name = match (text(spec, "serviceAccountName"), text(spec, "serviceAccount")) {
        ("", "") => return,
        ("", old) => old.to_owned(),
        (name, _) => name.to_owned(),
    };
    set(spec, "serviceAccountName", name.as_str());
    set(spec, "serviceAccount", name);
}

fn default_host_ports(spec: &mut Value) {
    for list in ["initContainers", "containers"] {
        for container in items_mut(spec, list) {
            for port in items_mut(container, "ports") {
                if int(port, "hostPort").unwrap_or_default() == 0 {
                    let number = get(port, "containerPort").clone();
                    set(port, "hostPort", number);
                }
            }
        }
    }
}

fn request_the_limits(container: &mut Value) {
    let limits: Vec<(String, Value)> =
        members(container, "resources.limits").map(|(k, v)| (k.clone(), v.clone())).collect();
    for (name, limit) in limits {
        let requests = crate::value::ensure(container, "resources.requests");
        requests.entry(name).or_insert(limit);
    }
}

/// Pod-level resources: a request that only has a limit, or that all containers state, is set.
fn default_pod_level_requests(spec: &mut Value) {
    if !has(spec, "resources") {
        return;
    }
    for name in ["cpu", "memory"] {
        let path = format!("resources.requests.{name}");
        if has(spec, &path) {
            continue;
        }
        let mut sum = Quantity::from_units(0, Format::Decimal);
        let mut found = false;
        for container in items(spec, "containers") {
            let request = text(container, &path);
            if let Ok(quantity) = Quantity::parse(request) {
                sum = sum.plus(&quantity);
                found = true;
            }
        }
        let limit = get(spec, &format!("resources.limits.{name}")).clone();
        if found {
            set(spec, &path, sum.to_string());
        } else if !limit.is_null() {
            set(spec, &path, limit);
        }
    }
}

fn default_container(container: &mut Value) {
    let policy = pull_policy(text(container, "image"));
    set_text(container, "imagePullPolicy", policy);
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    set_default(container, "resources", json!({}));
    for port in items_mut(container, "ports") {
        set_text(port, "protocol", "TCP");
    }
    for variable in items_mut(container, "env") {
        if has(variable, "valueFrom.fieldRef") {
            set_text(variable, "valueFrom.fieldRef.apiVersion", "v1");
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = get_mut(container, probe) {
            default_probe(probe);
        }
    }
    for hook in ["lifecycle.postStart.httpGet", "lifecycle.preStop.httpGet"] {
        if let Some(action) = get_mut(container, hook) {
            default_http_get(action);
        }
    }
}

/// Always for `:latest` (said or not), otherwise only when the image is not there.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, ""), |(n, d)| (n, d));
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, "latest")) => "Always",
        None if digest.is_empty() => "Always",
        _ => "IfNotPresent",
    }
}

fn default_probe(probe: &mut Value) {
    let numbers =
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)];
    for (field, number) in numbers {
        if int(probe, field).unwrap_or_default() == 0 {
            set(probe, field, number);
        }
    }
    if let Some(action) = get_mut(probe, "httpGet") {
        default_http_get(action);
    }
    if has(probe, "grpc") {
        set_default(probe, "grpc.service", "");
    }
}

fn default_http_get(action: &mut Value) {
    set_text(action, "path", "/");
    set_text(action, "scheme", "HTTP");
}

/// Permissions of files in volumes, 0644.
const FILE_MODE: i64 = 0o644;

fn default_volume(volume: &mut Value) {
    let has_source = volume.as_object().is_some_and(|v| v.keys().any(|k| k != "name"));
    if !has_source {
        set(volume, "emptyDir", json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if has(volume, source) {
            set_default(volume, &format!("{source}.defaultMode"), FILE_MODE);
        }
    }
    items_mut(volume, "downwardAPI.items").for_each(default_downward_item);
    for source in items_mut(volume, "projected.sources") {
        items_mut(source, "downwardAPI.items").for_each(default_downward_item);
        if has(source, "serviceAccountToken") {
            set_default(source, "serviceAccountToken.expirationSeconds", 3600);
        }
    }
    if has(volume, "ephemeral.volumeClaimTemplate.spec") {
        set_default(volume, "ephemeral.volumeClaimTemplate.spec.volumeMode", "Filesystem");
    }
    for (source, field, value) in volume_source_defaults() {
        if has(volume, source) {
            set_default(volume, &format!("{source}.{field}"), value);
        }
    }
}

/// Defaults of the less common volume sources, for volumes and persistent volumes.
pub fn volume_source_defaults() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("hostPath", "type", json!("")),
        ("iscsi", "iscsiInterface", json!("default")),
        ("rbd", "pool", json!("rbd")),
        ("rbd", "user", json!("admin")),
        ("rbd", "keyring", json!("/etc/ceph/keyring")),
        ("azureDisk", "cachingMode", json!("ReadWrite")),
        ("azureDisk", "kind", json!("Shared")),
        ("azureDisk", "fsType", json!("ext4")),
        ("azureDisk", "readOnly", json!(false)),
        ("scaleIO", "storageMode", json!("ThinProvisioned")),
        ("scaleIO", "fsType", json!("xfs")),
    ]
}

fn default_downward_item(item: &mut Value) {
    if has(item, "fieldRef") {
        set_text(item, "fieldRef.apiVersion", "v1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_policies() {
        let cases = [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.2", "IfNotPresent"),
            ("host:5000/nginx", "Always"),
            ("host:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:abc", "IfNotPresent"),
        ];
        for (image, policy) in cases {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }
}
