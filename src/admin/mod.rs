//! `trireme admin`: what an administrator does with the store behind the API.
//!
//! `member` and `snapshot save` ask a running cluster; `snapshot verify`, `snapshot restore` and
//! `recover` work on files that no server uses.

mod connect;
mod folder;
mod member;
mod recover;
mod snapshot;

use anyhow::Result;

#[derive(clap::Subcommand, Debug)]
pub enum Action {
    /// Lists and changes the members of the store.
    #[command(subcommand)]
    Member(member::Action),
    /// Saves, checks and restores snapshots.
    #[command(subcommand)]
    Snapshot(snapshot::Action),
    /// Founds a cluster again that lost its quorum, from the data folders that are left.
    Recover(recover::Options),
}

/// Does it.
pub fn run(action: Action) -> Result<()> {
    match action {
        Action::Member(action) => member::run(&action),
        Action::Snapshot(action) => snapshot::run(&action),
        Action::Recover(options) => recover::run(&options),
    }
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_millis().try_into().unwrap_or(u64::MAX)
}
