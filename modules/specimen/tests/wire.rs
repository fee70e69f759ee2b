//! The built program, asked for what only a process can show.

use bulkhead_module::Json;
use bulkhead_module::testing::{Program, RequestType};
use serde_json::json;

const PATH: &str = env!("CARGO_BIN_EXE_specimen");

#[test]
fn it_echoes_what_it_was_given() {
    let mut program = Program::at(PATH).start();
    let args = json!({"deep": [[["ü", "\u{0}", 1.5]]]});
    assert_eq!(program.command("echo", args.clone()), Ok(args));
}

#[test]
fn it_remembers_the_last_event_and_how_many_there_were() {
    let mut program = Program::at(PATH).start();
    assert_eq!(program.command("events", json!({})), Ok(json!({"count": 0, "last": null})));
    let event = json!({"event": "a.happened", "data": {"n": 1}});
    let sent = program.send(RequestType::Event, Json::from(event.clone()));
    assert_eq!(program.answer(sent), Ok(json!(null)));
    assert_eq!(program.command("events", json!({})), Ok(json!({"count": 1, "last": event})));
}

#[test]
fn a_panic_is_answered_with_its_text_and_ends_the_process() {
    let mut program = Program::at(PATH).start();
    let failure = program.command("panic", json!({})).unwrap_err();
    assert!(failure["error"].as_str().unwrap().contains("the specimen panicked on request"), "{failure}");
    assert_eq!(program.finish().0, Some(101));
}

#[test]
fn a_crash_gives_no_answer() {
    let mut program = Program::at(PATH).start();
    program.send_command("crash", json!({}));
    assert_eq!(program.finish().0, None);
}
