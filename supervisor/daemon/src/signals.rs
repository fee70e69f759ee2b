//! The signals that a daemon listens to. An embedded host listens to none: they are its program's.

use std::{
    io,
    task::{Context, Poll},
};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM or SIGINT: stop everything and end. A second one: do not wait.
    Terminate,
    /// SIGHUP: read the files again.
    Reload,
}

/// The signals that are listened to.
#[derive(Debug, Default)]
pub(crate) struct Signals(Vec<(Stream, Signal)>);

impl Signals {
    pub(crate) fn of_daemon() -> io::Result<Signals> {
        let kinds = [
            (SignalKind::terminate(), Signal::Terminate),
            (SignalKind::interrupt(), Signal::Terminate),
            (SignalKind::hangup(), Signal::Reload),
        ];
        let streams: io::Result<Vec<_>> =
            kinds.into_iter().map(|(kind, meaning)| Ok((signal(kind)?, meaning))).collect();
        Ok(Signals(streams?))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Signal> {
        for (stream, meaning) in &mut self.0 {
            if let Poll::Ready(Some(())) = stream.poll_recv(context) {
                return Poll::Ready(*meaning);
            }
        }
        Poll::Pending
    }
}
