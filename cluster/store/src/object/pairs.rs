//! The labels or fields of an object, in one piece of memory.

use std::sync::Arc;

/// Indexed names and values that travel beside the bytes of an object: one after the other, each
/// with its length before it. A million objects have millions of them, so none is allocated alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pairs(Option<Arc<[u8]>>);

impl Pairs {
    pub(crate) fn new<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Pairs {
        let mut packed = Vec::new();
        for (name, value) in pairs {
            put(&mut packed, name);
            put(&mut packed, value);
        }
        Pairs((!packed.is_empty()).then(|| Arc::from(packed)))
    }

    /// Names and values, in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = self.0.as_deref().unwrap_or_default();
        std::iter::from_fn(move || Some((take(&mut rest)?, take(&mut rest)?)))
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

impl std::fmt::Debug for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Lengths are in groups of seven bits, the last one below 128.
fn put(out: &mut Vec<u8>, text: &str) {
    let mut len = text.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(text.as_bytes());
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (mut len, mut shift) = (0, 0);
    loop {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        len |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    let (text, after) = rest.split_at_checked(len)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let long = "x".repeat(70_000);
        let all = [("app", "web"), ("", ""), ("long", long.as_str()), ("last", "ü")];
        let pairs = Pairs::new(all.into_iter());
        assert_eq!(pairs.iter().collect::<Vec<_>>(), all);
        assert_eq!(pairs.get("long"), Some(long.as_str()));
        assert_eq!(pairs.get("web"), None);
        assert_eq!(Pairs::new(std::iter::empty()), Pairs::default());
        assert_eq!(Pairs::default().iter().count(), 0);
    }
}
