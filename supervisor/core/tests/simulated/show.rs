//! How a script shows what the core asked for: one line for each action.

use crate::play::Player;
use bulkhead_core::{
    Action, AppliedRule, Caller, Control, CrashRecord, LostRequest, ModuleView, Recipient, RequestId, RequestWhy,
    Sequel, Time, What,
};
use bulkhead_protocol::ModuleName;
use bulkhead_protocol::{Failure, Status};
use std::{fmt::Write, time::Duration};

pub(crate) fn time(at: Time) -> String {
    match (at.as_micros() / 1000, at.as_micros() % 1000) {
        (millis, 0) => format!("t={millis}"),
        (millis, micros) => format!("t={millis}.{micros:03}"),
    }
}

pub(crate) fn action(player: &Player, action: &Action) -> String {
    match action {
        Action::Spawn { instance, generation: 1, .. } => format!("spawn {instance}"),
        Action::Spawn { instance, generation, .. } => format!("spawn {instance} generation={generation}"),
        Action::Send { run, request } => {
            let deadline = player.core.outgoing(*request).and_then(|(wire, _)| wire.deadline_ms);
            let deadline = deadline.map(|ms| format!(" deadline_ms={ms}")).unwrap_or_default();
            format!("send {} {}{deadline}", player.instance(*run), player.label(*request))
        }
        Action::SendControl { run, control, .. } => match control {
            Control::Init => format!("init {}", player.instance(*run)),
            Control::Ping => format!("ping {}", player.instance(*run)),
            Control::Shutdown => format!("shutdown {}", player.instance(*run)),
            Control::Cancel(request) => format!("cancel {} {}", player.instance(*run), player.label(*request)),
        },
        Action::Terminate(run) => format!("terminate {}", player.instance(*run)),
        Action::Kill(run) => format!("kill {}", player.instance(*run)),
        Action::Release(run) => format!("release {}", player.instance(*run)),
        Action::Sample(run) => format!("sample {}", player.instance(*run)),
        Action::LookForTracer(run) => format!("look-for-tracer {}", player.instance(*run)),
        Action::Reply { to, status } => format!("reply {} {}", recipient(player, *to), self::status(status)),
        Action::Announce(said) => {
            let who = said.instance.clone().unwrap_or_else(|| said.module.to_string());
            let detail = said.detail.as_ref().map(|text| format!(" {text:?}")).unwrap_or_default();
            format!("event {} {who}{detail}", said.event.name())
        }
        Action::RecordCrash(record) => crash(record),
        Action::Quarantine { module, request } => {
            let from = request.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
            format!("quarantine {module} {}{from}", lost(&request.request))
        }
        Action::Removed(name) => format!("removed {name}"),
        Action::Store { job, op } => crate::store::show(player.jobs.label(*job), op),
        Action::HastenCommits => "hasten commits".to_owned(),
        Action::NotifyFollowers(event) => format!("tell {}@{}", event.event, event.cursor),
        Action::LogLine { run, text } => format!("notice {} {text:?}", player.instance(*run)),
        Action::Warn(reason) => format!("warn {reason:?}"),
        Action::EventRefused { run, reason } => format!("refused {} {reason:?}", player.instance(*run)),
    }
}

fn recipient(player: &Player, to: Recipient) -> String {
    match to.caller {
        Caller::Client(client) => format!("c{}:{}", client.0, to.id),
        Caller::Run(run) => format!("{}:{}", player.instance(run), to.id),
    }
}

fn status(status: &Status) -> String {
    match status {
        Status::Progress(data) => format!("progress {}", data.as_str()),
        Status::Success(data) => format!("success {}", data.as_str()),
        Status::Error(failure) => error(failure),
    }
}

fn error(failure: &Failure) -> String {
    let mut text = format!("error {}", failure.code);
    if let Some(delivery) = failure.delivery {
        write!(text, " {}", delivery.name()).unwrap();
    }
    if failure.retryable != failure.code.retryable() {
        write!(text, " retryable={}", failure.retryable).unwrap();
    }
    if let Some(exit) = &failure.exit {
        write!(text, " [{exit}]").unwrap();
    }
    if !failure.stderr.is_empty() {
        write!(text, " stderr={:?}", failure.stderr).unwrap();
    }
    if let Some(code) = &failure.module_code {
        write!(text, " module_code={code}").unwrap();
    }
    write!(text, " {:?}", failure.error).unwrap();
    text
}

fn crash(record: &CrashRecord) -> String {
    let in_flight: Vec<String> = record.in_flight.iter().map(lost).collect();
    let exit = record.exit.as_ref().map_or_else(|| "no exit".into(), ToString::to_string);
    let uptime = record.uptime.as_millis();
    // Scripts that do not mention it have none.
    let stderr = if record.stderr.is_empty() { String::new() } else { format!(" stderr={:?}", record.stderr) };
    format!(
        "crash {} {:?} [{exit}] uptime_ms={uptime} in_flight=[{}]{stderr}",
        record.instance,
        record.reason,
        in_flight.join(", ")
    )
}

fn lost(request: &LostRequest) -> String {
    let answered = request.answered.as_ref().map(|text| format!(" answered={text:?}")).unwrap_or_default();
    format!("{} {}{answered}", crate::play::label_of(request.payload.as_str()), request.delivery.name())
}

/// What `times NAME` prints.
pub(crate) fn times(view: &ModuleView) -> Vec<String> {
    let ready = view.runs.iter().filter_map(|run| {
        Some(format!("  {} ready for {}ms", run.instance.as_deref().unwrap_or("-"), run.ready_for?.as_millis()))
    });
    let last = view.last_exit.iter().map(|(how, ago)| format!("  {how} {}ms ago", ago.as_millis()));
    ready.chain(last).collect()
}

/// What `view NAME` prints.
pub(crate) fn view(view: &ModuleView) -> Vec<String> {
    let in_all = |count: usize, what: &str| if count == 0 { String::new() } else { format!(" {what}={count}") };
    let mut head = format!("{} {}", view.name, view.state.name());
    if !view.desired_running {
        head.push_str(" desired=stopped");
    }
    write!(head, " restarts={}{}{}", view.restarts, in_all(view.queue, "queue"), in_all(view.in_flight, "in_flight"))
        .unwrap();
    if view.strange_answers > 0 {
        write!(head, " strange={}", view.strange_answers).unwrap();
    }
    if view.events_dropped > 0 {
        write!(head, " events_dropped={}", view.events_dropped).unwrap();
    }
    let mut lines = vec![head];
    if let Some(reason) = &view.reason {
        lines.push(format!("  because {reason:?}"));
    }
    if let Some(next) = &view.next {
        let after =
            next.after.map(|after: Duration| format!(" in {}ms", after.as_secs_f64() * 1000.0)).unwrap_or_default();
        lines.push(format!("  next {}{after} ({})", next.action, next.why));
    }
    for run in &view.runs {
        let role = format!("{:?}", run.role).to_lowercase();
        lines.push(format!("  {role} {} {}", run.instance.as_deref().unwrap_or("-"), run.state.name()));
    }
    lines
}

/// Why a module is in its state: the settings, what happened, the requests.
pub(crate) fn why(player: &Player, name: &ModuleName) -> Vec<String> {
    let Some(why) = player.core.why(player.now, name) else { return vec!["unknown".into()] };
    let mut lines = vec![format!("by {}", rules(&why.rules))];
    if why.earlier > 0 {
        lines.push(format!("  {} earlier", why.earlier));
    }
    for happening in &why.history {
        let what = match &happening.what {
            What::Known(initial) => format!("known {initial:?}"),
            What::Ordered { order, by } => format!("ordered {} {by:?}", order.name()),
            What::TookOver { instance } => format!("took over {instance}"),
            What::PutOff { by, rules: applied } => format!("put off by {by:?} {}", rules(applied)),
            What::Ended(ended) => {
                let sequel = match ended.sequel {
                    Sequel::Start { after, .. } => format!("start after {after:?}"),
                    other => other.name().to_owned(),
                };
                format!(
                    "ended {} by {} {} counted={} -> {sequel} {}",
                    ended.instance,
                    ended.by.name(),
                    rules(&ended.ended_rules),
                    ended.counted.name(),
                    rules(&ended.sequel_rules)
                )
            }
        };
        lines.push(format!("  {} {what}", time(happening.at)));
    }
    lines.extend(why.requests.iter().map(|request| format!("  {}", self::request(request))));
    if why.more_requests > 0 {
        lines.push(format!("  {} more", why.more_requests));
    }
    lines
}

/// Where one request waits.
pub(crate) fn why_request(player: &Player, name: &ModuleName, id: u64) -> String {
    player.core.why_request(player.now, name, RequestId(id)).as_ref().map_or("unknown".into(), request)
}

fn request(RequestWhy { id, kind, stage, why, rules: applied, .. }: &RequestWhy) -> String {
    format!("request {id} {kind} {}: {why} {}", stage.name(), rules(applied))
}

fn rules(rules: &[AppliedRule]) -> String {
    let one = |applied: &AppliedRule| format!("{}={:?}", applied.rule.key(), applied.value);
    format!("[{}]", rules.iter().map(one).collect::<Vec<_>>().join(", "))
}
