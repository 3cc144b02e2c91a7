// A table of facts.
//! The built-in kinds and the type that describes each.

use k8s_openapi as k;
use schemars::{Schema, SchemaGenerator};

/// A built-in kind.
pub(crate) struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// Name of its definition in OpenAPI.
    pub definition: &'static str,
    /// Adds the kind's definitions to the generator.
    pub describe: fn(&mut SchemaGenerator) -> Schema,
}

macro_rules! kinds {
    ($($group:literal $version:literal $kind:literal $name:literal $type:ty;)*) => {
        &[$(Kind {
            group: $group,
            version: $version,
            kind: $kind,
            definition: $name,
            describe: |generator| generator.subschema_for::<$type>(),
        }),*]
    };
}

/// Sorted by group, version, kind.
pub(crate) static KINDS: &[Kind] = kinds! {
    "" "v1" "Binding" "io.k8s.api.core.v1.Binding" k::api::core::v1::Binding;
    "" "v1" "ComponentStatus" "io.k8s.api.core.v1.ComponentStatus" k::api::core::v1::ComponentStatus;
    "" "v1" "ConfigMap" "io.k8s.api.core.v1.ConfigMap" k::api::core::v1::ConfigMap;
    "" "v1" "DeleteOptions" "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions" k::apimachinery::pkg::apis::meta::v1::DeleteOptions;
    "" "v1" "Endpoints" "io.k8s.api.core.v1.Endpoints" k::api::core::v1::Endpoints;
    "" "v1" "Event" "io.k8s.api.core.v1.Event" k::api::core::v1::Event;
    "" "v1" "LimitRange" "io.k8s.api.core.v1.LimitRange" k::api::core::v1::LimitRange;
    "" "v1" "Namespace" "io.k8s.api.core.v1.Namespace" k::api::core::v1::Namespace;
    "" "v1" "Node" "io.k8s.api.core.v1.Node" k::api::core::v1::Node;
    "" "v1" "PersistentVolume" "io.k8s.api.core.v1.PersistentVolume" k::api::core::v1::PersistentVolume;
    "" "v1" "PersistentVolumeClaim" "io.k8s.api.core.v1.PersistentVolumeClaim" k::api::core::v1::PersistentVolumeClaim;
    "" "v1" "Pod" "io.k8s.api.core.v1.Pod" k::api::core::v1::Pod;
    "" "v1" "PodTemplate" "io.k8s.api.core.v1.PodTemplate" k::api::core::v1::PodTemplate;
    "" "v1" "ReplicationController" "io.k8s.api.core.v1.ReplicationController" k::api::core::v1::ReplicationController;
    "" "v1" "ResourceQuota" "io.k8s.api.core.v1.ResourceQuota" k::api::core::v1::ResourceQuota;
    "" "v1" "Secret" "io.k8s.api.core.v1.Secret" k::api::core::v1::Secret;
    "" "v1" "Service" "io.k8s.api.core.v1.Service" k::api::core::v1::Service;
    "" "v1" "ServiceAccount" "io.k8s.api.core.v1.ServiceAccount" k::api::core::v1::ServiceAccount;
    "" "v1" "Status" "io.k8s.apimachinery.pkg.apis.meta.v1.Status" k::apimachinery::pkg::apis::meta::v1::Status;
    "admissionregistration.k8s.io" "v1" "MutatingAdmissionPolicy" "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy" k::api::admissionregistration::v1::MutatingAdmissionPolicy;
    "admissionregistration.k8s.io" "v1" "MutatingAdmissionPolicyBinding" "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding" k::api::admissionregistration::v1::MutatingAdmissionPolicyBinding;
    "admissionregistration.k8s.io" "v1" "MutatingWebhookConfiguration" "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration" k::api::admissionregistration::v1::MutatingWebhookConfiguration;
    "admissionregistration.k8s.io" "v1" "ValidatingAdmissionPolicy" "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy" k::api::admissionregistration::v1::ValidatingAdmissionPolicy;
    "admissionregistration.k8s.io" "v1" "ValidatingAdmissionPolicyBinding" "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding" k::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
    "admissionregistration.k8s.io" "v1" "ValidatingWebhookConfiguration" "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration" k::api::admissionregistration::v1::ValidatingWebhookConfiguration;
    "apiextensions.k8s.io" "v1" "CustomResourceDefinition" "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition" k::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    "apiregistration.k8s.io" "v1" "APIService" "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService" k::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
    "apps" "v1" "ControllerRevision" "io.k8s.api.apps.v1.ControllerRevision" k::api::apps::v1::ControllerRevision;
    "apps" "v1" "DaemonSet" "io.k8s.api.apps.v1.DaemonSet" k::api::apps::v1::DaemonSet;
    "apps" "v1" "Deployment" "io.k8s.api.apps.v1.Deployment" k::api::apps::v1::Deployment;
    "apps" "v1" "ReplicaSet" "io.k8s.api.apps.v1.ReplicaSet" k::api::apps::v1::ReplicaSet;
    "apps" "v1" "StatefulSet" "io.k8s.api.apps.v1.StatefulSet" k::api::apps::v1::StatefulSet;
    "authentication.k8s.io" "v1" "SelfSubjectReview" "io.k8s.api.authentication.v1.SelfSubjectReview" k::api::authentication::v1::SelfSubjectReview;
    "authentication.k8s.io" "v1" "TokenRequest" "io.k8s.api.authentication.v1.TokenRequest" k::api::authentication::v1::TokenRequest;
    "authentication.k8s.io" "v1" "TokenReview" "io.k8s.api.authentication.v1.TokenReview" k::api::authentication::v1::TokenReview;
    "authorization.k8s.io" "v1" "LocalSubjectAccessReview" "io.k8s.api.authorization.v1.LocalSubjectAccessReview" k::api::authorization::v1::LocalSubjectAccessReview;
    "authorization.k8s.io" "v1" "SelfSubjectAccessReview" "io.k8s.api.authorization.v1.SelfSubjectAccessReview" k::api::authorization::v1::SelfSubjectAccessReview;
    "authorization.k8s.io" "v1" "SelfSubjectRulesReview" "io.k8s.api.authorization.v1.SelfSubjectRulesReview" k::api::authorization::v1::SelfSubjectRulesReview;
    "authorization.k8s.io" "v1" "SubjectAccessReview" "io.k8s.api.authorization.v1.SubjectAccessReview" k::api::authorization::v1::SubjectAccessReview;
    "autoscaling" "v1" "HorizontalPodAutoscaler" "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler" k::api::autoscaling::v1::HorizontalPodAutoscaler;
    "autoscaling" "v1" "Scale" "io.k8s.api.autoscaling.v1.Scale" k::api::autoscaling::v1::Scale;
    "autoscaling" "v2" "HorizontalPodAutoscaler" "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler" k::api::autoscaling::v2::HorizontalPodAutoscaler;
    "batch" "v1" "CronJob" "io.k8s.api.batch.v1.CronJob" k::api::batch::v1::CronJob;
    "batch" "v1" "Job" "io.k8s.api.batch.v1.Job" k::api::batch::v1::Job;
    "certificates.k8s.io" "v1" "CertificateSigningRequest" "io.k8s.api.certificates.v1.CertificateSigningRequest" k::api::certificates::v1::CertificateSigningRequest;
    "coordination.k8s.io" "v1" "Lease" "io.k8s.api.coordination.v1.Lease" k::api::coordination::v1::Lease;
    "discovery.k8s.io" "v1" "EndpointSlice" "io.k8s.api.discovery.v1.EndpointSlice" k::api::discovery::v1::EndpointSlice;
    "events.k8s.io" "v1" "Event" "io.k8s.api.events.v1.Event" k::api::events::v1::Event;
    "flowcontrol.apiserver.k8s.io" "v1" "FlowSchema" "io.k8s.api.flowcontrol.v1.FlowSchema" k::api::flowcontrol::v1::FlowSchema;
    "flowcontrol.apiserver.k8s.io" "v1" "PriorityLevelConfiguration" "io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration" k::api::flowcontrol::v1::PriorityLevelConfiguration;
    "networking.k8s.io" "v1" "IPAddress" "io.k8s.api.networking.v1.IPAddress" k::api::networking::v1::IPAddress;
    "networking.k8s.io" "v1" "Ingress" "io.k8s.api.networking.v1.Ingress" k::api::networking::v1::Ingress;
    "networking.k8s.io" "v1" "IngressClass" "io.k8s.api.networking.v1.IngressClass" k::api::networking::v1::IngressClass;
    "networking.k8s.io" "v1" "NetworkPolicy" "io.k8s.api.networking.v1.NetworkPolicy" k::api::networking::v1::NetworkPolicy;
    "networking.k8s.io" "v1" "ServiceCIDR" "io.k8s.api.networking.v1.ServiceCIDR" k::api::networking::v1::ServiceCIDR;
    "node.k8s.io" "v1" "RuntimeClass" "io.k8s.api.node.v1.RuntimeClass" k::api::node::v1::RuntimeClass;
    "policy" "v1" "Eviction" "io.k8s.api.policy.v1.Eviction" k::api::policy::v1::Eviction;
    "policy" "v1" "PodDisruptionBudget" "io.k8s.api.policy.v1.PodDisruptionBudget" k::api::policy::v1::PodDisruptionBudget;
    "rbac.authorization.k8s.io" "v1" "ClusterRole" "io.k8s.api.rbac.v1.ClusterRole" k::api::rbac::v1::ClusterRole;
    "rbac.authorization.k8s.io" "v1" "ClusterRoleBinding" "io.k8s.api.rbac.v1.ClusterRoleBinding" k::api::rbac::v1::ClusterRoleBinding;
    "rbac.authorization.k8s.io" "v1" "Role" "io.k8s.api.rbac.v1.Role" k::api::rbac::v1::Role;
    "rbac.authorization.k8s.io" "v1" "RoleBinding" "io.k8s.api.rbac.v1.RoleBinding" k::api::rbac::v1::RoleBinding;
    "resource.k8s.io" "v1" "DeviceClass" "io.k8s.api.resource.v1.DeviceClass" k::api::resource::v1::DeviceClass;
    "resource.k8s.io" "v1" "ResourceClaim" "io.k8s.api.resource.v1.ResourceClaim" k::api::resource::v1::ResourceClaim;
    "resource.k8s.io" "v1" "ResourceClaimTemplate" "io.k8s.api.resource.v1.ResourceClaimTemplate" k::api::resource::v1::ResourceClaimTemplate;
    "resource.k8s.io" "v1" "ResourceSlice" "io.k8s.api.resource.v1.ResourceSlice" k::api::resource::v1::ResourceSlice;
    "scheduling.k8s.io" "v1" "PriorityClass" "io.k8s.api.scheduling.v1.PriorityClass" k::api::scheduling::v1::PriorityClass;
    "storage.k8s.io" "v1" "CSIDriver" "io.k8s.api.storage.v1.CSIDriver" k::api::storage::v1::CSIDriver;
    "storage.k8s.io" "v1" "CSINode" "io.k8s.api.storage.v1.CSINode" k::api::storage::v1::CSINode;
    "storage.k8s.io" "v1" "CSIStorageCapacity" "io.k8s.api.storage.v1.CSIStorageCapacity" k::api::storage::v1::CSIStorageCapacity;
    "storage.k8s.io" "v1" "StorageClass" "io.k8s.api.storage.v1.StorageClass" k::api::storage::v1::StorageClass;
    "storage.k8s.io" "v1" "VolumeAttachment" "io.k8s.api.storage.v1.VolumeAttachment" k::api::storage::v1::VolumeAttachment;
    "storage.k8s.io" "v1" "VolumeAttributesClass" "io.k8s.api.storage.v1.VolumeAttributesClass" k::api::storage::v1::VolumeAttributesClass;
};
