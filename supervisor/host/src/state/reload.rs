//! Configurations: how they come into force, at the start and while the host runs. What of them does not, and how that
//! is reported, is in `faults.rs`.

use super::faults::{lines, nothing_changed};
use super::*;
use crate::{
    files::{Done, Lane},
    readings::{FILE_TIME_MAX, Purpose, Wanted},
};
use bulkhead_config::{Declared, InProgress, Index};
use bulkhead_core::InitialState;
use std::collections::HashSet;

/// What the files say of a module.
#[derive(Debug)]
pub(super) enum Found {
    Named(Box<ModuleConfig>),
    /// It is named, or may be, and something is wrong.
    Faulty(Vec<String>),
    Absent,
}

/// What was read, with indexes into it.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub(super) loaded: &'a Loaded,
    index: Index<'a>,
}

impl Read<'_> {
    fn of(loaded: &Loaded) -> Read<'_> {
        Read { loaded, index: loaded.index() }
    }
}

impl HostState {
    pub(super) fn new_generation(&mut self, config: ModuleConfig) -> (bulkhead_core::ModuleSpec, bool) {
        let generation = self.next_generation;
        self.next_generation += 1;
        let spec = launch::spec(&config, generation);
        let autostart = config.autostart;
        self.store.follow(&config);
        self.configs.insert(generation, Arc::new(config));
        (spec, autostart)
    }

    pub(super) fn add_module(&mut self, config: ModuleConfig) {
        let (spec, autostart) = self.new_generation(config);
        if let Err(failure) =
            self.core.add_module(self.now, spec, if autostart { InitialState::Running } else { InitialState::Stopped })
        {
            tracing::error!("{}", failure.error);
        }
    }

    /// Forgets the launch instructions that no process has and none will be started by. It goes through all
    /// modules, and is for callers that do so anyway; see [`HostState::forget_generation`].
    pub(super) fn forget_generations(&mut self) {
        let of_processes = self.processes.values().map(|process| process.generation);
        let used: HashSet<u64> = self.core.generations().chain(of_processes).collect();
        self.configs.retain(|generation, _| used.contains(generation));
    }

    /// A process of this module is gone: forgets the launch instructions that it was started by, if nothing
    /// else of the module has them.
    pub(super) fn forget_generation(&mut self, name: &str, generation: u64) {
        if !self.core.generations_of(name).any(|used| used == generation) {
            self.configs.remove(&generation);
        }
    }

    /// Reads the files again and reloads one module with what they say now. It is answered when that is done.
    pub(crate) fn reload_one(&mut self, who: Recipient, name: &str, timeout: Duration) -> Result<(), Failure> {
        if self.reloader.is_none() {
            return Err(no_files());
        }
        self.check_runs(name)?;
        let name = ModuleName::new(name).map_err(|_| self.unknown(name))?;
        self.readings.want(Wanted { who: Some(who), name: Some(name), until: self.now + timeout })?;
        self.begin_reading();
        Ok(())
    }

    /// Reads the files again for a request about several modules, which goes on when they are read.
    pub(super) fn read_for_several(&mut self, who: Recipient, timeout: Duration) -> Result<(), Failure> {
        if self.reloader.is_none() {
            return Err(no_files());
        }
        self.check_runs("modules")?;
        self.readings.want(Wanted { who: Some(who), name: None, until: self.now + timeout })?;
        self.begin_reading();
        Ok(())
    }

    /// Reads the files again: what is new is started, what changed is reloaded, what is not named
    /// any more is stopped, what has faults is left as it is. If the host's own file does not check, nothing changes.
    pub(crate) fn reload_all(&mut self) {
        self.read_descriptor_limit();
        if self.reloader.is_none() || self.stopping.is_some() {
            let why = if self.stopping.is_some() { stopping() } else { no_files() };
            tracing::error!("cannot reload: {}", why.error);
            return;
        }
        self.readings.want_all();
        self.begin_reading();
    }

    /// Has the files read, if that is wanted and they are not being read already.
    fn begin_reading(&mut self) {
        let Some(reloader) = self.reloader.clone() else { return };
        let Some((number, purpose)) = self.readings.begin(self.now) else { return };
        if matches!(purpose, Purpose::All) {
            self.notify.send_reloading();
        }
        self.reading_at = InProgress::default();
        let (in_progress, runtimes) = (self.reading_at.clone(), self.runtimes.clone());
        let names = self.core.module_names().into_iter().filter(|name| !self.core.is_leaving(name));
        let in_force: Vec<(ModuleName, PathBuf)> =
            names.filter_map(|name| Some((name.clone(), self.in_force(&name)?.folder.clone()))).collect();
        let ordered = self.files.order(Lane::Configuration, "reading the configuration", move || {
            let read = || {
                let mut loaded = reloader().and_then(Loaded::sifted).map_err(|problems| lines(&problems))?;
                loaded.note_without_manifest(in_force);
                Ok(loaded)
            };
            let loaded = in_progress.during(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)));
            let loaded =
                loaded.unwrap_or_else(|_| Err(vec!["the reading panicked; what it said is in the log".into()]));
            let sifted = loaded.map(|mut loaded| {
                runtimes.sift(&mut loaded);
                Box::new(loaded)
            });
            Done::Loaded(number, sifted)
        });
        if let Err(error) = ordered {
            self.loaded(number, Err(vec![format!("the files cannot be read: {error}")]));
        }
    }

    /// The files were read, or could not be.
    pub(super) fn loaded(&mut self, number: u64, result: Result<Loaded, Vec<String>>) {
        let Some(purpose) = self.readings.end(number) else { return };
        self.bring_in(purpose, result);
        self.begin_reading();
    }

    /// Answers those who waited too long for a reading, and gives up one that makes no progress.
    pub(super) fn readings_overdue(&mut self) {
        let (at_file, at) = self.reading_at.now();
        let file = at.map_or_else(|| "the configuration".to_owned(), |path| path.display().to_string());
        for who in self.readings.expire(self.now) {
            // A request about several modules ends with that; a single module is still brought in line.
            let (what, delivery) = match self.several.end(who) {
                true => ("nothing was changed", Delivery::NotStarted),
                false => ("the reload goes on", Delivery::Unknown),
            };
            let reason = format!("the files are still being read, {file} at the moment; {what}");
            self.reply(who, Failure::new(ErrorCode::DeadlineExceeded, reason).delivery(delivery).into());
        }
        if let Some(purpose) = self.readings.give_up(self.now, at_file) {
            self.files.give_up(Lane::Configuration);
            let most = FILE_TIME_MAX.as_secs();
            self.bring_in(
                purpose,
                Err(vec![format!("{file}: expected a file that can be read, found none in {most} s")]),
            );
            self.begin_reading();
        }
    }

    /// Puts in force what was read.
    fn bring_in(&mut self, purpose: Purpose, result: Result<Loaded, Vec<String>>) {
        self.forget_generations();
        let read = result.as_ref().map(Read::of);
        match &read {
            Ok(read) => {
                let was_for_all = matches!(purpose, Purpose::All);
                self.faults.replace(&read.loaded.faulty, &read.loaded.passed_over, was_for_all);
                self.restart_needed = self.store.changed(&self.declared_beside(read));
                if let Some(reason) = &self.restart_needed {
                    tracing::warn!("{reason}");
                }
            }
            Err(faults) => {
                self.faults.failed(faults);
                faults.iter().for_each(|fault| tracing::error!("cannot reload: {fault}"));
            }
        }
        match purpose {
            Purpose::All => {
                match read {
                    Ok(read) => self.apply(&read),
                    Err(_) => tracing::error!("nothing was changed"),
                }
                self.perform();
                self.notify.send("READY=1");
            }
            Purpose::Modules(list) => {
                let read = read.map_err(|faults| nothing_changed(faults).delivery(Delivery::NotStarted));
                for wanted in list {
                    let who = wanted.who;
                    let Some(name) = wanted.name else {
                        who.into_iter().for_each(|who| self.read_by_several(who, read.as_ref()));
                        continue;
                    };
                    let brought = read.as_ref().map_err(Clone::clone).and_then(|read| {
                        let found = self.found(read, name.as_str());
                        self.hand_over(who, name.as_str(), found, wanted.until.since(self.now))
                    });
                    match (brought, who) {
                        (Ok(()), _) => {}
                        (Err(failure), Some(who)) => self.reply(who, failure.delivery(Delivery::NotStarted).into()),
                        (Err(failure), None) => tracing::warn!("cannot reload: {}", failure.error),
                    }
                    self.perform();
                }
            }
        }
    }

    /// What is declared for the data store, by what was read and by the modules that are left as they were.
    fn declared_beside(&self, read: &Read<'_>) -> Declared {
        let names = self.core.module_names();
        let left = names.iter().filter(|name| self.withheld(read, name).is_some());
        read.loaded.declared_beside(left.filter_map(|name| Some(&self.in_force(name)?.declared)))
    }

    /// Why a module is to be left as it is, whatever else the files say.
    fn withheld(&self, read: &Read<'_>, name: &ModuleName) -> Option<Problems> {
        read.index.withheld(name.as_str(), self.in_force(name).map(|config| config.folder.as_path()))
    }

    /// What the files say of one module.
    pub(super) fn found(&self, read: &Read<'_>, name: &str) -> Found {
        if let Some(module) = read.index.module(name) {
            return Found::Named(Box::new(module.clone()));
        }
        let folder = self.core.known_name(name).and_then(|name| self.in_force(name)).map(|config| &*config.folder);
        match read.index.withheld(name, folder) {
            Some(problems) => Found::Faulty(lines(&problems)),
            None => Found::Absent,
        }
    }

    /// Reloads one module with what the files say of it now.
    pub(super) fn hand_over(
        &mut self,
        who: Option<Recipient>,
        name: &str,
        found: Found,
        timeout: Duration,
    ) -> Result<(), Failure> {
        match (found, self.core.knows(name)) {
            (Found::Named(config), true) => {
                let (spec, _) = self.new_generation(*config);
                self.core.handle_reload(self.now, who, spec, timeout);
            }
            (Found::Named(config), false) => {
                self.add_module(*config);
                self.core.handle_start(self.now, who, name, timeout);
            }
            (Found::Faulty(faults), _) => return Err(nothing_changed(&faults)),
            (Found::Absent, true) => {
                let reason = format!("the files do not name {name} any more; SIGHUP removes it, stop stops it");
                return Err(Failure::new(ErrorCode::NotFound, reason));
            }
            (Found::Absent, false) => return Err(self.unknown(name)),
        }
        Ok(())
    }

    /// Takes back a reload that waits for the files; `false` if there is none of that number.
    pub(super) fn cancel_reading(&mut self, who: Recipient) -> bool {
        if !self.readings.cancel(who) {
            return false;
        }
        let failure = Failure::new(ErrorCode::Cancelled, "cancelled while the files were being read");
        self.reply(who, failure.delivery(Delivery::NotStarted).into());
        true
    }

    fn apply(&mut self, read: &Read<'_>) {
        if read.loaded.host != self.config {
            tracing::warn!("changes of the host's own settings take effect at its next start");
        }
        let known = self.core.module_names();
        self.returning.clear();
        for name in known.iter().filter(|name| read.index.module(name.as_str()).is_none()) {
            if self.withheld(read, name).is_some() {
                tracing::warn!("{name} is left as it was");
            } else {
                tracing::info!("{name} is not named any more and is removed");
                self.core.handle_remove(self.now, name);
            }
        }
        let known: HashSet<ModuleName> = known.into_iter().collect();
        for module in &read.loaded.modules {
            if !known.contains(&module.name) {
                self.add_module(module.clone());
            } else if self.core.is_leaving(&module.name) {
                self.returning.insert(module.name.clone(), module.clone());
            } else if self.in_force(&module.name).is_none_or(|current| **current != *module) {
                tracing::info!("{} has changed and is reloaded", module.name);
                let (spec, _) = self.new_generation(module.clone());
                self.core.handle_reload(self.now, None, spec, Duration::ZERO);
            }
        }
    }

    pub(super) fn in_force(&self, name: &ModuleName) -> Option<&Arc<ModuleConfig>> {
        let view = self.core.view(self.now, name)?;
        self.configs.get(&view.generation)
    }

    fn check_runs(&self, name: &str) -> Result<(), Failure> {
        match self.stopping {
            None => Ok(()),
            Some(_) => {
                let reason = format!("{name} cannot be reloaded: {}", stopping().error);
                Err(Failure::new(ErrorCode::ModuleUnavailable, reason))
            }
        }
    }

    /// Stops every module and then the host. Asked for a second time, it does not wait.
    pub(crate) fn stop(&mut self) {
        if self.stopping.is_some() {
            tracing::warn!("ordered to stop again: killing what is left");
            for run in self.core.run_ids() {
                self.order(&Order::Kill { run: run.0 });
            }
            return;
        }
        self.stopping = Some(Instant::now());
        self.notify.send("STOPPING=1");
        for who in self.readings.stop() {
            self.several.end(who);
            self.reply(who, stopping().delivery(Delivery::NotStarted).into());
        }
        self.core.handle_shutdown(self.now);
        self.perform();
    }
}

fn no_files() -> Failure {
    let reason = "this host was given its modules by a program and has no files to read again";
    Failure::new(ErrorCode::Conflict, reason)
}

fn stopping() -> Failure {
    Failure::new(ErrorCode::ModuleUnavailable, "the host is stopping")
}
