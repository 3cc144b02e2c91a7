//! One pod on this node: what is to be done (pure), and the worker that does it.
//!
//! - `state`, `machine` (with `drive`, `stop`), `adopt`, `backoff`: the life of a pod as a transition function
//! - `status`, `conditions`, `container_status`: what the API is told
//! - `spec`, `qos`: what the specification says
//! - `worker`, `effects`, `exit`, `publish`: carrying it out, and writing the status

pub mod adopt;
pub mod backoff;
pub mod conditions;
pub mod container_status;
mod drive;
pub mod effects;
pub mod exit;
pub mod machine;
mod publish;
pub mod qos;
pub mod spec;
pub mod state;
pub mod status;
mod stop;
pub mod worker;

#[cfg(test)]
mod tests;
