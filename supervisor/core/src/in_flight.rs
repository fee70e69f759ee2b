//! The requests that one process has and has not answered, in the order in which they were sent. How far one
//! of them has got is decided in [`crate::delivery`].

use crate::ids::RequestId;
use std::collections::VecDeque;

/// Whether the order of answers proves what a process has begun with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AnswerOrder {
    /// It handles one request after the other: only the first unanswered one has begun.
    #[default]
    Sequential,
    /// It handles several at once: the order proves nothing.
    Concurrent,
}

/// Requests in flight to one process, with the bytes that were sent for them.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    requests: VecDeque<(RequestId, usize)>,
    bytes: usize,
    answers: AnswerOrder,
}

impl InFlight {
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first unanswered request.
    pub(crate) fn head(&self) -> Option<RequestId> {
        self.requests.front().map(|(id, _)| *id)
    }

    pub(crate) fn position(&self, id: RequestId) -> Option<usize> {
        self.requests.iter().position(|(sent, _)| *sent == id)
    }

    pub(crate) fn contains(&self, id: RequestId) -> bool {
        self.position(id).is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = RequestId> {
        self.requests.iter().map(|(id, _)| *id)
    }

    pub(crate) fn push(&mut self, id: RequestId, bytes: usize) {
        self.requests.push_back((id, bytes));
        self.bytes += bytes;
    }

    /// A request was answered. An answer to a request that is not the head shows that the process is concurrent.
    /// Returns whether the head has changed.
    pub(crate) fn answered(&mut self, id: RequestId) -> HeadChange {
        let Some(at) = self.position(id) else { return HeadChange::Same };
        let (_, bytes) = self.requests.remove(at).expect("the position was found a line ago");
        self.bytes -= bytes;
        match at {
            0 => HeadChange::Next,
            _ => {
                self.answers = AnswerOrder::Concurrent;
                HeadChange::Same
            }
        }
    }

    /// Removes all: the process has ended.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        self.bytes = 0;
        std::mem::take(&mut self.requests).into_iter().map(|(id, _)| id)
    }

    pub(crate) fn is_concurrent(&self) -> bool {
        self.answers == AnswerOrder::Concurrent
    }

    pub(crate) fn set_answer_order(&mut self, order: AnswerOrder) {
        self.answers = order;
    }
}

/// What an answer does to the head of the requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadChange {
    /// The next one is the head, if there is one.
    Next,
    /// It is the head still.
    Same,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_another_than_the_head_shows_that_the_process_is_concurrent() {
        let mut in_flight = InFlight::default();
        for id in 1..=3 {
            in_flight.push(RequestId(id), 100);
        }
        assert_eq!((in_flight.answered(RequestId(1)), in_flight.is_concurrent()), (HeadChange::Next, false));
        assert_eq!((in_flight.answered(RequestId(3)), in_flight.is_concurrent()), (HeadChange::Same, true));
        assert_eq!((in_flight.head(), in_flight.bytes()), (Some(RequestId(2)), 100));
        assert_eq!(in_flight.drain().collect::<Vec<_>>(), [RequestId(2)]);
        assert_eq!((in_flight.len(), in_flight.bytes()), (0, 0));
    }
}
