//! The guardian's side of the host: reports in, orders out, and what is done when it is gone.

use super::*;
use crate::{
    files::{Done, Lane},
    guardian::Launched,
    inherited,
    processes::{Family, Marks},
    state::logging::Memory,
    strangers,
};
use bulkhead_core::SpawnFailure;
use bulkhead_protocol::guardian::MemoryCounter;
use std::path::Path;

/// How long the order to kill what has ended waits for another order that it can go with.
const KILL_DELAY: Duration = Duration::from_millis(2);

/// The timeout of a guardian's first report.
const GUARDIAN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long children that the guardian's end hides may wait.
const REAP_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Why an order can be pushed.
const SHORT_ORDER: &str = "an order without a command line is short";

impl HostState {
    /// Takes a guardian into service. What is ordered before its first report waits for that.
    pub(super) fn adopt_guardian(&mut self, guardian: Guardian) {
        let socket = guardian.socket.clone();
        let has_spoken = guardian.containment.is_some();
        self.guardian = Some(guardian);
        self.watch(Source::GuardianRead(socket));
        if has_spoken {
            self.guardian_has_spoken();
        } else {
            self.guardian_due = Some(Instant::now() + GUARDIAN_TIMEOUT);
        }
    }

    fn guardian_has_spoken(&mut self) {
        self.guardian_due = None;
        self.guardian_reason = None;
        let counters = self.guardian.as_mut().map(|guardian| std::mem::take(&mut guardian.memory_counters));
        self.memory_kills = counters.unwrap_or_default().into_iter().map(Counter::new).collect();
        self.guardian_restarts.handle_started(self.now);
        self.note(self.guardian.as_ref().and_then(|guardian| guardian.cgroup.clone()));
        self.core.handle_able(self.now, &Need::Guardian);
    }

    /// The next guardian is due, or one that is starting takes too long.
    pub(super) fn guardian_is_due(&mut self) {
        if let Some(guardian) = &mut self.guardian {
            tracing::error!("the guardian said nothing for {GUARDIAN_TIMEOUT:?} and is killed");
            guardian.kill();
            return self.guardian_lost();
        }
        if self.is_ended() || self.guardian_ordered {
            return;
        }
        self.table.release_reserve();
        let program = self.runtimes.runtime.clone();
        let start = move || Done::Launched(Launched::start(&program));
        match self.files.order(Lane::Guardian, "starting the guardian", start) {
            Ok(()) => self.guardian_ordered = true,
            Err(error) => self.launched(Err(error)),
        }
    }

    /// A guardian was started, or could not be.
    pub(super) fn launched(&mut self, launched: io::Result<Launched>) {
        self.guardian_ordered = false;
        let guardian = launched.and_then(Guardian::of);
        self.table.fill_reserve();
        match guardian {
            Ok(guardian) => self.adopt_guardian(guardian),
            Err(error) => {
                let reason = format!("the guardian {} cannot be started: {error}", self.runtimes.runtime.display());
                self.lacks_guardian(&reason);
            }
        }
    }

    /// There is no guardian; another one is tried, with growing delays.
    fn lacks_guardian(&mut self, reason: &str) {
        // Logged once, and not at each attempt: `status` shows it for as long as it lasts.
        if self.guardian_reason.as_deref() != Some(reason) {
            tracing::error!("{reason}; trying again until there is one");
            self.guardian_reason = Some(reason.to_owned());
        }
        self.core.handle_lack(Need::Guardian, reason);
        let next = self.guardian_restarts.handle_ended(self.now);
        self.guardian_due = Some(self.clock.instant(next));
    }

    /// Handles the guardian's reports, if there may be some. It comes when what clients and modules sent is on
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
            // Callers and promoted spares learn of an end before the next start begins.
            self.flush();
        }
    }

    pub(super) fn report(&mut self, report: Report) {
        match report {
            Report::Hello { containment, cgroup, memory_counters, .. } => {
                if let Some(guardian) = &mut self.guardian {
                    guardian.containment = Some(containment);
                    guardian.cgroup = cgroup;
                    guardian.memory_counters = memory_counters;
                    self.guardian_has_spoken();
                }
            }
            Report::Family { processes } => {
                self.log_files.write_file(self.state_dir.family(), Family::of(processes.clone()).to_bytes());
                self.family = processes;
            }
            Report::MemoryKills { run, counter } => self.memory_killer_worked(run.map(RunId), &counter),
            Report::MemoryGroup { run, counter } => {
                if let Some(process) = self.processes.get_mut(&RunId(run)) {
                    process.memory_kills = Some(Counter::new(counter));
                }
            }
            Report::Spawned { run, pid } => {
                let run = RunId(run);
                if let Some(process) = self.processes.get_mut(&run) {
                    process.pid = Some(pid);
                }
                self.core.handle_spawned(self.now, run, pid);
            }
            Report::SpawnFailed { run, fault, message } => {
                let run = RunId(run);
                match fault {
                    Fault::Lasting => self.core.handle_spawn_failed(self.now, run, SpawnFailure::Permanent, &message),
                    Fault::Passing => self.core.handle_spawn_failed(self.now, run, SpawnFailure::Transient, &message),
                    Fault::Lack => self.start_refused(run, Need::Resources, &message),
                    Fault::HostPart => self.start_refused(run, Need::Part(message.clone()), &message),
                    Fault::OwnPart => self.start_refused(run, Need::Own, &message),
                }
            }
            Report::Exited { run, code, signal, .. } => self.exited(RunId(run), exit_status::exit(code, signal)),
            Report::Gone { run, killed } => self.tree_gone(RunId(run), killed),
        }
    }

    /// Nothing is left of a process's tree. What is known of its end is reported first.
    fn tree_gone(&mut self, run: RunId, killed: u32) {
        match self.processes.get_mut(&run).and_then(|process| process.ended.as_mut()) {
            Some(ended) => _ = ended.gone.get_or_insert(killed),
            None => self.gone(run, killed),
        }
    }

    pub(super) fn gone(&mut self, run: RunId, killed: u32) {
        if killed > 0 {
            self.notice(run, format!("[{killed} processes had outlived the module and were killed]"));
        }
        self.core.handle_gone(self.now, run);
    }

    /// Its channel has ended. If that is because the process has, what follows need not wait until the
    /// guardian has learnt of it, has reaped it and has reported it.
    pub(super) fn channel_ended(&mut self, run: RunId) {
        // Where the guardian is gone, that is the reason why the process ended, and is reported.
        let Some(guardian) = self.guardian.as_mut().filter(|guardian| !guardian.has_ended()) else { return };
        let pid = self.processes.get(&run).and_then(|process| process.pid);
        let Some(exit) = pid.and_then(exit_status::of) else { return };
        // A caller that was informed of the end of a process must be able to rely on it, whatever kernel reported it;
        // and `Gone` follows from that. It is sent with the next order, or alone, once callers have their answers.
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
        self.read_all_of(run);
        let was_killed = matches!(&exit, Exit::Signal(name) if name == UnixSignal::SIGKILL.as_str());
        let memory = if was_killed && self.core.has_ended_unasked(run) { Memory::Asked } else { Memory::Known(None) };
        let Some(process) = self.processes.get_mut(&run) else { return };
        process.has_exited = true;
        let unsent = process.link.unsent_requests();
        process.ended = Some(Ended { exit, unsent, stderr: None, memory, gone: None });
        let log_reader = process.log_reader;
        // Nothing more is sent to it meanwhile, and nothing is expected of it.
        self.core.handle_leader_ended(self.now, run);
        if memory == Memory::Asked {
            self.ask_memory(run);
        }
        let reader = self.logs.reader(log_reader);
        if reader.has_ended {
            return self.decide_at_once(run);
        }
        reader.drain(run.0);
        self.flush_logs(log_reader);
    }

    /// Handles all that a process which has ended left in its channel.
    fn read_all_of(&mut self, run: RunId) {
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
    }

    /// Has the counters of the memory killer looked at, before the end of a process is decided upon.
    fn ask_memory(&mut self, run: RunId) {
        match self.memory_waiting.ask(run) {
            true => self.begin_memory_look(),
            false => self.judge_memory(run),
        }
    }

    fn begin_memory_look(&mut self) {
        let Some(runs) = self.memory_waiting.begin(self.now) else { return };
        let own = runs.iter().filter_map(|run| self.processes.get(run)?.memory_kills.as_ref());
        let files: Vec<PathBuf> = own.chain(&self.memory_kills).map(|counter| counter.file().to_owned()).collect();
        let ordered = self.files.order(Lane::Memory, "looking at what the kernel's memory killer did", move || {
            Done::MemoryLooked(memory_kills::look(files))
        });
        if let Err(error) = ordered {
            tracing::warn!("cannot look at what the kernel's memory killer did: {error}");
            self.memory_looked(Vec::new());
        }
    }

    /// The counters were looked at.
    pub(super) fn memory_looked(&mut self, look: memory_kills::Look) {
        let (now, look) = (Instant::now(), HashMap::<PathBuf, u64>::from_iter(look));
        let note = |counter: &mut Counter| {
            if let Some(kills) = look.get(counter.file()) {
                counter.note(*kills, now);
            }
        };
        self.memory_kills.iter_mut().for_each(note);
        for run in self.memory_waiting.end() {
            self.processes.get_mut(&run).and_then(|process| process.memory_kills.as_mut()).into_iter().for_each(note);
            self.judge_memory(run);
        }
        self.begin_memory_look();
    }

    pub(super) fn memory_overdue(&mut self) {
        for run in self.memory_waiting.expire(self.now) {
            self.judge_memory(run);
        }
    }

    /// Decides by what is known whether the memory killer ended a process.
    fn judge_memory(&mut self, run: RunId) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        let kill = memory_kills::judge(process.memory_kills.as_ref(), &self.memory_kills, Instant::now());
        if let Some(ended) = &mut process.ended {
            ended.memory = Memory::Known(kill);
        }
        self.decide(run);
    }

    /// The guardian has seen a counter rise: that of a process, or one of all.
    fn memory_killer_worked(&mut self, run: Option<RunId>, counter: &MemoryCounter) {
        let now = Instant::now();
        let own = run.and_then(|run| self.processes.get_mut(&run)?.memory_kills.as_mut());
        let shared = self.memory_kills.iter_mut().filter(|_| run.is_none());
        for known in own.into_iter().chain(shared).filter(|known| known.file() == Path::new(&counter.file)) {
            known.note(counter.kills, now);
        }
    }

    pub(super) fn guardian_lost(&mut self) {
        let Some(guardian) = self.guardian.take() else { return };
        self.guardian_due = None;
        let cgroup = guardian.cgroup.clone().map(PathBuf::from);
        let dismissed = guardian.dismiss();
        let marks = Marks {
            host: self.state_dir.identity().to_owned(),
            family: std::mem::take(&mut self.family),
            adopts_only_its_own: self.kind == Kind::Daemon && inherited::adopts_only_its_own(),
        };
        let clear = move || {
            let how = dismissed.end(finish::GUARDIAN_END_MAX);
            if let Some(cgroup) = cgroup {
                processes::clear_cgroup(&cgroup);
            }
            let killed = processes::kill_leftovers(&marks);
            if killed > 0 {
                tracing::warn!("killed {killed} processes that the guardian left behind");
            }
            Done::Cleared(how)
        };
        self.core.handle_lack(Need::Guardian, "the guardian ended, and what it left is being cleared");
        let runs = self.core.run_ids();
        // Nothing is decided before all is read: an answer may be to a call of another that is lost as well.
        for run in &runs {
            if self.processes.get(run).is_some_and(|process| !process.has_exited) {
                self.read_all_of(*run);
            }
        }
        for run in runs {
            let mut unsent = Vec::new();
            if let Some(process) = self.processes.get_mut(&run) {
                if process.ended.is_some() {
                    // It ended before, and that is decided upon when all that it printed is taken in.
                    continue;
                }
                process.has_exited = true;
                unsent = process.link.unsent_requests();
            }
            self.core.handle_lost(self.now, run, unsent);
            self.perform();
        }
        self.table.release_reserve();
        match self.files.order(Lane::Guardian, "clearing what the guardian left", clear) {
            Ok(()) => self.guardian_ordered = true,
            Err(error) => self.cleared(&format!("what it left cannot be cleared: {error}")),
        }
        // Callers are answered now; what comes next may take long.
        self.flush();
    }

    /// Nothing is left of a guardian that was lost, nor of the processes that it had.
    pub(super) fn cleared(&mut self, how: &str) {
        self.guardian_ordered = false;
        self.table.fill_reserve();
        self.guardian_reason = None;
        self.lacks_guardian(&format!("the guardian ended ({how}) and every module with it"));
        if self.kind == Kind::Daemon {
            self.reap_strangers();
        }
        for run in self.core.run_ids() {
            self.tree_gone(run, 0);
            self.perform();
        }
        if self.guardian_due.is_some_and(|due| due <= Instant::now()) {
            self.guardian_due = None;
            self.guardian_is_due();
        }
    }

    /// The host itself could not start a process: that is reported once, and tried again until it can.
    pub(super) fn start_refused(&mut self, run: RunId, need: Need, reason: &str) {
        if self.core.handle_start_refused(self.now, run, need, reason) {
            tracing::error!("a module cannot be started: {reason}; trying again until it can");
        }
    }

    /// Reaps children that are not the host's own.
    pub(super) fn reap_strangers(&mut self) {
        if strangers::reap() == strangers::Left::Some {
            self.strangers_left = true;
            self.retry_in(REAP_RETRY_INTERVAL);
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
                    self.core.handle_spawn_failed(self.now, RunId(run), SpawnFailure::Transient, &reason);
                }
            }
        }
    }

    /// Ensures that what the system refused is tried again by then.
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
        let why = self.guardian_reason.as_deref().unwrap_or("it ended, and what it left is being cleared");
        Some(format!("not running, so no module can start: {why}; it is tried again until there is one"))
    }
}
