//! The store's contract, as its users see it: real members in one process, on disks and networks that
//! do what they are told. One program, because each would make openraft's code anew.

mod cluster;
mod common;
mod faults;
mod membership;
mod metrics;
mod offline;
mod partitions;
mod watching;
