//! The answer rules one by one, then with random bytes.

use super::*;
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{Delivery, Exit};
use proptest::prelude::*;
use serde_json::{Value, json};

fn answer(text: &str) -> Answer {
    read(&RequestType::Command, Some(text.as_bytes()), FRAME_BYTES_MAX_DEFAULT)
}

fn data(text: &str) -> String {
    answer(text).result.unwrap().as_str().to_owned()
}

fn failure(text: &str) -> Error {
    answer(text).result.unwrap_err()
}

#[test]
fn what_is_no_json_differs_from_what_is_no_text_and_from_nothing() {
    let sentence = |bytes: Option<&[u8]>| {
        let error = read(&RequestType::Query, bytes, 100).result.unwrap_err();
        (error.code(), error.to_string())
    };
    assert_eq!(sentence(None), (ErrorCode::ModuleError, r#"the module answered "query" with a null pointer"#.into()));
    let (code, not_utf8) = sentence(Some(b"{\"a\":\xff}"));
    assert_eq!(code, ErrorCode::ModuleError);
    assert_eq!(not_utf8, r#"expected UTF-8 as the module's answer to "query", found the byte 0xff at offset 5"#);
    let (code, not_json) = sentence(Some(b"all well"));
    assert_eq!(code, ErrorCode::ModuleError);
    assert!(
        not_json.starts_with(r#"expected JSON as the module's answer to "query", found "all well": "#),
        "{not_json}"
    );
    assert!(sentence(Some(b"")).1.contains("found \"\": "), "an empty answer is quoted too");
    let (code, too_long) = sentence(Some(&[b' '; 101]));
    assert_eq!(code, ErrorCode::FrameTooLarge);
    assert!(too_long.contains("101 bytes") && too_long.contains("at most 100"), "{too_long}");
}

#[test]
fn only_the_beginning_of_what_is_no_json_is_quoted() {
    let sentence = failure(&"é".repeat(5000)).to_string();
    assert!(sentence.contains(&format!("{}…", "é".repeat(200))), "{sentence}");
    assert!(!sentence.contains(&"é".repeat(201)), "{sentence}");
}

#[test]
fn data_is_passed_as_the_text_that_it_is() {
    for (text, expected) in [
        (r#"{"status":"success","data":{"b":1.0,  "a":"\ud800"}}"#, r#"{"b":1.0,  "a":"\ud800"}"#),
        (r#"{"status":"success","data":null}"#, "null"),
        (r#"{"data":7}"#, "7"),
        (r#"{"st\u0061tus":"success","d\u0061ta":[]}"#, "[]"),
        (r#"{"data":1,"data":2}"#, "2"),
        (r#" {"a":1} "#, r#"{"a":1}"#),
        ("12345678901234567890123", "12345678901234567890123"),
        ("\"x\"", "\"x\""),
        ("[1,\n2]", "[1,\n2]"),
        ("null", "null"),
    ] {
        assert_eq!(data(text), expected, "{text}");
    }
}

#[test]
fn a_flat_answer_is_its_own_data() {
    assert_eq!(data(r#"{"status":"created","log_id":"l-1", "at":1.50}"#), r#"{"log_id":"l-1","at":1.50}"#);
    assert_eq!(data(r#"{"status":"acknowledged"}"#), "{}");
    assert_eq!(data(r#"{"status":{"busy":true},"a":1}"#), r#"{"status":{"busy":true},"a":1}"#);
    assert_eq!(data(r#"{"status":null}"#), r#"{"status":null}"#);
}

#[test]
fn deep_nesting_passes_without_a_deep_stack() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert_eq!(data(&deep).len(), 2_000_000);
    assert_eq!(data(&format!(r#"{{"data":{deep}}}"#)).len(), 2_000_000);
    assert_eq!(failure(&format!(r#"{{"status":"error","data":{deep}}}"#)).data().unwrap().as_str().len(), 2_000_000);
    assert_eq!(failure(&format!(r#"{{"status":"error","code":{deep}}}"#)).code(), ErrorCode::ModuleError);
}

#[test]
fn an_error_has_its_sentence_its_code_and_its_data() {
    let error = failure(
        r#"{"status":"error","error":"no such log","code":"not_found","retryable":true,"data":{"log":3},"trace":"x"}"#,
    );
    assert_eq!((error.code(), error.to_string()), (ErrorCode::NotFound, "no such log".into()));
    assert!(error.is_retryable());
    assert_eq!(error.data().unwrap().as_str(), r#"{"log":3}"#);
    assert!(!error.is_permanent());
}

#[test]
fn a_flat_error_keeps_what_has_no_meaning_as_data() {
    let error =
        failure(r#"{"status":"error","message":"out of ink","code":"out_of_ink","cartridge":2,"retryable":"no"}"#);
    assert_eq!((error.code(), error.module_code()), (ErrorCode::ModuleError, Some("out_of_ink")));
    assert_eq!(error.to_string(), "out of ink");
    assert_eq!(error.data().unwrap().as_str(), r#"{"cartridge":2,"retryable":"no"}"#);

    let both = failure(r#"{"status":"error","error":{"deep":1},"message":"m"}"#);
    assert_eq!((both.to_string(), both.data().unwrap().as_str()), ("m".into(), r#"{"error":{"deep":1}}"#));
    let none = failure(r#"{"status":"error"}"#);
    assert_eq!(none.to_string(), r#"the module answered "command" with an error without a sentence"#);
    assert_eq!(none.data(), None);
    assert_eq!(failure(r#"{"status":"error","code":404}"#).data().unwrap().as_str(), r#"{"code":404}"#);
}

#[test]
fn an_error_may_be_permanent_and_a_panic() {
    let panicked = answer(r#"{"status":"error","error":"x","panicked":true,"permanent":true}"#);
    assert!(panicked.panicked);
    let error = panicked.result.unwrap_err();
    assert!(error.is_permanent());
    assert_eq!(error.data(), None);
    assert!(!answer(r#"{"status":"error","panicked":"yes"}"#).panicked);
    assert!(!answer(r#"{"panicked":true}"#).panicked);
}

#[test]
fn a_code_that_only_the_host_says_is_not_passed_on_as_the_modules() {
    let failure =
        failure(r#"{"status":"error","error":"x","code":"module_crashed","delivery":"started"}"#).into_failure();
    assert_eq!((failure.code, failure.module_code.as_deref()), (ErrorCode::ModuleError, Some("module_crashed")));
    assert_eq!(failure.delivery, None);
}

#[test]
fn a_sentence_is_cut_to_what_the_host_passes_on() {
    let text = json!({ "status": "error", "error": "ü".repeat(20_000) }).to_string();
    assert!(failure(&text).to_string().len() <= ERROR_TEXT_BYTES_MAX + '…'.len_utf8());
}

#[test]
fn an_event_is_handled_unless_the_answer_is_an_error_or_nothing() {
    let event = |answer: Option<&[u8]>| read(&RequestType::Event, answer, 100).result;
    for fine in [&b"{\"status\":\"acknowledged\"}"[..], b"ok", b"\xff", b"", b"{}", b"null", &[b'x'; 1000]] {
        assert_eq!(event(Some(fine)).unwrap(), Json::null());
    }
    assert_eq!(event(Some(br#"{"status":"error","error":"no"}"#)).unwrap_err().to_string(), "no");
    assert!(event(None).is_err());
}

#[test]
fn a_shutdown_fails_only_with_an_error_that_has_a_code() {
    let shutdown = |answer: Option<&[u8]>| read(&RequestType::Shutdown, answer, 100).result;
    for fine in [
        None,
        Some(&b"bye"[..]),
        Some(b"{\"status\":\"stopped\"}"),
        Some(br#"{"status":"error","error":"unknown message type"}"#),
        Some(br#"{"status":"error","error":"?","code":"unknown_type"}"#),
    ] {
        assert_eq!(shutdown(fine).unwrap(), Json::null());
    }
    assert!(shutdown(Some(br#"{"status":"error","code":"module_error"}"#)).is_err());
    assert!(shutdown(Some(br#"{"status":"error","code":"disk_full"}"#)).is_err());
    assert!(shutdown(Some(br#"{"status":"error","panicked":true}"#)).is_err());
}

#[test]
fn a_barrier_that_fails_says_why_in_a_sentence_or_as_an_error() {
    assert_eq!(read_barrier(b"the disk is full").to_string(), "the disk is full");
    assert_eq!(read_barrier(br#"{"status":"error","error":"no room"}"#).to_string(), "no room");
    assert_eq!(read_barrier(b"\xff").to_string(), "\u{fffd}");
}

fn ready(answer: Option<&str>, metadata: Option<&str>) -> Result<Readiness, Error> {
    read_greeting("the-module", answer.map(str::as_bytes), metadata.map(str::as_bytes), 1000)
}

#[test]
fn init_may_answer_anything_but_an_error_and_nothing() {
    for (answer, warnings) in
        [("ok", 1), ("", 1), ("{\"status\":\"initialized\"}", 0), ("null", 0), ("[1]", 0), ("7", 0)]
    {
        let found = ready(Some(answer), None).unwrap();
        assert_eq!((found.ready.name.as_str(), found.ready.version.as_str()), ("the-module", ""), "{answer}");
        assert_eq!(found.warnings.len(), warnings, "{answer}: {:?}", found.warnings);
        assert_eq!(found.ready.protocol, PROTOCOL);
    }
    const PROTOCOL: u32 = bulkhead_protocol::PROTOCOL_VERSION;
    assert!(read_greeting("m", Some(b"\xff\xfe"), None, 1000).is_ok());
    assert!(ready(None, None).unwrap_err().to_string().contains("null pointer"));
    let error = ready(Some(r#"{"status":"error","error":"no licence","permanent":true}"#), None).unwrap_err();
    assert_eq!((error.to_string(), error.is_permanent()), ("no licence".into(), true));
}

#[test]
fn what_init_says_of_the_module_counts_more_than_its_metadata() {
    let metadata = r#"{"name":"meta","version":"2","commands":["a",{"name":"b","idempotent":true}],"features":["keys"],
        "batch_answers":true}"#;
    let found = ready(Some(r#"{"status":"success","data":{"name":"init","commands":["c"]}}"#), Some(metadata)).unwrap();
    assert_eq!((found.ready.name.as_str(), found.ready.version.as_str()), ("init", "2"));
    assert_eq!(found.ready.commands.len(), 1);
    assert_eq!(found.ready.features, ["keys"]);
    assert!(found.batch_answers);
    let flat = ready(Some(r#"{"status":"ready","version":"3"}"#), Some(metadata)).unwrap();
    assert_eq!((flat.ready.name.as_str(), flat.ready.version.as_str()), ("meta", "3"));
    assert!(flat.ready.commands[1].idempotent);
    assert!(flat.warnings.is_empty());
}

#[test]
fn what_commands_say_of_themselves_passes_as_it_is_for_the_host_to_bound() {
    let long = "x".repeat(70_000);
    let commands =
        format!(r#"[{{"name":"a","idempotent":false,"args":{{"title":"{long}"}},"returns":7,"examples":[]}}]"#);
    let metadata = format!(r#"{{"description":"does it","commands":{commands}}}"#);
    let found = read_greeting("m", Some(b"null"), Some(metadata.as_bytes()), 1 << 20).unwrap();
    assert_eq!(found.ready.description, "does it");
    assert_eq!(serde_json::to_string(&found.ready.commands).unwrap(), commands);
}

#[test]
fn a_member_of_another_form_is_ignored_with_a_warning() {
    let found = ready(Some(r#"{"name":7,"version":"1","commands":{"a":1}}"#), Some(r#"{"name":"meta"}"#)).unwrap();
    assert_eq!((found.ready.name.as_str(), found.ready.version.as_str()), ("meta", "1"));
    assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
    assert!(found.warnings[0].contains("`name` in the answer to \"init\""), "{:?}", found.warnings);
    for odd in ["[]", "x", "7"] {
        assert_eq!(ready(Some("null"), Some(odd)).unwrap().warnings.len(), 1, "{odd}");
    }
    assert!(ready(Some("null"), Some("null")).unwrap().warnings.is_empty());
}

#[test]
fn an_answer_that_is_written_is_read_as_it_was() {
    let data = Json::of(&json!({ "a": ["é", null, 1.5] }));
    assert_eq!(answer(&write(Ok(data.clone()), false)).result.unwrap(), data);
    let error = Error::custom("out_of_ink", "no \"ink\"\n").with_data(data).retryable().permanent();
    let read = answer(&write(Err(error.clone()), true));
    assert!(read.panicked);
    let found = read.result.unwrap_err();
    assert!(found.is_permanent());
    assert_eq!(found.failure(), error.failure());
    assert_eq!(
        write(Err(Error::not_found("x")), false),
        r#"{"status":"error","error":"x","code":"not_found","retryable":false}"#
    );
}

#[test]
fn what_the_host_says_passes_to_a_module_unchanged() {
    let mut failure = Failure::new(ErrorCode::ModuleCrashed, "it crashed").delivery(Delivery::Started);
    failure.exit = Some(Exit::Signal("SIGSEGV".into()));
    failure.stderr = vec!["last words".into()];
    failure.data = Some(Json::of(&json!([1])));
    let text = write_host(Err(Error::from(failure.clone())));
    assert_eq!(*read_host(text.as_bytes()).unwrap_err().failure(), failure);
    assert_eq!(read_host(write_host(Ok(Json::null())).as_bytes()).unwrap(), Json::null());
    for odd in ["", "{}", "null", r#"{"status":"progress"}"#, r#"{"type":"ping","id":1}"#] {
        assert!(read_host(odd.as_bytes()).is_err(), "{odd}");
    }
}

fn kinds() -> impl Strategy<Value = RequestType> {
    proptest::sample::select(vec![
        RequestType::Init,
        RequestType::Command,
        RequestType::Query,
        RequestType::Event,
        RequestType::Shutdown,
    ])
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        proptest::sample::select(vec!["error", "success", "not_found", "started", "\u{0}"]).prop_map(Value::from),
    ];
    let names = proptest::sample::select(vec![
        "status",
        "error",
        "message",
        "code",
        "module_code",
        "data",
        "retryable",
        "permanent",
        "panicked",
        "delivery",
        "exit",
        "stderr",
        "name",
        "version",
        "commands",
        "features",
        "batch_answers",
        "idempotent",
        "é",
    ]);
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((names.clone(), inner), 0..8).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }),
        ]
    })
}

/// Every answer that was read can be written and read again.
fn survives(kind: &RequestType, bytes: &[u8]) {
    let _ = read_barrier(bytes);
    let _ = read_host(bytes);
    let _ = read_greeting("m", Some(bytes), Some(bytes), 10_000);
    let first = read(kind, Some(bytes), 10_000);
    let panicked = first.panicked;
    let text = write(first.result.clone(), panicked);
    let again = read(&RequestType::Command, Some(text.as_bytes()), FRAME_BYTES_MAX_DEFAULT);
    assert_eq!(again.panicked, panicked);
    match (first.result, again.result) {
        (Ok(first), Ok(again)) => assert_eq!(first, again),
        (Err(first), Err(again)) => assert_eq!(first.into_failure(), *again.failure()),
        (first, again) => panic!("{first:?} became {again:?}"),
    }
}

proptest! {
    #[test]
    fn random_bytes_are_an_answer_or_an_error(kind in kinds(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&kind, &bytes);
    }

    #[test]
    fn random_text_is_an_answer_or_an_error(kind in kinds(), text in "[{}\\[\\]\",:a-z0-9\\\\ é]{0,60}") {
        survives(&kind, text.as_bytes());
    }

    #[test]
    fn random_json_is_an_answer_or_an_error(kind in kinds(), value in any_json()) {
        survives(&kind, value.to_string().as_bytes());
    }
}
