//! The operating system's randomness, from a seed: what the standard library (hash maps), tokio
//! (`select!`) and every other crate asks for comes through `getrandom`, which this replaces in the
//! programs that link this crate. Before a seed is given it is the operating system's own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::dice::Dice;

static SEEDED: AtomicBool = AtomicBool::new(false);
static STATE: AtomicU64 = AtomicU64::new(0);

/// From now on this process gets its randomness from the seed.
pub fn seed(seed: u64) {
    STATE.store(Dice::new(seed, "entropy").word(), Ordering::SeqCst);
    SEEDED.store(true, Ordering::SeqCst);
}

/// Replaces the C library's function of this name.
///
/// # Safety
/// As its manual says: `buffer` has room for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(
    buffer: *mut libc::c_void,
    len: libc::size_t,
    flags: libc::c_uint,
) -> libc::ssize_t {
    if !SEEDED.load(Ordering::SeqCst) {
        // SAFETY: the arguments are the caller's.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, flags) } as libc::ssize_t;
    }
    // SAFETY: the caller gives room for `len` bytes.
    let out = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), len) };
    for part in out.chunks_mut(8) {
        let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        let bytes = Dice::new(state, "").word().to_le_bytes();
        part.copy_from_slice(&bytes[..part.len()]);
    }
    len as libc::ssize_t
}
