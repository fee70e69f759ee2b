//! Faults before readiness, and modules that speak the wire directly: without the SDK, which allows none of this.

use crate::hanging::sleep_for_ever;
use crate::{dying, raw};
use bulkhead_protocol::{Message, Request, RequestType};
use std::process::ExitCode;

/// One way to start.
pub(crate) struct Start {
    pub(crate) name: &'static str,
    /// What the host sees: `exits`, `crashes`, `hangs`, `violates`, `refused` or `ready`.
    pub(crate) outcome: &'static str,
    pub(crate) about: &'static str,
    act: fn(),
}

const fn start(name: &'static str, outcome: &'static str, about: &'static str, act: fn()) -> Start {
    Start { name, outcome, about, act }
}

/// Every way to start. An act that returns exits with code 0.
#[rustfmt::skip]
pub(crate) const STARTS: &[Start] = &[
    start("exit_before_init", "exits", "exits with code 0 before it reads anything", || {}),
    start("fail_before_init", "exits", "exits with code 3 before it reads anything", || std::process::exit(3)),
    start("permanent_before_init", "exits", "exits with code 125 before it reads anything", || std::process::exit(125)),
    start("crash_before_init", "crashes", "crashes before it reads anything", || dying::die_by(nix::sys::signal::Signal::SIGSEGV)),
    start("never_read_init", "hangs", "never reads anything", || sleep_for_ever()),
    start("close_before_init", "violates", "closes the channel and lives on", || { raw::close_all(); sleep_for_ever() }),
    start("exit_during_init", "exits", "reads init and exits with code 0", || drop(init())),
    start("fail_during_init", "exits", "reads init and exits with code 3", || { init(); std::process::exit(3) }),
    start("crash_during_init", "crashes", "reads init and crashes", || { init(); dying::die_by(nix::sys::signal::Signal::SIGSEGV) }),
    start("never_answer_init", "hangs", "reads init and never answers", || { init(); sleep_for_ever() }),
    start("spin_in_init", "hangs", "reads init and computes for ever", || { init(); loop { std::hint::black_box(0); } }),
    start("wrong_version", "refused", "answers init with version 99 of the wire, and waits", || { ready(&init(), 99, "[]"); sleep_for_ever() }),
    start("init_error", "refused", "answers init with an error and exits with code 1", || { refuse(&init()); std::process::exit(1) }),
    start("init_error_permanent", "refused", "answers init with an error and exits with code 125", || { refuse(&init()); std::process::exit(125) }),
    start("init_error_lives_on", "refused", "answers init with an error and does not exit", || { refuse(&init()); sleep_for_ever() }),
    start("init_wrong_form", "violates", "answers init with data of another form", || { success(&init(), "\"hello\""); sleep_for_ever() }),
    start("init_text", "violates", "prints text into the channel before it answers init", || { init(); raw::send(b"Listening on port 80\n"); sleep_for_ever() }),
    start("ready_twice", "ready", "answers init twice, then behaves", || { let init = init(); ready(&init, 1, "[]"); ready(&init, 1, "[]"); echo() }),
    start("early_request", "ready", "sends a request of its own before it answers init, then behaves", early_request),
    start("mute", "ready", "is ready, reads, and never answers, not even a ping", || { ready(&init(), 1, "[]"); while raw::receive_frame().is_some() {} }),
    start("deaf", "ready", "is ready, and never reads again", || { ready(&init(), 1, "[]"); sleep_for_ever() }),
    start("reverse", "ready", "answers commands in pairs, the second first, though it did not declare that", || { ready(&init(), 1, "[]"); reverse() }),
    start("reverse_concurrent", "ready", "answers commands in pairs, the second first, and declared that", || { ready(&init(), 1, "[\"concurrent\"]"); reverse() }),
    start("describe_wrong_types", "ready", "declares a command whose args, returns and examples are of other types, then behaves", || { describe(r#"{"name":"echo","args":"text","returns":[1],"examples":{}},"good""#); echo() }),
    start("describe_too_long", "ready", "declares a command whose args have 65 KiB, and one whose args are short, then behaves", || { describe(&format!(r#"{{"name":"echo","args":{}}},{{"name":"good","args":{{"type":"object"}}}}"#, schema(65))); echo() }),
    start("describe_too_much", "ready", "declares five commands whose args have 60 KiB each, then behaves", || { describe(&vec![format!(r#"{{"name":"echo","args":{}}}"#, schema(60)); 5].join(",")); echo() }),
    start("describe_too_many", "ready", "declares 10,000 commands, each with args, then behaves", || { describe(&(0..10_000).map(|n| format!(r#"{{"name":"command_{n}","args":{{}}}}"#)).collect::<Vec<_>>().join(",")); echo() }),
    start("any_version", "ready", "answers init with the version of the wire that it was sent, then behaves", any_version),
    start("answers_events", "ready", "is ready, and answers events that have no id as well", answers_events),
    start("wrong_schema", "ready", "declares a command whose args must have a text, and takes anything", || { describe(r#"{"name":"note","idempotent":true,"args":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"],"additionalProperties":false}}"#); echo() }),
    start("wrong_examples", "ready", "declares a command with examples that its own schemas exclude, then behaves", || { describe(r#"{"name":"note","args":{"type":"object"},"returns":{"type":"object"},"examples":[{"args":"text","returns":{}},{"args":{},"returns":[1]}]}"#); echo() }),
    start("wrong_returns", "ready", "declares a command that returns a text, and answers with an object", || { describe(r#"{"name":"note","idempotent":true,"returns":{"type":"string"}}"#); echo() }),
    start("leaves_child", "ready", "starts a child, is ready, and does not end it with itself", || { crate::family::start_child(); ready(&init(), 1, "[]"); echo() }),
    start("stale_lock", "ready", "makes a file in its folder, refuses to start where it is, and removes it only in an orderly end", stale_lock),
    start("crash_when_ready", "crashes", "is ready, and crashes at once", || { ready(&init(), 1, "[]"); dying::die_by(nix::sys::signal::Signal::SIGSEGV) }),
    start("exit_when_ready", "exits", "is ready, and exits with code 0 at once", || ready(&init(), 1, "[]")),
];

/// Starts in the way of this name.
pub(crate) fn commit(name: &str) -> ExitCode {
    let Some(start) = STARTS.iter().find(|start| start.name == name) else {
        eprintln!("misbehave: expected a start that --list knows, found {name:?}");
        return ExitCode::from(2);
    };
    eprintln!("misbehave: about to {name}");
    raw::keep();
    (start.act)();
    ExitCode::SUCCESS
}

/// Waits for the next request; ends without an error with the channel.
fn next() -> Request {
    loop {
        let Some(frame) = raw::receive_frame() else { std::process::exit(0) };
        if let Ok(Message::Request(request)) = Message::decode(&frame) {
            return request;
        }
    }
}

fn init() -> Request {
    next()
}

fn success(request: &Request, data: &str) {
    let Some(id) = request.id else { return };
    raw::send_frame(format!(r#"{{"id":{id},"status":"success","data":{data}}}"#).as_bytes());
}

fn ready(init: &Request, protocol: u32, features: &str) {
    let data =
        format!(r#"{{"name":"misbehave","version":"0","protocol":{protocol},"commands":[],"features":{features}}}"#);
    success(init, &data);
}

/// Is ready with these commands.
fn describe(commands: &str) {
    let init = init();
    success(&init, &format!(r#"{{"name":"misbehave","version":"0","protocol":1,"commands":[{commands}]}}"#));
}

/// A schema of a little more than so many KiB.
fn schema(kib: usize) -> String {
    format!(r#"{{"type":"object","description":"{}"}}"#, "x".repeat(kib * 1024))
}

fn refuse(init: &Request) {
    let id = init.id.unwrap_or_default();
    let answer = format!(r#"{{"id":{id},"status":"error","error":"I do not feel like it","code":"module_error"}}"#);
    raw::send_frame(answer.as_bytes());
}

/// A request that may come in pairs; everything else is answered at once.
fn next_command() -> Request {
    loop {
        let request = next();
        if request.kind == RequestType::Command {
            return request;
        }
        success(&request, "null");
        if request.kind == RequestType::Shutdown {
            std::process::exit(0);
        }
    }
}

fn echo() {
    loop {
        let request = next_command();
        success(&request, request.payload.as_str());
    }
}

fn any_version() {
    #[derive(serde::Deserialize)]
    struct Version {
        protocol: u32,
    }
    let init = init();
    let version = init.payload.read().map_or(1, |Version { protocol }| protocol);
    ready(&init, version, "[]");
    echo();
}

fn answers_events() {
    ready(&init(), 1, "[]");
    loop {
        let request = next();
        match request.id {
            Some(_) => success(&request, "null"),
            None => raw::send_frame(br#"{"id":0,"status":"success","data":null}"#),
        }
        if request.kind == RequestType::Shutdown {
            return;
        }
    }
}

/// What a module does that takes its own file for another process.
fn stale_lock() {
    #[derive(serde::Deserialize)]
    struct Folder {
        data_dir: std::path::PathBuf,
    }
    let init = init();
    let lock = init.payload.read().map_or_else(|_| "lock".into(), |Folder { data_dir }| data_dir.join("lock"));
    if std::fs::File::create_new(&lock).is_err() {
        refuse(&init);
        std::process::exit(1);
    }
    // As long as a test needs to kill it meanwhile.
    std::thread::sleep(std::time::Duration::from_secs(1));
    ready(&init, 1, "[]");
    while let Some(frame) = raw::receive_frame() {
        let Ok(Message::Request(request)) = Message::decode(&frame) else { continue };
        let is_last = request.kind == RequestType::Shutdown;
        if is_last {
            let _ = std::fs::remove_file(&lock);
        }
        success(&request, request.payload.as_str());
        if is_last {
            return;
        }
    }
    let _ = std::fs::remove_file(&lock);
}

fn reverse() {
    loop {
        let (first, second) = (next_command(), next_command());
        success(&second, second.payload.as_str());
        success(&first, first.payload.as_str());
    }
}

fn early_request() {
    let init = init();
    raw::send_frame(br#"{"id":1,"type":"command","to":"supervisor","payload":{"name":"status","args":{}}}"#);
    ready(&init, 1, "[]");
    echo();
}
