// A table of facts.
//! Which fields a writer through a (sub)resource can not own.

type Paths = &'static [&'static [&'static str]];

const NONE: Paths = &[];
const STATUS: Paths = &[&["status"]];
const SPEC: Paths = &[&["spec"]];
const SPEC_AND_METADATA: Paths = &[&["metadata"], &["spec"]];

pub(super) fn fields(group: &str, kind: &str, subresource: &str, custom: bool) -> Paths {
    match (subresource, custom) {
        ("", true) => STATUS,
        ("status", true) => SPEC_AND_METADATA,
        ("", false) => of_object(group, kind),
        ("status", false) => of_status(group, kind),
        ("approval", false) => &[&["spec"], &["status", "certificate"]],
        ("finalize", false) => STATUS,
        ("ephemeralcontainers", false) => &[&["metadata"], &["status"]],
        ("resize", false) => &[&["metadata"], &["status"]],
        _ => NONE,
    }
}

/// Through the object itself: the status, where there is a status subresource.
fn of_object(group: &str, kind: &str) -> Paths {
    match (group, kind) {
        ("certificates.k8s.io", "CertificateSigningRequest") => &[&["spec"], &["status"]],
        (
            "",
            "Namespace"
            | "Node"
            | "PersistentVolume"
            | "PersistentVolumeClaim"
            | "Pod"
            | "ReplicationController"
            | "ResourceQuota"
            | "Service",
        ) => STATUS,
        ("apps", "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet") => STATUS,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => STATUS,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => STATUS,
        ("apiregistration.k8s.io", "APIService") => STATUS,
        ("autoscaling", "HorizontalPodAutoscaler") => STATUS,
        ("batch", "CronJob" | "Job") => STATUS,
        ("flowcontrol.apiserver.k8s.io", _) => STATUS,
        ("networking.k8s.io", "Ingress" | "ServiceCIDR") => STATUS,
        ("policy", "PodDisruptionBudget") => STATUS,
        ("resource.k8s.io", "ResourceClaim") => STATUS,
        ("storage.k8s.io", "VolumeAttachment") => STATUS,
        _ => NONE,
    }
}

fn of_status(group: &str, kind: &str) -> Paths {
    match (group, kind) {
        ("", "Pod") => &[&["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"], &["spec"]],
        ("apps", "Deployment") => &[&["metadata", "labels"], &["spec"]],
        ("certificates.k8s.io", _) => &[&["spec"], &["status", "conditions"]],
        ("admissionregistration.k8s.io" | "apiregistration.k8s.io", _) => SPEC_AND_METADATA,
        ("flowcontrol.apiserver.k8s.io", _) => SPEC_AND_METADATA,
        ("networking.k8s.io", "ServiceCIDR") => SPEC_AND_METADATA,
        ("resource.k8s.io", "ResourceClaim") => SPEC_AND_METADATA,
        ("storage.k8s.io", "VolumeAttachment") => SPEC_AND_METADATA,
        _ => SPEC,
    }
}
