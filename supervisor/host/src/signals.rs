//! The signals that a daemon listens to. An embedded host listens to none: they are its program's. Those that
//! a daemon does not listen to are in `inherited.rs`.

use crate::inherited;
use std::{
    io,
    task::{Context, Poll},
};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM, SIGINT or SIGQUIT: stop everything and end. A second one: do not wait.
    Terminate,
    /// SIGPWR or SIGXCPU: the same, because power or processor time run out. It may come again and again.
    RunsOut,
    /// SIGHUP: read the files again.
    Reload,
    /// SIGUSR1: what waits for the log files is to be written, as they were moved away.
    ReopenLogs,
    /// SIGCHLD: a child ended, which need not be one of the host's own.
    Child,
}

/// The signals that are listened to.
#[derive(Debug, Default)]
pub(crate) struct Signals(Vec<(Stream, Signal)>);

impl Signals {
    /// Listens, and gets what was sent since the process began.
    pub(crate) fn of_daemon() -> io::Result<Signals> {
        let kinds = [
            (SignalKind::terminate(), Signal::Terminate),
            (SignalKind::interrupt(), Signal::Terminate),
            (SignalKind::quit(), Signal::Terminate),
            (SignalKind::from_raw(nix::libc::SIGPWR), Signal::RunsOut),
            (SignalKind::from_raw(nix::libc::SIGXCPU), Signal::RunsOut),
            (SignalKind::hangup(), Signal::Reload),
            (SignalKind::user_defined1(), Signal::ReopenLogs),
            (SignalKind::child(), Signal::Child),
        ];
        let streams: io::Result<Vec<_>> =
            kinds.into_iter().map(|(kind, meaning)| Ok((signal(kind)?, meaning))).collect();
        let signals = Signals(streams?);
        inherited::hear_all_signals()?;
        Ok(signals)
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
