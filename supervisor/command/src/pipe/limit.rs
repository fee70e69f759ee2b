//! The longest message that the daemon accepts. It is requested before the first line that may be longer, since a
//! daemon closes the connection over such a line, with all that is in flight. What becomes of the line is decided
//! elsewhere.

use crate::session::Session;
use crate::status;
use bulkhead_protocol::limits::FRAME_BYTES_MAX_LOWEST;
use std::path::PathBuf;

/// Bytes around a line in its message, at most: numbers, the module's name and the key.
const AROUND_BYTES: usize = 4 * 1024;

/// What is known of the limit of the daemon of this connection.
#[derive(Debug, Default)]
pub(super) struct Limit {
    is_known: bool,
}

impl Limit {
    /// Sets the session's limit to its daemon's, before a line of so many bytes is sent over it. The limit is requested
    /// over a connection of its own: over that of the lines, the answer would come among theirs.
    ///
    /// Where that connection fails, that says nothing about the connection of the lines, which reports its own end: the
    /// limit is requested again before the next long line.
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
