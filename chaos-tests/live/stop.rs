//! Ctrl-C, and what a service manager sends: the run ends early, and cleans up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::signal::unix::{SignalKind, signal};

/// Whether the run is to end. Clones are the same one.
#[derive(Clone, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// One that signals ask for.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn on_signals() -> std::io::Result<Stop> {
        let stop = Stop::default();
        let asked = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        drop(inside);
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            });
            asked.ask();
        });
        Ok(stop)
    }

    fn ask(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.0.lock()
    }

    /// Waits so long, or until the run is to end.
    pub fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut asked = self.0.0.lock();
        while !*asked && !self.0.1.wait_until(&mut asked, until).timed_out() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_asked_to() {
        let stop = Stop::default();
        let other = stop.clone();
        let waiting = std::thread::spawn(move || other.wait(Duration::from_secs(3600)));
        stop.ask();
        waiting.join().unwrap();
        assert!(stop.is_asked());
    }
}
