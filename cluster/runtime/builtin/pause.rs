//! `pause`: does nothing until it is told to stop, and reaps orphans meanwhile.

use std::io;

use crate::sys;

pub fn pause() -> io::Result<()> {
    sys::catch_stop();
    sys::catch_children();
    while !sys::stopped() {
        sys::reap();
        sys::wait_for_signal();
    }
    Ok(())
}
