//! The API as clients see it: servers in this process, over their real sockets. One program, because
//! each would make the server's code anew.

mod custom;
mod hostile;
mod identity;
mod objects;
mod operate;
mod quotas;
mod replicas;
mod representations;
mod support;
mod tunnels;
mod watching;
mod workloads;
