//! One start of one member: what must end with it.

use std::sync::atomic::{AtomicBool, Ordering};

use store::MemberId;
use tokio_util::sync::CancellationToken;

/// A process. When it is gone, nothing that it still does has an effect.
pub struct Process {
    pub member: MemberId,
    gone: AtomicBool,
    /// Cancelled when it is gone.
    pub end: CancellationToken,
}

impl Process {
    #[must_use]
    pub fn new(member: MemberId) -> Process {
        Process { member, gone: AtomicBool::new(false), end: CancellationToken::new() }
    }

    /// Kills it.
    pub fn kill(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.end.cancel();
    }

    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }
}
