//! What is made up for when the host itself was late: it was stopped, its machine was paused, or others had
//! the processor. What modules did meanwhile is unread in their channels, and they may have been paused
//! as well, so the time that passed proves nothing against a process: each timeout of it is extended to
//! what was left when the host ran last, and a round of health checks begins anew.
//!
//! Callers' time is not extended: deadlines of requests and the timeout of waits are not moved. Nor are next
//! starts, which wait for nothing but the time.

use crate::{
    core::Core,
    ids::{RequestId, RunId},
    run::Phase,
    time::Time,
    tracing::Tracing,
};
use std::time::Duration;

impl Core {
    /// The host did not run for `gap` until `now`, although something was due. To be called before the content
    /// of the channels is handled, and that before [`Core::handle_timeout`]: an answer that had come counts
    /// as in time.
    pub fn handle_late(&mut self, now: Time, gap: Duration) {
        self.take_back_overdue(now);
        for run in self.run_ids() {
            self.make_good(now, run, gap);
        }
        for module in self.modules.values_mut() {
            module.slots.iter_mut().for_each(|slot| slot.restart.postpone(now, gap));
            module.blamed.iter_mut().for_each(|(_, crash)| crash.postpone(now, gap));
        }
        for stream in self.layer1.streams.values_mut() {
            stream.crashes_mut().for_each(|crash| crash.postpone(now, gap));
        }
    }

    /// What waits in a queue and is overdue is not begun any more, though answers in the channels will make
    /// room for it.
    fn take_back_overdue(&mut self, now: Time) {
        let is_overdue = |id: &RequestId| {
            let entry = &self.requests[*id];
            entry.deadline <= now && !entry.is_event()
        };
        let queued = self.modules.values().flat_map(|module| module.queue.iter());
        let overdue: Vec<RequestId> = queued.filter(is_overdue).collect();
        for id in overdue {
            self.deadline_passed(now, id);
        }
    }

    fn make_good(&mut self, now: Time, run_id: RunId, gap: Duration) {
        let run = &self.runs[&run_id];
        let is_overdue = run.overdue_at(&self.requests).is_some_and(|at| at <= now);
        let run = self.runs.get_mut(&run_id).expect("it was there a line ago");
        let later = |at: Time| (at + gap).min(now);
        match &mut run.phase {
            Phase::Starting { until } | Phase::Draining { until } | Phase::Terminating { until } => {
                *until = *until + gap;
            }
            Phase::Compiling { until, permit_until, .. } => {
                *until = *until + gap;
                *permit_until = permit_until.map(|until| until + gap);
            }
            Phase::Ready { .. } | Phase::Killing | Phase::Exited => {}
        }
        if let Tracing::Looking { until, .. } = &mut run.tracing {
            *until = *until + gap;
        }
        run.ready_at = run.ready_at.map(later);
        run.last_heard = later(run.last_heard);
        if let Some(ping) = &mut run.ping {
            (ping.sent, ping.misses) = (now, 0);
        }
        // Its caller learns of it only now, and so does the module: the grace begins with that.
        run.head_since = if is_overdue { now } else { later(run.head_since) };
        if is_overdue {
            run.overdue_sampled = false;
            run.deadline_mark = None;
        }
        self.arm(run_id);
    }
}
