//! The host's state and what is done with it: inputs go to the core, the core's actions are carried
//! out. One thread owns all of this; there is no lock.

mod actions;
mod catching_up;
mod connections;
mod descriptors;
mod faults;
mod filing;
mod finish;
mod following;
mod guarding;
mod history;
mod inspecting;
mod logging;
mod long_requests;
mod modules;
mod output;
mod overview;
mod quarantined;
mod reload;
mod several;
mod store;
mod store_admin;

use crate::{
    alarm::Alarm,
    clients::{self, Client, Clients},
    clock::Clock,
    control_socket::{self, ControlSocket},
    crashes::Crashes,
    embedded::{Inject, Kind},
    event_loop::{Event, LinkId, Source, Sources},
    exit_status,
    files::Files,
    followers::{Followed, Follower, FollowerId, Followers},
    guardian::{Flushed, Guardian, Incoming},
    history::Histories,
    launch::{self, Process},
    layer1::{News, Store},
    link::{Input, Io, Link, READ_BYTES},
    log_files::LogFiles,
    log_lines::{Line as LogLine, Stream},
    logs::Logs,
    long_reader::{LongReader, Payload},
    memory_kills::{self, Counter},
    notify::Notify,
    observation::Observations,
    portion::Portion,
    processes,
    readings::Readings,
    runtimes::Runtimes,
    signals::Signal,
    sources::Line,
    state_dir::StateDir,
    sys,
    watch::Watch,
};
use bulkhead_config::{HostConfig, InProgress, Loaded, ModuleConfig, Problems};
use bulkhead_core::{
    Action, Announcement, Caller, ClientId, CommitNumber, Control, Core, CrashRecord, Evidence, GuardianRestarts,
    HostSettings, IdMap, IdleClients, MemoryKill, Need, Owner, Recipient, RequestId, RunId, Time, TimeAccount,
};
use bulkhead_layer1::Outcome;
use bulkhead_protocol::{
    Delivery, ErrorCode, Exit, Failure, FrameError, Json, Message, MessageError, ModuleName, Request, RequestType,
    Response, Status, WireRequest,
    guardian::{Fault, Order, Relative, Report},
    limits::REWRITE_BYTES_MAX,
};
use nix::sys::signal::Signal as UnixSignal;
use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, mpsc},
    task::Waker,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::net::UnixStream;

use actions::DeferredNotice;
use catching_up::CatchingUp;
use several::Several;
use store_admin::StoreAdmin;

pub(crate) use faults::Faults;
pub(crate) use filing::Asked;
pub(crate) use following::Following;
use history::{LogAnswer, Question};
pub(crate) use inspecting::Inspected;
use inspecting::Way;
pub(crate) use logging::Ended;
pub(crate) use several::{Deed, Targets};
pub(crate) use store_admin::ImportArgs;

/// Bytes of an error's message that fit into the smallest frame however they are written.
const SHORT_TEXT_BYTES_MAX: usize = 4 * 1024;

/// Reads of what a process left in its channel; a socket and a pipe hold less.
const DRAIN_READS_MAX: usize = 128;

/// How long the host waits before it tries again what the system refused.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The same for an order to the guardian, which modules wait for.
const ORDER_RETRY_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct HostState {
    pub(crate) core: Core,
    pub(crate) config: HostConfig,
    /// Launch instructions, by generation.
    pub(crate) configs: HashMap<u64, Arc<ModuleConfig>>,
    next_generation: u64,
    /// Modules that are named again and wait until what was removed under their name is gone.
    returning: HashMap<ModuleName, ModuleConfig>,
    clock: Clock,
    alarm: Alarm,
    /// The time of this iteration of the loop.
    pub(crate) now: Time,
    pub(crate) clients: Clients,
    processes: IdMap<RunId, Process>,
    pub(crate) followers: Followers,
    /// What all of them hold.
    pub(crate) followers_bytes: Rc<Cell<usize>>,
    /// What is known of messages on their way, while anyone follows messages.
    tap: Option<Box<inspecting::Tap>>,
    pub(crate) guardian: Option<Guardian>,
    guardian_restarts: GuardianRestarts,
    /// When to start another guardian, or, while one is starting, when to give it up.
    guardian_due: Option<Instant>,
    /// Why there is none, as far as that was reported.
    guardian_reason: Option<String>,
    /// The processes below its leaders, as far as it has seen them.
    family: Vec<Relative>,
    /// The kills of the kernel's memory killer in the host's group, and on the whole machine.
    memory_kills: Vec<Counter>,
    /// The processes whose ends wait until it is known what it did.
    memory_waiting: memory_kills::Waiting,
    /// Whether one is being started, or what the last one left is being cleared.
    guardian_ordered: bool,
    /// Whether there may be reports from it.
    guardian_speaks: bool,
    runtimes: Runtimes,
    pub(crate) state_dir: StateDir,
    pub(crate) store: Store,
    store_admin: StoreAdmin,
    several: Several,
    pub(crate) socket: Option<ControlSocket>,
    pub(crate) sources: Sources,
    /// Links that have something to write.
    dirty: VecDeque<LinkId>,
    /// Announcements and records that wait until the frames to those concerned are written.
    deferred_notices: Vec<DeferredNotice>,
    pub(crate) logs: Logs,
    /// Logs of modules that were removed, whose last lines are on their way to their followers: after how
    /// many lines, and up to which follower.
    ending_logs: VecDeque<(u64, FollowerId, ModuleName)>,
    log_files: LogFiles,
    table: descriptors::Table,
    pub(crate) crashes: Crashes,
    notify: Notify,
    files: Files,
    pub(crate) looks: Observations<Asked>,
    histories: Histories<Question>,
    /// What was read of a log and is being sent.
    log_answer: Option<LogAnswer>,
    pub(crate) readings: Readings,
    /// Where the reading in progress is.
    reading_at: InProgress,
    watch: Watch,
    /// What is wrong with the host's own files, by path.
    wrong: BTreeMap<PathBuf, String>,
    kind: Kind,
    reloader: Option<ReadAgain>,
    /// What of the files is not loaded.
    faults: Faults,
    /// What the files say that comes into force only with the next start.
    pub(crate) restart_needed: Option<String>,
    next_watchdog: Option<Instant>,
    /// When to try again what the system refused: accepting, or sending an order.
    retry_at: Option<Instant>,
    /// Whether there may be children to reap that are not the host's own.
    strangers_left: bool,
    accept_refused: bool,
    /// Since when it is stopping.
    stopping: Option<Instant>,
    ended_at: Option<Instant>,
    /// The starter, which waits until the first modules were ordered.
    started: Option<mpsc::Sender<()>>,
    buffer: Vec<u8>,
    /// Messages that were handled since anything was written.
    unwritten: usize,
    /// Whether it was late and reads on before it decides any timeout.
    catching_up: Option<CatchingUp>,
    long_reader: LongReader,
    /// Whether what a process had sent before its end is being handled: all of it is, at once.
    is_draining: bool,
    /// What the link in progress has cost.
    portion: Portion,
    idle_clients: IdleClients,
    pages: following::Pages,
}

/// Reads the configuration again, on any thread.
type ReadAgain = Arc<dyn Fn() -> Result<Loaded, Problems> + Send + Sync>;

/// What a host is made of.
pub(crate) struct Parts {
    pub(crate) config: HostConfig,
    pub(crate) modules: Vec<ModuleConfig>,
    pub(crate) faults: Faults,
    pub(crate) state_dir: StateDir,
    pub(crate) store: Store,
    pub(crate) socket: Option<ControlSocket>,
    pub(crate) guardian: Guardian,
    pub(crate) alarm: Alarm,
    pub(crate) runtimes: Runtimes,
    pub(crate) logs: Logs,
    pub(crate) log_files: LogFiles,
    pub(crate) notify: Notify,
    pub(crate) reloader: Option<ReadAgain>,
    pub(crate) files: Files,
    pub(crate) watch: Watch,
    pub(crate) kind: Kind,
    pub(crate) seed: u64,
    pub(crate) started: mpsc::Sender<()>,
}

impl HostState {
    pub(crate) fn new(parts: Parts) -> HostState {
        let crashes =
            Crashes::new(parts.state_dir.crashes(), parts.state_dir.quarantine(), parts.state_dir.newest_record());
        let clock = Clock::new();
        let mut core = Core::new(core_settings(&parts.config), parts.seed);
        core.set_epoch(parts.store.epochs().current());
        let mut host = HostState {
            core,
            config: parts.config,
            configs: HashMap::new(),
            next_generation: 1,
            returning: HashMap::new(),
            now: clock.time(Instant::now()),
            clock,
            alarm: parts.alarm,
            clients: Clients::default(),
            processes: IdMap::default(),
            followers: Followers::default(),
            followers_bytes: Rc::default(),
            tap: None,
            guardian: None,
            guardian_restarts: GuardianRestarts::default(),
            guardian_due: None,
            guardian_reason: None,
            family: Vec::new(),
            memory_kills: Vec::new(),
            memory_waiting: memory_kills::Waiting::default(),
            guardian_ordered: false,
            guardian_speaks: false,
            runtimes: parts.runtimes,
            state_dir: parts.state_dir,
            store: parts.store,
            store_admin: StoreAdmin::default(),
            several: Several::default(),
            socket: parts.socket,
            sources: Sources::new(),
            dirty: VecDeque::new(),
            deferred_notices: Vec::new(),
            logs: parts.logs,
            ending_logs: VecDeque::new(),
            log_files: parts.log_files,
            table: descriptors::Table::new(),
            crashes,
            next_watchdog: parts.notify.watchdog.map(|every| Instant::now() + every),
            notify: parts.notify,
            files: parts.files,
            looks: Observations::default(),
            histories: Histories::default(),
            log_answer: None,
            readings: Readings::default(),
            reading_at: InProgress::default(),
            watch: parts.watch,
            wrong: BTreeMap::new(),
            kind: parts.kind,
            reloader: parts.reloader,
            faults: parts.faults,
            restart_needed: None,
            retry_at: None,
            strangers_left: false,
            accept_refused: false,
            stopping: None,
            ended_at: None,
            started: Some(parts.started),
            buffer: vec![0; READ_BYTES],
            unwritten: 0,
            catching_up: None,
            long_reader: LongReader::default(),
            is_draining: false,
            portion: Portion::default(),
            idle_clients: IdleClients::default(),
            pages: following::Pages::default(),
        };
        host.adopt_guardian(parts.guardian);
        host.watch(Source::Alarm(host.alarm.receiver()));
        host.watch_logs(0);
        host.read_descriptor_limit();
        host.watch(Source::Files(host.files.completions()));
        host.accept_next();
        host.faults.log();
        for module in parts.modules {
            host.add_module(module);
        }
        host.perform();
        host
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        let before = std::mem::replace(&mut self.now, self.clock.time(now));
        let gap = self.now.since(before);
        if catching_up::is_gap(gap) {
            self.after_a_gap(now, gap);
        }
    }

    /// Ensures that the loop is woken when there is something to do for [`HostState::handle_timers`].
    pub(crate) fn set_alarm(&mut self) {
        if let Some(due) = self.next_due() {
            self.alarm.set(due);
        }
    }

    /// The next moment at which [`HostState::handle_timers`] has something to do.
    fn next_due(&self) -> Option<Instant> {
        let judged = earlier(self.core.poll_timeout(), self.files_due()).map(|time| self.clock.instant(time));
        let farewell = self.ended_at.map(|at| at + finish::FAREWELL);
        [judged, self.next_watchdog, self.retry_at, self.guardian_due, farewell].into_iter().flatten().min()
    }

    pub(crate) fn handle_timers(&mut self) {
        if self.core.poll_timeout().is_some_and(|due| due <= self.now) && self.catching_up.is_none() {
            self.core.handle_timeout(self.now);
            self.perform();
        }
        self.files_overdue();
        if self.next_watchdog.is_none() && self.retry_at.is_none() && self.guardian_due.is_none() {
            return;
        }
        let now = Instant::now();
        if let (Some(due), Some(every)) = (self.next_watchdog, self.notify.watchdog)
            && due <= now
        {
            self.notify.send("WATCHDOG=1");
            self.next_watchdog = Some(now + every);
        }
        if self.guardian_due.is_some_and(|due| due <= now) {
            self.guardian_due = None;
            self.guardian_is_due();
            self.perform();
        }
        if self.retry_at.is_some_and(|due| due <= now) {
            self.retry_at = None;
            if std::mem::take(&mut self.accept_refused) {
                self.accept_next();
            }
            if std::mem::take(&mut self.strangers_left) {
                self.reap_strangers();
            }
            self.flush_guardian();
            self.flush_all_logs();
            self.pump_followers();
            self.perform();
        }
    }

    pub(crate) fn handle(&mut self, event: Event) {
        match event {
            Event::Readable(LinkId::Client(client)) => self.client_readable(client),
            Event::Readable(LinkId::Run(run)) => self.run_readable(run),
            Event::Writable(link) => {
                if let Some(link) = self.link(link) {
                    link.awaits_room = false;
                }
                self.mark_dirty(link);
            }
            Event::HungUp(client) => self.remove_client(client),
            Event::Several(who) => self.several_on(who),
            Event::LogsReadable(reader) => self.logs_readable(reader),
            Event::LogsWritable(reader) => {
                self.logs.reader(reader).awaits_room = false;
                self.flush_logs(reader);
            }
            Event::History => self.send_history(),
            Event::LogLines => {
                if self.send_lines() {
                    self.watch(Source::LogLines);
                }
            }
            Event::Alarm => {
                self.alarm.has_rung();
                self.watch(Source::Alarm(self.alarm.receiver()));
            }
            Event::GuardianReadable => self.guardian_speaks = true,
            Event::GuardianWritable => {
                if let Some(guardian) = &mut self.guardian {
                    guardian.awaits_room = false;
                }
                self.flush_guardian();
            }
            Event::Accepted(Ok(stream)) => {
                self.accepted(stream);
                self.accept_next();
            }
            Event::Accepted(Err(error)) => self.accept_failed(&error),
            Event::Signalled(signal, signals) => {
                self.watch(Source::Signals(signals));
                match signal {
                    Signal::Terminate => self.stop(),
                    Signal::RunsOut if self.stopping.is_none() => {
                        tracing::error!("power or processor time of the host run out (SIGPWR or SIGXCPU): stopping");
                        self.stop();
                    }
                    Signal::RunsOut => {}
                    Signal::Reload => {
                        self.watch.look();
                        self.store.look();
                        self.reload_all();
                    }
                    Signal::ReopenLogs => self.log_files.reopen(),
                    Signal::Child => self.reap_strangers(),
                }
            }
            Event::FilesDone => {
                self.watch(Source::Files(self.files.completions()));
                self.files_done();
            }
            Event::Replaced => {}
            Event::Injected(inject, receiver) => {
                self.watch(Source::Program(receiver));
                self.handle_injected(inject);
            }
        }
        self.perform();
    }

    fn handle_injected(&mut self, inject: Inject) {
        match inject {
            Inject::Client(stream) => match stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream)) {
                Ok(stream) => self.add_client(stream, None),
                Err(error) => tracing::error!("cannot take a client of the program: {error}"),
            },
            Inject::Stop => self.stop(),
        }
    }

    fn watch(&mut self, source: Source) {
        self.watch_in(source, Line::Front);
    }

    fn watch_in(&mut self, source: Source, line: Line) {
        self.sources.push(source, line);
    }

    /// The queue of a link with this account.
    fn line_of(&self, account: &TimeAccount) -> Line {
        if account.has_had_its_share(self.now) { Line::Second } else { Line::Front }
    }

    /// Lets the threads that work for the host wake the loop by this waker.
    pub(crate) fn register(&self, waker: &Waker) {
        self.store.register(waker);
        self.long_reader.register(waker);
    }
}

/// The earlier of two moments, as far as there are any.
fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn core_settings(config: &HostConfig) -> HostSettings {
    HostSettings {
        clients_bytes_max: clients::requests_bytes_max(config.clients_bytes_max),
        ..config.restarts.settings()
    }
}
