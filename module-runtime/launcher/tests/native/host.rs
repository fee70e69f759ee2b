//! The functions of the host: what arrives where they may be called, and that they refuse elsewhere.

use crate::support::{Library, end};
use bulkhead_module::testing::{Message, Program, Request, RequestType};
use bulkhead_protocol::Json;
use serde_json::{Value, json};

fn caller() -> Library {
    Library::build("caller.c", &[])
}

/// The library's result for `name`, where that needs no answer of ours.
fn get(program: &mut Program, name: &str) -> Result<Value, Value> {
    program.command("get", json!(name))
}

#[test]
fn the_table_is_as_long_as_the_header_says() {
    let table = get(&mut caller().start(), "table").unwrap();
    assert_eq!((&table[0], &table[1]), (&json!(1), &table[2]));
}

#[test]
fn a_request_of_the_library_arrives_and_its_answer_comes_back() {
    let mut program = caller().start();
    let id = program.send_command("get", json!("answer"));
    let asked = program.message().unwrap();
    assert_eq!((&asked["type"], &asked["to"]), (&json!("command"), &json!("other")));
    assert_eq!(asked["payload"], json!({ "name": "x", "args": [1] }));
    program.succeed(asked["id"].as_u64().unwrap(), json!({ "é": 1 }));
    assert_eq!(program.answer(id), Ok(json!({ "é": 1 })));
}

#[test]
fn no_recipient_and_no_payload_are_null_pointers() {
    let mut program = caller().start();
    let id = program.send_command("get", json!("null_payload"));
    let asked = program.message().unwrap();
    assert_eq!((asked["type"].clone(), asked.get("to"), asked.get("payload")), (json!("query"), None, None));
    program.succeed(asked["id"].as_u64().unwrap(), json!(7));
    assert_eq!(program.answer(id), Ok(json!(7)));
}

#[test]
fn a_request_is_not_waited_for_longer_than_it_says() {
    let mut program = caller().start();
    let id = program.send_command("get", json!("hurried"));
    let asked = program.message().unwrap();
    assert!(asked["deadline_ms"].as_u64().unwrap() <= 200, "{asked}");
    assert_eq!(program.answer(id).unwrap_err()["code"], "deadline_exceeded");
}

#[test]
fn arguments_that_are_none_are_refused_by_name() {
    let mut program = caller().start();
    for (case, words) in [
        ("null_name", "the argument 'name' is a null pointer"),
        ("bad_json", "the argument 'payload' is not JSON"),
        ("bad_text", "the argument 'to' is not UTF-8"),
        ("bad_event", "an event's name has no white space"),
    ] {
        let failure = get(&mut program, case).unwrap_err();
        assert_eq!(failure["code"], "bad_request", "{failure}");
        assert!(failure["error"].as_str().unwrap().contains(words), "{failure}");
    }
    end(program);
}

#[test]
fn outside_of_a_message_the_host_is_not_to_be_had() {
    let mut program = caller().start();
    for case in ["in_create", "in_init"] {
        let failure = get(&mut program, case).unwrap_err();
        assert_eq!(failure["code"], "bad_request", "{failure}");
        assert!(failure["error"].as_str().unwrap().contains("outside of handle_message"), "{failure}");
    }
}

#[test]
fn on_another_thread_only_the_log_the_clock_and_chance_are_to_be_had() {
    let mut program = caller().start();
    let found = get(&mut program, "on_a_thread").unwrap();
    let expected = json!({ "wait": 1, "deadline": -1, "id": -1, "key": 0, "random": 0, "time": 1, "refused": 1 });
    assert_eq!(found, expected);
    program.hang_up();
    assert!(program.finish().1.contains(r#"{"level":"warn","message":"from a thread"}"#));
}

#[test]
fn answers_leave_after_before_answers_and_it_may_not_ask_the_host() {
    let mut program = caller().start();
    let first = get(&mut program, "barriers").unwrap().as_i64().unwrap();
    let second = get(&mut program, "barriers").unwrap().as_i64().unwrap();
    assert!(second > first, "{first}, {second}");
    // It is called while a request of the library's own leaves, in the middle of a message.
    let failure = get(&mut program, "in_barrier").unwrap_err();
    assert_eq!(failure["code"], "bad_request", "{failure}");
    end(program);
}

#[test]
fn answers_that_must_not_leave_are_not_sent_and_the_process_ends() {
    let mut program = Library::build("caller.c", &["BARRIER_FAILS_AT=2"]).start();
    assert!(get(&mut program, "barriers").is_ok());
    let id = program.send_command("get", json!("barriers"));
    assert_eq!(program.try_answer(id), None);
    let (code, stderr) = program.finish();
    assert_eq!(code, Some(1));
    assert!(stderr.contains("the answers were not sent: the disk is full"), "{stderr}");
}

#[test]
fn the_module_is_destroyed_after_a_shutdown_and_when_the_host_is_gone() {
    let mut program = caller().start();
    let shutdown = program.send(RequestType::Shutdown, Json::null());
    assert!(program.answer(shutdown).is_ok());
    let (code, stderr) = program.finish();
    assert_eq!((code, stderr.contains("destroyed")), (Some(0), true), "{stderr}");

    let mut program = caller().start();
    program.hang_up();
    let (code, stderr) = program.finish();
    assert_eq!((code, stderr.contains("destroyed")), (Some(0), true), "{stderr}");
}

#[test]
fn a_key_that_no_string_of_c_can_hold_is_refused_and_not_cut() {
    let mut program = Library::of_the_samples("specimen_c.so").start();
    for (key, expected) in [("k-1", Some("k-1")), ("a\u{0}b", None)] {
        let mut request = Request::new(None, RequestType::Command, Json::of(&json!({ "name": "key" })));
        request.key = Some(key.into());
        let id = program.send_request(request);
        match (program.answer(id), expected) {
            (Ok(data), Some(expected)) => assert_eq!(data, json!({ "key": expected })),
            (Err(failure), None) => assert_eq!(failure["code"], "bad_request"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_samples_do_what_they_say() {
    let mut program = Library::of_the_samples("word_count.so").start();
    let answer = program.command("count", json!({ "text": "one  two\nthree \u{1F30A}" }));
    assert_eq!(answer, Ok(json!({ "words": 4, "lines": 2, "characters": 16 })));
    assert_eq!(program.command("total", json!({})), Ok(json!({ "texts": 1, "words": 4 })));
    end(program);

    let mut program = Library::of_the_samples("specimen_c.so").start();
    let progress = program.send_command("progress", json!({ "steps": 2 }));
    assert_eq!(program.message().unwrap()["data"], json!({ "step": 1 }));
    assert_eq!(program.message().unwrap()["data"], json!({ "step": 2 }));
    assert_eq!(program.answer(progress), Ok(json!({ "steps": 2 })));
    let mut request =
        Request::new(None, RequestType::Command, Json::of(&json!({ "name": "wait", "args": { "ms": 60_000 } })));
    request.deadline_ms = Some(20);
    let wait = program.send_request(request);
    assert_eq!(program.answer(wait).unwrap_err()["code"], "deadline_exceeded");
    let wait = program.send_command("wait", json!({ "ms": 60_000 }));
    program.send(RequestType::Cancel, Json::of(&json!({ "id": wait })));
    assert_eq!(program.answer(wait).unwrap_err()["code"], "cancelled");
    let random = program.command("random", json!({ "bytes": 16 })).unwrap();
    assert_eq!(random["hex"].as_str().unwrap().len(), 32);
    let ask = program.send_command("ask", json!({ "to": "other", "name": "x", "args": {} }));
    // The answer to the cancel came before.
    assert_eq!(program.message().unwrap()["status"], "success");
    let asked = program.message().unwrap();
    program.succeed(asked["id"].as_u64().unwrap(), json!(5));
    assert_eq!(program.answer(ask), Ok(json!({ "data": 5 })));
    end(program);
}

/// Two queries and one whose handler panics, in one write, so that the answers are held for each
/// other.
fn keep_two_and_panic(program: &mut Program) -> Vec<u64> {
    let query = |id: u64, payload: Value| Message::Request(Request::new(id, RequestType::Query, payload.into()));
    let ids: Vec<u64> = (0..3).map(|_| program.number()).collect();
    program.send_messages(&[query(ids[0], json!(1)), query(ids[1], json!(2)), query(ids[2], json!("panic"))]);
    ids
}

#[test]
fn what_was_answered_before_a_panic_leaves_only_after_before_answers() {
    let mut program = Library::build("keeper.c", &[]).start();
    let ids = keep_two_and_panic(&mut program);
    assert_eq!(program.answer(ids[0]), Ok(json!("kept")));
    assert_eq!(program.answer(ids[1]), Ok(json!("kept")));
    assert_eq!(program.answer(ids[2]).unwrap_err()["error"], "in doubt");
    let (code, stderr) = program.finish();
    assert_eq!(code, Some(101), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines, ["wrote 2"], "and the module is not destroyed");
}

#[test]
fn what_was_answered_before_a_panic_does_not_leave_where_before_answers_fails() {
    let mut program = Library::build("keeper.c", &["FAILS"]).start();
    let ids = keep_two_and_panic(&mut program);
    assert_eq!(program.try_answer(ids[0]), None);
    let (code, stderr) = program.finish();
    assert_eq!(code, Some(101), "{stderr}");
    assert!(stderr.contains("the answers were not sent: the disk is full"), "{stderr}");
}
