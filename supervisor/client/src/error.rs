//! What can go wrong between a client and its host. Exit codes and wording for people are the
//! command's business.

use bulkhead_protocol::{Failure, FrameError, MessageError};
use std::{io, path::PathBuf};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing is at the path.
    #[error("there is no socket at {}: start the daemon with `bulkhead run`, or name its socket", .0.display())]
    Missing(PathBuf),
    /// A socket is there, but nobody listens on it.
    #[error("nobody listens at {}: the daemon is not running; start it with `bulkhead run`", .0.display())]
    NotListening(PathBuf),
    /// The socket or a folder above it belongs to somebody else.
    #[error("the socket {} may not be used by this user: ask as the user that the daemon runs as", .0.display())]
    Permission(PathBuf),
    /// The kernel takes no path of this length.
    #[error("the socket's path has {} bytes, more than the 107 that Linux takes: {}", .0.as_os_str().len(), .0.display())]
    TooLong(PathBuf),
    /// Anything else.
    #[error("no connection to {}: {error}", path.display())]
    Other {
        /// Where the socket should be.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

/// Why a connection gives no answer. After any of these but [`ClientError::TimedOut`] and
/// [`ClientError::TooLarge`] the connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The host closed the connection between two messages.
    #[error("the host closed the connection before it answered")]
    Closed,
    /// The connection broke.
    #[error("the connection to the host broke: {0}")]
    Broken(io::Error),
    /// The connection ended inside a frame, or carried what is no frame.
    #[error("the host's answer cannot be read: {0}")]
    Frame(FrameError),
    /// A frame came that is no message.
    #[error("the host's answer is no message: {0}")]
    Message(MessageError),
    /// The host says that it could not read something that was sent, and not which request it was.
    #[error("the host refused what was sent: {}", .0.error)]
    Refused(Box<Failure>),
    /// The request is longer than a frame may be; nothing of it was sent.
    #[error("the request is too long: {0}")]
    TooLarge(FrameError),
    /// No answer came in the time that the caller gave. The request is still under way.
    #[error("the host did not answer in time")]
    TimedOut,
}

/// Why a call gave no data.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request was answered with an error.
    #[error("{} ({})", .0.error, .0.code)]
    Failed(Box<Failure>),
    /// There was no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl ClientError {
    /// Sorts an error of the socket; one that only says "not now" is a timeout.
    pub(crate) fn from_io(error: io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut,
            _ => ClientError::Broken(error),
        }
    }

    /// Whether the other side stopped listening; what it said before that may still be there to read.
    pub fn is_disconnect(&self) -> bool {
        matches!(self, ClientError::Broken(error)
            if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset))
    }
}
