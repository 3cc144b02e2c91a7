//! What the program asks of the machine it runs on: namespaces, processes, privileges.

pub mod netns;
pub mod notify;
pub mod privilege;
pub mod process;
