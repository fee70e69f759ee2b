//! The open requests: their ids, their frames, and the callers that wait for their answers. It decides what an answer,
//! an end and a new connection mean for each of them, and does no I/O.

use crate::error::{EndReason, Error};
use bulkhead_protocol::{Delivery, HeldBytes, Response, Status};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Bytes of progress that wait for one reader; more is dropped and counted.
pub(crate) const PROGRESS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a waiting caller gets.
pub(crate) type Answer = Result<Response, Error>;

/// What waits for one reader of answers.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Bytes of progress.
    pub(crate) bytes: AtomicUsize,
    /// Progress that was dropped at the limit.
    pub(crate) left_out: AtomicU64,
}

/// What one response takes while it waits.
pub(crate) fn weight(response: &Response) -> usize {
    let data = match &response.status {
        Status::Progress(data) | Status::Success(data) => data.held_bytes(),
        Status::Error(_) => 0,
    };
    size_of::<Answer>() + data
}

/// What one request takes of the limits in flight.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) _slot: OwnedSemaphorePermit,
    pub(crate) _bytes: OwnedSemaphorePermit,
}

/// A request that has not had its one answer.
#[derive(Debug)]
struct Open {
    /// Its frame, to be sent or sent.
    frame: Bytes,
    is_sent: bool,
    /// The caller that waits for it; `None` once it was withdrawn but still needs its answer.
    answers: Option<mpsc::UnboundedSender<Answer>>,
    backlog: Arc<Backlog>,
    /// Its part of the limits in flight.
    _room: Option<Room>,
}

/// All open requests.
#[derive(Debug, Default)]
pub(crate) struct Table {
    last: u64,
    open: BTreeMap<u64, Open>,
    /// Those that are to be sent, in their order; one that was withdrawn meanwhile is no longer in `open`.
    unsent: VecDeque<u64>,
    /// Cancels that are to be sent, which wait for no answer.
    cancels: VecDeque<u64>,
    /// Answers to requests of the other end, with their part of the limit of bytes.
    replies: VecDeque<(Bytes, Option<OwnedSemaphorePermit>)>,
    /// Whether the connection ends when all of it is sent.
    is_closing: bool,
    ended: Option<EndReason>,
}

/// What a caller gets of its request.
#[derive(Debug)]
pub(crate) struct PendingAnswer {
    pub(crate) id: u64,
    pub(crate) answers: mpsc::UnboundedReceiver<Answer>,
    pub(crate) backlog: Arc<Backlog>,
}

/// The next thing to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A frame: a request, or an answer.
    Frame(Bytes),
    /// A cancel of this request, under this id.
    Cancel { id: u64, of: u64 },
}

impl Table {
    /// An id for a request, which no other one has.
    pub(crate) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Adds a request with this id, which its frame has.
    ///
    /// # Errors
    /// When the connection has ended for good.
    pub(crate) fn add(&mut self, id: u64, frame: Bytes, room: Option<Room>) -> Result<PendingAnswer, Error> {
        if let Some(reason) = &self.ended {
            return Err(Error::Ended { delivery: Delivery::NotStarted, reason: reason.clone() });
        }
        let (sender, answers) = mpsc::unbounded_channel();
        let backlog = Arc::<Backlog>::default();
        let open = Open { frame, is_sent: false, answers: Some(sender), backlog: backlog.clone(), _room: room };
        self.open.insert(id, open);
        self.unsent.push_back(id);
        Ok(PendingAnswer { id, answers, backlog })
    }

    /// Adds an answer to a request of the other end; dropped where the connection has ended for good.
    pub(crate) fn reply(&mut self, frame: Bytes, room: Option<OwnedSemaphorePermit>) {
        if self.ended.is_none() {
            self.replies.push_back((frame, room));
        }
    }

    /// The connection is to end when all that waits is sent.
    pub(crate) fn close_when_sent(&mut self) {
        self.is_closing = true;
    }

    /// Whether the connection is to end now.
    pub(crate) fn is_done(&self) -> bool {
        self.is_closing && !self.has_next()
    }

    /// What is to be sent next. From then on it counts as sent.
    pub(crate) fn next(&mut self) -> Option<Next> {
        if let Some((reply, _room)) = self.replies.pop_front() {
            return Some(Next::Frame(reply));
        }
        if let Some(of) = self.cancels.pop_front() {
            return Some(Next::Cancel { id: self.number(), of });
        }
        while let Some(id) = self.unsent.pop_front() {
            if let Some(open) = self.open.get_mut(&id) {
                open.is_sent = true;
                return Some(Next::Frame(open.frame.clone()));
            }
        }
        None
    }

    /// Passes a response to the caller that waits for it. A response to no request is returned.
    pub(crate) fn answered(&mut self, response: Response) -> Option<Response> {
        let Some(id) = response.id else { return Some(response) };
        if let Status::Progress(_) = response.status {
            if let Some(Open { answers: Some(answers), backlog, .. }) = self.open.get(&id) {
                let weight = weight(&response);
                if backlog.bytes.load(Ordering::Relaxed) + weight > PROGRESS_BYTES_MAX {
                    backlog.left_out.fetch_add(1, Ordering::Relaxed);
                } else {
                    backlog.bytes.fetch_add(weight, Ordering::Relaxed);
                    // A caller that has gone withdraws its request itself.
                    let _ = answers.send(Ok(response));
                }
            }
            return None;
        }
        // A withdrawn request is answered too, and the answer dropped.
        if let Some(Open { answers: Some(answers), .. }) = self.open.remove(&id) {
            let _ = answers.send(Ok(response));
        }
        None
    }

    /// A caller waits no longer. What the other end may have begun is cancelled there.
    pub(crate) fn take_back(&mut self, id: u64) {
        match self.open.get_mut(&id) {
            Some(open) if open.is_sent => {
                if open.answers.take().is_some() {
                    self.cancels.push_back(id);
                }
            }
            _ => _ = self.open.remove(&id),
        }
    }

    /// The connection has ended. With `is_unbegun`, the other end has reported that it began nothing that was sent.
    /// Returns how many requests were lost with it: sent, and not answered. Their callers are informed; the others wait
    /// for the next connection, in their order.
    pub(crate) fn lost(&mut self, reason: &EndReason, is_unbegun: bool) -> u64 {
        self.cancels.clear();
        self.replies.clear();
        if is_unbegun {
            self.open.retain(|_, open| open.answers.is_some());
            self.unsent = self.open.keys().copied().collect();
            self.open.values_mut().for_each(|open| open.is_sent = false);
            return 0;
        }
        let sent: Vec<u64> = self.open.iter().filter(|(_, open)| open.is_sent).map(|(id, _)| *id).collect();
        let mut lost = 0;
        for id in sent {
            if let Some(Open { answers: Some(answers), .. }) = self.open.remove(&id) {
                let _ = answers.send(Err(Error::Ended { delivery: Delivery::Unknown, reason: reason.clone() }));
                lost += 1;
            }
        }
        lost
    }

    /// There will be no other connection: the callers that wait get an error, and new requests are refused.
    pub(crate) fn end(&mut self, reason: EndReason) {
        for (_, open) in std::mem::take(&mut self.open) {
            let delivery = if open.is_sent { Delivery::Unknown } else { Delivery::NotStarted };
            if let Some(answers) = open.answers {
                let _ = answers.send(Err(Error::Ended { delivery, reason: reason.clone() }));
            }
        }
        self.unsent.clear();
        self.cancels.clear();
        self.replies.clear();
        self.ended = Some(reason);
    }

    /// Whether something is to be sent.
    fn has_next(&self) -> bool {
        !self.replies.is_empty() || !self.cancels.is_empty() || self.unsent.iter().any(|id| self.open.contains_key(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_protocol::Json;

    fn frame(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn add(table: &mut Table, text: &'static str) -> Result<PendingAnswer, Error> {
        let id = table.number();
        table.add(id, frame(text), None)
    }

    fn progress(id: u64, text: &str) -> Response {
        Response::new(id, Status::Progress(Json::of(text)))
    }

    #[test]
    fn requests_leave_in_order_and_answers_find_their_callers() {
        let mut table = Table::default();
        let mut first = add(&mut table, "one").unwrap();
        let mut second = add(&mut table, "two").unwrap();
        assert_eq!((first.id, second.id), (1, 2));
        assert_eq!(table.next(), Some(Next::Frame(frame("one"))));
        assert_eq!(table.next(), Some(Next::Frame(frame("two"))));
        assert_eq!(table.next(), None);
        assert_eq!(table.answered(progress(2, "half")), None);
        assert_eq!(table.answered(Response::success(2, Json::null())), None);
        assert_eq!(table.answered(Response::success(1, Json::of("done"))), None);
        assert!(table.open.is_empty());
        assert_eq!(first.answers.try_recv().unwrap().unwrap(), Response::success(1, Json::of("done")));
        assert_eq!(second.answers.try_recv().unwrap().unwrap(), progress(2, "half"));
        assert_eq!(second.answers.try_recv().unwrap().unwrap(), Response::success(2, Json::null()));
        assert!(second.answers.try_recv().is_err());
        assert_eq!(table.answered(Response::success(9, Json::null())), None, "an answer to nothing is dropped");
        let refused = Response::new(None, Status::Success(Json::null()));
        assert_eq!(table.answered(refused.clone()), Some(refused));
    }

    #[test]
    fn what_is_taken_back_is_cancelled_if_it_was_sent_and_else_never_sent() {
        let mut table = Table::default();
        let [first, second] = ["one", "two"].map(|text| add(&mut table, text).unwrap());
        assert_eq!(table.next(), Some(Next::Frame(frame("one"))));
        table.take_back(first.id);
        table.take_back(second.id);
        table.take_back(second.id);
        assert!(table.has_next());
        assert_eq!(table.next(), Some(Next::Cancel { id: 3, of: 1 }));
        assert_eq!((table.next(), table.has_next(), table.open.len()), (None, false, 1));
        assert_eq!(table.answered(Response::success(1, Json::null())), None);
        assert!(table.open.is_empty(), "it has its slot until it is answered");
        assert_eq!(add(&mut table, "three").unwrap().id, 4, "a number is used once");
    }

    #[test]
    fn after_an_end_what_was_sent_is_answered_unknown_and_the_rest_goes_on() {
        let mut table = Table::default();
        let [mut sent, mut waits] = ["one", "two"].map(|text| add(&mut table, text).unwrap());
        table.next();
        assert_eq!(table.lost(&EndReason::Closed, false), 1);
        let got = sent.answers.try_recv().unwrap().unwrap_err();
        assert_eq!(got.to_string(), "the other end closed the connection; the request may have been begun");
        assert!(waits.answers.try_recv().is_err());
        assert_eq!(table.next(), Some(Next::Frame(frame("two"))));
        // The host closed it with nothing begun: all requests are sent again, in their order.
        let third = add(&mut table, "three").unwrap();
        assert_eq!(table.lost(&EndReason::Closed, true), 0);
        assert_eq!(table.next(), Some(Next::Frame(frame("two"))));
        assert_eq!(table.next(), Some(Next::Frame(frame("three"))));
        table.take_back(third.id);
        table.end(EndReason::ClosedHere);
        let got = waits.answers.try_recv().unwrap().unwrap_err();
        assert_eq!(got.to_string(), "this program closed the connection; the request may have been begun");
        let refused = add(&mut table, "four").unwrap_err();
        assert_eq!(refused.to_string(), "this program closed the connection; the request was not begun");
        assert!(!table.has_next());
    }

    #[test]
    fn progress_that_is_not_read_is_bounded_and_the_answer_comes_all_the_same() {
        let mut table = Table::default();
        let mut pending = add(&mut table, "one").unwrap();
        let text = "x".repeat(100 * 1024);
        (0..100).for_each(|_| assert_eq!(table.answered(progress(1, &text)), None));
        table.answered(Response::success(1, Json::null()));
        let bytes = pending.backlog.bytes.load(Ordering::Relaxed);
        assert!(bytes > PROGRESS_BYTES_MAX / 2 && bytes <= PROGRESS_BYTES_MAX);
        let got = std::iter::from_fn(|| pending.answers.try_recv().ok()).count();
        assert!((10..100).contains(&got), "{got} of 101");
        assert_eq!(got as u64 + pending.backlog.left_out.load(Ordering::Relaxed), 101);
    }
}
