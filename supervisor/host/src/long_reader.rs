//! Reads long payloads on a thread of its own. A query of a megabyte takes tens of milliseconds to read, and
//! an import as long; its sender waits for that itself, and so do the sender's requests after it, which keep
//! their order. Each link has one at a time in progress, so links are served one after the other; those of
//! modules come first, since others wait for what modules do.
//!
//! Why a long text is no message is found out here too: it takes reading it once more.
//!
//! What is read is not decided upon here: it goes to the core, or to the built-in address, as if it had just come.

use crate::{event_loop::LinkId, link::Unread, state::ImportArgs};
use bulkhead_core::{Read, is_for_store};
use bulkhead_protocol::{ErrorCode, Failure, HeldBytes, MessageError, Request, RequestType, allocation};
use futures_util::task::AtomicWaker;
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    thread::{Builder, JoinHandle},
};

/// A payload of so many bytes is read at once: that costs less than passing it on.
pub(crate) const READ_AT_ONCE_BYTES_MAX: usize = 4 * 1024;

/// Bytes of what was read and is not taken yet, after which nothing more is read.
const READ_AHEAD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A payload that was read, or why it cannot be.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Of a query or a mutation.
    Store(Result<Read, Failure>),
    /// Of a command to the host: the arguments of an import, which is the only long one.
    Import(Result<ImportArgs, Failure>),
    /// Of what is no message.
    Refused(MessageError),
}

impl Payload {
    /// Whether the payload of this request is long, and one that the host itself has to read.
    pub(crate) fn is_long(request: &Request) -> bool {
        let is_read_here = || {
            let is_query_or_mutation = matches!(request.kind, RequestType::Query | RequestType::Mutation);
            let is_command = request.kind == RequestType::Command && request.to.as_deref() == Some("supervisor");
            is_command || (is_query_or_mutation && is_for_store(request))
        };
        request.payload.as_str().len() > READ_AT_ONCE_BYTES_MAX && request.id.is_some() && is_read_here()
    }

    /// Reads what is long. It needs nothing else, and may be called on any thread.
    pub(crate) fn read(what: &Unread) -> Payload {
        match what {
            Unread::Refused(text) => Payload::Refused(MessageError::of_refused(text)),
            Unread::Payload(request) if request.kind == RequestType::Command => {
                Payload::Import(crate::builtin::read_long_command(&request.payload))
            }
            Unread::Payload(request) => Payload::Store(Read::of(request)),
        }
    }

    fn held_bytes(&self) -> usize {
        match self {
            Payload::Store(Ok(read)) => read.held_bytes(),
            Payload::Import(Ok(args)) => args.held_bytes(),
            Payload::Store(Err(failure)) | Payload::Import(Err(failure)) => failure.held_bytes(),
            Payload::Refused(error) => allocation(error.reason.capacity()),
        }
    }
}

/// One reading: its number, its link, and what is to be read.
#[derive(Debug)]
struct Task {
    number: u64,
    link: LinkId,
    what: Unread,
}

#[derive(Debug, Default)]
struct State {
    of_modules: VecDeque<Task>,
    of_clients: VecDeque<Task>,
    read: VecDeque<(u64, LinkId, usize, Payload)>,
    read_bytes: usize,
    is_closing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do, or room for the result.
    resume: Condvar,
    has_read: AtomicBool,
    waker: AtomicWaker,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held: reading is done outside of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let mut state = self.state();
            let task = loop {
                if state.is_closing {
                    return;
                }
                let has_room = state.read_bytes < READ_AHEAD_BYTES_MAX;
                let State { of_modules, of_clients, .. } = &mut *state;
                if has_room && let Some(task) = of_modules.pop_front().or_else(|| of_clients.pop_front()) {
                    break task;
                }
                state = self.resume.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            let payload = catch_unwind(AssertUnwindSafe(|| Payload::read(&task.what))).unwrap_or_else(|_| {
                let reason = "the host met a fault of its own when it read this; its log has it";
                Payload::Store(Err(Failure::new(ErrorCode::Internal, reason)))
            });
            let bytes = payload.held_bytes();
            let mut state = self.state();
            state.read_bytes += bytes;
            state.read.push_back((task.number, task.link, bytes, payload));
            drop(state);
            self.has_read.store(true, Ordering::Release);
            self.waker.wake();
        }
    }
}

/// The thread, which is started for the first long payload, and what it has in progress.
#[derive(Debug, Default)]
pub(crate) struct LongReader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    last: u64,
    /// How many were submitted and not taken back.
    in_progress: usize,
}

impl LongReader {
    /// Submits what is to be read, under the number that is returned; `None` where there can be no thread.
    pub(crate) fn submit(&mut self, link: LinkId, what: &Unread) -> Option<u64> {
        if self.thread.is_none() {
            let shared = Arc::clone(&self.shared);
            self.thread = Builder::new().name("long-reader".into()).spawn(move || shared.work()).ok();
            self.thread.as_ref()?;
        }
        self.last += 1;
        let task = Task { number: self.last, link, what: what.clone() };
        let mut state = self.shared.state();
        match link {
            LinkId::Run(_) => state.of_modules.push_back(task),
            LinkId::Client(_) => state.of_clients.push_back(task),
        }
        drop(state);
        self.in_progress += 1;
        self.shared.resume.notify_one();
        Some(self.last)
    }

    /// This reading is no longer wanted.
    pub(crate) fn forget(&mut self, number: u64) {
        let mut state = self.shared.state();
        let before = state.of_modules.len() + state.of_clients.len();
        state.of_modules.retain(|task| task.number != number);
        state.of_clients.retain(|task| task.number != number);
        // If it is being read, it comes back and is dropped then.
        self.in_progress -= before - state.of_modules.len() - state.of_clients.len();
    }

    /// Lets the thread wake the loop that waits with this.
    pub(crate) fn register(&self, waker: &Waker) {
        if self.in_progress > 0 {
            self.shared.waker.register(waker);
        }
    }

    /// The next that was read, if there is one.
    pub(crate) fn take(&mut self) -> Option<(u64, LinkId, Payload)> {
        if self.in_progress == 0 || !self.shared.has_read.load(Ordering::Acquire) {
            return None;
        }
        self.shared.has_read.store(false, Ordering::Release);
        let mut state = self.shared.state();
        let (number, link, bytes, payload) = state.read.pop_front()?;
        state.read_bytes -= bytes;
        if !state.read.is_empty() {
            self.shared.has_read.store(true, Ordering::Release);
        }
        drop(state);
        self.in_progress -= 1;
        self.shared.resume.notify_one();
        Some((number, link, payload))
    }
}

impl Drop for LongReader {
    fn drop(&mut self) {
        self.shared.state().is_closing = true;
        self.shared.resume.notify_one();
        // What it is reading takes milliseconds; it is not waited for.
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_core::{ClientId, RunId};
    use bulkhead_protocol::Json;
    use std::{sync::mpsc, task::Wake, time::Duration};

    struct TestWaker(mpsc::Sender<()>);

    impl Wake for TestWaker {
        fn wake(self: Arc<TestWaker>) {
            let _ = self.0.send(());
        }
    }

    fn query(values: usize) -> Request {
        let values = vec!["1"; values].join(",");
        let text = format!(r#"{{"entity":"A","filters":{{"a":{{"in":[{values}]}}}}}}"#);
        Request::new(1, RequestType::Query, Json::parse(&text).unwrap())
    }

    fn unread(values: usize) -> Unread {
        Unread::Payload(query(values))
    }

    #[test]
    fn what_is_no_message_is_explained_in_order_with_the_payloads_of_others() {
        let mut reader = LongReader::default();
        let text = Arc::new(format!(r#"{{"id":1,"type":"ping","payload":["{}",}}"#, "x".repeat(100_000)));
        let expected = MessageError::of_refused(&text);
        reader.submit(LinkId::Client(ClientId(1)), &unread(1000)).unwrap();
        let number = reader.submit(LinkId::Client(ClientId(2)), &Unread::Refused(text)).unwrap();
        let taken = take(&mut reader, 2);
        let (found, LinkId::Client(ClientId(2)), Payload::Refused(error)) = &taken[1] else { panic!("{taken:?}") };
        assert_eq!((*found, error), (number, &expected));
        assert!(error.reason.contains("line 1 column 100"), "{}", error.reason);
    }

    /// Takes so many, each within a deadline.
    fn take(reader: &mut LongReader, number: usize) -> Vec<(u64, LinkId, Payload)> {
        let (waker, rings) = mpsc::channel();
        let waker = Waker::from(Arc::new(TestWaker(waker)));
        let mut taken = Vec::new();
        while taken.len() < number {
            reader.register(&waker);
            match reader.take() {
                Some(read) => taken.push(read),
                None => rings.recv_timeout(Duration::from_secs(30)).expect("it reads what it was given"),
            }
        }
        taken
    }

    #[test]
    fn what_is_long_and_for_the_host_is_read_elsewhere_and_nothing_else_is() {
        assert!(Payload::is_long(&query(5000)));
        assert!(!Payload::is_long(&query(100)), "it is short");
        assert!(!Payload::is_long(&query(5000).to("module")), "a module reads it");
        let command = |to: &str| Request { kind: RequestType::Command, ..query(5000).to(to) };
        assert!(Payload::is_long(&command("supervisor")));
        assert!(!Payload::is_long(&command("module")));
        assert!(!Payload::is_long(&Request { kind: RequestType::Event, id: None, ..query(5000) }));
    }

    #[test]
    fn those_of_modules_are_read_before_those_of_clients() {
        // The thread begins when all of them wait.
        let mut reader = LongReader::default();
        reader.thread = Some(std::thread::spawn(|| {}));
        let links = [
            LinkId::Client(ClientId(1)),
            LinkId::Client(ClientId(2)),
            LinkId::Run(RunId(3)),
            LinkId::Client(ClientId(4)),
            LinkId::Run(RunId(5)),
        ];
        for link in links {
            reader.submit(link, &unread(1000)).unwrap();
        }
        let shared = Arc::clone(&reader.shared);
        std::thread::spawn(move || shared.work());
        let found: Vec<LinkId> = take(&mut reader, 5).into_iter().map(|(_, link, _)| link).collect();
        assert_eq!(found, [2, 4, 0, 1, 3].map(|at| links[at]));
        assert!(reader.take().is_none() && reader.in_progress == 0);
    }

    #[test]
    fn of_what_is_read_ahead_there_is_a_bound_and_all_of_it_comes_in_the_end() {
        let mut reader = LongReader::default();
        let lists: Vec<String> =
            (0..32).map(|n| format!(r#""a{n}":{{"in":[{}]}}"#, vec!["1"; 1000].join(","))).collect();
        let text = format!(r#"{{"entity":"A","filters":{{{}}}}}"#, lists.join(","));
        let wide = Unread::Payload(Request::new(1, RequestType::Query, Json::parse(&text).unwrap()));
        let each = Payload::read(&wide).held_bytes();
        let number = 2 * READ_AHEAD_BYTES_MAX / each;
        for client in 1..=number as u64 {
            reader.submit(LinkId::Client(ClientId(client)), &wide).unwrap();
        }
        let taken = take(&mut reader, number);
        let clients: Vec<LinkId> = taken.iter().map(|(_, link, _)| *link).collect();
        let expected: Vec<LinkId> = (1..=number as u64).map(|client| LinkId::Client(ClientId(client))).collect();
        assert_eq!(clients, expected, "one after the other");
        let state = reader.shared.state();
        assert_eq!((state.read_bytes, state.read.len()), (0, 0));
    }

    #[test]
    fn what_is_no_longer_wanted_is_not_read() {
        let mut reader = LongReader::default();
        let numbers: Vec<u64> =
            (1..=50).map(|n| reader.submit(LinkId::Client(ClientId(n)), &unread(1000)).unwrap()).collect();
        numbers.iter().for_each(|number| reader.forget(*number));
        let last = reader.submit(LinkId::Client(ClientId(99)), &unread(1000)).unwrap();
        let left = reader.in_progress;
        assert_eq!(take(&mut reader, left).last().unwrap().0, last);
        assert_eq!(reader.in_progress, 0);
    }
}
