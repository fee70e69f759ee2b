//! What is done with modules: builds, reloads, the call of `--once`.

use crate::build::Build;
use crate::debugged::Debugged;
use crate::difference;
use crate::plan::{Id, Outcome, Time, Work};
use crate::project::Project;
use crate::screen::Kind;
use crate::session::{Building, Log, Presence, Session, Stop};
use bulkhead_protocol::{Failure, Json, Status};
use serde::Deserialize;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// How many lines of a module's log are shown that it wrote before it was followed.
const FIRST_LINES: u64 = 1000;

impl Session {
    /// Begins what the plan says, until something is in progress or nothing is to be done.
    pub(crate) fn begin_work(&mut self) -> Result<(), Stop> {
        loop {
            // What has changed before the work is not changed by it.
            self.look_at_files()?;
            let now = self.now();
            match self.plan.poll_work(now) {
                None => return Ok(()),
                Some(Work::Build(id)) => {
                    self.begin_span(id);
                    self.states[id].sources.handle_work();
                    if self.read_again(id)? == Outcome::Failed {
                        self.end_span(id);
                        self.plan.handle_end(Outcome::Failed);
                    } else if let Some(words) = self.projects[id].build.clone() {
                        self.start_build(id, &words)?;
                    } else {
                        self.plan.handle_end(Outcome::Done);
                    }
                }
                Some(Work::Reload(id)) => self.start_reload(id)?,
                Some(Work::Call) => self.start_call()?,
            }
        }
    }

    /// Reads the manifest again: what it says may have changed.
    fn read_again(&mut self, id: Id) -> Result<Outcome, Stop> {
        let old = &self.projects[id];
        let new = match Project::read(&old.folder, &self.environment) {
            Ok(new) => new,
            Err(faults) => {
                for fault in faults.lines() {
                    self.say_of(id, Kind::Bad, fault)?;
                }
                self.say_old_stays(id)?;
                return Ok(Outcome::Failed);
            }
        };
        if new.name != old.name {
            let text = format!("its name is now {}: end bulkhead dev and start it again", new.name);
            self.say_of(id, Kind::Bad, &text)?;
            return Ok(Outcome::Failed);
        }
        let has_declared = new.declared != old.declared;
        for seen in self.watch.set_roots(id, &new.roots) {
            self.see(id, seen)?;
        }
        self.plan.handle_member(id, new.member());
        self.projects[id] = new;
        if has_declared {
            self.say_of(id, Kind::Note, "[layer1] has changed: that comes into force when the host starts again")?;
        }
        Ok(Outcome::Done)
    }

    fn start_build(&mut self, id: Id, words: &[String]) -> Result<(), Stop> {
        self.say_of(id, Kind::Note, &format!("building: {}", words.join(" ")))?;
        self.builds += 1;
        let Project { folder, build_timeout, .. } = &self.projects[id];
        match Build::start(id, self.builds, words, folder, &self.inputs) {
            Ok(build) => {
                let began = self.now();
                let until = began + *build_timeout;
                self.building = Some(Building { build, id, number: self.builds, began, until });
            }
            Err(error) => {
                let text = format!("the build cannot be started in {}: {error}", folder.display());
                self.say_of(id, Kind::Bad, &text)?;
                self.say_old_stays(id)?;
                self.end_span(id);
                self.plan.handle_end(Outcome::Failed);
            }
        }
        Ok(())
    }

    /// The process of a build has ended.
    pub(crate) fn build_ended(&mut self, number: u64) -> Result<(), Stop> {
        // One that took too long was reaped already.
        let Some(Building { build, id, began, .. }) = self.building.take_if(|building| building.number == number)
        else {
            return Ok(());
        };
        let took = shown(self.now() - began);
        let outcome = match build.finish() {
            Ok(status) if status.success() => {
                self.say_of(id, Kind::Note, &format!("built in {took}"))?;
                Outcome::Done
            }
            Ok(status) => {
                self.say_of(id, Kind::Bad, &format!("the build failed after {took}: {}", ending(status)))?;
                Outcome::Failed
            }
            Err(error) => {
                self.say_of(id, Kind::Bad, &format!("the build cannot be waited for: {error}"))?;
                Outcome::Failed
            }
        };
        self.end_work(id, outcome)
    }

    /// Kills a build that takes too long.
    pub(crate) fn end_late_build(&mut self) -> Result<(), Stop> {
        let now = self.now();
        let Some(Building { build, id, began, .. }) = self.building.take_if(|building| building.until <= now) else {
            return Ok(());
        };
        drop(build);
        let took = shown(now - began);
        let text = format!("the build was killed after {took}; [dev] build_timeout in module.toml gives it more time");
        self.say_of(id, Kind::Bad, &text)?;
        self.end_work(id, Outcome::Failed)
    }

    fn start_reload(&mut self, id: Id) -> Result<(), Stop> {
        self.begin_span(id);
        if self.projects[id].build.is_none() {
            self.states[id].sources.handle_work();
            if self.read_again(id)? == Outcome::Failed {
                self.end_span(id);
                self.plan.handle_end(Outcome::Failed);
                return Ok(());
            }
            if self.projects[id].build.is_some() {
                // The manifest has a build now.
                self.plan.handle_change(self.now(), id);
            }
        }
        if self.is_debugged(id) {
            return self.start_debugger(id);
        }
        self.reload_began = self.now();
        self.link.reload(id, &self.projects[id].name)?;
        Ok(())
    }

    pub(crate) fn is_debugged(&self, id: Id) -> bool {
        self.debugged.as_ref().is_some_and(|debugged| debugged.id == id)
    }

    /// Says what a person has before them.
    pub(crate) fn say_debugged(&self) -> Result<(), Stop> {
        let Some(Debugged { id, debugging, terminal }) = &self.debugged else { return Ok(()) };
        let text = match terminal {
            Some(_) => {
                format!("runs in {} on this terminal, and has the keys: Ctrl-] ends bulkhead dev", debugging.name)
            }
            None => format!("runs with {}, which prints where it listens", debugging.name),
        };
        self.say_of(*id, Kind::Note, &text)?;
        self.say_of(*id, Kind::Note, "it is never ended for being slow; callers still stop waiting at their deadlines")
    }

    /// The first process of a module in a debugger is ordered, and nothing waits for it: a person decides when it runs. A
    /// later one comes when the person ends the debugger.
    fn start_debugger(&mut self, id: Id) -> Result<(), Stop> {
        self.end_span(id);
        let outcome = match self.states[id].presence {
            Presence::Unknown => {
                self.states[id].presence = Presence::Loaded;
                self.reload_began = self.now();
                self.link.reload(id, &self.projects[id].name)?;
                Outcome::Done
            }
            Presence::Loaded => {
                self.say_of(id, Kind::Note, "it is not reloaded: end the debugger, and the next one has the change")?;
                Outcome::Failed
            }
        };
        self.plan.handle_end(outcome);
        Ok(())
    }

    /// The host has answered a reload.
    pub(crate) fn reload_ended(&mut self, id: Id, status: Status) -> Result<(), Stop> {
        if matches!(status, Status::Progress(_)) {
            return Ok(());
        }
        if !self.is_debugged(id) {
            self.end_span(id);
        }
        let took = shown(self.now() - self.reload_began);
        let outcome = match status {
            Status::Progress(_) => return Ok(()),
            Status::Success(data) => {
                let is_stopped = data.read::<Reloaded>().is_ok_and(|data| data.state == "stopped");
                let (was, name) = (self.states[id].presence, &self.projects[id].name);
                self.states[id].presence = Presence::Loaded;
                match (is_stopped, was) {
                    (true, _) => {
                        let text = format!("loaded, and stopped as it was: {} start {name} starts it", self.command);
                        self.say_of(id, Kind::Note, &text)?;
                    }
                    (false, Presence::Loaded) if self.is_debugged(id) => self.say_of(id, Kind::Good, "ready")?,
                    (false, Presence::Unknown) => self.say_of(id, Kind::Good, &format!("ready in {took}"))?,
                    (false, Presence::Loaded) => self.say_of(id, Kind::Good, &format!("reloaded in {took}"))?,
                }
                Outcome::Done
            }
            Status::Error(failure) => {
                if self.is_debugged(id) {
                    // The next save tries it again.
                    self.states[id].presence = Presence::Unknown;
                }
                self.say_refused(id, &failure)?;
                Outcome::Failed
            }
        };
        if self.states[id].log == Log::Unknown {
            self.states[id].log = Log::Followed;
            self.link.follow_log(id, &self.projects[id].name, FIRST_LINES)?;
        }
        // The work on a module in a debugger has ended when it was ordered.
        if self.is_debugged(id) { Ok(()) } else { self.end_work(id, outcome) }
    }

    fn say_refused(&self, id: Id, failure: &Failure) -> Result<(), Stop> {
        self.say_of(id, Kind::Bad, &failure.error)?;
        let faults = failure.data.as_ref().and_then(|data| data.read::<Faults>().ok()).unwrap_or_default().faults;
        for fault in faults.iter().filter(|fault| !failure.error.contains(&***fault)) {
            self.say_of(id, Kind::Bad, fault)?;
        }
        Ok(())
    }

    fn start_call(&mut self) -> Result<(), Stop> {
        match &self.once {
            Some(once) => Ok(self.link.call(&self.projects[0].name, once)?),
            None => {
                self.plan.handle_end(Outcome::Done);
                Ok(())
            }
        }
    }

    /// The call of `--once` is answered.
    pub(crate) fn call_ended(&mut self, status: Status) -> Result<(), Stop> {
        let text = match status {
            Status::Progress(_) => return Ok(()),
            Status::Success(data) => difference::pretty(data.as_str()),
            Status::Error(failure) => {
                let data = failure.data.as_ref().map(|data: &Json| difference::pretty(data.as_str()));
                [Some(format!("error {}: {}", failure.code, bulkhead_protocol::escape(&failure.error))), data]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join("\n")
            }
        };
        self.screen.difference(&self.projects[0].name, &difference::shown(self.last_answer.as_deref(), &text))?;
        self.last_answer = Some(text);
        self.plan.handle_end(Outcome::Done);
        Ok(())
    }

    fn end_work(&mut self, id: Id, outcome: Outcome) -> Result<(), Stop> {
        let was_build = matches!(self.plan.doing(), Some(Work::Build(_)));
        self.plan.handle_end(outcome);
        if outcome == Outcome::Failed && was_build {
            self.end_span(id);
            self.say_old_stays(id)?;
        }
        Ok(())
    }

    /// A failure of the host's says this itself.
    fn say_old_stays(&self, id: Id) -> Result<(), Stop> {
        match self.states[id].presence {
            Presence::Loaded => self.say_of(id, Kind::Note, "the old process goes on answering"),
            Presence::Unknown => self.say_of(id, Kind::Note, "it is loaded after the next save that can be built"),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reloaded {
    state: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Faults {
    faults: Vec<String>,
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with the code {code}"),
        (None, Some(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal).map_or("a signal", |signal| signal.as_str());
            format!("it was killed by {name}")
        }
        (None, None) => "it ended in an unknown way".into(),
    }
}

fn shown(time: Time) -> String {
    match time {
        time if time < Duration::from_secs(1) => format!("{} ms", time.as_millis()),
        time => format!("{:.1} s", time.as_secs_f64()),
    }
}
