//! The one loop: waits for descriptors, signals, the program around it and the next timer, and passes
//! each to the host, one after the other. Nothing is decided here.

use crate::{
    alarm::{Alarm, AlarmReceiver},
    clients::HangUp,
    embedded::Inject,
    files,
    guardian::Guardian,
    link::Io,
    release::Releasable,
    signals::{Signal, Signals},
    sources::Line,
    state::HostState,
};
use bulkhead_core::{ClientId, Recipient, RunId};
use std::{
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::{
    net::{UnixDatagram, UnixListener, UnixStream},
    sync::mpsc::UnboundedReceiver,
};

/// Events that are handled before the system is asked again what else there is.
const EVENTS_PER_ITERATION: usize = 64;

/// How long an iteration may grow before the system is asked again what else there is: a client that floods
/// must not keep others from being read.
const ITERATION_MAX: Duration = Duration::from_micros(500);

/// Outcomes of the store and payloads that were read that are taken in one iteration.
const OUTCOMES_PER_ITERATION: usize = EVENTS_PER_ITERATION / 2;

/// Events between two looks at how long an iteration has grown.
const EVENTS_PER_LOOK: usize = 2;

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LinkId {
    Client(ClientId),
    Run(RunId),
}

/// Everything that can wake the host.
#[derive(Debug)]
pub(crate) enum Event {
    Readable(LinkId),
    Writable(LinkId),
    HungUp(ClientId),
    /// A request about several modules continues.
    Several(Recipient),
    /// A thread that reads logs has news, or can take more orders.
    LogsReadable(usize),
    LogsWritable(usize),
    /// There are lines for followers of logs.
    LogLines,
    /// Lines that were read from files continue.
    History,
    /// Something may be due.
    Alarm,
    GuardianReadable,
    GuardianWritable,
    Accepted(io::Result<UnixStream>),
    /// A signal came; the rest is given back to be waited for again.
    Signalled(Signal, Signals),
    /// Something was done that the host's thread may not wait for.
    FilesDone,
    /// Nothing more comes by this control socket: there is another one.
    Replaced,
    /// The program around the host sent something; likewise.
    Injected(Inject, UnboundedReceiver<Inject>),
}

/// One descriptor that is waited for, once; what handles its event orders the next wait.
pub(crate) enum Source {
    Read(LinkId, Rc<Io>),
    /// A link of which something has been read already; it comes after those that wait.
    Next(LinkId),
    Write(LinkId, Rc<Io>),
    /// The end of a client that has sent all and may still be reading.
    HangUp(ClientId, HangUp),
    /// A request about several modules, of which some have no order yet.
    Several(Recipient),
    LogsRead(usize, Rc<UnixDatagram>),
    LogsWrite(usize, Rc<UnixDatagram>),
    LogLines,
    /// Lines that were read from files, of which some have not been sent yet.
    History,
    Alarm(Rc<AlarmReceiver>),
    GuardianRead(Rc<UnixDatagram>),
    GuardianWrite(Rc<UnixDatagram>),
    Accept(Rc<Releasable<UnixListener>>),
    Files(Arc<files::Completions>),
    Signals(Signals),
    Program(UnboundedReceiver<Inject>),
}

impl Future for Source {
    type Output = Event;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Event> {
        // An error of a poll shows again when the descriptor is used, where it can be handled.
        match &mut *self {
            Source::Read(link, io) => {
                let _ = ready!(io.poll_read_ready(context));
                Poll::Ready(Event::Readable(*link))
            }
            Source::Next(link) => Poll::Ready(Event::Readable(*link)),
            Source::Write(link, io) => {
                let _ = ready!(io.poll_write_ready(context));
                Poll::Ready(Event::Writable(*link))
            }
            Source::HangUp(client, hang_up) => {
                ready!(hang_up.poll(context));
                Poll::Ready(Event::HungUp(*client))
            }
            Source::Several(who) => Poll::Ready(Event::Several(*who)),
            Source::LogsRead(reader, socket) => {
                let _ = ready!(socket.poll_recv_ready(context));
                Poll::Ready(Event::LogsReadable(*reader))
            }
            Source::LogsWrite(reader, socket) => {
                let _ = ready!(socket.poll_send_ready(context));
                Poll::Ready(Event::LogsWritable(*reader))
            }
            Source::LogLines => Poll::Ready(Event::LogLines),
            Source::History => Poll::Ready(Event::History),
            Source::Alarm(receiver) => {
                ready!(receiver.poll(context));
                Poll::Ready(Event::Alarm)
            }
            Source::GuardianRead(socket) => {
                let _ = ready!(socket.poll_recv_ready(context));
                Poll::Ready(Event::GuardianReadable)
            }
            Source::GuardianWrite(socket) => {
                let _ = ready!(socket.poll_send_ready(context));
                Poll::Ready(Event::GuardianWritable)
            }
            Source::Accept(listener) => {
                if listener.poll_released(context).is_ready() {
                    return Poll::Ready(Event::Replaced);
                }
                let accepted = ready!(listener.poll_accept(context));
                Poll::Ready(Event::Accepted(accepted.map(|(stream, _)| stream)))
            }
            Source::Files(completions) => {
                ready!(completions.poll(context));
                Poll::Ready(Event::FilesDone)
            }
            Source::Signals(signals) => {
                let signal = ready!(signals.poll(context));
                Poll::Ready(Event::Signalled(signal, std::mem::take(signals)))
            }
            Source::Program(receiver) => match ready!(receiver.poll_recv(context)) {
                Some(inject) => {
                    let (_, closed) = tokio::sync::mpsc::unbounded_channel();
                    Poll::Ready(Event::Injected(inject, std::mem::replace(receiver, closed)))
                }
                // The program has dropped the host and will send nothing more.
                None => Poll::Pending,
            },
        }
    }
}

/// The descriptors that are waited for.
pub(crate) type Sources = crate::sources::Sources<Source>;

/// Waits for the guardian's first report; `None` when it has not come before the alarm.
pub(crate) async fn readable(guardian: &Guardian, alarm: &Alarm) -> Option<io::Result<()>> {
    let receiver = alarm.receiver();
    std::future::poll_fn(|context| match guardian.socket.poll_recv_ready(context) {
        Poll::Ready(ready) => Poll::Ready(Some(ready)),
        Poll::Pending => receiver.poll(context).map(|()| None),
    })
    .await
}

/// Runs the host until it has nothing left to do.
pub(crate) async fn run(mut host: HostState, injected: UnboundedReceiver<Inject>, signals: Signals) {
    host.sources.push(Source::Program(injected), Line::Front);
    if !signals.is_empty() {
        host.sources.push(Source::Signals(signals), Line::Front);
    }
    std::future::poll_fn(|context| iterate(&mut host, context)).await;
    host.finish();
}

/// Whether an iteration that has handled so many events since then is long. Reading the clock takes as long as a
/// part of a message does.
fn is_long(handled: usize, since: Instant) -> bool {
    handled >= EVENTS_PER_ITERATION || (handled.is_multiple_of(EVENTS_PER_LOOK) && since.elapsed() >= ITERATION_MAX)
}

/// Handles everything that is there, writes what came of it, and sets the alarm.
fn iterate(host: &mut HostState, context: &mut Context<'_>) -> Poll<()> {
    let began = Instant::now();
    let (mut handled, mut has_more) = (0_usize, false);
    host.tick(began);
    host.register(context.waker());
    while host.take_outcome() || host.take_read() {
        handled += 1;
        has_more = handled >= OUTCOMES_PER_ITERATION || is_long(handled, began);
        if has_more {
            break;
        }
    }
    // However long that took, the sources of the front queue have their part of the iteration; otherwise what
    // the store has done for one would keep all others waiting.
    let (heard_from, mut heard) = (if handled > 0 { Instant::now() } else { began }, 0_usize);
    let mut is_over = false;
    loop {
        host.sources.look(context);
        while !is_over && let Some(event) = host.sources.next() {
            heard += 1;
            host.handle(event);
            is_over = is_long(heard, heard_from);
        }
        // However much comes from the front queue, one source of the other queue is served.
        if is_over && let Some(event) = host.sources.next_of_second() {
            host.handle(event);
        }
        host.handle_timers();
        host.flush();
        host.hear_guardian();
        // What was done may have ordered new waits, of which some may be ready at once.
        if is_over || !host.sources.has_new() {
            break;
        }
    }
    if host.is_finished() {
        return Poll::Ready(());
    }
    if host.reads_on(handled + heard, is_over, began) || is_over || has_more {
        context.waker().wake_by_ref();
    } else {
        host.set_alarm();
    }
    Poll::Pending
}
