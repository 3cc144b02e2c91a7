//! The HTTP face of the cluster: authentication, authorization, admission, the verbs, watch
//! streams, discovery, OpenAPI, and the public key infrastructure every identity comes from.
//!
//! Invariants:
//! - A request goes one way, through types that can not be skipped:
//!   `Request -> Identified -> Permitted -> Decoded -> Admitted -> Valid -> Committed`.
//! - A write is acknowledged only when the store says it is applied. `WriteError::Unknown` becomes
//!   504 ("may have been applied"), a rejection without quorum 503 with `Retry-After`.
//! - Reads that do not ask for a stale answer are linearizable.
//! - Stored bytes are sent as they are: nothing is decoded to answer a plain JSON read.
//! - What a write was decided on guards its transaction: deciding on a slightly old view is safe.
//!
//! Map, in the order a request meets it:
//! - `config`, `service`: what a server is told, and a running one as the program sees it
//! - `server`: the shared state, the accept loop, the background tasks (bootstrap, RBAC index,
//!   definitions, the `kubernetes` endpoints)
//! - `request`: path, query, body, negotiation; `body`, `reply`: responses
//! - `authn`, `identity`: who asks; `authz`: whether he may
//! - `routes`: the one table of what is answered by whom; `call`: a request of a known resource
//! - `verbs`: get, list, watch, create, update, patch, delete; `sub`: bindings, evictions, tokens,
//!   reviews; `agent`: what is tunnelled to nodes, pods and services; `meta`: discovery, OpenAPI,
//!   health, metrics; `join`: joining servers and nodes; `operate`: members and snapshots of the store
//! - `convert`: objects between the stored and the requested version; `webhook`: how webhooks are called
//! - `pipeline`: the stages of a write; `admission`, `alloc`: what the cluster adds and refuses
//! - `bootstrap`: what every cluster has from its start
//! - `pki`: the CA, certificates, service-account keys, join tokens, kubeconfig
//! - `failure`: what the store's errors mean to clients; `metrics`

#![forbid(unsafe_code)]

mod admission;
mod agent;
mod alloc;
mod authn;
mod authz;
mod body;
mod bootstrap;
mod call;
mod config;
mod convert;
mod failure;
mod identity;
mod join;
mod meta;
mod metrics;
mod operate;
mod pipeline;
pub mod pki;
mod reply;
mod request;
mod routes;
mod server;
mod service;
mod sub;
mod verbs;
mod webhook;

pub use body::{ApiBody, BoxError};
pub use config::{Config, StartError};
pub use service::{ApiService, Apiserver, start};
