//! One process of a module as the core sees it: a runtime record, from the order to start it until
//! nothing of it is left.

use crate::{
    action::Control,
    declared::Declared,
    exit_class::{Cause, Escalation},
    ids::{ModuleId, RequestId, SlotId},
    in_flight::InFlight,
    lacks::LackId,
    layer1::CommitNumber,
    leaving::LastAnswer,
    limits::CONTROLS_MAX,
    spec::ModuleSpec,
    time::Time,
    tracing::Tracing,
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// What a slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its process serves.
    Active,
    /// Its process is initialised and waits to take over.
    Spare,
    /// Its process is to replace the active ones after a reload.
    Successor,
    /// Its process was replaced and finishes what it has.
    Retiring,
}

/// Why a process is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// A client or a module ordered it.
    Order,
    /// Its specification was replaced or removed.
    Configuration,
    /// A spare that has nothing to wait for.
    NotNeeded,
    /// The host ends.
    HostEnds,
}

/// Where a process is in its life. Each phase carries the moment of its timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Ordered, and `init` sent.
    Starting {
        /// When the start counts as failed.
        until: Time,
    },
    /// It says that it compiles what it is to run, which has a time of its own.
    Compiling {
        /// When the start counts as failed.
        until: Time,
        /// When it gives its start permit back; none: it has done so.
        permit_until: Option<Time>,
        /// What is left of the time for a start.
        start_left: Duration,
    },
    /// It answered `init`.
    Ready {
        /// When.
        since: Time,
    },
    /// It was asked to finish, or is given a moment to exit by itself.
    Draining {
        /// When SIGTERM follows.
        until: Time,
    },
    /// SIGTERM was sent.
    Terminating {
        /// When SIGKILL follows.
        until: Time,
    },
    /// SIGKILL was sent; the kernel ends this phase.
    Killing,
    /// Its leader ended; the rest of its tree is being cleared.
    Exited,
}

/// An unanswered question for a sign of life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ping {
    pub(crate) sent: Time,
    pub(crate) misses: u32,
}

/// What CPU time was measured for, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuMark {
    pub(crate) at: Time,
    pub(crate) used: Duration,
}

/// Why a measurement was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sampling {
    /// The request it works on has passed its deadline: remember the CPU time used so far.
    Deadline,
    /// The grace is over: decide.
    Hang,
    /// A message began, and its CPU time is limited.
    MessageBegan(RequestId),
    /// Check the limit.
    MessageCost(RequestId),
}

/// One process.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) module: ModuleId,
    pub(crate) slot: SlotId,
    pub(crate) spec: Arc<ModuleSpec>,
    pub(crate) instance: String,
    pub(crate) pid: Option<i32>,
    pub(crate) started: Time,
    pub(crate) ready_at: Option<Time>,
    /// When it ceased to be ready or starting.
    pub(crate) left_at: Option<Time>,
    pub(crate) phase: Phase,
    /// Whether it has said that it compiles.
    pub(crate) has_compiled: bool,
    /// Its leader has ended, and the exit follows: nothing is expected of it any more.
    pub(crate) leader_ended: bool,
    /// Why the host ended it; the first reason counts.
    pub(crate) cause: Option<Cause>,
    /// Why it was asked to stop, if that is why it ends.
    pub(crate) stopped_for: Option<StopReason>,
    /// What the host lacked for its start.
    pub(crate) lack: Option<LackId>,
    /// How far a stop had to go.
    pub(crate) escalation: Escalation,
    /// Requests sent and not answered, in the order in which they were sent.
    pub(crate) in_flight: InFlight,
    /// The newest commit that it can have seen.
    pub(crate) seen: CommitNumber,
    /// Its own requests to the store that wait for earlier commits, in the order in which they came.
    pub(crate) held: VecDeque<RequestId>,
    /// Since when the first request in flight has been the first.
    pub(crate) head_since: Time,
    /// What it has declared, once it is ready; runs that declare the same share it.
    pub(crate) declared: Arc<Declared>,
    /// The host's own requests that it has not answered; bounded by [`CONTROLS_MAX`].
    pub(crate) controls: VecDeque<(RequestId, Control)>,
    pub(crate) last_heard: Time,
    pub(crate) ping: Option<Ping>,
    pub(crate) channel_open: bool,
    /// Its channel ended inside a frame; that is a fault unless its exit explains it.
    pub(crate) channel_fault: Option<String>,
    /// When its timer is set.
    pub(crate) timer: Option<Time>,
    pub(crate) tracing: Tracing,
    pub(crate) samplings: VecDeque<Sampling>,
    /// Whether the request in progress is overdue and the CPU time was asked for at that moment.
    pub(crate) overdue_sampled: bool,
    pub(crate) deadline_mark: Option<CpuMark>,
    pub(crate) message_mark: Option<(RequestId, CpuMark)>,
    /// Next look at the CPU time of the message in progress.
    pub(crate) message_check: Option<Time>,
    pub(crate) strange_answers: u64,
    /// It has said that it ends on purpose.
    pub(crate) last: Option<Box<LastAnswer>>,
}

impl Run {
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    /// Whether it was ordered and neither is ready nor has failed.
    pub(crate) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. } | Phase::Compiling { .. })
    }

    /// Whether its start counts among those that are in progress at once.
    pub(crate) fn holds_permit(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. } | Phase::Compiling { permit_until: Some(_), .. })
    }

    /// Whether it may still be sent something.
    pub(crate) fn listens(&self) -> bool {
        self.channel_open && !matches!(self.phase, Phase::Exited)
    }

    /// Whether one more request of this size may be sent ahead.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let rules = &self.spec.rules;
        self.in_flight.is_empty()
            || (self.in_flight.len() < rules.window
                && self.in_flight.bytes().saturating_add(bytes) <= rules.window_bytes_max)
    }

    /// How long it has been ready, as people are shown it: with the time in which the host did not run, which
    /// [`Run::ready_for`] does not count.
    pub(crate) fn shown_ready_for(&self, now: Time) -> Option<Duration> {
        let Phase::Ready { since } = self.phase else { return None };
        Some(now.since(since))
    }

    /// How long it had been ready when it ceased to be so, as far as the host saw to it.
    pub(crate) fn ready_for(&self) -> Option<Duration> {
        let ready_at = self.ready_at?;
        Some(self.left_at?.since(ready_at))
    }

    pub(crate) fn remember_control(&mut self, id: RequestId, control: Control) {
        if self.controls.len() == CONTROLS_MAX {
            self.controls.pop_front();
        }
        self.controls.push_back((id, control));
    }

    /// A frame came: whatever it says, the process lives.
    pub(crate) fn heard(&mut self, now: Time) {
        self.last_heard = now;
        self.ping = None;
        self.tracing.heard();
    }
}
