//! The guardian's side of the host: reports in, orders out, and what is done when it is gone.

use super::*;
use crate::{
    files::{Done, Lane},
    guardian::Launched,
};

/// How long the order to kill what has ended waits for another order that it can go with.
const KILL_DELAY: Duration = Duration::from_millis(2);

/// Why an order can be pushed.
const SHORT_ORDER: &str = "an order without a command line is short";

impl Host {
    pub(super) fn adopt_guardian(&mut self, guardian: Guardian) {
        let socket = guardian.socket.clone();
        if let Some(cgroup) = &guardian.cgroup {
            self.note(Some(cgroup.clone()));
        }
        self.guardian = Some(guardian);
        self.guardian_refused = None;
        self.watch(Source::GuardianRead(socket));
    }

    /// Has one started, where there is none and none is on its way.
    pub(super) fn start_guardian(&mut self) {
        if self.guardian_ordered {
            return;
        }
        self.table.lend_reserve();
        let program = self.runtimes.runtime.clone();
        let ordered = self
            .files
            .order(Lane::Guardian, "starting the guardian", move || Done::Launched(Launched::start(&program)));
        match ordered {
            Ok(()) => self.guardian_ordered = true,
            Err(error) => self.launched(Err(error)),
        }
    }

    /// One was started, or could not be.
    pub(super) fn launched(&mut self, launched: io::Result<Launched>) {
        self.guardian_ordered = false;
        let guardian = launched.and_then(Guardian::of);
        self.table.fill_reserve();
        match guardian {
            Ok(guardian) => self.adopt_guardian(guardian),
            Err(error) => {
                let reason = format!("{} cannot be started: {error}", self.runtimes.runtime.display());
                tracing::error!("there is no guardian: {reason}");
                self.guardian_refused = Some(reason);
                self.retry_in(RETRY_INTERVAL);
            }
        }
    }

    /// Hears what the guardian has to say, if it speaks. It comes when what clients and modules sent is on
    /// its way: a start that follows from it takes longer than many messages.
    pub(crate) fn hear_guardian(&mut self) {
        if std::mem::take(&mut self.guardian_speaks) {
            self.guardian_readable();
        }
    }

    fn guardian_readable(&mut self) {
        loop {
            let Some(guardian) = &mut self.guardian else { return };
            match guardian.receive() {
                Incoming::Report(report) => self.report(report),
                Incoming::Nothing => {
                    let socket = guardian.socket.clone();
                    self.watch(Source::GuardianRead(socket));
                    return;
                }
                Incoming::End => return self.guardian_lost(),
            }
            self.perform();
            // Of an end, callers and heirs are told before the next start begins.
            self.flush();
        }
    }

    pub(super) fn report(&mut self, report: Report) {
        match report {
            Report::Hello { containment, cgroup, .. } => {
                if let Some(guardian) = &mut self.guardian {
                    guardian.containment = Some(containment);
                    guardian.cgroup = cgroup;
                    let cgroup = guardian.cgroup.clone();
                    self.note(cgroup);
                }
            }
            Report::Spawned { run, pid } => {
                let run = RunId(run);
                if let Some(process) = self.processes.get_mut(&run) {
                    process.pid = Some(pid);
                }
                self.core.handle_spawned(run, pid);
            }
            Report::SpawnFailed { run, permanent, message } => {
                self.core.handle_spawn_failed(self.now, RunId(run), permanent, &message);
            }
            Report::Exited { run, code, signal, .. } => self.exited(RunId(run), endings::exit(code, signal)),
            Report::Gone { run, killed } => {
                let run = RunId(run);
                // What is known of its end is said first.
                match self.processes.get_mut(&run).and_then(|process| process.ended.as_mut()) {
                    Some(ended) => ended.gone = Some(killed),
                    None => self.gone(run, killed),
                }
            }
        }
    }

    pub(super) fn gone(&mut self, run: RunId, killed: u32) {
        if killed > 0 {
            self.remark(run, format!("[{killed} processes had outlived the module and were killed]"));
        }
        self.core.handle_gone(self.now, run);
    }

    /// Its channel has ended. If that is because the process has, what follows need not wait until the
    /// guardian has heard of it, has reaped it and has said so.
    pub(super) fn channel_ended(&mut self, run: RunId) {
        // Where the guardian has gone, that is why the process has, and what to say of it.
        let Some(guardian) = self.guardian.as_mut().filter(|guardian| !guardian.has_ended()) else { return };
        let pid = self.processes.get(&run).and_then(|process| process.pid);
        let Some(exit) = pid.and_then(endings::of) else { return };
        // Whoever was told that a process has ended must be able to rely on it, whatever kernel said so; and
        // `Gone` follows from that. It is sent with the next order, or alone, once callers have their answers.
        guardian.push(&Order::Kill { run: run.0 }, Vec::new()).expect(SHORT_ORDER);
        self.retry_in(KILL_DELAY);
        self.exited(run, exit);
    }

    /// What a process left in its channel and its logs is taken in before its end is decided upon; the logs
    /// by the thread that reads them, whose answer is waited for.
    pub(super) fn exited(&mut self, run: RunId, exit: Exit) {
        if self.processes.get(&run).is_none_or(|process| process.has_exited) {
            return;
        }
        self.is_draining = true;
        self.read_now(run);
        for _ in 0..DRAIN_READS_MAX {
            let Some(process) = self.processes.get_mut(&run) else { break };
            if !process.link.read_rest(&mut self.buffer) || !self.run_messages(run) {
                break;
            }
            let Some(process) = self.processes.get_mut(&run) else { break };
            match process.link.rest() {
                Input::Open | Input::More => {}
                Input::Broken(error @ FrameError::Truncated { .. }) => {
                    self.core.handle_channel_truncated(self.now, run, error.to_string());
                    break;
                }
                Input::Closed | Input::Broken(_) => break,
            }
        }
        self.is_draining = false;
        let Some(process) = self.processes.get_mut(&run) else { return };
        process.has_exited = true;
        process.ended = Some(Ended { exit, unsent: process.link.unsent_requests(), gone: None });
        let log_reader = process.log_reader;
        // Nothing more is sent to it meanwhile.
        self.core.handle_channel_closed(self.now, run);
        let reader = self.logs.reader(log_reader);
        if reader.has_ended {
            return self.decide_at_once(run);
        }
        reader.drain(run.0);
        self.flush_logs(log_reader);
    }

    pub(super) fn guardian_lost(&mut self) {
        let Some(guardian) = self.guardian.take() else { return };
        let cgroup = guardian.cgroup.clone().map(PathBuf::from);
        // One that never said a word would end again at once.
        let next = guardian.containment.is_some().then(|| self.runtimes.runtime.clone());
        let dismissed = guardian.dismiss();
        let state_dir = self.state_dir.path().to_owned();
        let clear = move || {
            let how = dismissed.end(GUARDIAN_END_MAX);
            if let Some(cgroup) = cgroup {
                processes::clear_cgroup(&cgroup);
            }
            processes::kill_leftovers(&state_dir);
            Done::Cleared(how, next.map(|program| Launched::start(&program)))
        };
        for run in self.core.run_ids() {
            if let Some(process) = self.processes.get_mut(&run) {
                process.has_exited = true;
            }
            self.decide_at_once(run);
            self.core.handle_lost(self.now, run);
            self.perform();
        }
        self.table.lend_reserve();
        match self.files.order(Lane::Guardian, "clearing what the guardian left", clear) {
            Ok(()) => self.guardian_ordered = true,
            Err(error) => self.cleared(&format!("what it left cannot be cleared: {error}"), None),
        }
        // Callers are told now; what comes next may take long.
        self.flush();
    }

    /// Nothing is left of a guardian that was lost, nor of the processes that it had.
    pub(super) fn cleared(&mut self, how: &str, next: Option<io::Result<Launched>>) {
        tracing::error!("the guardian ended ({how}) and every module with it; starting another one");
        match next {
            Some(launched) => self.launched(launched),
            None => {
                self.guardian_ordered = false;
                self.table.fill_reserve();
                self.retry_in(RETRY_INTERVAL);
            }
        }
        for run in self.core.run_ids() {
            self.core.handle_gone(self.now, run);
            self.perform();
        }
    }

    pub(super) fn order(&mut self, order: &Order) {
        if let Some(guardian) = &mut self.guardian {
            guardian.push(order, Vec::new()).expect(SHORT_ORDER);
        }
        self.flush_guardian();
    }

    pub(super) fn flush_guardian(&mut self) {
        loop {
            let Some(guardian) = &mut self.guardian else { return };
            match guardian.flush() {
                Flushed::All => return,
                Flushed::NoRoom if guardian.awaits_room => return,
                Flushed::NoRoom => {
                    guardian.awaits_room = true;
                    let socket = guardian.socket.clone();
                    return self.watch(Source::GuardianWrite(socket));
                }
                Flushed::Lacking(error) => {
                    tracing::warn!(
                        "cannot send an order to the guardian: {error}; trying again in {ORDER_RETRY_INTERVAL:?}"
                    );
                    self.retry_in(ORDER_RETRY_INTERVAL);
                    return;
                }
                Flushed::Undeliverable(run, error) => {
                    let reason = format!("the order to start it cannot be sent to the guardian: {error}");
                    self.core.handle_spawn_failed(self.now, RunId(run), false, &reason);
                }
            }
        }
    }

    /// Sees to it that what the system refused is tried again by then.
    pub(super) fn retry_in(&mut self, interval: Duration) {
        let due = Instant::now() + interval;
        self.retry_at = Some(self.retry_at.map_or(due, |at| at.min(due)));
    }

    pub(crate) fn containment(&self) -> Option<String> {
        self.guardian.as_ref()?.containment.clone()
    }

    /// Why no process can be started, while there is no guardian.
    pub(crate) fn guardian_fault(&self) -> Option<String> {
        if self.guardian.is_some() {
            return None;
        }
        let why = self.guardian_refused.as_deref().unwrap_or("it ended, and is started again");
        Some(format!("not running, so no module can start: {why}; it is tried again every {RETRY_INTERVAL:?}"))
    }
}
