//! A whole node with real containers, against an API in memory: its pods, and its server.

mod pods;
mod serving;
mod support;
