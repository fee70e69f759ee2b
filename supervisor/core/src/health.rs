//! Whether a ready process is alive and makes progress: pings when it is idle, the deadline of the request it
//! works on when it is busy, the CPU time of one message where that is limited.

use crate::{
    action::{Action, Control},
    core::Core,
    exit_class::{Cause, Silence},
    ids::RunId,
    limits::SAMPLE_RETRY,
    requests::Requests,
    run::{CpuMark, Phase, Ping, Run, Sampling},
    time::Time,
};
use std::time::Duration;

impl Run {
    /// When a ready process is to be looked at next.
    pub(crate) fn health_due(&self, requests: &Requests) -> Time {
        let rules = &self.spec.rules;
        let due = match (self.overdue_at(requests), self.ping) {
            (Some(overdue_at), _) if !self.overdue_sampled => overdue_at,
            (Some(overdue_at), _) => overdue_at + rules.cancel_grace,
            (None, Some(ping)) => ping.sent + rules.ping_timeout,
            (None, None) => self.last_heard + rules.ping_interval,
        };
        self.message_check.map_or(due, |check| check.min(due))
    }

    /// When the request that a process works on should be done: at its deadline, or at once when it
    /// became the first only after that. The grace comes on top.
    pub(crate) fn overdue_at(&self, requests: &Requests) -> Option<Time> {
        let head = requests.get(self.in_flight.head()?)?;
        let own = if head.is_event() { self.head_since + self.spec.rules.deadline_default } else { head.deadline };
        Some(own.max(self.head_since))
    }

    /// The first request in flight is another one, and its CPU time is limited. Returns what is to be measured.
    pub(crate) fn message_began(&mut self) -> Option<Sampling> {
        self.message_mark = None;
        self.message_check = None;
        self.in_flight.head().map(Sampling::MessageBegan)
    }
}

impl Core {
    /// A frame came from a module that no other method gets: it lives.
    pub fn handle_heard(&mut self, now: Time, run_id: RunId) {
        if let Some(run) = self.runs.get_mut(&run_id) {
            run.heard(now);
        }
    }

    pub(crate) fn check_health(&mut self, now: Time, run_id: RunId) {
        let run = &self.runs[&run_id];
        let rules = run.spec.rules;
        if run.message_check.is_some_and(|check| check <= now) {
            let head = run.in_flight.head();
            self.runs.get_mut(&run_id).expect("it was there above").message_check = None;
            if let Some(head) = head {
                self.sample(run_id, Sampling::MessageCost(head));
            }
        }
        let run = &self.runs[&run_id];
        let overdue_at = run.overdue_at(&self.requests);
        if overdue_at.is_some_and(|at| at <= now) && !run.overdue_sampled {
            self.runs.get_mut(&run_id).expect("it was there above").overdue_sampled = true;
            self.sample(run_id, Sampling::Deadline);
        }
        let run = &self.runs[&run_id];
        match (overdue_at, run.ping) {
            (Some(at), _) if at + rules.cancel_grace <= now => self.hung(now, run_id),
            (None, Some(Ping { sent, misses })) if sent + rules.ping_timeout <= now => {
                let misses = misses + 1;
                if misses >= rules.ping_misses {
                    if !self.may_judge(now, run_id) {
                        return;
                    }
                    let cause = format!("idle, and {misses} pings went unanswered, {:?} each", rules.ping_timeout);
                    self.kill(now, run_id, Some(Cause::Hung(Silence::Idle, cause)));
                } else {
                    self.ping(now, run_id, misses);
                }
            }
            (None, None) if run.last_heard + rules.ping_interval <= now => self.ping(now, run_id, 0),
            (Some(_), _) | (None, Some(_) | None) => {}
        }
    }

    fn ping(&mut self, now: Time, run_id: RunId, misses: u32) {
        self.runs.get_mut(&run_id).expect("the caller has it").ping = Some(Ping { sent: now, misses });
        self.send_control(run_id, Control::Ping);
    }

    /// The measurement is asked for before the kill, so that the verdict distinguishes busy from hung.
    fn hung(&mut self, now: Time, run_id: RunId) {
        if !self.may_judge(now, run_id) {
            return;
        }
        let run = &self.runs[&run_id];
        let for_how_long = now.since(run.head_since);
        let cause = format!("no answer to the request in progress for {:.1} s", for_how_long.as_secs_f64());
        self.sample(run_id, Sampling::Hang);
        self.kill(now, run_id, Some(Cause::Hung(Silence::Busy, cause)));
    }

    pub(crate) fn sample(&mut self, run_id: RunId, what_for: Sampling) {
        self.runs.get_mut(&run_id).expect("the caller has it").samplings.push_back(what_for);
        self.act(Action::Sample(run_id));
    }

    /// The answer to [`Action::Sample`]: the CPU time that the process has used since its start, or
    /// `None` if that could not be measured.
    pub fn handle_sample(&mut self, now: Time, run_id: RunId, used: Option<Duration>) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        let Some(what_for) = run.samplings.pop_front() else { return };
        let limit = run.spec.rules.cpu_time_max.unwrap_or(Duration::MAX);
        match (what_for, used) {
            (Sampling::Deadline, Some(used)) => run.deadline_mark = Some(CpuMark { at: now, used }),
            (Sampling::Hang, Some(used)) => {
                if let (Some(Cause::Hung(_, cause)), Some(mark)) = (&mut run.cause, run.deadline_mark) {
                    cause.push_str(&evidence(now, mark, used));
                }
            }
            (Sampling::MessageBegan(id), Some(used)) => {
                run.message_mark = Some((id, CpuMark { at: now, used }));
                run.message_check = Some(now + limit);
            }
            // A process may be ready a moment before its id is known: what it has used is asked again.
            (Sampling::MessageBegan(_), None) => run.message_check = Some(now + limit.min(SAMPLE_RETRY)),
            (Sampling::MessageCost(id), Some(used)) => match run.message_mark {
                Some((began, mark)) if began == id => {
                    let cost = used.saturating_sub(mark.used);
                    if cost >= limit {
                        self.kill(now, run_id, Some(Cause::CpuTime(limit)));
                        return;
                    }
                    run.message_check = Some(now + (limit - cost).max(Duration::from_millis(1)));
                }
                Some(_) => {}
                None => {
                    run.message_mark = Some((id, CpuMark { at: now, used }));
                    run.message_check = Some(now + limit);
                }
            },
            (Sampling::MessageCost(_), None) => run.message_check = Some(now + limit),
            (Sampling::Deadline | Sampling::Hang, None) => {}
        }
        if matches!(run.phase, Phase::Ready { .. }) {
            self.arm(run_id);
        }
    }
}

/// Busy or hung: what the process did since the deadline.
fn evidence(now: Time, mark: CpuMark, used: Duration) -> String {
    let (wall, cpu) = (now.since(mark.at), used.saturating_sub(mark.used));
    let class = if cpu * 10 >= wall { "busy" } else { "asleep" };
    format!("; in the last {:.1} s of them it used {:.2} s of CPU time: {class}", wall.as_secs_f64(), cpu.as_secs_f64())
}
