//! What is known of a line that was sent, and what is kept of it to send it again. Its position among the others is up
//! to the window.

use std::time::Instant;

/// What is kept of a line that may have to be sent again.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) json: Box<str>,
    /// Empty without keys.
    pub(super) key: Box<str>,
    /// Whether it may have been begun when it was last sent.
    pub(super) may_have_begun: bool,
}

impl Kept {
    /// Returns the line if it may be sent again: it has a key, or was not begun.
    pub(super) fn take_if_safe(kept: &mut Option<Kept>, may_have_begun: bool) -> Option<Kept> {
        let kept = kept.take_if(|kept| !kept.key.is_empty() || !may_have_begun)?;
        Some(Kept { may_have_begun: kept.may_have_begun || may_have_begun, ..kept })
    }
}

/// A line that is sent.
#[derive(Debug)]
pub(super) struct Sent {
    /// The number of its request; they grow.
    pub(super) id: u64,
    /// Where it ends in all that is sent over the connection.
    pub(super) end: u64,
    pub(super) at: Instant,
}

/// The states of the lines without an answer when a connection has ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Lines that are sent again.
    pub(super) again: u64,
    /// Lines of which it is not known whether they were begun.
    pub(super) unknown: u64,
}

/// What the host had read from the connection that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Taken {
    /// So many bytes of all that was queued, which may have been begun.
    Bytes(u64),
    /// Nothing was begun, regardless of what was sent.
    Nothing,
}

impl Taken {
    /// Whether a line may have been begun.
    pub(super) fn may_have_begun(self, sent: &Sent) -> bool {
        match self {
            Taken::Bytes(bytes) => sent.end <= bytes,
            Taken::Nothing => false,
        }
    }
}
