//! The built-in address `supervisor`: what its commands are called, what they take, what they answer.
//! The deciding is the core's.

use crate::{
    clients::{Followed, Follower},
    host::Host,
    log_lines::level,
    status::{Guarding, HostStatus, ModuleStatus, Status, millis},
};
use bulkhead_core::{Condition, Recipient};
use bulkhead_protocol::{
    Delivery, ErrorCode, Failure, Json, ModuleName, Pattern, Request, RequestType, Status as Answer,
    limits::DEADLINE_MS_MAX,
};
use serde::{Deserialize, de::DeserializeOwned};
use std::time::Duration;

/// How long a start, stop, restart or reload is waited for when the request names no deadline.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes around the data of an answer, with room to spare.
pub(crate) const ANSWER_FRAME_BYTES: usize = 1024;

/// Lines that `logs` shows when it is not told how many, and that `status NAME` ends with.
const LINES_DEFAULT: usize = 100;
const STATUS_LINES: usize = 10;

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
struct Named {
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

const COMMANDS: &str = "status, start, stop, restart, reload, wait, events, logs, crashes, layer1, set_aside, replay, drop, forget, import";

impl Host {
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
        match result {
            Ok(Some(data)) => self.reply(who, Answer::Success(data)),
            Ok(None) => {}
            Err(failure) => self.reply(who, failure.delivery(Delivery::NotStarted).into()),
        }
    }

    fn builtin_command(&mut self, who: Recipient, request: &Request) -> Result<Option<Json>, Failure> {
        let command: Command<'_> = request
            .payload
            .read()
            .map_err(|error| bad(format!("expected a payload {{\"name\",\"args\"}}: {error}")))?;
        let now = self.now;
        let patience = request.deadline_ms.map_or(PATIENCE, Duration::from_millis);
        let args = &command.args;
        let is_followed = self.followers.iter().any(|follower| follower.recipient == who);
        if self.core.is_open(who) || is_followed || self.has_errand(who) {
            return Err(bad(format!("the id {} is that of a request that is not answered yet", who.id)));
        }
        // To wait no time at all is to ask what is so now.
        if command.name != "wait" {
            bulkhead_core::check_patience(request)?;
        }
        match &*command.name {
            "status" => match read::<Option<MaybeNamed>>(args, "status")?.unwrap_or_default().name {
                Some(name) => self.status_of(&name).map(Some),
                None => Ok(Some(self.status())),
            },
            "start" => {
                let Named { name } = read(args, "start")?;
                self.core.handle_start(now, Some(who), &name, patience);
                Ok(None)
            }
            "stop" => {
                let Named { name } = read(args, "stop")?;
                self.core.handle_stop(now, Some(who), &name, patience);
                Ok(None)
            }
            "restart" => {
                let Named { name } = read(args, "restart")?;
                self.core.handle_restart(now, Some(who), &name, patience);
                Ok(None)
            }
            "reload" => {
                let Named { name } = read(args, "reload")?;
                self.reload_one(who, &name, patience)?;
                Ok(None)
            }
            "wait" => {
                let Wait { name, r#for } = read(args, "wait")?;
                let patience = request.deadline_ms.unwrap_or(DEADLINE_MS_MAX);
                let condition = match r#for {
                    For::Ready => Condition::Ready,
                    For::Stopped => Condition::Stopped,
                };
                self.core.handle_wait(now, who, &name, condition, Duration::from_millis(patience));
                Ok(None)
            }
            "events" => self.follow_events(who, read::<Option<EventsArgs>>(args, "events")?.unwrap_or_default()),
            "logs" => self.logs(who, read(args, "logs")?),
            "set_aside" => self.list_set_aside(who, read::<Option<_>>(args, "set_aside")?.unwrap_or_default()),
            "replay" => self.replay(who, read(args, "replay")?),
            "drop" => self.drop_set_aside(who, read(args, "drop")?),
            "forget" => {
                let Named { name } = read(args, "forget")?;
                self.forget(who, name)
            }
            "layer1" => self.overview(who),
            "import" => self.import(who, read(args, "import")?),
            "crashes" => {
                let MaybeNamed { name } = read::<Option<MaybeNamed>>(args, "crashes")?.unwrap_or_default();
                if let Some(name) = &name {
                    self.known(name)?;
                }
                let crashes = self.crashes.of(name.as_deref(), self.config.frame_bytes_max - ANSWER_FRAME_BYTES);
                Ok(Some(Json::of(&serde_json::json!({ "crashes": crashes }))))
            }
            other => Err(Failure::new(
                ErrorCode::UnknownCommand,
                format!("supervisor has no command {other:?}; it has {COMMANDS}"),
            )),
        }
    }

    fn known(&self, name: &str) -> Result<ModuleName, Failure> {
        self.core
            .module_names()
            .into_iter()
            .find(|known| known.as_str() == name)
            .ok_or_else(|| Failure::new(ErrorCode::UnknownModule, format!("there is no module {name:?}")))
    }

    fn status(&self) -> Json {
        let modules: Vec<ModuleStatus> =
            self.core.module_names().iter().filter_map(|name| self.module_status(name)).collect();
        let host = HostStatus {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            guardian_pid: self.guardian.as_ref().map(crate::guardian::Guardian::pid),
            uptime_ms: millis(Duration::from_micros(self.now.as_micros())),
            state_dir: self.state_dir.path().display().to_string(),
            socket: self.socket.is_some().then(|| self.config.socket.display().to_string()),
            containment: self.containment(),
            guardian_fault: self.guardian_fault(),
            clients: self.clients.by_id.len(),
            modules: modules.len(),
            ready: modules.iter().filter(|module| module.state == "ready").count(),
            layer1: self.store.status(self.restart_needed.clone()),
            memory_bytes: i32::try_from(std::process::id()).ok().and_then(crate::processes::memory_bytes),
        };
        Json::of(&Status::new(host, modules))
    }

    fn module_status(&self, name: &ModuleName) -> Option<ModuleStatus> {
        let view = self.core.view(self.now, name)?;
        let config = self.configs.get(&view.generation);
        let guarding = Guarding { containment: self.containment(), fault: self.guardian_fault() };
        Some(ModuleStatus::new(view, config.map(|config| &**config), guarding))
    }

    fn status_of(&self, name: &str) -> Result<Json, Failure> {
        let name = self.known(name)?;
        let mut status = self.module_status(&name).expect("a known module has a view");
        let tail = self.tails.get(name.as_str()).map(|tail| tail.last(STATUS_LINES).map(|line| line.text.to_string()));
        status.log_tail = Some(tail.map(Iterator::collect).unwrap_or_default());
        Ok(Json::of(&status))
    }

    /// Whether a caller may follow one thing more.
    fn check_follower(&self, who: Recipient) -> Result<(), Failure> {
        let followed = self.followers.iter().filter(|follower| follower.recipient.caller == who.caller).count();
        if followed < FOLLOWED_MAX {
            return Ok(());
        }
        let reason = format!("{followed} events and logs are followed already: cancel one before following another");
        Err(Failure::new(ErrorCode::Overloaded, reason))
    }

    fn follow_events(&mut self, who: Recipient, args: EventsArgs) -> Result<Option<Json>, Failure> {
        self.check_follower(who)?;
        let pattern = Pattern::new(args.pattern.as_deref().unwrap_or("*")).map_err(|error| bad(error.to_string()))?;
        self.follow(who, pattern, args.after);
        Ok(None)
    }

    fn logs(&mut self, who: Recipient, args: LogsArgs) -> Result<Option<Json>, Failure> {
        let name = self.known(&args.name)?;
        if args.follow {
            self.check_follower(who)?;
        }
        let lines: Vec<Json> = match self.tails.get(name.as_str()) {
            Some(tail) => tail.last(args.lines.unwrap_or(LINES_DEFAULT)).map(log_json).collect(),
            None => Vec::new(),
        };
        for line in lines {
            self.reply(who, Answer::Progress(line));
        }
        if !args.follow {
            return Ok(Some(Json::null()));
        }
        self.followers.push(Follower { recipient: who, what: Followed::Log { module: name.to_string(), left_out: 0 } });
        Ok(None)
    }

    /// A module is gone, and no line of it will come any more.
    pub(crate) fn end_logs(&mut self, module: &ModuleName) {
        let is_of =
            |follower: &Follower| matches!(&follower.what, Followed::Log { module: of, .. } if of == module.as_str());
        let ended: Vec<Recipient> =
            self.followers.extract_if(.., |follower| is_of(follower)).map(|follower| follower.recipient).collect();
        for who in ended {
            let reason = format!("{module} was removed: it has no log any more");
            self.reply(who, Failure::new(ErrorCode::UnknownModule, reason).into());
        }
    }

    /// Ends a follower whose caller cancelled it; `false` if there is none of that number.
    pub(crate) fn cancel_follower(&mut self, who: Recipient) -> bool {
        let before = self.followers.len();
        self.followers.retain(|follower| follower.recipient != who);
        if self.followers.len() == before {
            return false;
        }
        self.reply(who, Answer::Success(Json::null()));
        true
    }
}

/// One line of a log as a follower is told it.
pub(crate) fn log_json(line: &crate::log_lines::Line) -> Json {
    Json::of(&serde_json::json!({
        "time": &*line.time,
        "stream": line.stream.name(),
        "level": level(&line.text),
        "line": &*line.text,
    }))
}

fn read<T: DeserializeOwned>(args: &Json, command: &str) -> Result<T, Failure> {
    args.read().map_err(|error| bad(format!("the arguments of {command}: {error}")))
}

pub(crate) fn bad(reason: String) -> Failure {
    Failure::new(ErrorCode::BadRequest, reason)
}
