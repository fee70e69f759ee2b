//! What can go wrong between a client and its host. The command decides exit codes and wording for people.

use bulkhead_protocol::{ErrorCode, Failure, FrameError, MessageError};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing is at the path.
    #[error("there is no socket at {}: start the daemon with `bulkhead run`, or name its socket", .0.display())]
    Missing(PathBuf),
    /// A socket is there, but no process listens on it.
    #[error("no daemon listens at {}: it is not running; start it with `bulkhead run`", .0.display())]
    NotListening(PathBuf),
    /// The socket or a folder above it belongs to another user.
    #[error("the socket {} may not be used by this user: ask as the user that the daemon runs as", .0.display())]
    Permission(PathBuf),
    /// The kernel accepts no path of this length.
    #[error("the socket's path has {} bytes, more than the 107 that Linux takes: {}", .0.as_os_str().len(), .0.display())]
    TooLong(PathBuf),
    /// Another user listens there.
    #[error("the socket {} is served by user {owner}, and this is user {own}: what is sent would go to that user; run the command as user {owner}, or name another socket", path.display())]
    Foreign {
        /// Where the socket is.
        path: PathBuf,
        /// The user who listens.
        owner: u32,
        /// The user of this process.
        own: u32,
    },
    /// The embedding program makes no connection.
    #[error("no connection to the host: {0}")]
    Refused(io::Error),
    /// Anything else.
    #[error("no connection to {}: {error}", path.display())]
    Other {
        /// Where the socket should be.
        path: PathBuf,
        /// The kernel's error.
        error: io::Error,
    },
}

impl ConnectError {
    /// Why `connect` failed, in words.
    pub fn of(path: &Path, error: io::Error) -> ConnectError {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ConnectError::Missing(path),
            io::ErrorKind::ConnectionRefused => ConnectError::NotListening(path),
            io::ErrorKind::PermissionDenied => ConnectError::Permission(path),
            _ => ConnectError::Other { path, error },
        }
    }
}

/// Why a connection gives no answer. After any of these but [`ClientError::TimedOut`] and [`ClientError::TooLarge`] the
/// connection cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The host closed the connection between two messages.
    #[error("the host closed the connection before it answered")]
    Closed,
    /// The connection broke.
    #[error("the connection to the host broke: {0}")]
    Broken(io::Error),
    /// The connection ended inside a frame, or carried what is no frame.
    #[error("the host's answer cannot be read: {0}{hint}", hint = cut_off(.0))]
    Frame(FrameError),
    /// A frame came that is no message.
    #[error("the host's answer is no message: {0}")]
    Message(MessageError),
    /// The host reports why it closes this connection, or that it could not read a message, without naming the request.
    #[error("the host refused {}: {}", refused(.0), .0.error)]
    Refused(Box<Failure>),
    /// The host closed the connection before it began the requests on it, and another one cannot be made.
    #[error("the host closed the connection before it began the request, and cannot be reached again: {0}")]
    Unreachable(ConnectError),
    /// The request is longer than a frame may be; nothing of it was sent.
    #[error("the request is too long: {0}")]
    TooLarge(FrameError),
    /// No answer came in the time that the caller gave. The request is still in flight.
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

/// Why a host ends a connection inside an answer.
fn cut_off(error: &FrameError) -> &'static str {
    match error {
        FrameError::Truncated { .. } => {
            "; the host ended, or cut this client off since it left too many answers unread"
        }
        _ => "",
    }
}

/// What the host refuses with such an error.
fn refused(failure: &Failure) -> &'static str {
    match failure.code {
        ErrorCode::Overloaded | ErrorCode::PermissionDenied => "this connection",
        _ => "what was sent",
    }
}

impl ClientError {
    /// Whether the connection has ended, for any reason.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            ClientError::Closed | ClientError::Broken(_) | ClientError::Frame(_) | ClientError::Message(_) => true,
            // One that only reports an invalid message leaves the connection as it is.
            ClientError::Refused(failure) => failure.code != ErrorCode::BadRequest,
            ClientError::Unreachable(_) | ClientError::TooLarge(_) | ClientError::TimedOut => false,
        }
    }

    /// Sorts an error of the socket; `WouldBlock` is a timeout.
    pub(crate) fn from_io(error: io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut,
            _ => ClientError::Broken(error),
        }
    }

    /// Whether the other side stopped reading; what it sent before that may still be unread.
    pub fn is_disconnect(&self) -> bool {
        matches!(self, ClientError::Broken(error)
            if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset))
    }
}
