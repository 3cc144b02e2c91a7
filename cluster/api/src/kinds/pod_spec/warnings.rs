//! What a pod is warned about: accepted, but deprecated or hardly meant.

use serde_json::Value;

use super::super::warn;
use crate::value::{get, has, int, items, text};

/// Annotations of pods that mean nothing any more.
const ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR_OF_CONTAINER: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Volumes that are or will be no more: field, its name in the warning, and since when.
pub const VOLUMES: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";

/// What a workload is warned about that is new or has changed: its template is at `path`.
pub fn of_template(object: &Value, old: Option<&Value>, path: &str) -> Vec<String> {
    let generation = |o: &Value| int(o, "metadata.generation");
    match old {
        Some(old) if generation(old) == generation(object) => Vec::new(),
        _ => warnings(get(object, path), &format!("{path}.")),
    }
}

/// As [`of_template`], for a workload whose name becomes a part of its pods' names.
pub fn of_workload(object: &Value, old: Option<&Value>, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    if old.is_none() {
        warn::pod_names(object, "Pod names and hostnames", &mut found);
    }
    found.extend(of_template(object, old, path));
    found
}

/// Texts of warning headers about a pod or a template. `path` leads to it: empty, or `spec.template.`.
pub fn warnings(pod: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (spec, at) = (get(pod, "spec"), format!("{path}spec"));
    labels_of_nodes(spec, &at, &mut found);
    warn::annotations(pod, path, &ANNOTATIONS, &mut found);
    for (i, volume) in items(spec, "volumes").iter().enumerate() {
        let at = format!("{at}.volumes[{i}]");
        for (_, name, words) in VOLUMES.iter().filter(|(field, ..)| has(volume, field)) {
            found.push(format!("{at}.{name}: {words}"));
        }
        let claim = get(volume, "ephemeral.volumeClaimTemplate.spec");
        warn::claim_spec(claim, &format!("{at}.ephemeral.volumeClaimTemplate.spec"), &mut found);
    }
    for volume in items(spec, "volumes") {
        overlaps(volume, &mut found);
    }
    repeated(spec, &at, &mut found);
    for name in ["memory", "ephemeral-storage"] {
        warn::fraction(get(spec, "overhead"), name, &format!("{at}.overhead"), &mut found);
    }
    profiles(pod, path, &mut found);
    let containers = containers(spec, &at);
    for (container, at) in &containers {
        for name in ["memory", "ephemeral-storage"] {
            for list in ["limits", "requests"] {
                let amounts = get(get(container, "resources"), list);
                warn::fraction(amounts, name, &format!("{at}.resources.{list}"), &mut found);
            }
        }
        environment(container, at, &mut found);
    }
    ports(&containers, &mut found);
    if int(spec, "terminationGracePeriodSeconds").is_some_and(|s| s < 0) {
        found.push(format!(
            "{at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        ));
    }
    affinity(spec, &at, &mut found);
    for (i, server) in items(spec, "dnsConfig.nameservers").iter().enumerate() {
        let at = format!("{at}.dnsConfig.nameservers[{i}]");
        warn::ip(&at, server.as_str().unwrap_or_default(), &mut found);
    }
    for (i, alias) in items(spec, "hostAliases").iter().enumerate() {
        warn::ip(&format!("{at}.hostAliases[{i}].ip"), text(alias, "ip"), &mut found);
    }
    found
}

fn labels_of_nodes(spec: &Value, path: &str, found: &mut Vec<String>) {
    warn::node_labels(get(spec, "nodeSelector"), |key| format!("{path}.nodeSelector[{key}]"), found);
    let affinity = get(spec, "affinity.nodeAffinity");
    let at = format!("{path}.affinity.nodeAffinity");
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = items(get(affinity, REQUIRED), "nodeSelectorTerms");
    warn::node_selector(terms, &format!("{at}.{REQUIRED}.nodeSelectorTerms"), found);
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    for (i, term) in items(affinity, PREFERRED).iter().enumerate() {
        let at = format!("{at}.{PREFERRED}[{i}].preference.matchExpressions");
        warn::requirements(items(term, "preference.matchExpressions"), &at, true, found);
    }
    for (i, spread) in items(spec, "topologySpreadConstraints").iter().enumerate() {
        let (at, key) = (format!("{path}.topologySpreadConstraints[{i}]"), text(spread, "topologyKey"));
        if let Some(words) = warn::node_label(key) {
            found.push(format!("{at}.topologyKey: {key} is {words}"));
        }
        if !has(spread, "labelSelector") {
            found.push(format!("{at}.labelSelector: {NO_SELECTOR}"));
        }
    }
}

fn affinity(spec: &Value, path: &str, found: &mut Vec<String>) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        for (list, term) in [
            ("requiredDuringSchedulingIgnoredDuringExecution", ""),
            ("preferredDuringSchedulingIgnoredDuringExecution", "podAffinityTerm."),
        ] {
            for (i, of) in items(get(spec, &format!("affinity.{kind}")), list).iter().enumerate() {
                let field = format!("{term}labelSelector");
                if !has(of, &field) {
                    found.push(format!("{path}.affinity.{kind}.{list}[{i}].{field}: {NO_SELECTOR}"));
                }
            }
        }
    }
}

/// Items that stand twice where one of them is lost.
fn repeated(spec: &Value, path: &str, found: &mut Vec<String>) {
    for (list, field) in [("hostAliases", "ip"), ("imagePullSecrets", "name")] {
        let all = items(spec, list);
        for (i, item) in all.iter().enumerate() {
            let value = text(item, field);
            if all[..i].iter().any(|other| text(other, field) == value) {
                found.push(format!("{path}.{list}[{i}].{field}: duplicate {field} {value:?}"));
            }
        }
    }
    for (i, secret) in items(spec, "imagePullSecrets").iter().enumerate() {
        if text(secret, "name").is_empty() {
            found.push(format!("{path}.imagePullSecrets[{i}].name: invalid empty name \"\""));
        }
    }
}

/// Annotations that fields have replaced, where the fields are not set.
fn profiles(pod: &Value, path: &str, found: &mut Vec<String>) {
    let (spec, annotations) = (get(pod, "spec"), get(pod, "metadata.annotations"));
    let mut say = |key: &str, words: &str| {
        if annotations.get(key).is_some() {
            found.push(format!("{path}metadata.annotations[{key}]: {words}"));
        }
    };
    const SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
    if !has(spec, "securityContext.seccompProfile") {
        say(SECCOMP_OF_POD, SECCOMP);
    }
    for (container, _) in containers(spec, "") {
        let name = text(container, "name");
        if !has(container, "securityContext.seccompProfile") {
            say(&format!("{SECCOMP_OF_CONTAINER}{name}"), SECCOMP);
        }
        // Of a pod itself the annotation sets the field.
        let is_template = !path.is_empty();
        let set =
            has(container, "securityContext.appArmorProfile") || has(spec, "securityContext.appArmorProfile");
        if is_template && !set {
            let words = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            say(&format!("{APP_ARMOR_OF_CONTAINER}{name}"), words);
        }
    }
}

/// All containers with their paths, in the order Kubernetes looks at them.
fn containers<'s>(spec: &'s Value, path: &str) -> Vec<(&'s Value, String)> {
    let of = |list: &'static str| {
        let path = path.to_owned();
        items(spec, list).iter().enumerate().map(move |(i, c)| (c, format!("{path}.{list}[{i}]")))
    };
    of("initContainers").chain(of("containers")).chain(of("ephemeralContainers")).collect()
}

fn environment(container: &Value, path: &str, found: &mut Vec<String>) {
    let variables = items(container, "env");
    for (i, variable) in variables.iter().enumerate() {
        let name = text(variable, "name");
        let before = variables[..i].iter().any(|v| text(v, "name") == name);
        // A later value may well be made of the earlier one.
        let reference = format!("$({name})");
        let value = text(variable, "value");
        let refers = value.contains(&reference) && value != reference && !has(variable, "valueFrom");
        if before && !refers {
            found.push(format!(
                "{path}.env[{i}]: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
}

fn ports(containers: &[(&Value, String)], found: &mut Vec<String>) {
    let mut all: Vec<(&Value, String)> = Vec::new();
    for (container, path) in containers {
        for (i, port) in items(container, "ports").iter().enumerate() {
            let at = format!("{path}.ports[{i}]");
            let key = |p: &Value| (int(p, "containerPort"), text(p, "protocol").to_owned());
            let host = |p: &Value| (text(p, "hostIP").to_owned(), int(p, "hostPort").unwrap_or_default());
            let (ip, number) = host(port);
            for (other, place) in all.iter().filter(|(other, _)| key(other) == key(port)) {
                let (other_ip, other_number) = host(other);
                let how = if (&ip, number) == (&other_ip, other_number) {
                    "duplicate"
                } else if number == 0 || other_number == 0 {
                    "overlapping"
                } else if number == other_number && ip.is_empty() != other_ip.is_empty() {
                    "dangerously ambiguous"
                } else {
                    continue;
                };
                found.push(format!("{at}: {how} port definition with {place}"));
            }
            all.push((port, at));
        }
    }
    for (i, (port, at)) in all.iter().enumerate() {
        let name = text(port, "name");
        if let Some((_, first)) = all[..i].iter().find(|(p, _)| !name.is_empty() && text(p, "name") == name) {
            found.push(format!(
                "{at}: duplicate port name {name:?} with {first}, services and probes that select ports by name will use {first}"
            ));
        }
    }
}

/// Files of one volume that are at the same path, or at a path within the other.
fn overlaps(volume: &Value, found: &mut Vec<String>) {
    let name = text(volume, "name");
    let kinds = [
        ("configMap", format!("ConfigMap {:?}", text(volume, "configMap.name"))),
        ("secret", format!("Secret {:?}", text(volume, "secret.secretName"))),
        ("downwardAPI", "DownwardAPI".to_owned()),
    ];
    for (field, what) in kinds {
        let paths = items(get(volume, field), "items").iter().map(|item| (text(item, "path"), String::new()));
        collisions(&paths.collect::<Vec<_>>(), name, &what, found);
    }
    let mut paths = Vec::new();
    for source in items(volume, "projected.sources") {
        let given = [
            "configMap",
            "secret",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ];
        let Some(kind) = given.iter().find(|kind| has(source, kind)) else {
            found.push(format!("volume {name:?} (Projected) has no sources provided"));
            continue;
        };
        let of = get(source, kind);
        let items = items(of, "items").iter().map(|item| text(item, "path"));
        match *kind {
            "configMap" => paths.extend(items.map(|p| (p, format!("ConfigMap {:?}", text(of, "name"))))),
            "secret" => paths.extend(items.map(|p| (p, format!("Secret {:?}", text(of, "name"))))),
            "downwardAPI" => paths.extend(items.map(|p| (p, "DownwardAPI".to_owned()))),
            "serviceAccountToken" => paths.push((text(of, "path"), "ServiceAccountToken".to_owned())),
            "clusterTrustBundle" => {
                let named = if has(of, "name") { text(of, "name") } else { text(of, "signerName") };
                paths.push((text(of, "path"), format!("ClusterTrustBundle {named:?}")));
            }
            _ => {
                for (field, word) in [
                    ("certificateChainPath", "chain"),
                    ("keyPath", "key"),
                    ("credentialBundlePath", "credential bundle"),
                ] {
                    paths.push((text(of, field), format!("PodCertificate {word}")));
                }
            }
        }
    }
    collisions(&paths, name, "Projected", found);
}

fn collisions(paths: &[(&str, String)], volume: &str, what: &str, found: &mut Vec<String>) {
    let trimmed = |path: &str| path.trim_end_matches('/').to_owned();
    let shown = |(path, source): &(&str, String)| match source.as_str() {
        "" => format!("{:?}", trimmed(path)),
        source => format!("{:?} ({source})", trimmed(path)),
    };
    for (i, path) in paths.iter().enumerate().filter(|(_, (path, _))| !trimmed(path).is_empty()) {
        let one = format!("{}/", trimmed(path.0));
        for other in paths[..i].iter().filter(|(other, _)| !trimmed(other).is_empty()) {
            let two = format!("{}/", trimmed(other.0));
            if one.starts_with(&two) || two.starts_with(&one) {
                found.push(format!(
                    "volume {volume:?} ({what}): overlapping paths: {} with {}",
                    shown(path),
                    shown(other)
                ));
            }
        }
    }
}
