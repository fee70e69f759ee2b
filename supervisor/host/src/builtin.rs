//! The built-in address `supervisor`: what its commands are called, what they take, what they answer.
//! The core decides.

pub(crate) mod schemas;

use crate::{
    clients::FOLLOWERS_PART,
    commands::Entry,
    followers::{FOLLOWER_BYTES, Follower, FollowerId},
    long_reader::READ_AT_ONCE_BYTES_MAX,
    observation::Look,
    state::{Asked, Deed, HostState, ImportArgs, Targets},
    status::{Guarding, HostStatus, ModuleStatus, Status, millis},
};
use bulkhead_core::{Condition, Recipient};
use bulkhead_protocol::{
    Delivery, ErrorCode, Failure, Json, ModuleName, Named, Pattern, Request, RequestType, Status as Answer,
    limits::{DEADLINE_MS_MAX, NAME_BYTES_MAX},
};
use serde::{Deserialize, de::DeserializeOwned};
use std::time::Duration;

/// How long a start, stop, restart or reload is waited for when the request names no deadline.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes around the data of an answer, with a margin.
pub(crate) const ANSWER_FRAME_BYTES: usize = 1024;

/// Lines that `status NAME` ends with.
const STATUS_LINES: usize = 10;

/// Longest epoch that is looked at, in bytes.
const EPOCH_BYTES_MAX: usize = 64;

/// Events and logs that one caller may follow at the same time.
const FOLLOWED_MAX: usize = 64;

#[derive(Deserialize)]
struct Command<'a> {
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
    #[serde(default)]
    args: Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameArgs {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaybeNamed {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribeArgs {
    name: String,
    #[serde(default)]
    command: Option<String>,
}

/// Which modules something is done to: one of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    name: String,
    r#for: For,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum For {
    Ready,
    Stopped,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsArgs {
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    after: Option<u64>,
    #[serde(default)]
    epoch: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogsArgs {
    name: String,
    #[serde(default)]
    lines: Option<usize>,
    #[serde(default)]
    follow: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CrashesArgs {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

/// What follows from a command: data at once, or an answer of the core or of a follower later.
type Done = Result<Option<Json>, Failure>;

/// A request for a command of `supervisor`.
struct Call<'a> {
    who: Recipient,
    name: &'static str,
    args: &'a Json,
    deadline: Option<Duration>,
}

impl Call<'_> {
    fn args<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.args.read().map_err(|error| bad(format!("the arguments of {}: {error}", self.name)))
    }

    /// The arguments of a command that needs none.
    fn args_or_none<T: DeserializeOwned + Default>(&self) -> Result<T, Failure> {
        self.args::<Option<T>>().map(Option::unwrap_or_default)
    }

    /// How long what was asked for may take.
    fn timeout(&self) -> Duration {
        self.deadline.unwrap_or(TIMEOUT)
    }
}

/// A command of `supervisor`: how it is listed for callers, and what is done.
pub(crate) struct Own {
    pub(crate) entry: Entry<'static>,
    handle: fn(&mut HostState, &Call<'_>) -> Done,
}

/// A command that may be repeated, as it only reads.
const fn asks(name: &'static str, description: &'static str, handle: fn(&mut HostState, &Call<'_>) -> Done) -> Own {
    Own { entry: Entry { name, idempotent: true, description }, handle }
}

/// A command that changes something.
const fn does(name: &'static str, description: &'static str, handle: fn(&mut HostState, &Call<'_>) -> Done) -> Own {
    Own { entry: Entry { name, idempotent: false, description }, handle }
}

/// All commands of `supervisor`, in the order in which callers get them.
pub(crate) static OWN: [Own; 22] = [
    asks("status", "the host and its modules, or one of them in full: {\"name\"}", HostState::look_at),
    asks("commands", "the commands of a module, or of supervisor: {\"name\"}", |host, call| {
        host.commands_of(&call.args::<NameArgs>()?.name).map(Some)
    }),
    asks("describe", "the commands of a module with their arguments: {\"name\",\"command\"}", |host, call| {
        let DescribeArgs { name, command } = call.args()?;
        host.describe(&name, command.as_deref()).map(Some)
    }),
    asks("why", "why a module is in its state, or where a request waits: {\"name\",\"request\"}", |host, call| {
        host.explain(&call.args()?).map(Some)
    }),
    does("start", "starts modules: {\"name\"}, {\"names\"} or {\"all\":true}", |host, call| {
        host.do_to(call.who, Deed::Start, call.args()?, call.timeout())
    }),
    does("stop", "stops modules, with their whole process trees: as start", |host, call| {
        host.do_to(call.who, Deed::Stop, call.args()?, call.timeout())
    }),
    does("restart", "stops and starts modules: as start", |host, call| {
        host.do_to(call.who, Deed::Restart, call.args()?, call.timeout())
    }),
    does("reload", "reads the files again and replaces modules without a gap: as start", |host, call| {
        host.do_to(call.who, Deed::Reload, call.args()?, call.timeout())
    }),
    asks("wait", "waits until a module is ready or stopped: {\"name\",\"for\"}", HostState::wait_for),
    asks("events", "follows events: {\"pattern\",\"after\",\"epoch\"}", |host, call| {
        host.follow_events(call.who, call.args_or_none()?)
    }),
    asks("logs", "the last lines that a module wrote: {\"name\",\"lines\",\"follow\"}", |host, call| {
        let LogsArgs { name, lines, follow } = call.args()?;
        host.ask_log(call.who, &name, lines, follow, call.timeout())
    }),
    asks("inspect", "follows messages of modules: {\"names\",\"types\",\"payloads\"}", |host, call| {
        host.inspect(call.who, call.args_or_none()?)
    }),
    asks("crashes", "what modules were doing when they crashed: {\"name\",\"limit\"}", |host, call| {
        let CrashesArgs { name, limit } = call.args_or_none()?;
        host.ask_crashes(call.who, name, limit, call.timeout())
    }),
    asks("quarantine", "messages that killed processes: {\"name\",\"after\",\"limit\"}", |host, call| {
        host.list_quarantined(call.who, call.args_or_none()?, call.timeout())
    }),
    asks("quarantine_show", "one of these messages, whole: {\"id\"}", |host, call| {
        host.show_quarantined(call.who, call.args()?, call.timeout())
    }),
    does("quarantine_drop", "forgets one of these messages: {\"id\"}", |host, call| {
        host.drop_quarantined(call.who, call.args()?, call.timeout())
    }),
    asks("layer1", "what the data store holds", |host, call| host.overview(call.who)),
    asks("set_aside", "events that modules kept failing on: {\"name\",\"after\",\"limit\"}", |host, call| {
        host.list_set_aside(call.who, call.args_or_none()?)
    }),
    does("replay", "gives a set-aside event to its module once more: {\"id\"}", |host, call| {
        host.replay(call.who, call.args()?)
    }),
    does("drop", "forgets a set-aside event: {\"id\"}", |host, call| host.drop_set_aside(call.who, call.args()?)),
    does("forget", "forgets a module that is gone for good: {\"name\"}", |host, call| {
        host.forget(call.who, call.args::<NameArgs>()?.name)
    }),
    does("import", "takes in lines of an export: {\"lines\",\"first\",\"existing\"}", |host, call| {
        host.import(call.who, call.args()?)
    }),
];

impl HostState {
    /// Handles a request to `supervisor`. What is answered later is answered by the core or by a follower.
    pub(crate) fn builtin(&mut self, who: Recipient, request: &Request) {
        let result = if request.kind == RequestType::Command {
            self.builtin_command(who, request)
        } else {
            let found = request.kind.name();
            Err(Failure::new(
                ErrorCode::UnknownType,
                format!("supervisor takes requests of type command, found {found:?}"),
            ))
        };
        self.builtin_done(who, result);
    }

    /// Handles an import whose arguments were read elsewhere, since they are long.
    pub(crate) fn builtin_import(&mut self, who: Recipient, args: Result<ImportArgs, Failure>) {
        let result = args.and_then(|args| {
            self.check_number(who)?;
            self.import(who, args)
        });
        self.builtin_done(who, result);
    }

    fn builtin_done(&mut self, who: Recipient, result: Result<Option<Json>, Failure>) {
        match result {
            Ok(Some(data)) => self.reply(who, Answer::Success(data)),
            Ok(None) => {}
            Err(failure) => self.reply(who, failure.delivery(Delivery::NotStarted).into()),
        }
    }

    /// Whether a caller's number is free.
    fn check_number(&self, who: Recipient) -> Result<(), Failure> {
        let is_followed = self.followers.contains(who);
        if self.core.is_open(who) || is_followed || self.has_admin_job(who) || self.has_several(who) {
            return Err(bad(format!("the id {} is that of a request that is not answered yet", who.id)));
        }
        Ok(())
    }

    fn builtin_command(&mut self, who: Recipient, request: &Request) -> Done {
        let command: Command<'_> = request
            .payload
            .read()
            .map_err(|error| bad(format!("expected a payload {{\"name\",\"args\"}}: {error}")))?;
        self.check_number(who)?;
        // A wait without any time asks for the present state.
        if command.name != "wait" {
            bulkhead_core::check_deadline(request)?;
        }
        let Some(own) = OWN.iter().find(|own| own.entry.name == command.name) else {
            let names: Vec<&str> = OWN.iter().map(|own| own.entry.name).collect();
            let reason = format!("supervisor has no command {:?}; it has {}", command.name, names.join(", "));
            return Err(Failure::new(ErrorCode::UnknownCommand, reason));
        };
        let deadline = request.deadline_ms.map(Duration::from_millis);
        (own.handle)(self, &Call { who, name: own.entry.name, args: &command.args, deadline })
    }

    fn look_at(&mut self, call: &Call<'_>) -> Done {
        let asked = match call.args_or_none::<MaybeNamed>()?.name {
            Some(name) => Asked::Module(self.known(&name)?),
            None => Asked::Status,
        };
        self.ask_look(call.who, asked);
        Ok(None)
    }

    fn wait_for(&mut self, call: &Call<'_>) -> Done {
        let Wait { name, r#for } = call.args()?;
        self.check_loaded(&name)?;
        let condition = match r#for {
            For::Ready => Condition::Ready,
            For::Stopped => Condition::Stopped,
        };
        let timeout = call.deadline.unwrap_or(Duration::from_millis(DEADLINE_MS_MAX));
        self.core.handle_wait(self.now, call.who, &name, condition, timeout);
        Ok(None)
    }

    /// Does something to one module, to several, or to all.
    fn do_to(&mut self, who: Recipient, deed: Deed, which: Which, timeout: Duration) -> Result<Option<Json>, Failure> {
        let name = match which {
            Which { name: Some(name), names: None, all: false } => name,
            Which { name: None, names: Some(names), all: false } => {
                return self.do_to_several(who, deed, Targets::Named(names), timeout);
            }
            Which { name: None, names: None, all: true } => {
                return self.do_to_several(who, deed, Targets::All, timeout);
            }
            Which { .. } => {
                let found = "expected one of {\"name\":\"a\"}, {\"names\":[\"a\",\"b\"]} and {\"all\":true}";
                return Err(bad(format!("the arguments: {found}")));
            }
        };
        match deed {
            Deed::Start | Deed::Stop | Deed::Restart => self.check_loaded(&name)?,
            // The files are read again first.
            Deed::Reload => {}
        }
        match deed {
            Deed::Start => self.core.handle_start(self.now, Some(who), &name, timeout),
            Deed::Stop => self.core.handle_stop(self.now, Some(who), &name, timeout),
            Deed::Restart => self.core.handle_restart(self.now, Some(who), &name, timeout),
            Deed::Reload => self.reload_one(who, &name, timeout)?,
        }
        Ok(None)
    }

    pub(crate) fn known(&self, name: &str) -> Result<ModuleName, Failure> {
        self.core.known_name(name).cloned().ok_or_else(|| self.unknown(name))
    }

    /// Answers a request that has waited for a look.
    pub(crate) fn answer_look(&mut self, who: Recipient, asked: Asked, look: &Look) {
        let answer = match asked {
            Asked::Status => Ok(self.status(look)),
            Asked::Module(name) => self.status_of(name.as_str(), look),
            Asked::Overview(overview) => Ok(overview.whole(self.store.status(self.restart_needed.clone()))),
        };
        match answer {
            Ok(data) => self.reply(who, Answer::Success(data)),
            Err(failure) => self.reply(who, failure.delivery(Delivery::NotStarted).into()),
        }
    }

    pub(crate) fn status(&self, look: &Look) -> Json {
        let modules: Vec<ModuleStatus> =
            self.core.module_names().iter().filter_map(|name| self.module_status(name, look)).collect();
        let own = i32::try_from(std::process::id()).ok();
        let host = HostStatus {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            guardian_pid: self.guardian.as_ref().map(crate::guardian::Guardian::pid),
            uptime_ms: millis(Duration::from_micros(self.now.as_micros())),
            state_dir: self.state_dir.path().display().to_string(),
            module_folders: self.config.modules.iter().map(|folder| folder.display().to_string()).collect(),
            socket: self.socket.is_some().then(|| self.config.socket.display().to_string()),
            containment: self.containment(),
            guardian_fault: self.guardian_fault(),
            frame_bytes_max: self.config.frame_bytes_max,
            clients: self.clients.by_id.len(),
            modules: modules.len(),
            ready: modules.iter().filter(|module| module.state == "ready").count(),
            layer1: self.store.status(self.restart_needed.clone()),
            memory_bytes: own.and_then(|pid| look.memory.get(&pid).copied()),
            problems: self.problems(),
        };
        Json::of(&Status::new(host, modules))
    }

    fn module_status(&self, name: &ModuleName, look: &Look) -> Option<ModuleStatus> {
        let view = self.core.view(self.now, name)?;
        let config = self.configs.get(&view.generation);
        let guarding = Guarding { containment: self.containment(), fault: self.guardian_fault() };
        Some(ModuleStatus::new(view, config.map(|config| &**config), guarding, look))
    }

    fn status_of(&self, name: &str, look: &Look) -> Result<Json, Failure> {
        let name = self.known(name)?;
        let mut status = self.module_status(&name, look).expect("a known module has a view");
        let tail = self
            .logs
            .existing(name.as_str())
            .map(|log| log.last(STATUS_LINES).into_iter().map(|line| line.text.to_string()));
        status.log_tail = Some(tail.map(Iterator::collect).unwrap_or_default());
        Ok(Json::of(&status))
    }

    /// Checks that a caller may follow one thing more.
    pub(crate) fn check_follower(&self, who: Recipient) -> Result<(), Failure> {
        let followed = self.followers.count_of(who.caller);
        if followed >= FOLLOWED_MAX {
            let reason =
                format!("{followed} events and logs are followed already: cancel one before following another");
            return Err(Failure::new(ErrorCode::Overloaded, reason));
        }
        let (all, most) = (self.followers_bytes.get(), self.config.clients_bytes_max / FOLLOWERS_PART);
        if all + FOLLOWER_BYTES > most {
            let reason = format!(
                "all who follow events and logs hold {all} bytes, of {most} at most, an eighth of \
                 host.clients_bytes_max: try again in a moment"
            );
            return Err(Failure::new(ErrorCode::Overloaded, reason));
        }
        Ok(())
    }

    fn follow_events(&mut self, who: Recipient, args: EventsArgs) -> Result<Option<Json>, Failure> {
        self.check_follower(who)?;
        let pattern = Pattern::new(args.pattern.as_deref().unwrap_or("*")).map_err(|error| bad(error.to_string()))?;
        match &args.epoch {
            Some(epoch) if epoch.is_empty() || epoch.len() > EPOCH_BYTES_MAX => {
                let found = epoch.len();
                return Err(bad(format!("expected an epoch of 1 to {EPOCH_BYTES_MAX} bytes, found {found}")));
            }
            Some(_) if args.after.is_none() => {
                let reason = "epoch says to which history the cursor in after belongs, and there is no after";
                return Err(bad(reason.to_owned()));
            }
            Some(_) | None => {}
        }
        self.follow(who, pattern, args.after, args.epoch.as_deref());
        Ok(None)
    }

    /// A module is gone, and no line of it will come any more: the followers of its log are informed.
    pub(crate) fn end_logs(&mut self, module: &ModuleName, last: FollowerId) {
        let ended: Vec<FollowerId> =
            self.followers.of_log(module.as_str()).into_iter().filter(|id| *id <= last).collect();
        for id in ended {
            let Some(Follower { recipient: who, .. }) = self.followers.remove(id) else { continue };
            self.forget_history(who);
            let reason = format!("{module} was removed: it has no log any more");
            self.reply(who, Failure::new(ErrorCode::UnknownModule, reason).into());
        }
    }

    /// Ends a follower whose caller cancelled it; `false` if there is none of that number.
    pub(crate) fn cancel_follower(&mut self, who: Recipient) -> bool {
        if self.followers.remove_recipient(who).is_none() {
            return false;
        }
        self.forget_history(who);
        self.reply(who, Answer::Success(Json::null()));
        true
    }
}

/// Reads the arguments of a long command. Only an import has such long ones.
pub(crate) fn read_long_command(payload: &Json) -> Result<ImportArgs, Failure> {
    let whole: Command<'_>;
    let (name, args) = match Named::command(payload) {
        Some(Named { name, value }) => (name, value.unwrap_or("null")),
        None => {
            let read = payload.read();
            whole = read.map_err(|error| bad(format!("expected a payload {{\"name\",\"args\"}}: {error}")))?;
            (&*whole.name, whole.args.as_str())
        }
    };
    if name != "import" {
        let (most, found) = (READ_AT_ONCE_BYTES_MAX, payload.as_str().len());
        let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
        return Err(bad(format!("the command {name:?} of supervisor has at most {most} bytes, found {found}")));
    }
    serde_json::from_str(args).map_err(|error| bad(format!("the arguments of import: {error}")))
}

pub(crate) fn bad(reason: String) -> Failure {
    Failure::new(ErrorCode::BadRequest, reason)
}
