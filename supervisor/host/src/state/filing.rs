//! The host's side of the file layer: what the host itself orders there, what is done with the results, and when
//! they are no longer waited for. Nothing in this crate that may wait is called from here.

use super::{overview::Overview, *};
use crate::{
    control_socket::Bound,
    files::{Done, Lane},
    observation::{Look, Observed},
    tracers,
    watch::{Noticed, WatchEvent},
};

/// What a status that waits for a look is to say.
#[derive(Debug)]
pub(crate) enum Asked {
    Status,
    Module(ModuleName),
    Overview(Box<Overview>),
}

impl HostState {
    /// Takes in all that was done.
    pub(super) fn files_done(&mut self) {
        while let Some(done) = self.files.take() {
            match done {
                Done::Loaded(number, result) => self.loaded(number, result.map(|loaded| *loaded)),
                Done::Looked(number, look) => self.looked(number, look),
                Done::HistoryRead(number, old) => self.history_read(number, old),
                Done::Traced(run, tracer) => self.core.handle_tracer(self.now, run, tracer),
                Done::MemoryLooked(look) => self.memory_looked(look),
                Done::Noted(Ok(())) => {}
                Done::Noted(Err(error)) => tracing::warn!("cannot leave a note in the state directory: {error}"),
                Done::Cleared(how) => self.cleared(&how),
                Done::Launched(launched) => self.launched(launched),
                Done::Noticed(noticed) => self.noticed(noticed),
                Done::Socket(bound) => self.listen_again(bound),
            }
            self.perform();
        }
    }

    /// When the timeout of a wait ends.
    pub(super) fn files_due(&self) -> Option<Time> {
        let for_callers = earlier(self.looks.due(), self.histories.due());
        earlier(for_callers, earlier(self.readings.due(), self.memory_waiting.due()))
    }

    /// Goes on without what has been waited for long enough. What has come meanwhile counts: the host may have
    /// slept.
    pub(super) fn files_overdue(&mut self) {
        if self.files_due().is_none_or(|due| due > self.now) {
            return;
        }
        self.files_done();
        let asked = self.looks.expire(self.now);
        self.answer_looks(asked, &Look::default());
        self.histories_overdue();
        self.readings_overdue();
        self.memory_overdue();
        self.perform();
    }

    /// Notes for the next host that this one runs and which control group is the guardian's.
    pub(super) fn note(&mut self, cgroup: Option<String>) {
        let ordered = self.state_dir.note_file().and_then(|file| {
            self.files.order(Lane::State, "leaving a note in the state directory", move || {
                Done::Noted(file.write_running(cgroup.map(Into::into)))
            })
        });
        if let Err(error) = ordered {
            tracing::warn!("cannot leave a note in the state directory: {error}");
        }
    }

    /// Answers a request that needs a look at files and processes first; without a look, if none is possible in time.
    pub(crate) fn ask_look(&mut self, who: Recipient, asked: Asked) {
        match self.looks.ask(who, asked) {
            Some(asked) => self.answer_look(who, asked, &Look::default()),
            None => self.begin_look(),
        }
    }

    /// Looks for a tracer of a process whose time is up. Where that cannot be done, it has none.
    pub(super) fn look_for_tracer(&mut self, run: RunId) {
        let pid = self.processes.get(&run).and_then(|process| process.pid);
        let guardian = self.guardian.as_ref().and_then(|guardian| i32::try_from(guardian.pid()).ok());
        let ordered = pid.map(|pid| {
            self.files.order(Lane::Tracers, "looking who traces a process whose time is up", move || {
                Done::Traced(run, tracers::of_tree(pid, guardian))
            })
        });
        match ordered {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!("cannot look who traces a process: {error}");
                self.core.handle_tracer(self.now, run, None);
            }
            None => self.core.handle_tracer(self.now, run, None),
        }
    }

    fn begin_look(&mut self) {
        let processes = &self.processes;
        let core = &self.core;
        let now = self.now;
        let Some((number, asked)) = self.looks.begin(now) else { return };
        let guardian = self.guardian.as_ref().and_then(|guardian| i32::try_from(guardian.pid()).ok());
        let mut observed = Observed { guardian, ..Observed::default() };
        let all = asked.iter().any(|(_, asked)| matches!(asked, Asked::Status));
        for (_, asked) in asked {
            match asked {
                Asked::Status | Asked::Overview(_) => {
                    observed.store.get_or_insert_with(|| self.store.files());
                }
                Asked::Module(name) if !all => {
                    let runs = core.view(now, name).into_iter().flat_map(|view| view.runs);
                    observed.leaders.extend(runs.filter_map(|run| run.pid));
                }
                Asked::Module(_) => {}
            }
        }
        if all {
            observed.own = i32::try_from(std::process::id()).ok();
            observed.leaders.extend(processes.values().filter_map(|process| process.pid));
        }
        let ordered = self.files.order(Lane::Looks, "looking at processes and files for `status`", move || {
            Done::Looked(number, observed.look())
        });
        if let Err(error) = ordered {
            tracing::warn!("cannot look at processes and files for `status`: {error}");
            self.looked(number, Look::default());
        }
    }

    fn looked(&mut self, number: u64, look: Look) {
        if let Some(bytes) = look.store_bytes {
            self.store.measured(bytes);
        }
        let asked = self.looks.end(number);
        self.answer_looks(asked, &look);
        self.begin_look();
    }

    /// All requests for the whole status get the same text: making it takes time for each module.
    fn answer_looks(&mut self, asked: Vec<(Recipient, Asked)>, look: &Look) {
        let mut whole = None;
        for (who, asked) in asked {
            match asked {
                Asked::Status => {
                    let status = whole.get_or_insert_with(|| self.status(look)).clone();
                    self.reply(who, Status::Success(status));
                }
                Asked::Module(_) | Asked::Overview(_) => self.answer_look(who, asked, look),
            }
        }
    }

    /// What is wrong, for people.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.wrong
            .values()
            .cloned()
            .chain(self.log_files.problems(|name| self.core.knows(name)))
            .chain(self.files.slow())
            .chain(self.faults.problems(|faulty| match &faulty.name {
                Some(name) => self.core.knows(name.as_str()),
                None => self.configs.values().any(|config| config.folder == faulty.folder),
            }))
            .collect()
    }

    fn noticed(&mut self, Noticed { path, what }: Noticed) {
        match what {
            WatchEvent::MadeAgain => {
                tracing::warn!("the folder {} had gone and was made again", path.display());
                self.wrong.remove(&path);
            }
            WatchEvent::Wrong(reason) => {
                tracing::error!("{reason}");
                self.wrong.insert(path, reason);
            }
            WatchEvent::Fine => {
                tracing::info!("{} is as it was again", path.display());
                self.wrong.remove(&path);
            }
        }
    }

    /// The control socket was gone, and this listens instead.
    fn listen_again(&mut self, bound: Bound) {
        let path = self.config.socket.clone();
        self.wrong.remove(&path);
        match ControlSocket::of(bound) {
            Ok(socket) => {
                tracing::warn!("the control socket {} had gone and was made again", path.display());
                if let Some(old) = self.socket.replace(socket) {
                    old.listener.release();
                    old.file.disown();
                }
                // The new one is waited for here, and not once more when a refusal of the old one is over.
                self.accept_refused = false;
                self.accept_next();
            }
            Err(error) => {
                let reason = format!("the control socket has gone and cannot be made again: {error}");
                tracing::error!("{reason}");
                self.wrong.insert(path, reason);
            }
        }
    }
}
