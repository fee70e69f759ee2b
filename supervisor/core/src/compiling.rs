//! A start in which the module is compiled. It has a timeout of its own, so that a module which takes long
//! to compile is neither killed while it compiles, again and again, nor keeps others waiting for a start permit.
//! Which process compiles, and what is kept of it, is not decided here: a process only says when it begins and
//! when it is done.

use crate::limits::COMPILE_PERMIT_MAX;
use crate::{core::Core, exit_class::Cause, ids::RunId, run::Phase, time::Time};
use bulkhead_protocol::{Json, StartPhase, StartProgress};

impl Core {
    /// A process said something about its start. Only what is known and expected counts; anything else is
    /// ignored.
    pub(crate) fn start_progressed(&mut self, now: Time, run_id: RunId, data: &Json) {
        let Some(run) = self.runs.get_mut(&run_id) else { return };
        let Ok(StartProgress { phase }) = data.read() else { return };
        match (run.phase, phase, run.spec.rules.compile_timeout) {
            (Phase::Starting { until }, StartPhase::Compiling, Some(limit)) if !run.has_compiled => {
                run.has_compiled = true;
                let (permit_until, start_left) = (Some(now + COMPILE_PERMIT_MAX), until.since(now));
                self.enter(run_id, Phase::Compiling { until: now + limit, permit_until, start_left });
            }
            (Phase::Compiling { start_left, .. }, StartPhase::Compiled, _) => {
                // It takes its permit back even if all are taken: only the short end of a start is left.
                self.enter(run_id, Phase::Starting { until: now + start_left });
            }
            _ => {}
        }
    }

    /// The timer of a process that compiles is due: its start permit ends, or its time.
    pub(crate) fn compile_due(&mut self, now: Time, run_id: RunId) {
        let run = &self.runs[&run_id];
        let Phase::Compiling { until, permit_until, start_left } = run.phase else { return };
        if until <= now {
            let limit = run.spec.rules.compile_timeout.unwrap_or_default();
            if !self.may_judge(now, run_id) {
                return;
            }
            self.kill(now, run_id, Some(Cause::CompileTimeout(limit)));
        } else if permit_until.is_some_and(|until| until <= now) {
            self.enter(run_id, Phase::Compiling { until, permit_until: None, start_left });
            self.grant_permits(now);
        }
    }
}
