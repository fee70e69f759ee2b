//! A module's life in one process: messages, traps, limits, and what follows them.

use crate::arguments::OnLimit;
use crate::testing::{Kit, Script, data, failed, last, module, query};
use bulkhead_child::{Guest, Outcome};
use bulkhead_protocol::{ErrorCode, Json, RequestType};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

/// Answers with a count of its messages, so that a fresh instance differs from an old one; any payload but `null` first
/// does what the test wants.
fn counter(imports: &str, deed: &str, outside: &str) -> String {
    let body = format!(
        "(if (i32.ne (i32.load8_u (local.get $payload)) (i32.const 110)) (then {deed}))
         (global.set $count (i32.add (global.get $count) (i32.const 1)))
         (i32.store8 (i32.const 1024) (i32.add (i32.const 48) (global.get $count)))
         (i32.const 1024)"
    );
    module(imports, &body, &format!("(global $count (mut i32) (i32.const 0)) {outside}"))
}

#[test]
fn a_message_is_answered_with_what_the_module_answers() {
    let kit = Kit::new(&module("", "(local.get $payload)", ""));
    let mut guest = kit.ready();
    assert_eq!(data(&mut guest, json!({ "text": "grüße" })), json!({ "text": "grüße" }));
    let long = "x".repeat(1 << 20);
    assert_eq!(data(&mut guest, json!(long)), json!(long));
}

#[test]
fn every_kind_of_trap_is_answered_with_its_name_and_place_and_ends_the_process() {
    let outside = r#"
      (table 2 funcref)
      (type $nothing (func))
      (type $number (func (param i32)))
      (func $one (type $number))
      (elem (i32.const 0) $one)
      (func $deep (call $deep) (call $deep))"#;
    for (deed, kind) in [
        ("(unreachable)", "wasm `unreachable` instruction executed"),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "integer divide by zero"),
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", "integer overflow"),
        ("(drop (i32.trunc_f64_s (f64.const nan)))", "invalid conversion to integer"),
        ("(drop (i32.load (i32.const -4)))", "out of bounds memory access"),
        ("(call_indirect (type $nothing) (i32.const 9))", "undefined element: out of bounds table access"),
        ("(call_indirect (type $nothing) (i32.const 1))", "uninitialized element"),
        ("(call_indirect (type $nothing) (i32.const 0))", "indirect call type mismatch"),
        ("(call $deep)", "call stack exhausted"),
    ] {
        let kit = Kit::new(&counter("", deed, outside));
        let (error, code) = last(query(&mut kit.ready(), &mut Script::default(), json!(1)));
        assert_eq!(code, 102, "{kind}");
        assert_eq!((error.code(), error.module_code()), (ErrorCode::ModuleError, Some("trap")));
        assert!(
            error.to_string().starts_with(&format!("the module trapped in handle_message (query): {kind}")),
            "{error}"
        );
        let details: Value = error.data().unwrap().read().unwrap();
        assert_eq!(details["kind"], kind);
        let expected = if deed.contains("$deep") { "deep" } else { "handle" };
        assert_eq!(details["backtrace"][0]["function"], expected, "{details}");
        // A call without stack left has not reached any instruction of its own yet.
        let frame = usize::from(deed.contains("$deep"));
        assert!(details["backtrace"][frame]["offset"].as_u64().is_some_and(|offset| offset > 0), "{details}");
    }
}

#[test]
fn a_panic_is_answered_with_its_text() {
    let imports = r#"(import "bulkhead" "panic" (func $panic (param i32)))"#;
    let deed = "(call $panic (i32.const 2000)) (unreachable)";
    let kit = Kit::new(&counter(imports, deed, r#"(data (i32.const 2000) "no ink at a.rs:3\00")"#));
    let (error, code) = last(query(&mut kit.ready(), &mut Script::default(), json!(1)));
    assert_eq!(code, 102);
    assert_eq!(error.to_string(), "the module panicked: no ink at a.rs:3");
    assert_eq!(error.module_code(), Some("trap"));
}

#[test]
fn the_text_of_a_panic_is_for_the_message_in_progress_only() {
    let imports = r#"(import "bulkhead" "panic" (func $panic (param i32)))"#;
    let deed = "(if (i32.eq (i32.load8_u (local.get $payload)) (i32.const 49)) (then (call $panic (i32.const 2000)))
                (else (unreachable)))";
    let kit = Kit::new(&counter(imports, deed, r#"(data (i32.const 2000) "old\00")"#));
    let mut guest = kit.ready();
    assert_eq!(data(&mut guest, json!(1)), 1);
    let (error, _) = last(query(&mut guest, &mut Script::default(), json!(2)));
    assert!(error.to_string().contains("unreachable"), "{error}");
}

#[test]
fn after_a_trap_the_module_goes_on_in_a_fresh_instance_where_the_manifest_says_so() {
    let kit = Kit::new(&counter("", "(unreachable)", ""));
    let mut guest = kit.ready_with(json!({ "on_panic": "continue" }));
    assert_eq!(data(&mut guest, Value::Null), 1);
    assert_eq!(data(&mut guest, Value::Null), 2);
    let error = failed(query(&mut guest, &mut Script::default(), json!(1)));
    assert_eq!(error.module_code(), Some("trap"));
    assert_eq!(data(&mut guest, Value::Null), 1, "a fresh instance begins anew");
}

#[test]
fn a_trap_in_shutdown_ends_the_process_whatever_the_manifest_says() {
    let kit = Kit::new(&module("", "(unreachable)", ""));
    let mut guest = kit.ready_with(json!({ "on_panic": "continue" }));
    let outcome = guest.handle(&mut Script::default(), &RequestType::Shutdown, &Json::null());
    assert_eq!(last(outcome).1, 102);
}

#[test]
fn more_memory_than_the_limit_stops_the_message_and_names_the_limit() {
    let deed = "(drop (memory.grow (i32.const 100)))";
    let text = counter("", deed, "");
    let kit = Kit::new(&text).with(|options| options.memory_limit = Some(1 << 20));
    let (error, code) = last(query(&mut kit.ready(), &mut Script::default(), json!(1)));
    assert_eq!(code, 103);
    assert_eq!((error.code(), error.module_code()), (ErrorCode::ModuleError, Some("memory_limit")));
    assert!(error.to_string().ends_with("its memory_limit is 1048576 bytes"), "{error}");
    let details: Value = error.data().unwrap().read().unwrap();
    assert_eq!(details["backtrace"][0]["function"], "handle");

    let kit = Kit::new(&text).with(|options| {
        options.memory_limit = Some(1 << 20);
        options.on_limit = OnLimit::Continue;
    });
    let mut guest = kit.ready();
    assert_eq!(data(&mut guest, Value::Null), 1);
    let error = failed(query(&mut guest, &mut Script::default(), json!(1)));
    assert_eq!(error.module_code(), Some("memory_limit"));
    assert_eq!(data(&mut guest, Value::Null), 1);
    let free = Kit::new(&text);
    assert_eq!(data(&mut free.ready(), json!(1)), 1, "without a limit there is none");
}

#[test]
fn a_payload_that_does_not_fit_the_limit_passes_it() {
    let kit = Kit::new(&module("", "(local.get $payload)", "")).with(|options| options.memory_limit = Some(1 << 20));
    let (error, code) = last(query(&mut kit.ready(), &mut Script::default(), json!("x".repeat(2 << 20))));
    assert_eq!((error.module_code(), code), (Some("memory_limit"), 103));
}

#[test]
fn a_table_counts_as_memory() {
    let outside = "(table $t 1 funcref)";
    let deed = "(drop (table.grow $t (ref.null func) (i32.const 1000000)))";
    let kit = Kit::new(&counter("", deed, outside)).with(|options| options.memory_limit = Some(1 << 20));
    let (error, _) = last(query(&mut kit.ready(), &mut Script::default(), json!(1)));
    assert_eq!(error.module_code(), Some("memory_limit"));
}

#[test]
fn a_module_that_begins_with_more_than_its_limit_never_starts() {
    let kit = Kit::new(&module("", "(local.get $payload)", "")).with(|options| options.memory_limit = Some(1000));
    let error = kit.refused();
    assert_eq!(error.module_code(), Some("memory_limit"));
    assert!(error.is_permanent());
}

#[test]
fn a_loop_without_an_end_is_stopped_by_the_processor_time_limit() {
    let text = counter("", "(loop $again (br $again))", "");
    let kit = Kit::new(&text).with(|options| options.cpu_time_limit = Some(Duration::from_millis(50)));
    let (error, code) = last(query(&mut kit.ready(), &mut Script::default(), json!(1)));
    assert_eq!((error.module_code(), code), (Some("cpu_time_limit"), 103));
    assert!(error.to_string().ends_with("its cpu_time_limit of 50 ms"), "{error}");

    let kit = Kit::new(&text).with(|options| {
        options.cpu_time_limit = Some(Duration::from_millis(20));
        options.on_limit = OnLimit::Continue;
    });
    let mut guest = kit.ready();
    for _ in 0..10 {
        assert_eq!(data(&mut guest, Value::Null), 1);
        let error = failed(query(&mut guest, &mut Script::default(), json!(1)));
        assert_eq!(error.module_code(), Some("cpu_time_limit"));
    }
}

#[test]
fn a_loop_of_calls_of_the_host_is_stopped_too() {
    let imports = r#"
      (import "bulkhead" "time" (func $time (param i32) (result i64)))
      (import "bulkhead" "random" (func $random (param i32 i32) (result i32)))
      (import "bulkhead" "progress" (func $progress (param i32) (result i32)))"#;
    for deed in [
        "(loop $again (drop (call $time (i32.const 0))) (br $again))",
        "(loop $again (drop (call $random (i32.const 2000) (i32.const 100))) (br $again))",
        // Nothing is freed here, but the time is over long before the memory is used.
        "(loop $again (drop (call $progress (i32.const 16))) (global.set $top (i32.const 4096)) (br $again))",
    ] {
        let kit = Kit::new(&counter(imports, deed, ""))
            .with(|options| options.cpu_time_limit = Some(Duration::from_millis(50)));
        let (error, _) = last(query(&mut kit.ready(), &mut Script::default(), json!(1)));
        assert_eq!(error.module_code(), Some("cpu_time_limit"), "{deed}");
    }
}

#[test]
fn one_long_call_of_the_host_is_stopped_on_its_way() {
    let imports = r#"(import "bulkhead" "random" (func $random (param i32 i32) (result i32)))"#;
    let deed = "(drop (memory.grow (i32.const 16000)))
                (drop (call $random (i32.const 0) (i32.const 1000000000)))";
    let kit =
        Kit::new(&counter(imports, deed, "")).with(|options| options.cpu_time_limit = Some(Duration::from_millis(50)));
    let (error, _) = last(query(&mut kit.ready(), &mut Script::default(), json!(1)));
    assert_eq!(error.module_code(), Some("cpu_time_limit"));
    let details: Value = error.data().unwrap().read().unwrap();
    assert_eq!(details["backtrace"][0]["function"], "handle");
}

#[test]
fn what_the_module_says_of_itself_becomes_its_greeting() {
    let text = module(
        "",
        "(local.get $payload)",
        r#"(data (i32.const 2000) "{\22name\22:\22w\22,\22version\22:\222.0\22,\22commands\22:[{\22name\22:\22go\22}]}\00")
           (func (export "get_module_metadata") (result i32) (i32.const 2000))"#,
    );
    let (_guest, greeting) = Kit::new(&text).init();
    let greeting = greeting.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((greeting.ready.name.as_str(), greeting.ready.version.as_str()), ("w", "2.0"));
    assert_eq!(greeting.ready.commands[0].name, "go");
    assert!(greeting.barrier.is_none());
}

#[test]
fn a_module_without_metadata_is_called_as_the_host_calls_it() {
    let (_guest, greeting) = Kit::new(&module("", "(local.get $payload)", "")).init();
    assert_eq!(greeting.unwrap_or_else(|error| panic!("{error}")).ready.name, "under-test");
}

#[test]
fn what_fails_before_the_first_message_says_where_and_is_permanent() {
    let body = "(local.get $payload)";
    for (outside, place) in [
        ("(func $s (unreachable)) (start $s)", "its start"),
        (r#"(func (export "_initialize") (unreachable))"#, "_initialize"),
    ] {
        let error = Kit::new(&module("", body, outside)).refused();
        assert!(
            error.to_string().starts_with(&format!("the module trapped in {place}: wasm `unreachable`")),
            "{error}"
        );
        assert!(error.is_permanent());
    }
    let text = module("", body, "");
    let error = Kit::new(
        &text.replace("(i32.const 1))\n  (func (export \"destroy", "(unreachable))\n  (func (export \"destroy"),
    );
    assert!(error.refused().to_string().starts_with("the module trapped in create_module"));
    let null = text.replace("(result i32) (i32.const 1))", "(result i32) (i32.const 0))");
    let error = Kit::new(&null).refused();
    assert_eq!(error.to_string(), "the module could not be made: create_module answered a null pointer");
    assert!(error.is_permanent());
}

#[test]
fn the_data_folder_is_named_as_the_module_sees_it() {
    // Remembers the payload of `init` and answers every message with it.
    let text = module("", "(global.get $init)", "(global $init (mut i32) (i32.const 0))").replace(
        "(then (return (i32.const 16)))",
        "(then (global.set $init (local.get $payload)) (return (i32.const 16)))",
    );
    let hidden = Kit::new(&text);
    assert_eq!(data(&mut hidden.ready(), Value::Null)["data_dir"], "");
    let shown = Kit::new(&text).with(|options| options.grants.data = crate::arguments::DataFolder::Shown);
    let init = data(&mut shown.ready(), Value::Null);
    assert_eq!((&init["data_dir"], &init["module"]), (&json!("/data"), &json!("under-test")));
}

#[test]
fn a_key_that_is_no_c_string_is_refused_before_the_module_begins() {
    let mut guest = Kit::new(&module("", "(unreachable)", "")).ready();
    let mut host = Script { key: Some("a\0b".into()), ..Script::default() };
    assert_eq!(failed(query(&mut guest, &mut host, Value::Null)).code(), ErrorCode::BadRequest);
}

const BARRIER: &str = r#"
  (global $flushed (mut i32) (i32.const 48))
  (func (export "before_answers") (param i32) (result i32)
    (global.set $flushed (i32.add (global.get $flushed) (i32.const 1)))
    (i32.const 0))"#;

#[test]
fn what_is_done_before_answers_leave_is_done_between_messages() {
    let body = "(i32.store8 (i32.const 1024) (global.get $flushed)) (i32.const 1024)";
    let kit = Kit::new(&module("", body, BARRIER));
    let (mut guest, greeting) = kit.init();
    let mut barrier = greeting.unwrap_or_else(|error| panic!("{error}")).barrier.expect("it has one");
    barrier().unwrap();
    barrier().unwrap();
    assert_eq!(data(&mut guest, Value::Null), 2);
}

#[test]
fn what_is_done_before_answers_leave_is_done_while_the_module_waits_too() {
    let imports = r#"(import "bulkhead" "query" (func $query (param i32 i32 i64) (result i32)))"#;
    let body = "(drop (call $query (i32.const 0) (i32.const 0) (i64.const -1)))
                (i32.store8 (i32.const 1024) (global.get $flushed)) (i32.const 1024)";
    let kit = Kit::new(&module(imports, body, BARRIER));
    let (mut guest, greeting) = kit.init();
    let barrier = greeting.unwrap_or_else(|error| panic!("{error}")).barrier.expect("it has one");
    let mut host = Script { meanwhile: Some(barrier), ..Script::default() };
    match query(&mut guest, &mut host, Value::Null) {
        Outcome::Answer(Ok(data)) => assert_eq!(data.as_str(), "1"),
        other => panic!("expected data, found {other:?}"),
    }
}

#[test]
fn a_trap_before_answers_leave_stops_the_message_that_waited() {
    let imports = r#"(import "bulkhead" "wait" (func $wait (param i64) (result i32)))
                     (import "bulkhead" "query" (func $query (param i32 i32 i64) (result i32)))"#;
    let body = "(drop (call $query (i32.const 0) (i32.const 0) (i64.const -1))) (i32.const 16)";
    let outside = r#"(func (export "before_answers") (param i32) (result i32) (unreachable))"#;
    let kit = Kit::new(&module(imports, body, outside));
    let (mut guest, greeting) = kit.init();
    let barrier = greeting.unwrap_or_else(|error| panic!("{error}")).barrier.expect("it has one");
    let mut host = Script { meanwhile: Some(barrier), ..Script::default() };
    let (error, code) = last(query(&mut guest, &mut host, Value::Null));
    assert_eq!(code, 102);
    assert!(error.to_string().ends_with("its before_answers was stopped meanwhile"), "{error}");
}

/// Traps or panics on request, and is flushed otherwise.
const SINNER: &str = r#"(if (i32.eq (i32.load8_u (local.get $payload)) (i32.const 49)) (then (unreachable)))
    (if (i32.eq (i32.load8_u (local.get $payload)) (i32.const 50)) (then (return (i32.const 2000))))
    (i32.const 16)"#;
const PANICKED: &str = r#"(data (i32.const 2000) "{\"status\":\"error\",\"panicked\":true}\00")"#;

#[test]
fn answers_that_a_trap_overtook_do_not_leave_whatever_the_manifest_says() {
    let kit = Kit::new(&module("", SINNER, BARRIER));
    for on_panic in ["restart", "continue"] {
        let (mut guest, greeting) = kit.init_with(json!({ "on_panic": on_panic }));
        let mut barrier = greeting.unwrap_or_else(|error| panic!("{error}")).barrier.expect("it has one");
        data(&mut guest, json!(0));
        assert_eq!(last(query(&mut guest, &mut Script::default(), json!(1))).1, 102);
        let error = barrier().unwrap_err().to_string();
        assert!(error.contains("earlier answers"), "{error}");
    }
}

#[test]
fn a_trap_is_answered_where_no_earlier_answer_waits() {
    let kit = Kit::new(&module("", SINNER, BARRIER));
    let (mut guest, greeting) = kit.init();
    let mut barrier = greeting.unwrap_or_else(|error| panic!("{error}")).barrier.expect("it has one");
    data(&mut guest, json!(0));
    barrier().unwrap();
    let event = json!({ "event": "a.b", "data": 1 });
    guest.handle(&mut Script::default(), &RequestType::Event, &event.into());
    assert_eq!(last(query(&mut guest, &mut Script::default(), json!(1))).1, 102);
    barrier().unwrap();
}

#[test]
fn answers_that_were_given_before_a_panic_wait_for_what_must_be_done() {
    let outside = format!("{BARRIER} {PANICKED}").replace("(i32.const 0))", "(i32.const 3000))");
    let outside = format!("{outside} (data (i32.const 3000) \"it was asked\\00\")");
    let (mut guest, greeting) = Kit::new(&module("", SINNER, &outside)).init();
    let mut barrier = greeting.unwrap_or_else(|error| panic!("{error}")).barrier.expect("it has one");
    data(&mut guest, json!(0));
    assert_eq!(last(query(&mut guest, &mut Script::default(), json!(2))).1, 101);
    assert_eq!(barrier().unwrap_err().to_string(), "it was asked");
}

#[test]
fn why_answers_cannot_leave_is_the_modules_sentence() {
    let outside = r#"(data (i32.const 2000) "the disk is full\00")
        (func (export "before_answers") (param i32) (result i32) (i32.const 2000))"#;
    let (_guest, greeting) = Kit::new(&module("", "(local.get $payload)", outside)).init();
    let mut barrier = greeting.unwrap_or_else(|error| panic!("{error}")).barrier.expect("it has one");
    assert_eq!(barrier().unwrap_err().to_string(), "the disk is full");
}

#[test]
fn a_wild_pointer_as_an_answer_stops_the_module_and_says_what_it_was() {
    for (pointer, sentence) in [
        (
            "(i32.const -1)",
            "it gave as the answer the pointer 0xffffffff, which is outside of its memory of 65536 bytes",
        ),
        (
            "(memory.fill (i32.const 60000) (i32.const 65) (i32.const 5536)) (i32.const 60000)",
            "it gave as the answer a string at 0xea60 without a NUL before the end of its memory of 65536 bytes",
        ),
    ] {
        let (error, code) =
            last(query(&mut Kit::new(&module("", pointer, "")).ready(), &mut Script::default(), json!(1)));
        assert_eq!(code, 102);
        assert_eq!(error.to_string(), format!("the module was stopped in handle_message (query): {sentence}"));
    }
}

#[test]
fn an_invalid_answer_is_distinguished_from_the_others_and_the_module_goes_on() {
    let answers = [
        ("(i32.const 0)", "null pointer"),
        (r#"(i32.store (i32.const 1024) (i32.const 0xff)) (i32.const 1024)"#, "UTF-8"),
        (r#"(i32.store (i32.const 1024) (i32.const 0x21)) (i32.const 1024)"#, "JSON"),
    ];
    for (body, word) in answers {
        let mut guest = Kit::new(&module("", body, "")).ready();
        for _ in 0..2 {
            let error = failed(query(&mut guest, &mut Script::default(), Value::Null));
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}

#[test]
fn an_answer_longer_than_a_frame_is_refused_without_being_copied() {
    let body = "(drop (memory.grow (i32.const 300)))
                (memory.fill (i32.const 65536) (i32.const 65) (i32.const 17000000)) (i32.const 65536)";
    let error = failed(query(&mut Kit::new(&module("", body, "")).ready(), &mut Script::default(), Value::Null));
    assert_eq!(error.code(), ErrorCode::FrameTooLarge);
}

#[test]
fn an_alloc_string_without_memory_fails_the_message_and_a_wild_one_stops_the_module() {
    let text = module("", "(local.get $payload)", "");
    let at = text.find("(global.get $top)\n    (global.set").unwrap();
    let answering = |pointer: &str| {
        let condition = format!("(if (i32.gt_u (local.get $length) (i32.const 10000)) (then (return {pointer})))");
        let mut text = text.clone();
        text.insert_str(at, &condition);
        Kit::new(&text)
    };
    let long = json!("x".repeat(20000));
    let mut guest = answering("(i32.const 0)").ready();
    let error = failed(query(&mut guest, &mut Script::default(), long.clone()));
    assert!(error.to_string().starts_with("the module has no memory for a payload of 20002 bytes"), "{error}");
    assert_eq!(data(&mut guest, json!(1)), 1);
    let (error, _) = last(query(&mut answering("(i32.const 60000)").ready(), &mut Script::default(), long));
    assert!(error.to_string().contains("alloc_string(20003) answered 20003 bytes at 0xea60"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_module_answers_and_passes_the_runtime_goes_on(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        pointers in prop::array::uniform4(prop_oneof![Just(1024_u32), 1000_u32..1300, 65_530_u32..65_540, any::<u32>()]),
        call in prop::sample::select(vec![
            "(drop (call $command (i32.const {1}) (i32.const {2}) (i32.const {3}) (i64.const {0})))",
            "(drop (call $event (i32.const {1}) (i32.const {2})))",
            "(drop (call $random (i32.const {1}) (i32.const {2})))",
            "(call $log (i32.const {1}) (i32.const {2}))",
            "(call $panic (i32.const {1})) (unreachable)",
            "",
        ]),
    ) {
        let imports = r#"
          (import "bulkhead" "command" (func $command (param i32 i32 i32 i64) (result i32)))
          (import "bulkhead" "event" (func $event (param i32 i32) (result i32)))
          (import "bulkhead" "random" (func $random (param i32 i32) (result i32)))
          (import "bulkhead" "log" (func $log (param i32 i32)))
          (import "bulkhead" "panic" (func $panic (param i32)))"#;
        let data: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let mut body = format!("{call} (i32.const {{0}})");
        for (at, pointer) in pointers.iter().enumerate() {
            body = body.replace(&format!("{{{at}}}"), &pointer.to_string());
        }
        let kit = Kit::new(&module(imports, &body, &format!("(data (i32.const 1024) \"{data}\")")));
        let mut guest = kit.ready_with(json!({ "on_panic": "continue" }));
        for _ in 0..2 {
            let outcome = query(&mut guest, &mut Script::default(), Value::Null);
            prop_assert!(matches!(outcome, Outcome::Answer(_)), "{outcome:?}");
        }
    }
}
