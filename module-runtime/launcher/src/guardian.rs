//! The guardian: one thread, one loop over the host's socket, the signal of a child's end, the host's end and
//! the pipes of the children that start.
//!
//! It starts processes and reports; how orders are taken is in `orders.rs`, how trees are killed in `clearing.rs`. It
//! never waits for anything but poll(2), so that nothing a module does can stop it.

use crate::cgroup::Base;
use crate::child::Launch;
use crate::clearing::STRAY_LOOK_EVERY;
use crate::descendants::OwnChildren;
use crate::failure::Failure;
use crate::family::Family;
use crate::host_socket::HostSocket;
use crate::memory::{self, Counters};
use crate::run::{Run, State};
use crate::sys;
use bulkhead_protocol::guardian::{GUARDIAN_FD, Report, Spawn};
use libc::pid_t;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Names the way in which trees are killed, or refuses.
const CONTAINMENT_VARIABLE: &str = "BULKHEAD_CONTAINMENT";

/// How long clearing may take once the host is gone.
const ENDING_MAX: Duration = Duration::from_secs(10);

/// How much longer it may take while every look still finds new processes to kill: to abandon a tree that grows would
/// be worse than to stay.
const ENDING_GROWTH_MAX: Duration = Duration::from_secs(50);

/// What the guardian knows.
pub(crate) struct Guardian {
    pub(crate) host_socket: HostSocket,
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) own_pid: pid_t,
    pub(crate) base: Option<Base>,
    pub(crate) children: OwnChildren,
    pub(crate) memory: Counters,
    pub(crate) family: Family,
    /// When to look again for processes to kill, and how long to wait after that.
    pub(crate) next_look: Option<Instant>,
    pub(crate) look_delay: Duration,
    /// How many looks in a row found new processes.
    pub(crate) rounds_with_survivors: u32,
    /// Processes that have got SIGKILL and were counted.
    pub(crate) killed_pids: HashSet<pid_t>,
    /// Killed processes of an unknown run, for the next `Gone`.
    pub(crate) strays: u32,
    /// The host is gone or sends invalid orders: clear everything by then and exit with that code.
    pub(crate) ending: Option<(Instant, u8)>,
    host: Option<OwnedFd>,
    signals: SignalFd,
}

/// Runs the guardian until its host ends.
pub(crate) fn main() -> ExitCode {
    match Guardian::start() {
        Ok(mut guardian) => ExitCode::from(guardian.run()),
        Err(message) => {
            sys::say(&message);
            ExitCode::FAILURE
        }
    }
}

impl Guardian {
    fn start() -> Result<Guardian, String> {
        let fault = |what: &'static str| move |error: nix::Error| format!("{what}: {error}");
        let host_socket = HostSocket::adopt()?;
        sys::close_above(GUARDIAN_FD).map_err(|error| format!("cannot read /proc, which must be mounted: {error}"))?;
        // A session of its own, so that a terminal's signals reach the host alone, which then decides.
        // It fails for the leader of a process group; one that leads its session already is fine.
        if nix::unistd::setsid().is_err() && nix::unistd::getsid(None) != Ok(nix::unistd::getpid()) {
            return Err(
                "cannot start a session: the guardian must not be started as the leader of a process group".into()
            );
        }
        let _ = nix::unistd::chdir("/");
        let _ = nix::sys::prctl::set_name(c"bulkhead-guard");
        nix::sys::prctl::set_child_subreaper(true).map_err(fault("cannot become a sub-reaper"))?;
        // Blocked for good: no signal but SIGKILL ends a guardian while it has children.
        SigSet::all().thread_block().map_err(fault("cannot block signals"))?;
        // Ignored signals would stay ignored in every program that is started: those that the host's parent ignored,
        // and SIGPIPE, which Rust ignores. Done here once, it costs nothing at a start.
        sys::forget_dispositions();
        let mut child_signal = SigSet::empty();
        child_signal.add(Signal::SIGCHLD);
        let signals = SignalFd::with_flags(&child_signal, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(fault("cannot make a signalfd"))?;
        if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
        let host = watch_host(&host_socket)?;
        let base = choose_containment()?;
        let children = OwnChildren::open().map_err(|error| format!("cannot read the list of children: {error}"))?;
        let own_pid = nix::unistd::getpid().as_raw();
        if let Err(error) = memory::check_scores() {
            sys::say(&format!(
                "cannot write /proc/self/oom_score_adj, so modules are not taken first when memory runs out: {error}"
            ));
        }
        let memory = Counters::of_this_process();
        let mut guardian = Guardian {
            host_socket,
            runs: BTreeMap::new(),
            own_pid,
            base,
            children,
            memory,
            family: Family::default(),
            next_look: None,
            look_delay: Duration::ZERO,
            rounds_with_survivors: 0,
            killed_pids: HashSet::new(),
            strays: 0,
            ending: None,
            host,
            signals,
        };
        guardian.host_socket.report(&Report::Hello {
            containment: if guardian.base.is_some() { "cgroup" } else { "subreaper" }.to_owned(),
            cgroup: guardian.base.as_ref().map(|base| base.path().to_string_lossy().into_owned()),
            pid: own_pid,
            memory_counters: guardian.memory.all(),
        });
        Ok(guardian)
    }

    /// The loop. Returns the exit code.
    fn run(&mut self) -> u8 {
        loop {
            // A send may also find the socket closed, so this is checked before every wait.
            if self.host_socket.is_closed() {
                self.end(0);
            }
            if let Some((deadline, code)) = self.ending
                && let Some(code) = self.ended(deadline, code)
            {
                return code;
            }
            let wakeup = self.wait();
            if wakeup.host_gone {
                self.host_socket.close();
                self.host = None;
            }
            // Ended children take precedence: callers wait for their result or for the next process.
            if wakeup.children {
                // One signal stands for all children that have ended, and a child that ends from now on sends another.
                let _ = self.signals.read_signal();
            }
            if wakeup.children || self.next_look.is_some_and(|at| at <= Instant::now()) {
                self.clear();
            }
            self.look_at_families();
            if wakeup.host_socket {
                self.host_socket.flush();
                self.take_orders();
            }
            self.settle_starts(&wakeup.starts);
        }
    }

    /// Waits until there is something to do.
    fn wait(&self) -> Wakeup {
        let mut ready = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        // A closed host_socket is always ready; it is left out, by polling the signals twice.
        ready.push(match self.host_socket.is_closed() {
            true => PollFd::new(self.signals.as_fd(), PollFlags::empty()),
            false => self.host_socket.interest(),
        });
        if let Some(host) = &self.host {
            ready.push(PollFd::new(host.as_fd(), PollFlags::POLLIN));
        }
        let fixed = ready.len();
        let mut starts: Vec<u64> = Vec::new();
        for (number, run) in &self.runs {
            if let State::Starting { pipe } = &run.state {
                ready.push(PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
                starts.push(*number);
            }
        }
        let deadline = self
            .next_look
            .into_iter()
            .chain(self.family.next_look)
            .chain(self.ending.map(|(deadline, _)| deadline).filter(|deadline| *deadline > Instant::now()))
            .min();
        let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
            // Rounded up, or the last millisecond would be a busy loop.
            let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        // The one error that can come back here is a lack of kernel memory, which passes.
        let _ = poll(&mut ready, timeout);
        let events: Vec<PollFlags> = ready.iter().map(|ready| ready.revents().unwrap_or(PollFlags::empty())).collect();
        let mut settled = events[fixed..].iter().map(|events| !events.is_empty());
        starts.retain(|_| settled.next().expect("each start has its result after the others'"));
        let gone = events[1].intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
        Wakeup {
            children: !events[0].is_empty(),
            host_socket: !events[1].is_empty(),
            host_gone: gone || (fixed == 3 && !events[2].is_empty()),
            starts,
        }
    }

    pub(crate) fn spawn(&mut self, spawn: Spawn, descriptors: &[OwnedFd], descriptors_lost: bool) {
        let expected = if spawn.channel { 4 } else { 3 };
        if self.runs.contains_key(&spawn.run) {
            return self.refuse(&format!("run {} was ordered twice", spawn.run));
        }
        if !descriptors_lost && descriptors.len() != expected {
            let found = descriptors.len();
            return self.refuse(&format!("run {} came with {found} descriptors, expected {expected}", spawn.run));
        }
        let number = spawn.run;
        let started = if descriptors_lost {
            Err(Failure::lack("the guardian cannot receive the process's descriptors", &nix::Error::EMFILE.into()))
        } else {
            self.fork(spawn, descriptors)
        };
        match started {
            Ok(run) => {
                self.runs.insert(number, run);
                self.next_look.get_or_insert(Instant::now() + STRAY_LOOK_EVERY);
                self.family.begin();
            }
            Err(Failure { message, fault }) => {
                self.host_socket.report(&Report::SpawnFailed { run: number, fault, message });
            }
        }
    }

    fn fork(&self, spawn: Spawn, descriptors: &[OwnedFd]) -> Result<Run, Failure> {
        let launch = Launch::new(&spawn).map_err(Failure::permanent)?;
        let group = match &self.base {
            None => None,
            Some(base) => {
                let name = group_name(&spawn).map_err(Failure::permanent)?;
                Some(base.group(&name).map_err(|error| Failure::lack("cannot make a control group", &error))?)
            }
        };
        let forked = match &group {
            None => launch.fork(descriptors, None),
            Some(group) => group.entry().and_then(|entry| launch.fork(descriptors, Some(entry.as_fd()))),
        };
        match forked {
            Ok((pid, pipe)) => Ok(Run::new(pid, pipe, group, spawn)),
            Err(error) => {
                group.inspect(|group| group.remove());
                Err(Failure::lack("cannot start another process", &error))
            }
        }
    }

    /// Reports to the host every program that runs by now.
    fn settle_starts(&mut self, starts: &[u64]) {
        for number in starts {
            // A program that has ended meanwhile is not reported as started.
            if let Some(run) = self.runs.get_mut(number)
                && run.settle()
            {
                self.host_socket.report(&Report::Spawned { run: *number, pid: run.pid });
            }
        }
    }

    /// The host sent what no host of this build sends. Continuing would be guessing.
    pub(crate) fn refuse(&mut self, problem: &str) {
        sys::say(&format!(
            "{problem}; the host and its guardian do not understand each other, so everything is stopped"
        ));
        self.end(1);
    }

    /// Starts to clear everything, once.
    pub(crate) fn end(&mut self, code: u8) {
        if self.ending.is_some() {
            return;
        }
        let now = Instant::now();
        self.ending = Some((now + ENDING_MAX, code));
        self.look_delay = Duration::ZERO;
        self.next_look = Some(now);
    }

    /// The exit code, if the end is reached or takes too long.
    fn ended(&mut self, deadline: Instant, code: u8) -> Option<u8> {
        if self.runs.is_empty() && self.next_look.is_none() {
            self.base.take().inspect(|base| base.remove());
            return Some(code);
        }
        let grows = self.rounds_with_survivors > 0;
        if Instant::now() >= if grows { deadline + ENDING_GROWTH_MAX } else { deadline } {
            sys::say(&format!(
                "some processes cannot be killed, not even in {} s; they are left",
                ENDING_MAX.as_secs()
            ));
            return Some(1);
        }
        None
    }
}

/// What woke the loop.
struct Wakeup {
    children: bool,
    host_socket: bool,
    host_gone: bool,
    /// Runs whose pipes are readable.
    starts: Vec<u64>,
}

/// The name of the run's group: what the host asks for, or one from its number.
fn group_name(spawn: &Spawn) -> Result<String, String> {
    match spawn.cgroup.as_deref() {
        None => Ok(format!("run-{}", spawn.run)),
        Some(name) if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) => {
            Err(format!("'{name}' cannot be the name of a control group"))
        }
        Some(name) => Ok(name.to_owned()),
    }
}

/// Opens the host for watching, if this process can see it.
fn watch_host(host_socket: &HostSocket) -> Result<Option<OwnedFd>, String> {
    let Some(host) = host_socket.host() else { return Ok(None) };
    match sys::pidfd_open(host) {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Err("the host has ended already".to_owned()),
        Err(error) => Err(format!("cannot watch the host, process {host}: {error} (pidfd_open needs Linux 5.3)")),
    }
}

/// Groups where they work, unless the environment says otherwise.
fn choose_containment() -> Result<Option<Base>, String> {
    match std::env::var(CONTAINMENT_VARIABLE).as_deref() {
        Err(std::env::VarError::NotPresent) => Ok(Base::create().ok()),
        Ok("cgroup") => Base::create().map(Some).map_err(|problem| format!("{CONTAINMENT_VARIABLE}=cgroup: {problem}")),
        Ok("subreaper") => Ok(None),
        other => {
            let found = other.unwrap_or("text that is not UTF-8");
            Err(format!("{CONTAINMENT_VARIABLE} is '{found}', expected cgroup or subreaper"))
        }
    }
}
