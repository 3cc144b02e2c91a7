//! Validation of containers.

use serde_json::Value;

use super::probes::lifecycle_and_probes;
use super::spec::{MAX_ID, seccomp};
use super::volumes::{Volumes, descending_path};
use crate::kinds::checks::Errors;
use crate::names;
use crate::quantity::{BAD_QUANTITY, Quantity};
use crate::value::{flag, get, has, int, items, members, text};

pub fn validate(spec: &Value, path: &str, volumes: &Volumes<'_>, errors: &mut Errors) {
    let containers = items(spec, "containers");
    if containers.is_empty() {
        errors.required(format!("{path}.containers"), "");
    }
    let host_users = get(spec, "hostUsers") != &Value::Bool(false);
    let mut names: Vec<&str> = Vec::new();
    for (i, container) in containers.iter().enumerate() {
        let at = format!("{path}.containers[{i}]");
        common(container, &at, volumes, host_users, errors);
        unique_name(container, &at, &mut names, errors);
        lifecycle_and_probes(container, &at, errors);
    }
    host_port_conflicts(containers, &format!("{path}.containers"), errors);
    for (i, container) in items(spec, "initContainers").iter().enumerate() {
        let at = format!("{path}.initContainers[{i}]");
        common(container, &at, volumes, host_users, errors);
        unique_name(container, &at, &mut names, errors);
        init(container, &at, errors);
        let list = format!("{path}.initContainers");
        host_port_conflicts(std::slice::from_ref(container), &list, errors);
    }
    for (i, container) in items(spec, "ephemeralContainers").iter().enumerate() {
        let at = format!("{path}.ephemeralContainers[{i}]");
        common(container, &at, volumes, host_users, errors);
        unique_name(container, &at, &mut names, errors);
        ephemeral(container, &at, spec, errors);
    }
}

fn unique_name<'a>(container: &'a Value, path: &str, names: &mut Vec<&'a str>, errors: &mut Errors) {
    let name = text(container, "name");
    if name.is_empty() {
        return;
    }
    if names.contains(&name) {
        errors.duplicate(format!("{path}.name"), name);
    }
    names.push(name);
}

fn common(container: &Value, path: &str, volumes: &Volumes<'_>, host_users: bool, errors: &mut Errors) {
    if errors.present(container, path, "name") {
        let name = text(container, "name");
        errors.reasons(&format!("{path}.name"), name, names::label(name));
    }
    errors.present(container, path, "image");
    let policy = text(container, "terminationMessagePolicy");
    let policies = ["File", "FallbackToLogsOnError"];
    errors.one_of(&format!("{path}.terminationMessagePolicy"), policy, &policies);
    ports(items(container, "ports"), &format!("{path}.ports"), errors);
    environment(container, path, errors);
    mounts(container, path, volumes, errors);
    let policy = text(container, "imagePullPolicy");
    errors.one_of(&format!("{path}.imagePullPolicy"), policy, &["Always", "IfNotPresent", "Never"]);
    resources(get(container, "resources"), &format!("{path}.resources"), errors);
    for (i, policy) in items(container, "resizePolicy").iter().enumerate() {
        let at = format!("{path}.resizePolicy[{i}]");
        errors.one_of(&format!("{at}.resourceName"), text(policy, "resourceName"), &["cpu", "memory"]);
        let words = ["NotRequired", "RestartContainer"];
        errors.one_of(&format!("{at}.restartPolicy"), text(policy, "restartPolicy"), &words);
    }
    security(get(container, "securityContext"), &format!("{path}.securityContext"), host_users, errors);
}

fn ports(list: &[Value], path: &str, errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for (i, port) in list.iter().enumerate() {
        let at = format!("{path}[{i}]");
        let name = text(port, "name");
        if !name.is_empty() {
            let reasons = names::port_name(name);
            if !reasons.is_empty() {
                errors.reasons(&format!("{at}.name"), name, reasons);
            } else if seen.contains(&name) {
                errors.duplicate(format!("{at}.name"), name);
            } else {
                seen.push(name);
            }
        }
        match int(port, "containerPort").unwrap_or_default() {
            0 => errors.required(format!("{at}.containerPort"), ""),
            number => errors.port(&format!("{at}.containerPort"), number),
        }
        match int(port, "hostPort").unwrap_or_default() {
            0 => {}
            number => errors.port(&format!("{at}.hostPort"), number),
        }
        errors.one_of(&format!("{at}.protocol"), text(port, "protocol"), &["SCTP", "TCP", "UDP"]);
    }
}

fn host_port_conflicts(containers: &[Value], path: &str, errors: &mut Errors) {
    let mut taken: Vec<String> = Vec::new();
    for (i, container) in containers.iter().enumerate() {
        for (j, port) in items(container, "ports").iter().enumerate() {
            let number = int(port, "hostPort").unwrap_or_default();
            if number == 0 {
                continue;
            }
            let key = format!("{}/{}/{number}", text(port, "protocol"), text(port, "hostIP"));
            match taken.contains(&key) {
                true => errors.duplicate(format!("{path}[{i}].ports[{j}].hostPort"), key),
                false => taken.push(key),
            }
        }
    }
}

/// Fields of a pod that a variable can hold.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

fn environment(container: &Value, path: &str, errors: &mut Errors) {
    for (i, variable) in items(container, "env").iter().enumerate() {
        let at = format!("{path}.env[{i}]");
        match text(variable, "name") {
            "" => errors.required(format!("{at}.name"), ""),
            name => errors.reasons(&format!("{at}.name"), name, names::env_var(name)),
        }
        if has(variable, "valueFrom") {
            value_from(variable, &format!("{at}.valueFrom"), errors);
        }
    }
    for (i, source) in items(container, "envFrom").iter().enumerate() {
        let at = format!("{path}.envFrom[{i}]");
        let prefix = text(source, "prefix");
        if !prefix.is_empty() {
            errors.reasons(&format!("{at}.prefix"), prefix, names::env_var(prefix));
        }
        let mut count = 0;
        for field in ["configMapRef", "secretRef"] {
            if has(source, field) {
                count += 1;
                errors.present(get(source, field), &format!("{at}.{field}"), "name");
            }
        }
        match count {
            0 => {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                errors.invalid(format!("{path}.envFrom"), "", detail);
            }
            1 => {}
            _ => {
                let detail = "may not have more than one field specified at a time";
                errors.invalid(format!("{path}.envFrom"), "", detail);
            }
        }
    }
}

fn value_from(variable: &Value, path: &str, errors: &mut Errors) {
    let from = get(variable, "valueFrom");
    let mut count = 0;
    if has(from, "fieldRef") {
        count += 1;
        field_reference(get(from, "fieldRef"), &format!("{path}.fieldRef"), &ENV_FIELDS, errors);
    }
    if has(from, "resourceFieldRef") {
        count += 1;
        let at = format!("{path}.resourceFieldRef");
        resource_reference(get(from, "resourceFieldRef"), &at, false, errors);
    }
    for field in ["configMapKeyRef", "secretKeyRef"] {
        if has(from, field) {
            count += 1;
            let (reference, at) = (get(from, field), format!("{path}.{field}"));
            errors.present(reference, &at, "name");
            if errors.present(reference, &at, "key") {
                let key = text(reference, "key");
                errors.reasons(&format!("{at}.key"), key, names::config_key(key));
            }
        }
    }
    count += usize::from(has(from, "fileKeyRef"));
    let detail = match count {
        0 => {
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        }
        _ if !text(variable, "value").is_empty() => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.invalid(path, "", detail);
}

/// A `fieldRef`: one of `fields`, or a subscript of labels or annotations.
pub fn field_reference(reference: &Value, path: &str, fields: &[&str], errors: &mut Errors) {
    if !errors.present(reference, path, "apiVersion") || !errors.present(reference, path, "fieldPath") {
        return;
    }
    let field = text(reference, "fieldPath");
    let at = format!("{path}.fieldPath");
    if let Some((name, rest)) = field.split_once("['") {
        let key = rest.strip_suffix("']").unwrap_or(rest);
        match name {
            "metadata.annotations" => {
                errors.reasons(path, &key.to_lowercase(), names::qualified(&key.to_lowercase()));
            }
            "metadata.labels" => errors.reasons(path, key, names::qualified(key)),
            _ => {
                let detail =
                    format!("error converting fieldPath: field label does not support subscript: {field}");
                errors.invalid(at, field, detail);
            }
        }
    } else if !fields.contains(&field) {
        let known =
            ENV_FIELDS.contains(&field) || ["metadata.annotations", "metadata.labels"].contains(&field);
        match known {
            true => errors.one_of_or_empty(&at, field, fields),
            false => {
                let detail = format!("error converting fieldPath: field label not supported: {field}");
                errors.invalid(at, field, detail);
            }
        }
    }
}

const RESOURCE_FIELDS: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// A `resourceFieldRef`; in a volume it names its container.
pub fn resource_reference(reference: &Value, path: &str, volume: bool, errors: &mut Errors) {
    let resource = text(reference, "resource");
    let huge_pages = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if volume && text(reference, "containerName").is_empty() {
        errors.required(format!("{path}.containerName"), "");
    } else if resource.is_empty() {
        errors.required(format!("{path}.resource"), "");
    } else if !huge_pages {
        errors.one_of_or_empty(&format!("{path}.resource"), resource, &RESOURCE_FIELDS);
    }
}

fn mounts(container: &Value, path: &str, volumes: &Volumes<'_>, errors: &mut Errors) {
    let mut points: Vec<&str> = Vec::new();
    let list = format!("{path}.volumeMounts");
    for (i, mount) in items(container, "volumeMounts").iter().enumerate() {
        let at = format!("{list}[{i}]");
        errors.present(mount, &at, "name");
        let name = text(mount, "name");
        if !volumes.contains_key(name) {
            errors.not_found(format!("{at}.name"), name);
        }
        errors.present(mount, &at, "mountPath");
        let point = text(mount, "mountPath");
        if points.contains(&point) {
            errors.invalid(format!("{at}.mountPath"), point, "must be unique");
        }
        points.push(point);
        for field in ["subPath", "subPathExpr"] {
            let value = text(mount, field);
            if !value.is_empty() {
                descending_path(value, &format!("{list}.{field}"), errors);
            }
        }
        if !text(mount, "subPath").is_empty() && !text(mount, "subPathExpr").is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.invalid(format!("{at}.subPathExpr"), text(mount, "subPathExpr"), detail);
        }
        propagation(container, mount, &format!("{list}.mountPropagation"), errors);
    }
    devices(container, path, volumes, errors);
}

fn propagation(container: &Value, mount: &Value, path: &str, errors: &mut Errors) {
    let mode = text(mount, "mountPropagation");
    errors.one_of_or_empty(path, mode, &["Bidirectional", "HostToContainer", "None"]);
    if mode == "Bidirectional" && !flag(container, "securityContext.privileged") {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.forbidden(path, detail);
    }
}

fn devices(container: &Value, path: &str, volumes: &Volumes<'_>, errors: &mut Errors) {
    for (i, device) in items(container, "volumeDevices").iter().enumerate() {
        let at = format!("{path}.volumeDevices[{i}]");
        errors.present(device, &at, "name");
        let name = text(device, "name");
        match volumes.get(name) {
            None => errors.not_found(format!("{at}.name"), name),
            Some(v) if !has(v, "persistentVolumeClaim") && !has(v, "ephemeral") => {
                let detail = "can only use volume source type of PersistentVolumeClaim, Ephemeral, or Image for block mode";
                errors.invalid(format!("{at}.name"), name, detail);
            }
            Some(_) => {}
        }
        errors.present(device, &at, "devicePath");
    }
}

/// Resources whose names have no domain.
fn is_standard(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

/// Resources that may be requested in fractions and beyond the limit.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.starts_with("kubernetes.io/")
}

/// `resources` of a container at `path`.
pub fn resources(resources: &Value, path: &str, errors: &mut Errors) {
    for (name, value) in members(resources, "limits") {
        amount(name, value, &format!("{path}.limits[{name}]"), errors);
    }
    for (name, value) in members(resources, "requests") {
        let at = format!("{path}.requests");
        let Some(request) = amount(name, value, &format!("{at}[{name}]"), errors) else {
            continue;
        };
        let overcommit = is_native(name) && !name.starts_with("hugepages-");
        let limit = members(resources, "limits").find(|(key, _)| *key == name);
        let limit = limit.and_then(|(_, v)| Quantity::parse(v.as_str()?).ok());
        match limit {
            Some(limit) if !overcommit && request != limit => {
                errors.invalid(at, request.to_string(), format!("must be equal to {name} limit of {limit}"));
            }
            Some(limit) if request > limit => {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                errors.invalid(at, request.to_string(), detail);
            }
            None if !overcommit => {
                let detail = "Limit must be set for non overcommitable resources";
                errors.required(format!("{path}.limits"), detail);
            }
            _ => {}
        }
    }
}

/// What a runtime class adds to its pods, as limits.
pub fn overhead(amounts: &Value, path: &str, errors: &mut Errors) {
    for (name, value) in amounts.as_object().into_iter().flatten() {
        amount(name, value, &format!("{path}.limits[{name}]"), errors);
    }
}

fn amount(name: &str, value: &Value, path: &str, errors: &mut Errors) -> Option<Quantity> {
    errors.reasons(path, name, names::qualified(name));
    if !name.contains('/') && !is_standard(name) {
        errors.invalid(path, name, "must be a standard resource for containers");
    }
    let quantity = match value.as_str().map(Quantity::parse) {
        Some(Ok(quantity)) => quantity,
        _ => {
            errors.invalid(path, value.clone(), BAD_QUANTITY);
            return None;
        }
    };
    if quantity.is_negative() {
        errors.invalid(path, quantity.to_string(), "must be greater than or equal to 0");
    }
    if !is_native(name) && !quantity.is_whole() {
        errors.invalid(path, quantity.to_string(), "must be an integer");
    }
    Some(quantity)
}

fn security(context: &Value, path: &str, host_users: bool, errors: &mut Errors) {
    if context.is_null() {
        return;
    }
    for field in ["runAsUser", "runAsGroup"] {
        errors.in_range(context, path, field, 0, MAX_ID);
    }
    let mount = text(context, "procMount");
    errors.one_of_or_empty(&format!("{path}.procMount"), mount, &["Default", "Unmasked"]);
    if mount == "Unmasked" && host_users {
        let detail = "`hostUsers` must be false to use `Unmasked`";
        errors.invalid(format!("{path}.procMount"), mount, detail);
    }
    seccomp(get(context, "seccompProfile"), &format!("{path}.seccompProfile"), errors);
    if get(context, "allowPrivilegeEscalation") == &Value::Bool(false) {
        if flag(context, "privileged") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid(path, context.clone(), detail);
        }
        if crate::value::texts(context, "capabilities.add").any(|c| c == "CAP_SYS_ADMIN") {
            let detail =
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(path, context.clone(), detail);
        }
    }
}

fn init(container: &Value, path: &str, errors: &mut Errors) {
    let policy = text(container, "restartPolicy");
    errors.one_of_or_empty(&format!("{path}.restartPolicy"), policy, &["Always", "OnFailure", "Never"]);
    if policy == "Always" {
        lifecycle_and_probes(container, path, errors);
        return;
    }
    for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        if has(container, field) {
            let detail = "may not be set for init containers without restartPolicy=Always";
            errors.forbidden(format!("{path}.{field}"), detail);
        }
    }
}

/// Fields that make no sense in a container that is added to a running pod.
const NOT_EPHEMERAL: [&str; 7] = [
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "ports",
    "resizePolicy",
    "restartPolicy",
];

fn ephemeral(container: &Value, path: &str, spec: &Value, errors: &mut Errors) {
    for field in NOT_EPHEMERAL {
        if has(container, field) {
            let detail = "cannot be set for an Ephemeral Container";
            errors.forbidden(format!("{path}.{field}"), detail);
        }
    }
    if members(container, "resources").next().is_some() {
        let detail = "cannot be set for an Ephemeral Container";
        errors.forbidden(format!("{path}.resources"), detail);
    }
    for (i, mount) in items(container, "volumeMounts").iter().enumerate() {
        for field in ["subPath", "subPathExpr"] {
            if !text(mount, field).is_empty() {
                let detail = "cannot be set for an Ephemeral Container";
                errors.forbidden(format!("{path}.volumeMounts[{i}].{field}"), detail);
            }
        }
    }
    let target = text(container, "targetContainerName");
    let known = items(spec, "containers").iter().chain(items(spec, "initContainers"));
    if !target.is_empty() && !known.into_iter().any(|c| text(c, "name") == target) {
        errors.not_found(format!("{path}.targetContainerName"), target);
    }
}

/// An update of a pod may change images, but not add or remove containers. True when the rest of
/// the comparison makes sense.
pub fn validate_update_of_containers(new: &Value, old: &Value, list: &str, errors: &mut Errors) -> bool {
    let path = format!("spec.{list}");
    let (new, old) = (items(new, &path), items(old, &path));
    if new.len() != old.len() {
        errors.forbidden(path, "pod updates may not add or remove containers");
        return false;
    }
    for (i, container) in new.iter().enumerate() {
        let image = text(container, "image");
        if image.trim() != image {
            let detail = "must not have leading or trailing whitespace";
            errors.invalid(format!("{path}[{i}].image"), image, detail);
        }
    }
    true
}
