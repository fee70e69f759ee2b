//! Processes that a debugger holds. A process that is stopped in one answers nothing, which proves nothing against
//! the module: so before the host ends a process that was too slow, it looks for a tracer that it has not started
//! itself. While there is one, the timeouts of the process do not run out; afterwards they begin anew. A module that
//! runs in a debugger by its specification is looked at no further, and its timeouts begin anew each time.
//!
//! What a person asks for (stop, restart, the end of the host) and what a message costs in CPU time does not depend
//! on slowness, and ends a process that is traced as well. Callers' deadlines are not moved.

use crate::{
    action::{Action, ModuleEvent, Tracer},
    core::Core,
    exit_class::Cause,
    ids::RunId,
    limits::{TRACER_LOOKUP_MAX, TRACER_ROUND_MIN},
    run::{Phase, Run},
    spec::Slowness,
    time::Time,
};

/// What is known of a process's tracer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tracing {
    /// It had no tracer at the last look, if there was one.
    #[default]
    No,
    /// It had no tracer just now: a verdict is carried out.
    Certainly,
    /// A verdict is due, and a tracer is being looked for; `by` is the one found before.
    Looking { until: Time, by: Option<Tracer> },
    /// It had a tracer at the last look, and has sent nothing since. There is no further look before `again`.
    By { tracer: Tracer, again: Time },
}

impl Tracing {
    /// The process's tracer, as far as it is known.
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
    /// Whether it may be ended because its time is up.
    pub(crate) fn is_judged(&self) -> bool {
        match self.phase {
            Phase::Starting { .. } | Phase::Compiling { .. } | Phase::Ready { .. } => true,
            Phase::Draining { .. } => self.is_left_to_end(),
            Phase::Terminating { .. } | Phase::Killing | Phase::Exited => false,
        }
    }

    /// Whether it has a moment to end by itself, without a requested stop.
    pub(crate) fn is_left_to_end(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. }) && self.cause != Some(Cause::Stop)
    }
}

impl Core {
    /// Whether a process whose time is up may be ended for it. If not, a tracer is being looked for.
    pub(crate) fn may_judge(&mut self, now: Time, run_id: RunId) -> bool {
        let run = self.runs.get_mut(&run_id).expect("the caller has it");
        if run.spec.slowness == Slowness::Ignored {
            self.begin_anew(now, run_id);
            return false;
        }
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

    /// The answer to [`Action::LookForTracer`]: the tracer of the process, or of one of its tree, from outside of what
    /// the host runs.
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
                // An answer that came during the look may have ended the reason for the verdict.
                if let Some(run) = self.runs.get_mut(&run_id)
                    && run.tracing == Tracing::Certainly
                {
                    run.tracing = Tracing::No;
                }
            }
        }
    }

    /// All timeouts of a process begin anew.
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
