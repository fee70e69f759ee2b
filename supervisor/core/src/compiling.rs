//! A start in which the module is compiled. That has a time of its own, so that a module which takes long
//! to compile is neither killed amid it again and again, nor keeps others waiting for a start permit.
//! Which process compiles, and what is kept of it, is its own business: it only says when it begins and
//! when it is done.

use crate::limits::COMPILE_PERMIT_MAX;
use crate::{core::Core, exit_class::Cause, ids::RunId, run::Phase, time::Time};
use bulkhead_protocol::{Json, StartPhase, StartProgress};

impl Core {
    /// A process said something about its start. Only what is known and expected counts; nothing follows
    /// from anything else.
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
                // It takes its permit back even if all are taken: what is left is the short end of a start.
                self.enter(run_id, Phase::Starting { until: now + start_left });
            }
            _ => {}
        }
    }

    /// The moment of a process that compiles has come: its start permit ends, or its time.
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
