//! The core in simulated time, and what surrounds it in a daemon: processes that are ready and end as the list says.
//! Nothing is left of a process that ends, and none is pinged, as each would answer.

use crate::{
    cli::{Cli, TIME_MAX},
    exits::{Ending, Exits},
    subject::Subject,
    timeline::{Deed, Timeline},
};
use bulkhead_core::{
    Action, CommitNumber, Control, Core, Evidence, ExitClass, InitialState, ModuleEvent, ModuleView, RequestId, RunId,
    StoreOutcome, Time, What,
};
use bulkhead_protocol::{ErrorCode, Exit, Failure, Json, Response};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// Processes that are played.
const PROCESSES_MAX: usize = 10_000;

/// What was played.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) timeline: Timeline,
    /// How much time was simulated.
    pub(crate) until: Time,
    pub(crate) end: End,
    /// The module at the end.
    pub(crate) view: ModuleView,
    pub(crate) starts: usize,
    pub(crate) failures: u64,
}

/// Why no more was played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The time is over.
    Time,
    /// Nothing more happens by itself.
    Rest,
    /// So many processes were played.
    Processes,
}

/// What the surroundings do at a moment.
#[derive(Clone, Debug)]
enum Input {
    Ready(RunId, RequestId),
    Exit(RunId, Exit),
}

struct Player<'a> {
    core: Core,
    subject: &'a Subject,
    exits: &'a Exits,
    ready_after: Duration,
    now: Time,
    /// What comes, by its moment and in the order in which it was planned.
    inputs: BTreeMap<(Time, u64), Input>,
    planned: u64,
    /// The ends of the processes that are there.
    alive: HashMap<RunId, Ending>,
    timeline: Timeline,
    /// How much of the module's chronicle was seen.
    seen: u64,
    starts: usize,
    failures: u64,
}

/// Plays a module until the time is over or nothing happens any more.
pub(crate) fn play(subject: &Subject, exits: &Exits, cli: &Cli) -> Played {
    let mut player = Player {
        core: Core::new(subject.settings, cli.seed),
        subject,
        exits,
        ready_after: cli.ready_after,
        now: Time::ZERO,
        inputs: BTreeMap::new(),
        planned: 0,
        alive: HashMap::new(),
        timeline: Timeline::default(),
        seen: 0,
        starts: 0,
        failures: 0,
    };
    let mut spec = subject.spec.clone();
    // Each would be answered, and would change nothing.
    spec.rules.ping_interval = 2 * TIME_MAX;
    player.core.add_module(Time::ZERO, spec, InitialState::Running).expect("it is the only one");
    player.perform();
    let end = player.run(Time::ZERO + cli.duration);
    let view = player.core.view(player.now, &subject.spec.name).expect("it was added");
    let Player { timeline, now: until, starts, failures, .. } = player;
    Played { timeline, until, end, view, starts, failures }
}

impl Player<'_> {
    fn run(&mut self, until: Time) -> End {
        loop {
            let input = self.inputs.keys().next().map(|(at, _)| *at);
            let timer = self.core.poll_timeout().filter(|at| self.matters(*at));
            let Some(next) = [input, timer].into_iter().flatten().min() else { return End::Rest };
            if next > until {
                self.now = until;
                return End::Time;
            }
            if self.starts > PROCESSES_MAX {
                return End::Processes;
            }
            self.now = self.now.max(next);
            match self.next_input() {
                Some(input) => self.input(input),
                None => self.core.handle_timeout(self.now),
            }
            self.perform();
        }
    }

    /// What the surroundings do by now.
    fn next_input(&mut self) -> Option<Input> {
        let is_due = self.inputs.first_key_value().is_some_and(|((at, _), _)| *at <= self.now);
        if is_due { self.inputs.pop_first().map(|(_, input)| input) } else { None }
    }

    /// Whether a timer is more than the ping of a process that lives.
    fn matters(&self, at: Time) -> bool {
        at <= Time::ZERO + TIME_MAX
    }

    fn plan(&mut self, at: Time, input: Input) {
        self.planned += 1;
        self.inputs.insert((at, self.planned), input);
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Ready(run, id) if self.alive.contains_key(&run) => {
                let ready = Json::parse(r#"{"name":"simulated","version":"0","protocol":1}"#).expect("it is JSON");
                self.core.handle_response(self.now, run, Response::success(id.0, ready));
            }
            Input::Exit(run, exit) if self.alive.remove(&run).is_some() => {
                self.core.handle_exited(self.now, run, exit, Evidence::default());
                self.core.handle_gone(self.now, run);
            }
            // It was ended before that.
            Input::Ready(..) | Input::Exit(..) => {}
        }
    }

    fn perform(&mut self) {
        while let Some(action) = self.core.poll_action() {
            // What ended comes before what starts after it.
            self.note();
            self.action(action);
        }
        self.note();
    }

    fn action(&mut self, action: Action) {
        match action {
            Action::Spawn { run, instance, .. } => {
                let ending = self.exits.of(self.starts).clone();
                self.starts += 1;
                self.timeline.push(self.now, Deed::Starts(instance));
                if let Ending::Exit { exit, after } = &ending {
                    self.plan(self.now + *after, Input::Exit(run, exit.clone()));
                }
                self.alive.insert(run, ending);
                self.core.handle_spawned(self.now, run, 1);
            }
            Action::SendControl { run, id, control: Control::Init } => {
                let is_ready = match self.alive.get(&run) {
                    Some(Ending::Exit { after, .. }) => *after > self.ready_after,
                    Some(Ending::Lives) => true,
                    Some(Ending::Silent) | None => false,
                };
                if is_ready {
                    self.plan(self.now + self.ready_after, Input::Ready(run, id));
                }
            }
            Action::SendControl { run, control: Control::Shutdown, .. } => {
                self.plan(self.now, Input::Exit(run, Exit::Code(0)));
            }
            Action::Terminate(run) => self.plan(self.now, Input::Exit(run, Exit::Signal("SIGTERM".into()))),
            Action::Kill(run) => self.plan(self.now, Input::Exit(run, Exit::Signal("SIGKILL".into()))),
            Action::Announce(said) if said.event == ModuleEvent::Ready => {
                self.timeline.push(self.now, Deed::Ready(said.instance.unwrap_or_default()));
            }
            Action::LookForTracer(run) => self.core.handle_tracer(self.now, run, None),
            Action::Sample(run) => self.core.handle_sample(self.now, run, None),
            Action::Store { job, .. } => {
                let failure = Failure::new(ErrorCode::Internal, "there is no data store in a simulation");
                self.core.handle_stored(self.now, job, StoreOutcome::Failed(failure), CommitNumber(0));
            }
            Action::Send { .. }
            | Action::SendControl { control: Control::Ping | Control::Cancel(_), .. }
            | Action::Release(_)
            | Action::LogLine { .. }
            | Action::Reply { .. }
            | Action::Announce(_)
            | Action::RecordCrash(_)
            | Action::Quarantine { .. }
            | Action::Removed(_)
            | Action::HastenCommits
            | Action::NotifyFollowers(_)
            | Action::Warn(_)
            | Action::EventRefused { .. } => {}
        }
    }

    /// Takes what is new in the module's chronicle.
    fn note(&mut self) {
        let Some(why) = self.core.why(self.now, &self.subject.spec.name) else { return };
        let known = usize::try_from(self.seen.saturating_sub(why.earlier)).unwrap_or(usize::MAX);
        self.seen = why.earlier + why.history.len() as u64;
        for happening in why.history.into_iter().skip(known) {
            let deed = match happening.what {
                What::Ended(ended) => {
                    self.failures += u64::from(matches!(ended.class, ExitClass::Failure | ExitClass::Permanent));
                    Deed::Ended(ended)
                }
                What::TookOver { instance } => Deed::TookOver(instance.into()),
                What::PutOff { by, rules } => Deed::PutOff { by, rules },
                What::Known(_) | What::Ordered { .. } => continue,
            };
            self.timeline.push(happening.at, deed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exits::parse;
    use bulkhead_config::Origins;
    use bulkhead_core::{HostSettings, ModuleSpec, Sequel, WaitReason};
    use bulkhead_protocol::ModuleName;
    use clap::Parser;

    fn subject() -> Subject {
        Subject {
            spec: ModuleSpec::new(ModuleName::new("m").unwrap(), 1),
            settings: HostSettings::default(),
            origins: Origins::default(),
            host_origins: Origins::default(),
            remarks: Vec::new(),
        }
    }

    fn played(subject: &Subject, exits: &str, words: &[&str]) -> Played {
        let line = ["simulate", "m", "--exits", exits].into_iter().chain(words.iter().copied());
        play(subject, &parse(exits).unwrap(), &Cli::parse_from(line))
    }

    /// What followed each end, with the delays.
    fn sequels(played: &Played) -> Vec<Sequel> {
        let ended = played.timeline.entries.iter().filter_map(|entry| match &entry.what {
            Deed::Ended(ended) => Some(ended.sequel),
            _ => None,
        });
        ended.collect()
    }

    #[test]
    fn a_crash_at_each_start_backs_off_opens_the_breaker_and_is_tried_once_a_minute() {
        let played = played(&subject(), "code 1 after 5ms", &["--for", "5min"]);
        let sequels = sequels(&played);
        let delay = |sequel: &Sequel| match sequel {
            Sequel::Start { after, .. } => after.as_secs_f64(),
            other => panic!("{other:?}"),
        };
        for (number, sequel) in sequels[..9].iter().enumerate() {
            let exact = (0.1 * f64::from(1 << number)).min(30.0);
            assert!((0.74..=1.26).contains(&(delay(sequel) / exact)), "{number}: {sequel:?}");
        }
        assert!(
            matches!(sequels[9], Sequel::Start { why: WaitReason::CrashLoop { tries: 0 }, .. }),
            "{:?}",
            sequels[9]
        );
        assert!(sequels[9..].iter().all(|sequel| delay(sequel) == 60.0), "{sequels:?}");
        assert_eq!((played.end, played.until), (End::Time, Time::from_millis(300_000)));
        assert_eq!(played.starts as u64, played.failures + u64::from(played.view.state.name() != "waiting"));
    }

    #[test]
    fn a_module_that_is_given_up_or_lives_or_has_finished_is_at_rest() {
        let mut subject = subject();
        subject.spec.restart.breaker_failures = 2;
        subject.spec.restart.give_up = Some(1);
        let given_up = played(&subject, "signal 9 after 5ms", &[]);
        assert_eq!((given_up.end, given_up.view.state.name(), given_up.starts), (End::Rest, "failed", 3));
        assert_eq!(sequels(&given_up).last(), Some(&Sequel::GaveUp));
        let lives = played(&subject, "code 1, lives", &[]);
        assert_eq!((lives.end, lives.view.state.name(), lives.starts), (End::Rest, "ready", 2));
        let finished = played(&subject, "code 0 after 1min", &[]);
        assert_eq!((finished.end, finished.view.state.name(), finished.failures), (End::Rest, "stopped", 0));
        let permanent = played(&subject, "code 125 after 1ms", &[]);
        assert_eq!((permanent.view.state.name(), permanent.starts), ("failed", 1));
    }

    #[test]
    fn one_that_is_silent_is_killed_at_its_start_timeout() {
        let played = played(&subject(), "silent, lives", &[]);
        let ended = played.timeline.entries.iter().find_map(|entry| match &entry.what {
            Deed::Ended(ended) => Some((entry.at, ended.by.name(), ended.ended_rules[0].rule.key())),
            _ => None,
        });
        assert_eq!(ended, Some((Time::from_millis(10_000), "init", "limits.start_timeout")));
    }

    #[test]
    fn the_same_seed_plays_the_same_and_a_spare_takes_over() {
        let mut subject = subject();
        subject.spec.spares = 1;
        let text = |seed: &str| {
            let played = played(&subject, "code 1 after 2s", &["--seed", seed, "--for", "1min"]);
            format!("{:?}", played.timeline)
        };
        assert_eq!(text("7"), text("7"));
        assert_ne!(text("7"), text("8"));
        assert!(text("7").contains("TookOver"));
    }

    #[test]
    fn what_never_ends_is_bounded() {
        let mut subject = subject();
        let restart = &mut subject.spec.restart;
        restart.policy = bulkhead_core::Policy::Always;
        (restart.at_once_after, restart.reset_after) = (Duration::ZERO, Duration::ZERO);
        (restart.breaker_failures, restart.breaker_window) = (1000, Duration::from_secs(1));
        let played = played(&subject, "code 1 after 20ms", &["--for", "366d"]);
        assert_eq!(played.end, End::Processes);
        assert_eq!(played.timeline.entries.len(), crate::timeline::ENTRIES_MAX);
        assert!(played.timeline.left_out > 10_000);
    }
}
