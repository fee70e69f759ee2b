//! The functions of the host as a module sees them.

use crate::testing::{Kit, Script, data, failed, last, module, query};
use bulkhead_child::{Error, Guest, Outcome};
use bulkhead_protocol::{Json, RequestType};
use serde_json::{Value, json};
use std::time::Duration;

const IMPORTS: &str = r#"
  (import "bulkhead" "query" (func $query (param i32 i32 i64) (result i32)))
  (import "bulkhead" "mutation" (func $mutation (param i32 i32 i64) (result i32)))
  (import "bulkhead" "command" (func $command (param i32 i32 i32 i64) (result i32)))
  (import "bulkhead" "event" (func $event (param i32 i32) (result i32)))
  (import "bulkhead" "progress" (func $progress (param i32) (result i32)))
  (import "bulkhead" "wait" (func $wait (param i64) (result i32)))
  (import "bulkhead" "deadline_ms" (func $deadline (result i64)))
  (import "bulkhead" "request_id" (func $id (result i64)))
  (import "bulkhead" "key" (func $key (result i32)))
  (import "bulkhead" "log" (func $log (param i32 i32)))
  (import "bulkhead" "time" (func $time (param i32) (result i64)))
  (import "bulkhead" "random" (func $random (param i32 i32) (result i32)))"#;

/// Texts for the calls: "peer" at 2000, "name" at 2010, {"a":1} at 2020, broken JSON at 2040, bytes
/// that are no text at 2050.
const TEXTS: &str = r#"
  (data (i32.const 2000) "peer\00")
  (data (i32.const 2010) "name\00")
  (data (i32.const 2020) "{\22a\22:1}\00")
  (data (i32.const 2040) "{\00")
  (data (i32.const 2050) "\ff\00")"#;

fn kit(body: &str) -> Kit {
    Kit::new(&module(IMPORTS, body, TEXTS))
}

fn answer(body: &str, host: &mut Script) -> Value {
    match query(&mut kit(body).ready(), host, Value::Null) {
        Outcome::Answer(Ok(data)) => data.read().unwrap(),
        other => panic!("expected data, found {other:?}"),
    }
}

#[test]
fn every_request_of_the_modules_own_reaches_the_host_as_it_was_meant() {
    for (call, asked) in [
        (
            "(call $query (i32.const 0) (i32.const 2020) (i64.const -1))",
            json!({ "type": "query", "to": null, "payload": { "a": 1 }, "timeout": null }),
        ),
        (
            "(call $mutation (i32.const 2000) (i32.const 0) (i64.const 0))",
            json!({ "type": "mutation", "to": "peer", "payload": null, "timeout": 0 }),
        ),
        (
            "(call $command (i32.const 2000) (i32.const 2010) (i32.const 2020) (i64.const 250))",
            json!({ "type": "command", "to": "peer", "payload": { "name": "name", "args": { "a": 1 } }, "timeout": 250 }),
        ),
    ] {
        let mut host = Script { answer: Some(Ok(Json::of(&json!({ "b": "ü" })))), ..Script::default() };
        assert_eq!(answer(call, &mut host), json!({ "b": "ü" }));
        assert_eq!(host.asked, [asked]);
    }
}

#[test]
fn what_the_host_refuses_is_an_error_for_the_module() {
    let mut host = Script { answer: Some(Err(Error::custom("out_of_ink", "none left"))), ..Script::default() };
    let mut guest = kit("(call $query (i32.const 0) (i32.const 0) (i64.const -1))").ready();
    let error = failed(query(&mut guest, &mut host, Value::Null));
    assert_eq!((error.to_string().as_str(), error.module_code()), ("none left", Some("out_of_ink")));
}

#[test]
fn events_and_progress_leave() {
    let mut host = Script::default();
    assert_eq!(answer("(call $event (i32.const 2010) (i32.const 2020))", &mut host), Value::Null);
    assert_eq!(answer("(call $progress (i32.const 2020))", &mut host), Value::Null);
    assert_eq!(host.asked, [json!({ "event": "name", "data": { "a": 1 } }), json!({ "progress": { "a": 1 } })]);
}

/// Answers with a number: 48 and more as digits.
fn number(call: &str) -> String {
    format!("(i32.store (i32.const 1024) (i32.add (i32.const 48) {call})) (i32.const 1024)")
}

#[test]
fn waiting_says_whether_the_work_is_still_wanted() {
    let body = number("(call $wait (i64.const 300))");
    let mut host = Script::default();
    assert_eq!(answer(&body, &mut host), 0);
    assert_eq!(host.asked, [json!({ "wait": 300 })]);
    assert_eq!(answer(&body, &mut Script { cancelled: true, ..Script::default() }), 1);
    let mut late = Script { left: Some(Duration::ZERO), ..Script::default() };
    assert_eq!(answer(&body, &mut late), 2);
    assert_eq!(late.asked, [json!({ "wait": 0 })], "never longer than the deadline");
    assert_eq!(answer(&number("(call $wait (i64.const -5))"), &mut Script::default()), 0);
}

#[test]
fn a_request_has_its_deadline_number_and_key() {
    let deadline = number("(i32.wrap_i64 (call $deadline))");
    assert_eq!(answer(&deadline, &mut Script { left: Some(Duration::from_millis(5)), ..Script::default() }), 5);
    let none = number("(i64.eq (call $deadline) (i64.const -1))");
    assert_eq!(answer(&none, &mut Script::default()), 1);
    assert_eq!(answer(&number("(i32.wrap_i64 (call $id))"), &mut Script::default()), 7);
    let mut host = Script { key: Some("77".into()), ..Script::default() };
    assert_eq!(answer("(call $key)", &mut host), 77);
    assert_eq!(answer(&number("(i32.eqz (call $key))"), &mut Script::default()), 1);
}

#[test]
fn clocks_are_distinguished() {
    // More than a year 2020 in nanoseconds, something above zero, and no such clock.
    let body = number(
        "(i32.and (i64.gt_s (call $time (i32.const 0)) (i64.const 1577836800000000000))
           (i32.and (i64.gt_s (call $time (i32.const 1)) (i64.const 0))
                    (i64.eq (call $time (i32.const 2)) (i64.const -1))))",
    );
    assert_eq!(answer(&body, &mut Script::default()), 1);
}

#[test]
fn random_bytes_fill_the_buffer_and_nothing_else() {
    let body = number(
        "(call $random (i32.const 3001) (i32.const 32))
         (if (i64.eqz (i64.load (i32.const 3008))) (then (unreachable)))
         (if (i32.load8_u (i32.const 3000)) (then (unreachable)))
         (if (i32.load8_u (i32.const 3033)) (then (unreachable)))",
    );
    assert_eq!(answer(&body, &mut Script::default()), 0);
}

#[test]
fn a_wild_pointer_stops_the_module_and_names_the_argument() {
    for (call, sentence) in [
        (
            "(call $query (i32.const -1) (i32.const 0) (i64.const -1))",
            "it passed as the name of a module the pointer 0xffffffff",
        ),
        (
            "(call $query (i32.const 0) (i32.const 70000) (i64.const -1))",
            "it passed as the payload of the query the pointer 0x11170",
        ),
        (
            "(call $command (i32.const 0) (i32.const 0) (i32.const 0) (i64.const -1))",
            "it passed as the name of the command a null pointer",
        ),
        ("(call $event (i32.const 0) (i32.const 0))", "it passed as the name of the event a null pointer"),
        ("(call $log (i32.const 2000) (i32.const 0)) (i32.const 0)", "it passed as a log line a null pointer"),
        ("(call $random (i32.const 65535) (i32.const 2))", "it asked for random bytes into 2 bytes at 0xffff"),
        (
            "(memory.fill (i32.const 60000) (i32.const 65) (i32.const 5536)) (call $progress (i32.const 60000))",
            "it passed as the data of the progress a string at 0xea60 without a NUL",
        ),
    ] {
        let (error, code) = last(query(&mut kit(call).ready(), &mut Script::default(), Value::Null));
        assert_eq!((error.module_code(), code), (Some("trap"), 102));
        let expected = format!("the module was stopped in handle_message (query): {sentence}");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[test]
fn a_string_that_is_no_text_or_no_json_is_answered_and_the_module_goes_on() {
    for (call, sentence) in [
        (
            "(call $query (i32.const 2050) (i32.const 0) (i64.const -1))",
            "the module passed as the name of a module a string that is no UTF-8 at byte 0",
        ),
        (
            "(call $query (i32.const 0) (i32.const 2040) (i64.const -1))",
            "the payload of the query is no JSON: EOF while parsing",
        ),
    ] {
        let mut host = Script::default();
        let error = failed(query(&mut kit(call).ready(), &mut host, Value::Null));
        assert!(error.to_string().starts_with(sentence), "{error}");
        assert_eq!(host.asked, [] as [Value; 0]);
    }
}

#[test]
fn a_string_longer_than_a_frame_is_answered() {
    let body = "(drop (memory.grow (i32.const 300)))
                (memory.fill (i32.const 65536) (i32.const 65) (i32.const 17000000))
                (call $progress (i32.const 65536))";
    let error = failed(query(&mut kit(body).ready(), &mut Script::default(), Value::Null));
    assert!(error.to_string().contains("longer than a frame of 16777216 bytes"), "{error}");
}

#[test]
fn the_host_is_there_only_while_a_message_is_handled() {
    // The answer that `init` got is returned for every message; `init` has no host.
    let text = module(IMPORTS, "(global.get $answer)", &format!("{TEXTS} (global $answer (mut i32) (i32.const 0))"));
    let text = text.replace(
        "(then (return (i32.const 16)))",
        "(then (global.set $answer (call $query (i32.const 0) (i32.const 0) (i64.const -1)))
               (if (i32.ne (call $wait (i64.const 1000000)) (i32.const 1)) (then (unreachable)))
               (if (i64.ne (call $deadline) (i64.const -1)) (then (unreachable)))
               (if (i64.ne (call $id) (i64.const -1)) (then (unreachable)))
               (if (call $key) (then (unreachable)))
               (drop (call $time (i32.const 0)))
               (drop (call $random (i32.const 3000) (i32.const 8)))
               (call $log (i32.const 2010) (i32.const 2010))
               (return (i32.const 16)))",
    );
    let mut guest = Kit::new(&text).ready();
    let error = failed(query(&mut guest, &mut Script::default(), Value::Null));
    assert_eq!(
        error.to_string(),
        "query was called outside of handle_message; only log, time and random may be called there"
    );
}

#[test]
fn alloc_string_that_calls_the_host_gets_an_error_and_no_second_scope() {
    // alloc_string asks the host once, while the host's answer is passed to the module.
    let text = module(
        IMPORTS,
        "(call $query (i32.const 0) (i32.const 0) (i64.const -1))",
        &format!("{TEXTS} (global $asked (mut i32) (i32.const 0))"),
    );
    let text = text.replace(
        "(local $end i32)\n",
        "(local $end i32)
         (if (i32.lt_u (global.get $asked) (i32.const 3)) (then
           (global.set $asked (i32.add (global.get $asked) (i32.const 1)))
           (drop (call $query (i32.const 0) (i32.const 0) (i64.const -1)))))\n",
    );
    let mut host = Script::default();
    let mut guest = Kit::new(&text).ready();
    assert!(matches!(query(&mut guest, &mut host, Value::Null), Outcome::Answer(Ok(_))));
    assert_eq!(host.asked.len(), 1);
}

#[test]
fn an_endless_recursion_through_the_host_is_a_trap() {
    let text = module(IMPORTS, "(call $query (i32.const 0) (i32.const 0) (i64.const -1))", TEXTS).replace(
        "(local $end i32)\n",
        "(local $end i32) (if (i32.gt_u (local.get $length) (i32.const 7)) (then (drop (call $progress (i32.const 0)))))\n",
    );
    let text = text.replace(
        "(export \"create_module\") (result i32) (i32.const 1)",
        "(export \"create_module\") (result i32) (drop (call $progress (i32.const 0))) (i32.const 1)",
    );
    let error = Kit::new(&text).refused();
    assert!(error.to_string().contains("call stack exhausted"), "{error}");
}

#[test]
fn unknown_imports_are_named_with_what_is_possible() {
    let imports = r#"
      (import "env" "memset" (func (param i32 i32 i32) (result i32)))
      (import "bulkhead" "reboot" (func))
      (import "bulkhead" "time" (func (param i64) (result i64)))
      (import "bulkhead" "log" (global i32))
      (import "wasi_snapshot_preview1" "fly" (func))"#;
    let error = Kit::new(&module(imports, "(local.get $payload)", "")).refused();
    assert!(error.is_permanent());
    let sentence = error.to_string();
    for part in [
        "it imports what is not there: env.memset (i32, i32, i32) -> i32; bulkhead.reboot ()",
        "bulkhead.time (i64) -> i64, which is (i32) -> i64 here",
        "bulkhead.log a global, which is (i32, i32) here",
        "wasi_snapshot_preview1.fly ()",
        "a module can import the functions of bulkhead (see module.h) and of wasi_snapshot_preview1",
    ] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
}

#[test]
fn an_import_of_memory_is_refused() {
    let text = module("", "(local.get $payload)", "");
    let error = Kit::new(&text.replace("(module ", r#"(module (import "env" "memory" (memory 1)) "#)).refused();
    assert!(error.to_string().contains("env.memory a memory"), "{error}");
}

#[test]
fn an_event_is_handled_without_an_answer_worth_reading() {
    let mut guest = Kit::new(&module("", "(i32.const 16)", "")).ready();
    let outcome = guest.handle(&mut Script::default(), &RequestType::Event, &Json::null());
    assert!(matches!(outcome, Outcome::Answer(Ok(_))));
    assert_eq!(data(&mut guest, Value::Null), json!({}));
}
