//! Why a request has no answer, and why a connection ended. An answer that is an error is no error here, except for
//! callers that want its data only ([`CallError`]).

use bulkhead_protocol::{Delivery, Failure, FrameError};
use std::{io, sync::Arc};

/// Why a connection ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EndReason {
    /// The other end closed it between two messages.
    #[error("the other end closed the connection")]
    Closed,
    /// This program closed it, or dropped its last handle.
    #[error("this program closed the connection")]
    ClosedHere,
    /// The host reported why it ends the connection.
    #[error("the host ended the connection: {}", .0.error)]
    Refused(Box<Failure>),
    /// It broke, ended inside a frame, or carried a frame that is longer than allowed.
    #[error("the connection broke: {0}")]
    Broken(Arc<io::Error>),
    /// A frame came that is no message.
    #[error("what came is no message: {0}")]
    NoMessage(String),
    /// It ended, and the host was not reached again in the time that [`crate::Options::reconnect`] allows.
    #[error("the connection ended ({ended}), and the host cannot be reached again: {error}")]
    Unreachable {
        /// Why the connection ended.
        ended: Box<EndReason>,
        /// The result of the last attempt.
        error: String,
    },
}

/// Why a request has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The request is longer than a frame may be. Nothing of it was sent.
    #[error("the request is too long: {0}")]
    TooLarge(FrameError),
    /// The connection ended before the answer came.
    #[error("{reason}; the request {}", in_words(*.delivery))]
    Ended {
        /// How far the request got, as far as the client knows.
        delivery: Delivery,
        /// Why the connection ended.
        reason: EndReason,
    },
    /// No answer came in the time that the caller gave. The host was asked to cancel the request.
    #[error("the host did not answer in time; it was asked to cancel the request")]
    TimedOut,
}

/// Why a call gave no data.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The request was answered with an error.
    #[error("{} ({})", .0.error, .0.code)]
    Failed(Box<Failure>),
    /// There was no answer.
    #[error(transparent)]
    Unanswered(#[from] Error),
}

fn in_words(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::NotStarted => "was not begun",
        Delivery::Started => "was begun",
        Delivery::Unknown => "may have been begun",
    }
}
