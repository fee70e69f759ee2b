//! The answers to one request, as they come.

use crate::{
    connection::Connection,
    error::{EndReason, Error},
    table::{PendingAnswer, weight},
};
use bulkhead_protocol::{Delivery, Response, Status};
use futures_util::{Stream, StreamExt};
use std::{
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
};

/// The answers to one request: any progress, then its one success or error, then nothing. Dropped before that, it
/// cancels the request.
///
/// Progress that is not read waits in memory, up to 4 MiB; more is dropped ([`Answers::left_out`]). It holds up no
/// other request.
#[derive(Debug)]
pub struct Answers {
    pending: PendingAnswer,
    connection: Connection,
    has_ended: bool,
}

impl Answers {
    pub(crate) fn new(pending: PendingAnswer, connection: Connection) -> Answers {
        Answers { pending, connection, has_ended: false }
    }

    /// The number of the request.
    pub fn id(&self) -> u64 {
        self.pending.id
    }

    /// How many progress messages were dropped since they were not read in time.
    pub fn left_out(&self) -> u64 {
        self.pending.backlog.left_out.load(Ordering::Relaxed)
    }

    /// Whether nothing waits to be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.answers.is_empty()
    }

    /// Waits for the success or the error; progress is dropped.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn last(mut self) -> Result<Response, Error> {
        while let Some(answer) = self.next().await {
            match answer {
                Ok(Response { status: Status::Progress(_), .. }) => {}
                answer => return answer,
            }
        }
        // Only for a request whose answer was read already.
        Err(Error::Ended { delivery: Delivery::Unknown, reason: EndReason::Closed })
    }
}

impl Stream for Answers {
    type Item = Result<Response, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Response, Error>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let answer = std::task::ready!(self.pending.answers.poll_recv(context));
        match &answer {
            Some(Ok(response @ Response { status: Status::Progress(_), .. })) => {
                self.pending.backlog.bytes.fetch_sub(weight(response), Ordering::Relaxed);
            }
            _ => self.has_ended = true,
        }
        Poll::Ready(answer)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if !self.has_ended {
            self.connection.shared().table().take_back(self.pending.id);
            self.connection.shared().to_send.notify_one();
        }
    }
}
