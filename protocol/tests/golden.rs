//! The exact bytes of every message of the wire, in both directions. Each case is a value and a file
//! in `golden/` that holds its frame, length prefix included: writing the value gives the bytes, and
//! reading the bytes gives the value. A module in another language can be tested against the same
//! files.
//!
//! To accept changed bytes, run with `UPDATE_EXPECTED=1` and read the difference: it is a change of
//! the wire.

use bulkhead_protocol::{
    Capabilities, Command, Decoder, Delivery, Details, ErrorCode, Exit, Failure, Init, Json, Limits, Message,
    PROTOCOL_VERSION, Ready, Request, RequestType, Response, Status,
    init::{FEATURE_CONCURRENT, FEATURE_KEYS},
    limits::{FRAME_BYTES_MAX_DEFAULT, REQUEST_ID_MAX},
};
use std::{collections::BTreeSet, fs, path::Path};

fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

fn request(id: impl Into<Option<u64>>, kind: RequestType, payload: &str) -> Request {
    Request::new(id, kind, json(payload))
}

fn error(id: impl Into<Option<u64>>, failure: Failure) -> Message {
    Message::Response(Response::new(id, failure))
}

fn progress(id: u64, data: &str) -> Message {
    Message::Response(Response::new(id, Status::Progress(json(data))))
}

fn success(id: u64, data: &str) -> Message {
    Message::Response(Response::success(id, json(data)))
}

/// What the host sends to a module, and what a module answers.
fn between_host_and_module() -> Vec<(String, Message)> {
    let init = Init {
        protocol: PROTOCOL_VERSION,
        module: "research-log".into(),
        instance: "research-log#3".into(),
        config: json(r#"{"default_template":"standard"}"#),
        limits: Limits { frame_bytes_max: FRAME_BYTES_MAX_DEFAULT, window: 64, requests_max: 64 },
        capabilities: Capabilities {
            event_subscribe: vec!["research_session.*".into()],
            event_emit: vec!["research_log.created".into()],
            call: vec!["supervisor".into()],
            ..Capabilities::default()
        },
        data_dir: "/var/lib/bulkhead/data/research-log".into(),
        on_panic: bulkhead_protocol::OnPanic::Restart,
    };
    let command = |name: &str, idempotent, description: &str| Command {
        name: name.into(),
        idempotent,
        description: description.into(),
        ..Command::default()
    };
    let query_logs = Details {
        args: Some(json(
            r#"{"type":"object","properties":{"limit":{"type":"integer","default":100,"description":"how many at most"}}}"#,
        )),
        returns: Some(json(r#"{"type":"array","items":{"type":"object"}}"#)),
        examples: Some(json(r#"[{"args":{"limit":1},"returns":[{"id":17}]}]"#)),
        dropped: Vec::new(),
    };
    let described =
        Command { details: Some(Box::new(query_logs)), ..command("query_logs", true, "finds logs, newest first") };
    let ready = Ready {
        name: "research-log".into(),
        version: "0.1.0".into(),
        description: String::new(),
        protocol: PROTOCOL_VERSION,
        commands: vec![command("add_entry", false, "adds an entry"), command("query_logs", true, "")],
        features: vec![FEATURE_CONCURRENT.into(), FEATURE_KEYS.into()],
    };
    let describing = Ready {
        description: "keeps notes of research".into(),
        commands: vec![command("add_entry", false, ""), described],
        ..ready.clone()
    };
    let add_entry = r#"{"name":"add_entry","args":{"text":"é\n\"quoted\""}}"#;
    let to_module = Request { deadline_ms: Some(4999), ..request(7, RequestType::Command, add_entry) };
    let keyed = Request { key: Some("order-17".into()), ..to_module.clone() };
    let mut own = Failure::new(ErrorCode::ModuleError, "the printer is out of ink");
    own.module_code = Some("out_of_ink".into());
    own.data = Some(json(r#"{"cartridge":2}"#));
    let mut panicked = Failure::new(ErrorCode::ModuleError, "the handler panicked at src/main.rs:7:9: no ink");
    panicked.data = Some(json(r#"{"n":1}"#));
    named([
        ("to-module-init", Message::Request(Request::new(1, RequestType::Init, Json::of(&init)))),
        ("from-module-init-success", Message::Response(Response::success(1, Json::of(&ready)))),
        ("from-module-init-success-described", Message::Response(Response::success(1, Json::of(&describing)))),
        ("to-module-command", Message::Request(to_module)),
        ("to-module-command-with-key", Message::Request(keyed)),
        ("to-module-query", Message::Request(request(8, RequestType::Query, r#"{"entity":"ResearchLog"}"#))),
        (
            "to-module-mutation",
            Message::Request(request(9, RequestType::Mutation, r#"{"entity":"ResearchLog","operation":"create"}"#)),
        ),
        (
            "to-module-event",
            Message::Request(request(10, RequestType::Event, r#"{"event":"research_session.started","data":{"n":1}}"#)),
        ),
        ("to-module-ping", Message::Request(request(11, RequestType::Ping, "null"))),
        ("to-module-cancel", Message::Request(request(12, RequestType::Cancel, r#"{"id":7}"#))),
        ("to-module-shutdown", Message::Request(request(13, RequestType::Shutdown, "null"))),
        ("to-module-unknown-type", Message::Request(request(14, RequestType::Unknown("dance".into()), "[1]"))),
        ("from-module-progress", progress(7, r#"{"done":3,"total":10}"#)),
        ("from-module-success", success(7, r#"{"id":"e1"}"#)),
        ("from-module-success-null", success(11, "null")),
        ("from-module-error-of-its-own", error(7, own)),
        ("from-module-success-last", Message::Response(Response { last: true, ..Response::success(7, json("1")) })),
        ("from-module-error-last", Message::Response(Response { last: true, ..Response::new(7, panicked) })),
        ("from-module-error-cancelled", error(7, Failure::new(ErrorCode::Cancelled, "the caller cancelled"))),
        (
            "from-module-event",
            Message::Request(request(None, RequestType::Event, r#"{"event":"research_log.created","data":{"n":1}}"#)),
        ),
        (
            "from-module-event-with-id",
            Message::Request(request(1, RequestType::Event, r#"{"event":"research_log.created","data":null}"#)),
        ),
        (
            "from-module-command",
            Message::Request(Request {
                deadline_ms: Some(1000),
                ..request(2, RequestType::Command, r#"{"name":"ping","args":{}}"#).to("test-minimal")
            }),
        ),
        (
            "from-module-query-of-the-request-in-hand",
            Message::Request(Request {
                of: Some(7),
                ..request(4, RequestType::Query, r#"{"entity":"ResearchLog","id":"e1"}"#)
            }),
        ),
        (
            "from-module-event-of-the-request-in-hand",
            Message::Request(Request {
                of: Some(7),
                ..request(None, RequestType::Event, r#"{"event":"research_log.created","data":{"n":1}}"#)
            }),
        ),
        ("from-module-cancel", Message::Request(request(3, RequestType::Cancel, r#"{"id":2}"#))),
    ])
}

/// What a client sends, and what the host answers to a client or to a module that asked it.
fn between_client_and_host() -> Vec<(String, Message)> {
    let status = r#"{"name":"status","args":{}}"#;
    let full = Request {
        deadline_ms: Some(30_000),
        key: Some("k".repeat(128)),
        ..request(REQUEST_ID_MAX, RequestType::Command, r#"{"name":"add_entry","args":{}}"#).to("research-log")
    };
    named([
        ("to-host-command", Message::Request(full)),
        ("to-host-supervisor-status", Message::Request(request(1, RequestType::Command, status).to("supervisor"))),
        ("to-host-query", Message::Request(request(2, RequestType::Query, r#"{"all":true}"#).to("research-log"))),
        ("to-host-mutation", Message::Request(request(3, RequestType::Mutation, "{}").to("research-log"))),
        ("to-host-event", Message::Request(request(4, RequestType::Event, r#"{"event":"x.y","data":[1,2.50,"é"]}"#))),
        ("to-host-ping", Message::Request(request(5, RequestType::Ping, "null"))),
        ("to-host-cancel", Message::Request(request(6, RequestType::Cancel, r#"{"id":1}"#))),
        ("from-host-success", success(4, r#"{"subscribers":2}"#)),
        ("from-host-progress", progress(1, r#"{"following":true,"cursor":0,"epoch":"5f0c9a1e","lost":0}"#)),
        (
            "from-host-error-id-null",
            error(
                None,
                Failure::new(ErrorCode::BadRequest, "expected UTF-8, found the byte 0xff at offset 6")
                    .delivery(Delivery::NotStarted),
            ),
        ),
        ("from-host-crash-by-signal", error(7, crash(Exit::Signal("SIGSEGV".into()), Delivery::Started))),
        ("from-host-crash-by-exit-code", error(7, crash(Exit::Code(3), Delivery::Unknown))),
    ])
}

fn crash(exit: Exit, delivery: Delivery) -> Failure {
    let sentence = format!("research-log crashed ({exit}) while this request was in progress");
    let mut failure = Failure::new(ErrorCode::ModuleCrashed, sentence).delivery(delivery);
    failure.exit = Some(exit);
    failure.stderr = vec!["reading entry 17".into(), "thread 'main' panicked at é".into()];
    failure
}

/// Every error code, as the host or a module sends it.
fn every_error_code() -> Vec<(String, Message)> {
    let failure = |code| Failure::new(code, "a sentence for a person").delivery(Delivery::NotStarted);
    ErrorCode::ALL.iter().map(|&code| (format!("error-{}", code.name()), error(7, failure(code)))).collect()
}

fn named<const N: usize>(cases: [(&str, Message); N]) -> Vec<(String, Message)> {
    cases.into_iter().map(|(name, message)| (name.to_owned(), message)).collect()
}

fn cases() -> Vec<(String, Message)> {
    [between_host_and_module(), between_client_and_host(), every_error_code()].concat()
}

#[test]
fn every_message_is_written_and_read_as_its_golden_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut wrong = Vec::new();
    for (name, message) in cases() {
        let path = folder.join(format!("{name}.bin"));
        let mut written = Vec::new();
        message.encode(&mut written, FRAME_BYTES_MAX_DEFAULT).unwrap();
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&path, &written).unwrap();
        }
        let golden = fs::read(&path).unwrap_or_default();
        if written != golden {
            wrong.push(format!(
                "== {name}\n-- golden\n{}\n-- written\n{}",
                golden.escape_ascii(),
                written.escape_ascii()
            ));
            continue;
        }
        let (mut decoder, mut input) = (Decoder::new(FRAME_BYTES_MAX_DEFAULT), golden.as_slice());
        let frame = decoder.next(&mut input).unwrap().expect("a golden file is one frame");
        assert_eq!(Message::decode(frame).unwrap(), message, "{name}");
        assert!(input.is_empty(), "{name}: {} bytes after its frame", input.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_golden_file_belongs_to_a_case() {
    let names: BTreeSet<String> = cases().into_iter().map(|(name, _)| format!("{name}.bin")).collect();
    assert_eq!(names.len(), cases().len(), "two cases have one name");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files: BTreeSet<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, files);
}

#[test]
fn every_type_has_a_golden_file() {
    for kind in ["init", "command", "query", "mutation", "event", "ping", "cancel", "shutdown"] {
        let is_there = cases().iter().any(|(_, message)| match message {
            Message::Request(request) => request.kind.name() == kind,
            Message::Response(_) => false,
        });
        assert!(is_there, "no golden file has a request of type {kind}");
    }
}
