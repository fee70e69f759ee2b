//! The loop: it waits for files, builds, the host and signals, and does what the plan says. What is done with modules is
//! in `work`, what the host reports in `reports`.

use crate::build::Build;
use crate::cli::{Cli, Once};
use crate::crash;
use crate::debugged::Debugged;
use crate::home::Home;
use crate::input::{self, Failed, Input, Inputs};
use crate::link::Link;
use crate::plan::{Id, Plan, Time};
use crate::project::{self, Project};
use crate::screen::{Kind, Screen};
use crate::signals;
use crate::sources::{Change, During, Sources, Span, Stamp};
use crate::watch::{Seen, Watch};
use bulkhead_client::ClientError;
use bulkhead_config::Environment;
use nix::time::{ClockId, clock_gettime};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The name of the program's own lines.
pub(crate) const OWN: &str = "dev";

/// How often a watched folder that is gone is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Why the loop ends.
#[derive(Debug)]
pub(crate) enum Stop {
    /// By a signal.
    Asked,
    /// The output is not read any more.
    ReaderGone,
    Failed(Failed),
}

/// Everything that may go wrong with the system here is standard output.
impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Stop {
        Stop::ReaderGone
    }
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Stop {
        Stop::Failed(Failed::host(format!("the host cannot be reached any more: {error}")))
    }
}

/// What is known of a module beside its manifest.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) sources: Sources,
    /// When it was built and reloaded last.
    pub(crate) span: Option<Span>,
    pub(crate) presence: Presence,
    pub(crate) log: Log,
    pub(crate) health: Health,
    /// The file of the last crash record that was shown, and its page.
    pub(crate) last_record: Option<String>,
    pub(crate) last_page: Vec<crash::Line>,
}

/// Whether the host has the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Presence {
    #[default]
    Unknown,
    Loaded,
}

/// Whether the log is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Log {
    #[default]
    Unknown,
    Followed,
}

/// Whether the module's last process crashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    #[default]
    Well,
    Crashed,
}

/// Whose messages are shown, and which.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// Those of all modules, if there are none.
    pub(crate) names: Vec<String>,
    pub(crate) types: Vec<String>,
}

impl Inspected {
    fn of(cli: &Cli, projects: &[Project]) -> Result<Option<Inspected>, Failed> {
        let Some(names) = &cli.inspect else { return Ok(None) };
        let names: Vec<String> = names.iter().filter(|name| !name.is_empty()).cloned().collect();
        if let Some(unknown) = names.iter().find(|name| !projects.iter().any(|project| project.name == **name)) {
            let known: Vec<&str> = projects.iter().map(|project| &*project.name).collect();
            let known = known.join(", ");
            return Err(Failed::usage(format!(
                "--inspect: expected modules of this command, {known}; found {unknown:?}"
            )));
        }
        Ok(Some(Inspected { names, types: cli.inspected_types.clone() }))
    }
}

/// A build in progress.
#[derive(Debug)]
pub(crate) struct Building {
    pub(crate) build: Build,
    pub(crate) id: Id,
    pub(crate) number: u64,
    pub(crate) began: Time,
    pub(crate) until: Time,
}

/// All of one run.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) began: Instant,
    pub(crate) environment: Environment,
    pub(crate) once: Option<Once>,
    pub(crate) inspected: Option<Inspected>,
    pub(crate) debugged: Option<Debugged>,
    pub(crate) projects: Vec<Project>,
    pub(crate) states: Vec<State>,
    pub(crate) plan: Plan,
    pub(crate) watch: Watch,
    pub(crate) link: Link,
    pub(crate) screen: Screen,
    pub(crate) inputs: Inputs,
    pub(crate) building: Option<Building>,
    pub(crate) builds: u64,
    pub(crate) reload_began: Time,
    pub(crate) last_answer: Option<String>,
    /// How a command about the host begins.
    pub(crate) command: String,
}

/// Works until a signal ends it.
///
/// # Errors
/// When it cannot begin, or the host has ended.
pub(crate) fn run(cli: &Cli) -> Result<(), Failed> {
    let environment = Environment { trusted_users: cli.trusted_users.clone(), ..Environment::from_process() };
    let projects = project::read_all(&cli.folders, &environment)?;
    let (inputs, receiver) = input::channel();
    signals::listen(inputs.clone()).map_err(|error| Failed::host(format!("cannot listen to signals: {error}")))?;
    let debugged = cli.debug.as_ref().map(|name| Debugged::open(name, &projects, &environment, &inputs)).transpose()?;
    let wrapper = debugged.as_ref().map(|debugged| debugged.wrapper(&projects, &environment)).transpose();
    let wrapper = wrapper.map_err(|error| Failed::host(format!("this program cannot be found: {error}")))?;
    let home = Home::open(cli, &projects, &environment, wrapper)?;
    let stop = match Session::open(cli, projects, environment, &home, (inputs, debugged)) {
        Ok(mut session) => session.begin(&home).and_then(|()| session.work(&receiver)).err(),
        Err(failed) => Some(Stop::Failed(failed)),
    };
    // Threads that wait for room in the channel end; then the modules are stopped.
    drop(receiver);
    drop(home);
    match stop {
        Some(Stop::Failed(failed)) => Err(failed),
        Some(Stop::Asked | Stop::ReaderGone) | None => Ok(()),
    }
}

impl Session {
    fn open(
        cli: &Cli,
        projects: Vec<Project>,
        environment: Environment,
        home: &Home,
        (inputs, debugged): (Inputs, Option<Debugged>),
    ) -> Result<Session, Failed> {
        let link = Link::new(home.client()?, &inputs).map_err(|error| Failed::host(error.to_string()))?;
        let wake = inputs.clone();
        let watch = Watch::start(move || {
            // The receiver is gone at the end of the program.
            let _ = wake.send(Input::Files);
        });
        let watch = watch.map_err(|error| Failed::host(format!("cannot watch files: {error}")))?;
        Ok(Session {
            began: Instant::now(),
            environment,
            once: cli.once.clone(),
            debugged,
            inspected: Inspected::of(cli, &projects)?,
            states: projects.iter().map(|_| State::default()).collect(),
            plan: Plan::new(projects.iter().map(Project::member).collect()),
            watch,
            link,
            screen: Screen::of_stdout(projects.iter().map(|project| project.name.clone()).collect()),
            projects,
            inputs,
            building: None,
            builds: 0,
            reload_began: Time::ZERO,
            last_answer: None,
            command: home.command(),
        })
    }

    fn begin(&mut self, home: &Home) -> Result<(), Stop> {
        for id in 0..self.projects.len() {
            let roots = self.projects[id].roots.clone();
            for seen in self.watch.set_roots(id, &roots) {
                self.see(id, seen)?;
            }
        }
        self.link.follow_events()?;
        if let Some(Inspected { names, types }) = &self.inspected {
            self.link.inspect(names, types)?;
        }
        match home {
            Home::Private { folder, .. } => {
                let first = &self.projects[0].name;
                self.say(Kind::Note, &format!("a private host runs; {} call {first} reaches it", self.command))?;
                if folder.is_kept() {
                    self.say(Kind::Note, &format!("its state stays in {}", folder.path().display()))?;
                }
                self.say_debugged()?;
                self.plan.handle_begin();
            }
            Home::Joined { .. } => {
                self.say(Kind::Note, &format!("joined the daemon; the next save reloads; {} status", self.command))?;
                for id in 0..self.projects.len() {
                    self.link.follow_log(id, &self.projects[id].name, 0)?;
                    (self.states[id].log, self.states[id].presence) = (Log::Followed, Presence::Loaded);
                }
            }
        }
        Ok(())
    }

    fn work(&mut self, receiver: &Receiver<Input>) -> Result<(), Stop> {
        loop {
            self.begin_work()?;
            let input = match self.timeout() {
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => receiver.recv_timeout(at.saturating_sub(self.now())),
            };
            match input {
                Ok(Input::Files) => self.look_at_files()?,
                Ok(Input::BuildLine(id, line)) => self.screen.line(&self.projects[id].name, Kind::Build, &line)?,
                Ok(Input::BuildEnded(number)) => self.build_ended(number)?,
                Ok(Input::Answer(response)) => self.handle_answer(*response)?,
                Ok(Input::HostGone(why)) => {
                    return Err(Stop::Failed(Failed::host(format!("the host has ended: {why}"))));
                }
                Ok(Input::Resized) => {
                    if let Some(terminal) = self.debugged.as_ref().and_then(|debugged| debugged.terminal.as_ref()) {
                        terminal.take_size();
                    }
                }
                Ok(Input::Signal) | Err(RecvTimeoutError::Disconnected) => return Err(Stop::Asked),
                Err(RecvTimeoutError::Timeout) => {
                    self.end_late_build()?;
                    for (id, seen) in self.watch.look_for_gone() {
                        self.see(id, seen)?;
                    }
                }
            }
        }
    }

    /// When something has to be done though nothing has come.
    fn timeout(&self) -> Option<Time> {
        let build = self.building.as_ref().map(|building| building.until);
        let look = self.watch.misses_some().then(|| self.now() + LOOK_INTERVAL);
        [self.plan.poll_timeout(), build, look].into_iter().flatten().min()
    }

    pub(crate) fn now(&self) -> Time {
        self.began.elapsed()
    }

    /// Prints a line about the program itself.
    pub(crate) fn say(&self, kind: Kind, text: &str) -> Result<(), Stop> {
        Ok(self.screen.line(OWN, kind, text)?)
    }

    /// Prints a line about a module.
    pub(crate) fn say_of(&self, id: Id, kind: Kind, text: &str) -> Result<(), Stop> {
        Ok(self.screen.line(&self.projects[id].name, kind, text)?)
    }

    /// Takes in what has changed up to now.
    pub(crate) fn look_at_files(&mut self) -> Result<(), Stop> {
        for (id, seen) in self.watch.take() {
            self.see(id, seen)?;
        }
        Ok(())
    }

    pub(crate) fn see(&mut self, id: Id, seen: Seen) -> Result<(), Stop> {
        let now = self.now();
        match seen {
            Seen::Changed(path, happened) => {
                let during = During::of(self.states[id].span, stamp_of(&path));
                if self.states[id].sources.handle_change(&path, happened, during) == Change::Save {
                    self.plan.handle_change(now, id);
                }
                Ok(())
            }
            Seen::All => {
                self.plan.handle_change(now, id);
                Ok(())
            }
            Seen::Gone(path) => {
                let text = format!("{} is gone; the module stays as it is until that is back", path.display());
                self.say_of(id, Kind::Bad, &text)
            }
            Seen::Back(path) => {
                self.plan.handle_change(now, id);
                self.say_of(id, Kind::Note, &format!("{} is back", path.display()))
            }
            Seen::Unwatched(why) => self.say_of(id, Kind::Bad, &why),
        }
    }

    /// The work on a module begins, or goes on.
    pub(crate) fn begin_span(&mut self, id: Id) {
        let span = &mut self.states[id].span;
        if span.is_none_or(|span| span.ended.is_some()) {
            *span = Some(Span { began: stamp_now(), ended: None });
        }
    }

    /// The work on a module has ended.
    pub(crate) fn end_span(&mut self, id: Id) {
        if let Some(span) = &mut self.states[id].span {
            span.ended = Some(stamp_now());
        }
    }
}

/// The time of the clock by which the kernel stamps files: it stands still between two ticks.
fn stamp_now() -> Stamp {
    clock_gettime(ClockId::CLOCK_REALTIME_COARSE).map_or(Stamp::ZERO, Stamp::from)
}

/// When a path was changed last, by the kernel, whatever date a program gave it.
fn stamp_of(path: &Path) -> Option<Stamp> {
    let found = fs::symlink_metadata(path).ok()?;
    let seconds = u64::try_from(found.ctime()).ok()?;
    Some(Stamp::from_secs(seconds) + Stamp::from_nanos(u64::try_from(found.ctime_nsec()).ok()?))
}
