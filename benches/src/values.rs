//! Keys and values.

use bytes::Bytes;

/// Bytes of a value, unless a row says otherwise.
pub const VALUE_BYTES: usize = 1024;

/// Text that does not compress to nothing, the same for the same number.
pub fn random(seed: u64, len: usize) -> Bytes {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(len + 10);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend((0..10).map(|at| LETTERS[(state >> (at * 6)) as usize & 63]));
    }
    out.truncate(len);
    Bytes::from(out)
}

/// Key of object `n` of a large store.
pub fn object_key(n: u64) -> String {
    format!("/core/pods/namespace-{}/web-{n:08}", n % 500)
}

/// Its labels.
pub fn object_labels(n: u64) -> Vec<(String, String)> {
    vec![
        ("app".to_owned(), format!("web-{}", n % 1000)),
        ("pod-template-hash".to_owned(), format!("{:08x}", n % 5000)),
    ]
}

/// Its indexed fields.
pub fn object_fields(n: u64) -> Vec<(String, String)> {
    vec![
        ("spec.nodeName".to_owned(), format!("node-{}", n % 5000)),
        ("status.phase".to_owned(), "Running".to_owned()),
    ]
}

/// Bytes of object `n`: what of its memory is not overhead.
pub fn object_bytes(n: u64, value: usize) -> usize {
    let pairs = object_labels(n).into_iter().chain(object_fields(n));
    object_key(n).len() + value + pairs.map(|(k, v)| k.len() + v.len()).sum::<usize>()
}
