//! How long a message the daemon takes. It is asked before the first line that may be longer, since a daemon ends the
//! connection over such a one, with all that is under way. What becomes of the line is decided elsewhere.

use crate::session::Session;
use crate::status;
use bulkhead_protocol::limits::FRAME_BYTES_MAX_LOWEST;
use std::path::PathBuf;

/// Bytes around a line in its message, at most: numbers, the module's name and the key.
const AROUND_BYTES: usize = 4 * 1024;

/// What is known of the limit of the daemon at the other end.
#[derive(Debug, Default)]
pub(super) struct Limit {
    is_known: bool,
}

impl Limit {
    /// Has the session refuse what its daemon would, before a line of so many bytes is sent over it. It is asked over a
    /// connection of its own: over that of the lines, the answer would come among theirs.
    ///
    /// Where that connection fails, nothing is known of the one of the lines, which says itself how it ends: the
    /// question is asked again before the next long line.
    pub(super) fn learn(&mut self, session: &mut Session, socket: &Option<PathBuf>, line_bytes: usize) {
        if self.is_known || line_bytes + AROUND_BYTES <= FRAME_BYTES_MAX_LOWEST {
            return;
        }
        let asked = Session::open(socket.clone()).and_then(|mut session| status::frame_bytes_max(&mut session));
        let Ok(max) = asked else { return };
        self.is_known = true;
        if let Some(max) = max {
            session.set_frame_bytes_max(max);
        }
    }
}
