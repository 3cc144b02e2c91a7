//! What the store says, as clients understand it.

use api::Status;
use store::{Compacted, Doubt, ReadError, Rejection, WriteError};

/// Why one attempt at a write did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The object itself is not what the write was decided on.
    Conflict(Status),
    /// Something else it was decided on has changed: read again and decide again.
    Stale(Status),
    /// Trying again would not help.
    Final(Status),
}

impl Failure {
    /// Nobody else can resolve the conflict.
    pub(crate) fn final_when_conflict(self) -> Self {
        match self {
            Failure::Conflict(status) => Failure::Final(status),
            other => other,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure::Final(status)
    }
}

/// A read that could not be confirmed.
pub(crate) fn unreadable(error: &ReadError) -> Status {
    Status::service_unavailable(format!("the store can not answer: {error}")).with_retry_after(1)
}

/// A revision that is not kept any more.
pub(crate) fn expired(compacted: &Compacted) -> Status {
    Status::expired(format!("too old resource version: {} ({})", compacted.requested, compacted.oldest))
}

/// A write that was not acknowledged. Conflicts are the caller's to interpret.
pub(crate) fn unwritten(error: WriteError) -> Status {
    match error {
        WriteError::Unknown(doubt) => unknown(&doubt),
        WriteError::Rejected(rejection) => rejected(rejection),
    }
}

fn unknown(doubt: &Doubt) -> Status {
    Status::timeout(format!("the write may have been applied: {doubt}"))
}

fn rejected(rejection: Rejection) -> Status {
    match rejection {
        Rejection::Conflict { key, .. } => {
            Status::failure(409, "Conflict", format!("the object at {key} has been modified"))
        }
        Rejection::Fenced { key, .. } => Status::failure(
            409,
            "Conflict",
            format!("fenced: the writer does not hold the lease {key} any more; nothing was written"),
        ),
        Rejection::NoQuorum { reason } => {
            Status::service_unavailable(format!("no quorum: {reason}")).with_retry_after(1)
        }
        Rejection::NotReady => {
            Status::service_unavailable("this server belongs to no cluster yet").with_retry_after(1)
        }
        Rejection::StorageFull { used, limit } => Status::storage_full(format!(
            "storage is full: {used} of {limit} bytes are in use; deletes still work"
        )),
        Rejection::DiskFull { free, total } => Status::storage_full(format!(
            "the disk of this server is nearly full: {free} of {total} bytes are free; deletes still work"
        )),
        Rejection::TooLarge { what, size, limit } => {
            Status::request_entity_too_large(format!("{what} has {size} bytes, the limit is {limit}"))
        }
        Rejection::Invalid { reason } => Status::internal(format!("invalid transaction: {reason}")),
        Rejection::Overloaded { waiting } => {
            Status::too_many_requests(format!("{waiting} writes are waiting already"), 1)
        }
        Rejection::ShuttingDown => {
            Status::service_unavailable("this server is shutting down").with_retry_after(1)
        }
    }
}
