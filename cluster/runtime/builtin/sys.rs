//! The few calls of the C library that the standard library does not offer.

use std::sync::atomic::{AtomicBool, Ordering};

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn pause() -> i32;
    fn kill(pid: i32, number: i32) -> i32;
    fn getuid() -> u32;
    fn getgid() -> u32;
    fn getgroups(size: i32, list: *mut u32) -> i32;
}

pub const SIGINT: i32 = 2;
pub const SIGPIPE: i32 = 13;
pub const SIGTERM: i32 = 15;
pub const SIGCHLD: i32 = 17;

static STOPPED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_stop(_: i32) {
    STOPPED.store(true, Ordering::SeqCst);
}

extern "C" fn note_nothing(_: i32) {}

fn handle(number: i32, handler: extern "C" fn(i32)) {
    // SAFETY: both handlers only store to an atomic.
    unsafe { signal(number, handler as *const () as usize) };
}

/// From now on SIGTERM and SIGINT are noted, and interrupt waiting, instead of being ignored by a first process.
pub fn catch_stop() {
    handle(SIGTERM, note_stop);
    handle(SIGINT, note_stop);
}

/// Whether SIGTERM or SIGINT came.
pub fn stopped() -> bool {
    STOPPED.load(Ordering::SeqCst)
}

/// Makes the end of a child interrupt [`wait_for_signal`].
pub fn catch_children() {
    handle(SIGCHLD, note_nothing);
}

/// Lets a write to a closed pipe end the process, as small tools do.
pub fn die_of_closed_pipes() {
    // SAFETY: 0 is the default disposition.
    unsafe { signal(SIGPIPE, 0) };
}

/// Reaps every child that has ended.
pub fn reap() {
    const WNOHANG: i32 = 1;
    // SAFETY: a null status is allowed.
    while unsafe { waitpid(-1, std::ptr::null_mut(), WNOHANG) } > 0 {}
}

/// Sleeps until a signal is handled.
pub fn wait_for_signal() {
    // SAFETY: no arguments.
    unsafe { pause() };
}

/// Sends a signal.
pub fn send_signal(pid: i32, number: i32) -> std::io::Result<()> {
    // SAFETY: plain numbers.
    if unsafe { kill(pid, number) } == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// User, group and supplementary groups.
pub fn identity() -> (u32, u32, Vec<u32>) {
    let mut groups = vec![0; 1024];
    // SAFETY: the list has as many places as is said.
    let count = unsafe { getgroups(groups.len() as i32, groups.as_mut_ptr()) };
    groups.truncate(count.max(0) as usize);
    // SAFETY: no arguments, and they can not fail.
    unsafe { (getuid(), getgid(), groups) }
}
