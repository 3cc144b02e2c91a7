//! The built-in kinds: one file per kind or small family. A new kind is one file and a line in
//! [`TABLE`].

mod admission_policy;
mod api_service;
mod autoscaler;
mod builtin;
mod certificate_request;
mod checks;
mod component_status;
mod config_map;
mod controller_revision;
mod cron_job;
mod csi;
mod custom_resource;
mod custom_resource_definition;
mod daemon_set;
mod deployment;
mod device;
mod disruption_budget;
mod endpoint_slice;
mod endpoints;
mod event;
mod flow_control;
mod ingress;
mod ip_address;
mod job;
mod lease;
mod limits;
mod namespace;
mod network_policy;
mod node;
mod pod;
mod pod_spec;
mod pod_template;
mod priority_class;
mod rbac;
mod replication;
mod review;
mod runtime_class;
mod secret;
mod service;
mod service_account;
mod stateful_set;
mod storage_class;
mod volume_attachment;
mod volume_claim;
mod volume_spec;
mod warn;
mod webhook;

pub(crate) use custom_resource::{brings_the_same, custom_resources};

use builtin::Builtin;

/// All built-in resources.
pub(crate) const TABLE: &[&Builtin] = &[
    &pod::BINDING,
    &component_status::COMPONENT_STATUS,
    &config_map::CONFIG_MAP,
    &endpoints::ENDPOINTS,
    &event::EVENT,
    &limits::LIMIT_RANGE,
    &namespace::NAMESPACE,
    &node::NODE,
    &volume_claim::PERSISTENT_VOLUME_CLAIM,
    &volume_claim::PERSISTENT_VOLUME,
    &pod::POD,
    &pod_template::POD_TEMPLATE,
    &replication::REPLICATION_CONTROLLER,
    &limits::RESOURCE_QUOTA,
    &secret::SECRET,
    &service_account::SERVICE_ACCOUNT,
    &service::SERVICE,
    &admission_policy::MUTATING_ADMISSION_POLICY,
    &admission_policy::MUTATING_ADMISSION_POLICY_BINDING,
    &webhook::MUTATING_WEBHOOK_CONFIGURATION,
    &admission_policy::VALIDATING_ADMISSION_POLICY,
    &admission_policy::VALIDATING_ADMISSION_POLICY_BINDING,
    &webhook::VALIDATING_WEBHOOK_CONFIGURATION,
    &custom_resource_definition::CUSTOM_RESOURCE_DEFINITION,
    &api_service::API_SERVICE,
    &controller_revision::CONTROLLER_REVISION,
    &daemon_set::DAEMON_SET,
    &deployment::DEPLOYMENT,
    &replication::REPLICA_SET,
    &stateful_set::STATEFUL_SET,
    &review::SELF_SUBJECT_REVIEW,
    &review::TOKEN_REVIEW,
    &review::LOCAL_SUBJECT_ACCESS_REVIEW,
    &review::SELF_SUBJECT_ACCESS_REVIEW,
    &review::SELF_SUBJECT_RULES_REVIEW,
    &review::SUBJECT_ACCESS_REVIEW,
    &autoscaler::HORIZONTAL_POD_AUTOSCALER_V1,
    &autoscaler::HORIZONTAL_POD_AUTOSCALER_V2,
    &cron_job::CRON_JOB,
    &job::JOB,
    &certificate_request::CERTIFICATE_SIGNING_REQUEST,
    &lease::LEASE,
    &endpoint_slice::ENDPOINT_SLICE,
    &event::EVENTS_K8S_EVENT,
    &flow_control::FLOW_SCHEMA,
    &flow_control::PRIORITY_LEVEL_CONFIGURATION,
    &ingress::INGRESS_CLASS,
    &ingress::INGRESS,
    &ip_address::IP_ADDRESS,
    &network_policy::NETWORK_POLICY,
    &ip_address::SERVICE_CIDR,
    &runtime_class::RUNTIME_CLASS,
    &disruption_budget::POD_DISRUPTION_BUDGET,
    &rbac::CLUSTER_ROLE_BINDING,
    &rbac::CLUSTER_ROLE,
    &rbac::ROLE_BINDING,
    &rbac::ROLE,
    &device::DEVICE_CLASS,
    &device::RESOURCE_CLAIM,
    &device::RESOURCE_CLAIM_TEMPLATE,
    &device::RESOURCE_SLICE,
    &priority_class::PRIORITY_CLASS,
    &csi::CSI_DRIVER,
    &csi::CSI_NODE,
    &csi::CSI_STORAGE_CAPACITY,
    &storage_class::STORAGE_CLASS,
    &volume_attachment::VOLUME_ATTACHMENT,
    &storage_class::VOLUME_ATTRIBUTES_CLASS,
];
