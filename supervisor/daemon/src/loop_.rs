//! The one loop: waits for descriptors, signals, the program around it and the next timer, and hands
//! each to the host in turn. Nothing is decided here.

use crate::{
    clients::HangUp,
    guardian::Guardian,
    host::Host,
    link::Io,
    log_lines::Stream,
    release::Releasable,
    signals::{Signal, Signals},
    supervisor::Inject,
};
use bulkhead_core::{ClientId, RunId};
use futures_util::{Stream as _, stream::FuturesUnordered};
use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    net::{UnixDatagram, UnixListener, UnixStream, unix::pipe::Receiver},
    sync::mpsc::UnboundedReceiver,
    time::{Instant, Sleep},
};

/// Events that are handled before the system is asked again what else there is.
const EVENTS_PER_TURN: usize = 64;

/// How long a turn may grow before the system is asked again what else there is: somebody who floods
/// must not keep others from being heard.
const TURN_MAX: Duration = Duration::from_millis(2);

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
    Log(RunId, Stream),
    GuardianReadable,
    GuardianWritable,
    Accepted(io::Result<UnixStream>),
    /// A signal came; the rest is given back to be waited for again.
    Signalled(Signal, Signals),
    /// The program around the host said something; likewise.
    Injected(Inject, UnboundedReceiver<Inject>),
}

/// One descriptor that is waited for, once; what handles its event orders the next wait.
pub(crate) enum Source {
    Read(LinkId, Rc<Io>),
    /// A link of which something has been read already; it comes behind those that wait for their turn.
    Next(LinkId),
    Write(LinkId, Rc<Io>),
    /// The end of a client that has said all and may still be reading.
    HangUp(ClientId, HangUp),
    Log(RunId, Stream, Rc<Releasable<Receiver>>),
    GuardianRead(Rc<UnixDatagram>),
    GuardianWrite(Rc<UnixDatagram>),
    Accept(Rc<UnixListener>),
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
            Source::Log(run, stream, pipe) => {
                if pipe.poll_released(context).is_pending() {
                    let _ = ready!(pipe.poll_read_ready(context));
                }
                Poll::Ready(Event::Log(*run, *stream))
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
                let accepted = ready!(listener.poll_accept(context));
                Poll::Ready(Event::Accepted(accepted.map(|(stream, _)| stream)))
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
                // The program has let go of the host and will say nothing more.
                None => Poll::Pending,
            },
        }
    }
}

/// The descriptors that are waited for.
pub(crate) type Sources = FuturesUnordered<Source>;

/// Waits for the guardian's first report.
pub(crate) async fn readable(guardian: &Guardian) -> io::Result<()> {
    guardian.socket.readable().await
}

/// Runs the host until it has nothing left to do.
pub(crate) async fn run(mut host: Host, injected: UnboundedReceiver<Inject>, signals: Signals) {
    host.sources.push(Source::Program(injected));
    if !signals.is_empty() {
        host.sources.push(Source::Signals(signals));
    }
    let mut timer = pin!(tokio::time::sleep_until(Instant::now()));
    std::future::poll_fn(|context| turn(&mut host, timer.as_mut(), context)).await;
    host.finish();
}

/// Handles everything that is there, writes what came of it, and sets the timer.
fn turn(host: &mut Host, mut timer: Pin<&mut Sleep>, context: &mut Context<'_>) -> Poll<()> {
    let (mut handled, began) = (0, Instant::now());
    let mut is_over = false;
    loop {
        let before = handled;
        host.tick();
        host.store.register(context.waker());
        while !is_over && host.take_outcome() {
            handled += 1;
            is_over = handled >= EVENTS_PER_TURN || began.elapsed() >= TURN_MAX;
        }
        while !is_over && let Poll::Ready(Some(event)) = Pin::new(&mut host.sources).poll_next(context) {
            handled += 1;
            host.handle(event);
            is_over = handled >= EVENTS_PER_TURN || began.elapsed() >= TURN_MAX;
        }
        host.handle_timers();
        host.flush();
        if host.is_finished() {
            return Poll::Ready(());
        }
        if is_over {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // What was flushed may have ordered new waits, which must be polled once to be heard.
        if handled == before && !host.has_new_sources() {
            let Some(due) = host.next_due() else { return Poll::Pending };
            let due = Instant::from_std(due);
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
