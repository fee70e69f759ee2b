//! A model of all that surrounds a core, and what must hold whatever happens in it. It learns from
//! the core's actions alone, and judges each of them.

use crate::{line::Line, moves::NAMES, play::Player, show};
use bulkhead_core::{
    Action, Caller, Control, ModuleEvent, ObservedState, Recipient, Role, RunId, RunView, StoreOp, Time,
};
use bulkhead_protocol::{Delivery, ErrorCode, RequestType, Status};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The state of a process as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Starting,
    Ready,
    /// Asked to end, or being ended; it may still answer.
    Leaving,
    /// Nothing more can be read from it.
    Mute,
    /// Its leader ended.
    Exited,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) run: RunId,
    pub(crate) instance: String,
    pub(crate) life: Life,
    /// Labels sent and not answered, in order.
    pub(crate) in_flight: Vec<String>,
    pub(crate) answered: Vec<String>,
    pub(crate) controls: Vec<String>,
    pub(crate) concurrent: bool,
    pub(crate) idempotent: bool,
    progressed: BTreeSet<String>,
    /// It has said that it ends: all that it had begun with by then.
    begun_at_last: Option<BTreeSet<String>>,
    window: usize,
    window_bytes: usize,
}

/// One request that a caller sent.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) to: Option<Recipient>,
    pub(crate) open: bool,
    pub(crate) cancelled: bool,
    module: Option<String>,
    by: Time,
    kind: RequestType,
    idempotent: bool,
    bytes: usize,
    sent: bool,
    started: bool,
    /// It may have been started by a process that ended; whether that had said that it is idempotent.
    lost_to: Option<bool>,
}

/// The limits of a module that the model checks.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) window: usize,
    pub(crate) window_bytes: usize,
    pub(crate) instances: usize,
    pub(crate) spares: usize,
}

/// What was played, and what the core did.
#[derive(Debug, PartialEq)]
enum Step {
    Played(String),
    Passed(Time),
    Did(Time, Action),
}

/// The world.
pub(crate) struct World {
    pub(crate) player: Player,
    story: Vec<Step>,
    pub(crate) processes: BTreeMap<RunId, Process>,
    pub(crate) asked: BTreeMap<String, Asked>,
    pub(crate) limits: BTreeMap<(String, u64), Limits>,
    pub(crate) stopping: bool,
    /// The only module that moves are made with, if there is one.
    pub(crate) scope: Option<&'static str>,
    /// Moments of next starts, by module and generation.
    planned: BTreeMap<(String, u64), Time>,
    /// A module came back in this move, so those that require it need not wait.
    woken: bool,
    /// A slot has waited for a start permit: the check of that has had something to check.
    pub(crate) has_awaited_permit: bool,
    /// Modules of which a caller learnt that they will not start by themselves.
    refused: Vec<String>,
}

pub(crate) type Checked = Result<(), String>;

impl Process {
    /// Whether it has said that it ends, and with that, that no answer to this follows.
    pub(crate) fn has_said_last(&self, label: &str) -> bool {
        self.begun_at_last.as_ref().is_some_and(|begun| !begun.contains(label))
    }

    /// Whether it has said that it ends, and with that, that it has not begun with this.
    pub(crate) fn has_disclaimed(&self, label: &str) -> bool {
        self.has_said_last(label) && !self.progressed.contains(label)
    }
}

impl World {
    pub(crate) fn new(player: Player) -> World {
        World {
            player,
            story: Vec::new(),
            processes: BTreeMap::new(),
            asked: BTreeMap::new(),
            limits: BTreeMap::new(),
            stopping: false,
            scope: None,
            planned: BTreeMap::new(),
            woken: false,
            has_awaited_permit: false,
            refused: Vec::new(),
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, by: Duration) -> Checked {
        let to = self.player.now + by;
        self.story.push(Step::Passed(to));
        self.woken = false;
        for (at, action) in self.player.advance(to) {
            self.judge(at, action, "")?;
        }
        self.look()
    }

    /// Plays a line and checks the result.
    pub(crate) fn play(&mut self, text: &str) -> Checked {
        let line = self.note(text);
        self.woken = false;
        for (at, action) in self.player.play(&line) {
            self.judge(at, action, line.word(0))?;
        }
        self.look()
    }

    /// Notes a request before it is played.
    pub(crate) fn ask(
        &mut self,
        label: &str,
        to: Option<Recipient>,
        kind: RequestType,
        timeout: Duration,
        line: &Line,
    ) {
        let asked = Asked {
            to,
            open: to.is_some(),
            cancelled: false,
            module: line.words.get(2).filter(|_| kind != RequestType::Event).cloned(),
            by: self.player.now + timeout,
            idempotent: line.words.get(3).is_some_and(|name| name == "get"),
            bytes: line.number("bytes").unwrap_or(0) as usize,
            kind,
            sent: false,
            started: false,
            lost_to: None,
        };
        self.asked.insert(label.to_owned(), asked);
    }

    /// A process answered: it is no longer in flight.
    pub(crate) fn answered(&mut self, run: RunId, label: &str) {
        let process = self.processes.get_mut(&run).expect("it is there");
        if let Some(at) = process.in_flight.iter().position(|other| other == label) {
            process.concurrent |= at > 0;
            process.in_flight.remove(at);
            process.answered.push(label.to_owned());
        }
    }

    /// A process says with an answer that it ends; to be noted before that answer.
    pub(crate) fn says_last(&mut self, run: RunId, label: &str) {
        let process = self.processes.get_mut(&run).expect("it is there");
        let before = process.in_flight.iter().take_while(|other| *other != label).cloned();
        let begun = if process.concurrent { BTreeSet::new() } else { before.collect() };
        process.begun_at_last.get_or_insert(begun);
        process.life = Life::Leaving;
    }

    pub(crate) fn progressed(&mut self, run: RunId, label: &str) {
        self.processes.get_mut(&run).expect("it is there").progressed.insert(label.to_owned());
    }

    /// A process ended: what it had may have been started, unless the order of answers or the
    /// channel proves that it was not.
    pub(crate) fn exited(&mut self, run: RunId, unsent: &[String]) {
        let process = self.processes.get_mut(&run).expect("it is there");
        process.life = Life::Exited;
        for asked in self.asked.values_mut().filter(|asked| asked.to.is_some_and(|to| to.caller == Caller::Run(run))) {
            asked.open = false;
        }
        for (at, label) in std::mem::take(&mut process.in_flight).into_iter().enumerate() {
            let asked = self.asked.get_mut(&label).expect("what is in flight was asked for");
            let begun = match &process.begun_at_last {
                Some(begun) => begun.contains(&label) || process.progressed.contains(&label),
                None => process.progressed.contains(&label) || process.concurrent || at == 0,
            };
            let started = begun && !unsent.contains(&label);
            asked.started |= started;
            asked.lost_to = Some(process.idempotent).filter(|_| started);
        }
    }

    fn judge(&mut self, at: Time, action: Action, cause: &str) -> Checked {
        let class = self.follow(at, &action, cause);
        self.story.push(Step::Did(at, action));
        class
    }

    /// Adds a line to the story without playing it.
    pub(crate) fn note(&mut self, text: &str) -> Line {
        self.story.push(Step::Played(text.to_owned()));
        Line::parse(text)
    }

    /// The script that leads here, with the results.
    pub(crate) fn script(&self) -> String {
        let lines = self.story.iter().map(|step| match step {
            Step::Played(text) => text.clone(),
            Step::Passed(to) => show::time(*to),
            Step::Did(at, action) => format!("> {} {}", show::time(*at), show::action(&self.player, action)),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// All that the core asked for, with the moments.
    pub(crate) fn outcome(&self) -> impl Iterator<Item = (Time, &Action)> {
        self.story.iter().filter_map(|step| match step {
            Step::Did(at, action) => Some((*at, action)),
            Step::Played(_) | Step::Passed(_) => None,
        })
    }

    pub(crate) fn is_the_same_as(&self, other: &World) -> bool {
        self.story == other.story
    }

    fn follow(&mut self, at: Time, action: &Action, cause: &str) -> Checked {
        match action {
            Action::Spawn { run, module, generation, instance } => {
                let by_hand = matches!(cause, "start" | "restart" | "reload") || self.woken;
                let planned = self.planned.get(&(module.to_string(), *generation));
                if let Some(planned) = planned.filter(|planned| at < **planned && !by_hand) {
                    return Err(format!("a start before its time, which is {planned}"));
                }
                if self.stopping {
                    return Err("a start while the host is stopping".into());
                }
                let starting = self.starting();
                if starting >= self.most_at_once() && !self.a_start_waits() {
                    return Err(format!("a start beside {starting} others, which is more than the host allows"));
                }
                let limits = &self.limits[&(module.to_string(), *generation)];
                let process = Process {
                    run: *run,
                    instance: instance.clone(),
                    life: Life::Starting,
                    in_flight: Vec::new(),
                    answered: Vec::new(),
                    controls: Vec::new(),
                    concurrent: false,
                    idempotent: false,
                    progressed: BTreeSet::new(),
                    begun_at_last: None,
                    window: limits.window,
                    window_bytes: limits.window_bytes,
                };
                self.processes.insert(*run, process);
                Ok(())
            }
            Action::Send { run, request } => {
                let label = self.player.label(*request).to_owned();
                self.sent(*run, &label)
            }
            Action::SendControl { run, control, .. } => {
                let process = self.processes.get_mut(run).ok_or("to no process")?;
                if process.life == Life::Exited {
                    return Err("to a process that has ended".into());
                }
                if process.begun_at_last.is_some() {
                    return Err("to a process that has said that it ends".into());
                }
                let name = match control {
                    Control::Init => "init".to_owned(),
                    Control::Ping => "ping".to_owned(),
                    Control::Cancel(id) => format!("cancel:{}", self.player.label(*id)),
                    Control::Shutdown => {
                        process.life = Life::Leaving;
                        "shutdown".to_owned()
                    }
                };
                process.controls.push(name);
                Ok(())
            }
            Action::Terminate(run) | Action::Kill(run) => {
                let process = self.processes.get_mut(run).ok_or("no process is there")?;
                match process.life {
                    Life::Exited => return Err("it has ended".into()),
                    Life::Mute => {}
                    Life::Starting | Life::Ready | Life::Leaving => process.life = Life::Leaving,
                }
                Ok(())
            }
            Action::Release(run) => match self.processes.remove(run) {
                Some(process) if process.life == Life::Exited => Ok(()),
                other => Err(format!("released while it is there: {other:?}")),
            },
            Action::Reply { to, status } => self.replied(*to, status, cause),
            Action::Announce(said) => {
                self.woken |= matches!(said.event, ModuleEvent::Ready | ModuleEvent::TookOver);
                Ok(())
            }
            // It is never answered: what follows is for worlds with a store.
            Action::Store { op, .. } if matches!(**op, StoreOp::Subscription(_)) => Ok(()),
            Action::Store { .. } | Action::HastenCommits | Action::NotifyFollowers(_) | Action::EventRefused { .. } => {
                Err("nothing here is for the store".into())
            }
            Action::Warn(_)
            | Action::Sample(_)
            | Action::LookForTracer(_)
            | Action::LogLine { .. }
            | Action::RecordCrash(_)
            | Action::Quarantine { .. }
            | Action::Removed(_) => Ok(()),
        }
    }

    fn most_at_once(&self) -> usize {
        self.player.settings.starts_at_once as usize
    }

    fn starting(&self) -> usize {
        self.processes.values().filter(|process| process.life == Life::Starting).count()
    }

    /// Whether a process that is starting has asked something of another.
    fn a_start_waits(&self) -> bool {
        let starting = |to: Recipient| match to.caller {
            Caller::Client(_) => false,
            Caller::Run(run) => self.processes.get(&run).is_some_and(|process| process.life == Life::Starting),
        };
        self.asked.values().any(|asked| asked.open && asked.to.is_some_and(starting))
    }

    fn sent(&mut self, run: RunId, label: &str) -> Checked {
        let process = self.processes.get_mut(&run).ok_or("to no process")?;
        if process.life != Life::Ready {
            return Err(format!("to a process that is {:?}", process.life));
        }
        let asked = self.asked.get_mut(label).ok_or("no caller asked for it")?;
        if !asked.open && asked.kind != RequestType::Event {
            return Err("its caller was answered, or has gone".into());
        }
        if asked.cancelled {
            return Err("its caller has cancelled it".into());
        }
        if let Some(idempotent) = asked.lost_to.take() {
            let safe =
                matches!(asked.kind, RequestType::Query | RequestType::Event) || (asked.idempotent && idempotent);
            if !safe {
                return Err("it may have been started before, and is not safe to do twice".into());
            }
        }
        asked.sent = true;
        process.in_flight.push(label.to_owned());
        let (count, bytes) = (process.in_flight.len(), process.in_flight.iter().map(|label| self.asked[label].bytes));
        let bytes: usize = bytes.sum();
        if count > 1 && (count > process.window || bytes > process.window_bytes) {
            return Err(format!("{count} requests of {bytes} bytes in flight are more than the window"));
        }
        let process = self.processes.get_mut(&run).expect("it was there above");
        // A label is unique but for events, which may reach several.
        process.answered.retain(|other| other != label);
        Ok(())
    }

    fn replied(&mut self, to: Recipient, status: &Status, cause: &str) -> Checked {
        match to.caller {
            Caller::Run(run) if self.processes.get(&run).is_none_or(|process| process.life == Life::Exited) => {
                return Err("the process that asked has ended".into());
            }
            Caller::Client(_) | Caller::Run(_) => {}
        }
        let label = match to.caller {
            Caller::Client(client) => format!("c{}:{}", client.0, to.id),
            Caller::Run(run) => format!("{}:{}", self.player.instance(run), to.id),
        };
        let in_flight = self
            .processes
            .values()
            .any(|process| process.in_flight.contains(&label) && !process.has_disclaimed(&label));
        let Some(asked) = self.asked.get_mut(&label) else { return Err("no caller asked for it".into()) };
        if !asked.open {
            return Err(format!("it was answered before (after {cause:?})"));
        }
        if let Status::Error(failure) = status {
            if (failure.code, failure.delivery) == (ErrorCode::ModuleUnavailable, Some(Delivery::NotStarted)) {
                self.refused.extend(asked.module.clone());
            }
            match failure.delivery {
                Some(Delivery::NotStarted) if asked.started || in_flight => {
                    return Err("it says that it was not started, but it may have been".into());
                }
                Some(Delivery::Started) if !asked.started && !in_flight => {
                    return Err("it says that it was started, but it was not".into());
                }
                Some(Delivery::Unknown) if !asked.sent => return Err("it was never sent".into()),
                _ => {}
            }
        }
        if !matches!(status, Status::Progress(_)) {
            asked.open = false;
        }
        Ok(())
    }

    /// What must hold at rest.
    fn look(&mut self) -> Checked {
        let now = self.player.now;
        // Not after each move: it costs more than all the rest.
        if self.story.len().is_multiple_of(4) {
            self.player.core.audit();
        }
        if let Some((label, asked)) = self.asked.iter().find(|(_, asked)| asked.open && asked.by < now) {
            return Err(format!("{label} is not answered although its timeout ended at {}", asked.by));
        }
        self.planned.clear();
        let refused = std::mem::take(&mut self.refused);
        let names = self.player.core.module_names();
        let permits_left = self.starting() < self.most_at_once();
        let all_ready = permits_left
            && !self.player.core.is_lacking()
            && names.len() == NAMES.len()
            && names.iter().all(|name| {
                let view = self.player.core.view(now, name).expect("it was listed");
                view.runs.iter().any(|run| run.role == Role::Active && run.state == ObservedState::Ready)
            });
        for name in names {
            let view = self.player.core.view(now, &name).expect("it was listed");
            let limits = &self.limits[&(name.to_string(), view.generation)];
            let with = |role: Role| view.runs.iter().filter(|run| run.role == role).count();
            if with(Role::Active) != limits.instances || with(Role::Spare) != limits.spares {
                return Err(format!("slots that the manifest does not ask for, or too few: {view:?}"));
            }
            let awaits_permit =
                view.reason.as_ref().is_some_and(|reason| reason.starts_with("waits for a start permit"));
            self.has_awaited_permit |= awaits_permit;
            if permits_left && awaits_permit {
                return Err(format!("it waits for a start permit, and there is one: {view:?}"));
            }
            if view.desired_running && view.reason.is_none() && view.next.is_none() {
                return Err(format!("nothing runs, nothing will, and nothing says why: {view:?}"));
            }
            let up = |state| matches!(state, ObservedState::Starting | ObservedState::Ready);
            let comes = view.state == ObservedState::Waiting
                || up(view.state)
                || (view.state == ObservedState::Clearing && view.next.is_some());
            if view.desired_running && comes && refused.iter().any(|module| module == name.as_str()) {
                return Err(format!("a caller learned that it will not start by itself: {view:?}"));
            }
            let stays_down = matches!(view.state, ObservedState::Stopped | ObservedState::Failed);
            if stays_down && view.runs.iter().any(|run| run.role == Role::Spare && up(run.state)) {
                return Err(format!("a spare of nothing: {view:?}"));
            }
            let missing = |run: &RunView| run.role == Role::Successor && run.state == ObservedState::Waiting;
            if all_ready && view.runs.iter().any(missing) {
                return Err(format!("it waits for what is ready: {view:?}"));
            }
            let waits = matches!(view.state, ObservedState::Waiting | ObservedState::Clearing);
            if let Some(after) = view.next.as_ref().filter(|_| waits).and_then(|next| next.after) {
                let cleared = view.state == ObservedState::Waiting;
                if cleared && self.player.core.poll_timeout().is_none_or(|due| due > now + after) {
                    return Err(format!("nothing wakes the core for the next start: {view:?}"));
                }
                if limits.instances == 1 && limits.spares == 0 {
                    self.planned.insert((name.to_string(), view.generation), now + after);
                }
            }
            if view.queue > 0 && view.in_flight == 0 && view.state == ObservedState::Ready {
                return Err(format!("requests wait although a process is free: {view:?}"));
            }
        }
        Ok(())
    }
}
