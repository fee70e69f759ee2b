//! What may happen in the world: each move becomes lines of a script, chosen by numbers so that a
//! failing play can be made smaller. Processes answer out of order, twice, and to unknown ids; they die at any
//! time; callers vanish, cancel and repeat themselves.

#![allow(clippy::manual_is_multiple_of, reason = "choices are digits of a number, compared with what each means")]

use crate::{
    line::Line,
    world::{Checked, Life, Limits, Process, World},
};
use bulkhead_core::{Caller, ClientId, Recipient, RunId};
use bulkhead_protocol::RequestType;
use std::time::Duration;

/// A kind of move and three numbers by which it chooses.
pub(crate) type Move = (u8, u16, u16, u16);

/// How many kinds there are.
pub(crate) const KINDS: u8 = 45;

/// Names that modules have.
pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

impl World {
    /// Adds a module whose limits are made of two numbers.
    pub(crate) fn add(&mut self, name: &str, x: u16, y: u16) -> Checked {
        let options = self.options(name, x, y, 1);
        self.play(&format!("module {name} {options}"))
    }

    fn options(&mut self, name: &str, x: u16, y: u16, generation: u64) -> String {
        let (instances, spares) = (1 + usize::from(x % 6) / 3 * usize::from(x % 3), usize::from(x / 6 % 3 == 0));
        let (window, window_bytes) = (1 + usize::from(x / 18 % 4), [50, 100_000][usize::from(x / 72 % 2)]);
        let policy = ["on-failure", "always", "never", "on-failure"][usize::from(y % 4)];
        let mut options = format!(
            "generation={generation} instances={instances} spares={spares} window={window} window_bytes={} \
             policy={policy} queue={} breaker={} breaker_retry=20s subscribe=e.* emit=e.* call=a,b,c requests=3",
            window_bytes + window * 30,
            1 + y / 4 % 5,
            2 + y / 20 % 4,
        );
        if y / 80 % 4 == 0 {
            options.push_str(" give_up=1");
        }
        if y / 320 % 3 == 0 && name != "a" {
            options.push_str(" requires=a");
        }
        if y / 960 % 4 == 0 && name == "c" {
            options.push_str(if y / 320 % 3 == 0 { ",b" } else { " requires=b" });
        }
        if y / 3840 % 4 == 0 {
            options.push_str(" cpu=100ms");
        }
        let limits = Limits { window, window_bytes: window_bytes + window * 30, instances, spares };
        self.limits.insert((name.to_owned(), generation), limits);
        options
    }

    fn runs(&self, wanted: impl Fn(Life) -> bool) -> Vec<RunId> {
        let within = |instance: &str| self.scope.is_none_or(|name| instance.starts_with(name));
        let fits = |process: &&Process| wanted(process.life) && within(&process.instance);
        self.processes.values().filter(fits).map(|process| process.run).collect()
    }

    fn instance(&self, run: RunId) -> String {
        self.processes[&run].instance.clone()
    }

    /// Makes a move, if there is anything to make it with.
    pub(crate) fn make(&mut self, (kind, x, y, z): Move, number: u64) -> Checked {
        let talking = |life| matches!(life, Life::Starting | Life::Ready | Life::Leaving);
        let mut known = self.player.core.module_names();
        known.retain(|name| self.scope.is_none_or(|scope| name.as_str() == scope));
        let module = known.get(usize::from(x) % known.len().max(1)).map_or("a".to_owned(), ToString::to_string);
        let client = 1 + u64::from(y % 3);
        match kind {
            0..=2 => self.advance(Duration::from_millis(u64::from(x % 300))),
            3 => self.advance(Duration::from_millis(u64::from(x % 5000))),
            4 => self.advance(Duration::from_millis(u64::from(x) * 2)),
            5..=9 => match pick(&self.runs(|life| life == Life::Starting), x) {
                Some(run) => self.ready(run, y),
                None => Ok(()),
            },
            10..=14 => match pick(&self.runs(talking), x) {
                Some(run) => self.answer(run, kind, y, z),
                None => Ok(()),
            },
            15 => match pick(&self.runs(talking), x) {
                Some(run) => {
                    let controls = self.processes[&run].controls.clone();
                    match pick(&controls, y).filter(|control| control != "init") {
                        Some(control) => self.play(&format!("answer {} {control}", self.instance(run))),
                        None => Ok(()),
                    }
                }
                None => Ok(()),
            },
            16 => match pick(&self.runs(talking), x) {
                Some(run) => self.misbehave(run, y),
                None => Ok(()),
            },
            17..=19 => match pick(&self.runs(|life| life != Life::Exited), x) {
                Some(run) => self.exit(run, y, z),
                None => Ok(()),
            },
            20..=22 => match pick(&self.runs(|life| life == Life::Exited), x) {
                Some(run) => self.play(&format!("gone {}", self.instance(run))),
                None => Ok(()),
            },
            23..=31 => self.request(&format!("c{client}:{number}"), &module, z, number),
            32 => match pick(&self.runs(|life| matches!(life, Life::Starting | Life::Ready)), y) {
                Some(run) => {
                    let from = format!("{}:{number}", self.instance(run));
                    self.request(&from, &module, z, number)
                }
                None => Ok(()),
            },
            33 => self.cancel(x, number),
            34 => self.hang_up(client, x),
            35 => self.repeat(x, z),
            36..=41 => self.order(kind, &module, client, y, z, number),
            42 => {
                let free: Vec<&str> =
                    NAMES.into_iter().filter(|name| known.iter().all(|other| other.as_str() != *name)).collect();
                match free.first() {
                    Some(name) if !self.stopping => self.add(name, y, z),
                    _ => Ok(()),
                }
            }
            // There are the same for all modules, so none of it where they are looked at one by one.
            44 if self.scope.is_none() => self.play(&format!("descriptors limit={} reserved={}", 2 + x % 8, y % 3)),
            44 => Ok(()),
            _ => match pick(&self.runs(|_| true), x) {
                Some(run) => self.play(&format!("cpu {} {}ms", self.instance(run), y)),
                None => Ok(()),
            },
        }
    }

    pub(crate) fn ready(&mut self, run: RunId, y: u16) -> Checked {
        let process = self.processes.get_mut(&run).expect("it was picked");
        (process.concurrent, process.idempotent) = (y % 4 == 0, y / 8 % 2 == 0);
        let mut line = format!("ready {}", process.instance);
        line.push_str(if process.concurrent { " concurrent" } else { "" });
        line.push_str(if process.idempotent { " idempotent=get" } else { "" });
        if y / 16 % 16 == 0 {
            line.push_str(" protocol=2");
        } else {
            process.life = Life::Ready;
        }
        process.controls.retain(|control| control != "init");
        self.play(&line)
    }

    fn answer(&mut self, run: RunId, kind: u8, y: u16, z: u16) -> Checked {
        let process = &self.processes[&run];
        let instance = process.instance.clone();
        let label = match kind {
            10 | 11 => process.in_flight.first().cloned(),
            12 | 13 => pick(&process.in_flight, y),
            _ => pick(&process.answered, y),
        };
        let Some(label) = label else { return Ok(()) };
        if process.has_said_last(&label) {
            // It is not believed.
            return self.play(&format!("{} {instance} {label}", ["answer", "progress"][usize::from(z % 2)]));
        }
        let is_last = process.in_flight.contains(&label) && z % 6 != 0 && z / 6 % 8 == 0;
        let last = if is_last { " last=yes" } else { "" };
        if is_last {
            self.says_last(run, &label);
        }
        match z % 6 {
            0 => {
                self.progressed(run, &label);
                self.play(&format!("progress {instance} {label}"))
            }
            1 => {
                self.answered(run, &label);
                let code = ["overloaded", "module_crashed"][usize::from(y % 2)];
                self.play(&format!("error {instance} {label} {code}{last}"))
            }
            _ => {
                self.answered(run, &label);
                self.play(&format!("answer {instance} {label}{last}"))
            }
        }
    }

    fn misbehave(&mut self, run: RunId, y: u16) -> Checked {
        let instance = self.instance(run);
        let life = self.processes[&run].life;
        match y % 8 {
            0 | 1 => self.play(&format!("stranger {instance}")),
            2 => self.play(&format!("nameless {instance}")),
            3 | 4 => {
                self.processes.get_mut(&run).expect("it was picked").life = Life::Mute;
                self.play(&format!("{} {instance} oops", ["closed", "truncated"][usize::from(y / 8 % 2)]))
            }
            5 => {
                self.processes.get_mut(&run).expect("it was picked").life = Life::Mute;
                self.play(&format!("violation {instance} oops"))
            }
            6 if life == Life::Starting => {
                let process = self.processes.get_mut(&run).expect("it was picked");
                process.controls.retain(|control| control != "init");
                process.life = Life::Leaving;
                self.play(&format!("error {instance} init"))
            }
            7 if life == Life::Starting => {
                self.exited(run, &[]);
                let how = ["spawn-failed permanent", "spawn-failed transient", "refused part", "refused resources"];
                // What the host lacks is meant to hold up all that need it, and one of them tries for all.
                let count = if self.scope.is_some() { 2 } else { 4 };
                let (verb, how) = how[usize::from(y / 8) % count].split_once(' ').expect("they are two words");
                self.play(&format!("{verb} {instance} {how} oops"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn exit(&mut self, run: RunId, y: u16, z: u16) -> Checked {
        let (instance, in_flight) = (self.instance(run), self.processes[&run].in_flight.clone());
        let verb = ["exit", "end", "end", "lost", "gone"][usize::from(y % 8).saturating_sub(3)];
        let code = ["0", "1", "SIGSEGV", "125", "SIGKILL", "1", "SIGSEGV", "1"][usize::from(y / 8 % 8)];
        let written = in_flight.len() - usize::from(z % 4).min(in_flight.len());
        let unsent = if matches!(verb, "lost" | "gone") { &[] } else { &in_flight[written..] };
        self.exited(run, unsent);
        let unsent = if unsent.is_empty() { String::new() } else { format!(" unsent={}", unsent.join(",")) };
        self.play(&format!("{verb} {instance} {code}{unsent}"))
    }

    fn request(&mut self, from: &str, module: &str, z: u16, number: u64) -> Checked {
        let kind = ["command", "query", "mutation", "command", "event", "ping"][usize::from(z % 6)];
        if kind == "event" {
            return self.announce(number);
        }
        let mut text = match kind {
            "ping" => format!("ping {from}"),
            _ => format!("{kind} {from} {module}"),
        };
        if kind == "command" && z / 6 % 3 == 0 {
            text.push_str(" get");
        }
        if z / 54 % 4 == 0 {
            text.push_str(&format!(" bytes={}", z / 216));
        }
        let deadline = (z / 54 % 3 == 0).then(|| Duration::from_millis(u64::from(z / 162) * 30));
        if let Some(deadline) = deadline {
            text.push_str(&format!(" deadline={}ms", deadline.as_millis()));
        }
        let line = Line::parse(&text);
        let timeout = deadline.unwrap_or(Duration::from_secs(30));
        self.ask(from, Some(self.recipient(from)), RequestType::from_name(kind), timeout, &line);
        self.play(&text)
    }

    /// An event of the host's own: those of others go through the store, which has worlds of its own.
    fn announce(&mut self, number: u64) -> Checked {
        let text = format!("announce e.{number}");
        let line = Line::parse(&text);
        self.ask(&format!("e.{number}"), None, RequestType::Event, Duration::ZERO, &line);
        self.play(&text)
    }

    fn recipient(&self, from: &str) -> Recipient {
        let (who, id) = from.rsplit_once(':').expect("a caller and a number");
        let run = self.processes.values().find(|process| process.instance == who).map(|process| process.run);
        let caller = run.map_or_else(|| Caller::Client(ClientId(who[1..].parse().expect("a client"))), Caller::Run);
        Recipient { caller, id: id.parse().expect("a number") }
    }

    fn open(&self) -> Vec<String> {
        let alive = |to: Recipient| match to.caller {
            Caller::Client(_) => true,
            Caller::Run(run) => self.processes.get(&run).is_some_and(|process| process.life == Life::Ready),
        };
        let open = self.asked.iter().filter(|(_, asked)| asked.open && asked.to.is_some_and(alive));
        open.map(|(label, _)| label.clone()).collect()
    }

    fn cancel(&mut self, x: u16, number: u64) -> Checked {
        let Some(label) = pick(&self.open(), x) else { return Ok(()) };
        let (who, id) = label.rsplit_once(':').expect("a caller and a number");
        let from = format!("{who}:{number}");
        let text = format!("cancel {from} {id}");
        let asked = self.asked.get_mut(&label).expect("it was picked");
        asked.cancelled = true;
        self.ask(&from, Some(self.recipient(&from)), RequestType::Cancel, Duration::ZERO, &Line::parse(&text));
        self.play(&text)
    }

    fn hang_up(&mut self, client: u64, x: u16) -> Checked {
        if x % 4 != 0 {
            return Ok(());
        }
        self.play(&format!("hang-up c{client}"))?;
        // The next connection has the same letter in this play: what was open has no caller now.
        for asked in self.asked.values_mut() {
            if asked.to.is_some_and(|to| to.caller == Caller::Client(ClientId(client))) {
                asked.open = false;
            }
        }
        Ok(())
    }

    /// A caller uses a number twice: it gets an error, and the first use is not affected.
    fn repeat(&mut self, x: u16, z: u16) -> Checked {
        let Some(label) = pick(&self.open(), x) else { return Ok(()) };
        let verb = ["command", "query", "event"][usize::from(z % 3)];
        let text = format!("{verb} {label} {}", if verb == "event" { "e.0" } else { "a" });
        let line = self.note(&text);
        let happened = self.player.play(&line);
        let shown: Vec<String> = happened.iter().map(|(_, action)| crate::show::action(&self.player, action)).collect();
        match shown.as_slice() {
            [one] if one.starts_with(&format!("reply {label} error bad_request not_started")) => Ok(()),
            other => Err(format!("a number that is taken led to {other:?}")),
        }
    }

    fn order(&mut self, kind: u8, module: &str, client: u64, y: u16, z: u16, number: u64) -> Checked {
        let verb = match (kind, y % 8) {
            (36, _) => "start",
            (37, _) => "stop",
            (38, _) => "restart",
            (39, _) => "reload",
            (40, 0) => "remove",
            (40, 1) if z % 4 == 0 => "shutdown",
            _ => "wait",
        };
        if verb == "shutdown" {
            self.stopping = true;
        }
        if matches!(verb, "shutdown" | "remove") {
            return self.play(&format!("{verb} {module}"));
        }
        let from = format!("c{client}:{number}");
        let timeout = Duration::from_millis(u64::from(z));
        let mut text = format!("{verb} {module} by={from} for={z}ms");
        if verb == "reload" {
            let options = self.options(module, z, y.wrapping_mul(31), number + 10);
            text = format!("{verb} {module} by={from} for={z}ms {options}");
        }
        if verb == "wait" {
            text = format!("wait {module} {} by={from} for={z}ms", ["ready", "stopped"][usize::from(y % 2)]);
        }
        self.ask(&from, Some(self.recipient(&from)), RequestType::Ping, timeout, &Line::default());
        self.play(&text)
    }
}

fn pick<T: Clone>(all: &[T], by: u16) -> Option<T> {
    all.get(usize::from(by) % all.len().max(1)).cloned()
}
