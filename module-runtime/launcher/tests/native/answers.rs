//! What becomes of an answer, good or bad, on its way through the real border. The rules in full are
//! tested where they are.

use crate::support::{Library, send_init, sentence, to_answer};
use bulkhead_module::testing::{RequestType, Scratch};
use bulkhead_protocol::{Json, OnPanic};
use serde_json::{Value, json};

const FRAME_BYTES_MAX: usize = 65_536;

fn parrot() -> Library {
    Library::build("parrot.c", &[])
}

#[test]
fn each_bad_answer_is_distinguished_from_the_others_and_the_module_goes_on() {
    let mut program = parrot().start_with(|init| init.limits.frame_bytes_max = FRAME_BYTES_MAX);
    let cases: [(Value, &str, &str); 5] = [
        (json!({ "null": true }), "module_error", "answered \"command\" with a null pointer"),
        (to_answer(b"{\"a\":\"\xff\"}"), "module_error", "found the byte 0xff at offset 6"),
        (to_answer(b"hello"), "module_error", "found \"hello\""),
        (to_answer(b""), "module_error", "expected JSON"),
        (json!({ "long": true }), "frame_too_large", "70000 bytes long"),
    ];
    for (args, code, words) in cases {
        let answer = program.command("say", args);
        assert!(sentence(&answer).contains(words), "{answer:?}");
        assert_eq!(answer.unwrap_err()["code"], code);
    }
    assert_eq!(program.command("say", to_answer(b"{\"status\":\"success\",\"data\":[1]}")), Ok(json!([1])));
}

#[test]
fn an_error_keeps_its_code_its_details_and_its_word_on_trying_again() {
    let mut program = parrot().start();
    let text = br#"{"status":"error","error":"no ink","code":"out_of_ink","retryable":true,"level":3}"#;
    let failure = program.command("say", to_answer(text)).unwrap_err();
    assert_eq!(failure["error"], "no ink");
    assert_eq!((&failure["code"], &failure["module_code"]), (&json!("module_error"), &json!("out_of_ink")));
    assert_eq!((&failure["retryable"], &failure["data"]), (&json!(true), &json!({ "level": 3 })));
}

#[test]
fn numbers_and_the_order_of_members_pass_unchanged() {
    let mut program = parrot().start();
    let data = r#"{"z":1e400,"a":123456789012345678901234567890,"z":-0.0}"#;
    let payload = Json::of(&to_answer(format!(r#"{{"status":"success","data":{data}}}"#).as_bytes()));
    let id = program.send(RequestType::Query, payload);
    // A number beyond the range of a value comes as its text.
    let answer = program.answer(id).unwrap();
    assert!(answer == json!(data), "{answer}");
}

#[test]
fn a_library_that_answers_with_flat_objects_works_as_it_is() {
    for init in ["\"ready when you are\"", "\"\\\"yes\\\"\"", "\"{}\"", "\"{\\\"status\\\":\\\"initialized\\\"}\""] {
        let mut program = Library::build("flat.c", &[&format!("INIT={init}")]).start();
        assert_eq!(program.command("create", json!({})), Ok(json!({ "log_id": "log-7", "count": 1 })));
        let event = program.send(RequestType::Event, Json::of(&json!({ "event": "a.b", "data": 1 })));
        assert_eq!(program.answer(event), Ok(json!(null)));
        let query = program.send(RequestType::Query, Json::of(&json!(1)));
        let failure = program.answer(query).unwrap_err();
        assert_eq!(failure["error"], "unknown message type");
        assert_eq!((&failure["code"], &failure["data"]), (&json!("module_error"), &json!({ "type": 7 })));
        // It does not know `shutdown`, which does not make its end a failure.
        let shutdown = program.send(RequestType::Shutdown, Json::null());
        assert_eq!(program.answer(shutdown), Ok(json!(null)));
        assert_eq!(program.finish().0, Some(0));
    }
}

#[test]
fn a_shutdown_that_says_why_it_failed_is_a_failure() {
    let mut program = parrot().start();
    let text = br#"{"status":"error","error":"the disk is full","code":"module_error"}"#;
    let shutdown = program.send(RequestType::Shutdown, Json::of(&to_answer(text)));
    assert_eq!(sentence(&program.answer(shutdown)), "the disk is full");
    assert_eq!(program.finish().0, Some(1));
}

#[test]
fn init_can_refuse_for_good_or_for_now() {
    let parrot = parrot();
    for (rest, code) in [("", 1), (",\"permanent\":true", 125)] {
        let mut program = parrot.spawn();
        let text = format!(r#"{{"status":"error","error":"no licence"{rest}}}"#);
        let answer = send_init(&mut program, |init| init.config = Json::of(&to_answer(text.as_bytes())));
        assert_eq!(sentence(&answer), "no licence");
        assert_eq!(program.finish().0, Some(code));
    }
    let mut program = parrot.spawn();
    let answer = send_init(&mut program, |init| init.config = Json::of(&json!({ "null": true })));
    assert!(sentence(&answer).contains("null pointer"), "{answer:?}");
    assert_eq!(program.finish().0, Some(1));
}

#[test]
fn what_a_module_says_of_itself_comes_from_init_then_from_its_metadata_then_from_the_host() {
    let scratch = Scratch::new();
    let file = scratch.path().join("metadata");
    std::fs::write(&file, r#"{"name":"from-metadata","version":"7","commands":["a"],"features":5}"#).unwrap();
    let library = Library::build("parrot.c", &[&format!("METADATA_FILE=\"{}\"", file.display())]);
    let mut program = library.spawn();
    let said = to_answer(br#"{"status":"success","data":{"name":"from-init"}}"#);
    let ready = send_init(&mut program, |init| init.config = Json::of(&said)).unwrap();
    assert_eq!((&ready["name"], &ready["version"]), (&json!("from-init"), &json!("7")));
    assert_eq!(ready["commands"][0]["name"], "a");
    assert_eq!(ready["features"], json!([]));
    program.hang_up();
    assert!(program.finish().1.contains("`features` in get_module_metadata is ignored"));

    let parrot = parrot();
    let ready = send_init(&mut parrot.spawn(), |_| {}).unwrap();
    assert_eq!((&ready["name"], &ready["version"]), (&json!("tested"), &json!("")));
}

#[test]
fn a_handler_that_panicked_ends_the_process_or_not_as_the_manifest_says() {
    let text = to_answer(br#"{"status":"error","error":"at x.rs:3: oops","panicked":true}"#);
    let mut program = parrot().start();
    let ids = [text.clone(), to_answer(b"1")].map(|text| program.send_command("say", text));
    let failure = program.answer(ids[0]).unwrap_err();
    assert_eq!((&failure["error"], &failure["last"]), (&json!("at x.rs:3: oops"), &json!(true)));
    assert_eq!(program.try_answer(ids[1]), None, "what is after it has not begun");
    assert_eq!(program.finish().0, Some(101));

    let mut program = parrot().start_with(|init| init.on_panic = OnPanic::Continue);
    assert_eq!(sentence(&program.command("say", text)), "at x.rs:3: oops");
    assert_eq!(program.command("say", to_answer(b"1")), Ok(json!(1)));
}

#[test]
fn types_that_no_library_knows_never_reach_it() {
    let mut program = parrot().start();
    let id = program.send(RequestType::Unknown("\u{0}".into()), Json::null());
    assert_eq!(program.answer(id).unwrap_err()["code"], "unknown_type");
    let ping = program.send(RequestType::Ping, Json::null());
    assert_eq!(program.answer(ping), Ok(json!(null)));
}
