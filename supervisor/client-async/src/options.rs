//! The limits of a connection, and how long it tries to reconnect.

use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How a connection behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Longest request in bytes. Default: 16 MiB, as the host's `frame_bytes_max`.
    pub frame_bytes_max: usize,
    /// Requests that may be in flight at once; more wait. Default: 4096, the host's limit for one client. A module's
    /// connection has the limit from `init` instead.
    pub requests_max: usize,
    /// Bytes of requests that may be in flight at once; more wait. One request may always go. Default: 64 MiB.
    pub bytes_max: usize,
    /// How long the client tries to reach the host again when a stream to its control socket has ended. Without it the
    /// connection ends with its first stream. Default: none.
    pub reconnect: Option<Duration>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            frame_bytes_max: FRAME_BYTES_MAX_DEFAULT,
            requests_max: 4096,
            bytes_max: 64 * 1024 * 1024,
            reconnect: None,
        }
    }
}

impl Options {
    pub(crate) fn requests_max(&self) -> usize {
        self.requests_max.clamp(1, Semaphore::MAX_PERMITS)
    }

    /// The part of it that a semaphore can count.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize))
    }
}
