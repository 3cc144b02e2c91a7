//! Who leads, as this member knows it.

use crate::object::MemberId;

/// Who leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leadership {
    /// The leader, when one is known.
    pub leader: Option<MemberId>,
    /// Its term.
    pub term: u64,
    /// It is this member.
    pub is_self: bool,
}
