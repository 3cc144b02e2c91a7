//! What all kinds that hold a pod spec share: defaults, validation, quality of service.

mod containers;
mod defaults;
mod placement;
mod probes;
mod qos;
mod spec;
mod volumes;
mod warnings;

pub use containers::{overhead, validate_update_of_containers};
pub use defaults::{
    default_pod, default_spec, default_template, mirror_service_account, volume_source_defaults,
};
pub use placement::{EFFECTS, node_selector, toleration};
pub use qos::qos_class;
pub use spec::{Holder, validate_spec, validate_template, validate_template_value};
pub use volumes::{access_modes, no_backsteps, validate_claim_spec};
pub use warnings::{VOLUMES as DEPRECATED_VOLUMES, of_template, of_workload, warnings};
