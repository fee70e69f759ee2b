//! Processes that a debugger holds. What is stopped in one answers nothing, which says nothing of the module: so
//! before the host ends a process that was too slow, it is looked whether one traces it that the host has not started
//! itself. While one does, its time does not run out; afterwards it is given all of it once more.
//!
//! What a person asks for (stop, restart, the end of the host) and what a message costs in CPU time is not a matter of
//! slowness, and ends a process that is traced as well. Callers' deadlines are theirs.

use crate::{
    action::{Action, ModuleEvent, Tracer},
    core::Core,
    exit_class::Cause,
    ids::RunId,
    limits::{TRACER_LOOKUP_MAX, TRACER_ROUND_MIN},
    run::{Phase, Run},
    time::Time,
};

/// What is known of who traces a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tracing {
    /// It had no tracer at the last look, if there was one.
    #[default]
    No,
    /// It had no tracer just now: a verdict is carried out.
    Certainly,
    /// A verdict is due, and it is being looked; `by` is who did before.
    Looking { until: Time, by: Option<Tracer> },
    /// It did when it was looked last, and has said nothing since. It is not looked again before.
    By { tracer: Tracer, again: Time },
}

impl Tracing {
    /// Who traces the process, as far as that is known.
    pub(crate) fn by(&self) -> Option<&Tracer> {
        match self {
            Tracing::By { tracer, .. } | Tracing::Looking { by: Some(tracer), .. } => Some(tracer),
            Tracing::No | Tracing::Certainly | Tracing::Looking { by: None, .. } => None,
        }
    }

    /// The process lives, with or without a tracer.
    pub(crate) fn heard(&mut self) {
        match self {
            Tracing::By { .. } => *self = Tracing::No,
            Tracing::Looking { by, .. } => *by = None,
            Tracing::No | Tracing::Certainly => {}
        }
    }
}

impl Run {
    /// Whether its time may be up, so that it is ended for that.
    pub(crate) fn is_judged(&self) -> bool {
        match self.phase {
            Phase::Starting { .. } | Phase::Compiling { .. } | Phase::Ready { .. } => true,
            Phase::Draining { .. } => self.is_left_to_end(),
            Phase::Terminating { .. } | Phase::Killing | Phase::Exited => false,
        }
    }

    /// Whether it is given a moment to end by itself, without a stop that was asked for.
    pub(crate) fn is_left_to_end(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. }) && self.cause != Some(Cause::Stop)
    }
}

impl Core {
    /// Whether a process whose time is up may be ended for it. If not, it is being looked whether it is traced.
    pub(crate) fn may_judge(&mut self, now: Time, run_id: RunId) -> bool {
        let run = self.runs.get_mut(&run_id).expect("the caller has it");
        let by = match std::mem::take(&mut run.tracing) {
            Tracing::Certainly => return true,
            Tracing::No => None,
            Tracing::By { tracer, .. } => Some(tracer),
            // The look takes too long.
            Tracing::Looking { by: None, .. } => return true,
            Tracing::Looking { by: Some(_), .. } => {
                self.begin_anew(now, run_id);
                return false;
            }
        };
        run.tracing = Tracing::Looking { until: now + TRACER_LOOKUP_MAX, by };
        self.act(Action::LookForTracer(run_id));
        false
    }

    /// The answer to [`Action::LookForTracer`]: who traces the process, or one of its tree, from outside of what the host
    /// runs.
    pub fn handle_tracer(&mut self, now: Time, run_id: RunId, tracer: Option<Tracer>) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        if !run.is_judged() {
            return;
        }
        let Tracing::Looking { by, .. } = std::mem::take(&mut run.tracing) else { return };
        match (by, tracer) {
            (before, Some(tracer)) => {
                let (name, instance) = (run.spec.name.clone(), run.instance.clone());
                run.tracing = Tracing::By { tracer: tracer.clone(), again: now + TRACER_ROUND_MIN };
                if before.as_ref() != Some(&tracer) {
                    self.announce(ModuleEvent::Traced, &name, Some(instance), Some(tracer.to_string()));
                }
                self.begin_anew(now, run_id);
            }
            (Some(_), None) => self.begin_anew(now, run_id),
            (None, None) => {
                run.tracing = Tracing::Certainly;
                self.look_at(now, run_id);
                // What has come while it was looked may have acquitted it.
                if let Some(run) = self.runs.get_mut(&run_id)
                    && run.tracing == Tracing::Certainly
                {
                    run.tracing = Tracing::No;
                }
            }
        }
    }

    /// All that a process is given time for begins now.
    fn begin_anew(&mut self, now: Time, run_id: RunId) {
        let run = self.runs.get_mut(&run_id).expect("the caller has it");
        let rules = &run.spec.rules;
        match &mut run.phase {
            Phase::Starting { until } => *until = now + rules.start_timeout,
            Phase::Compiling { until, .. } => *until = now + rules.compile_timeout.unwrap_or(rules.start_timeout),
            Phase::Draining { until } => *until = now + rules.close_grace.max(TRACER_ROUND_MIN),
            Phase::Ready { .. } | Phase::Terminating { .. } | Phase::Killing | Phase::Exited => {}
        }
        run.last_heard = now;
        run.ping = None;
        run.head_since = now;
        run.overdue_sampled = false;
        run.deadline_mark = None;
        self.arm(run_id);
    }
}
