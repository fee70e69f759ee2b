//! The built program over the wire, in both forms.

use bulkhead_module::Json;
use bulkhead_module::testing::{Form, Program, RequestType};
use serde_json::json;

const PATH: &str = env!("CARGO_BIN_EXE_test-minimal");

#[test]
fn it_counts_in_both_forms_and_shuts_down_cleanly() {
    for form in [Form::Socket, Form::Stdio] {
        let mut program = Program::at(PATH).form(form).start();
        assert_eq!(program.command("ping", json!({})), Ok(json!({"pong": true, "count": 1})), "{form:?}");
        assert_eq!(program.command("ping", json!(null)), Ok(json!({"pong": true, "count": 2})), "{form:?}");
        assert_eq!(program.command("status", json!({})).unwrap()["messages"], 3, "{form:?}");
        let shutdown = program.send(RequestType::Shutdown, Json::null());
        assert_eq!(program.answer(shutdown), Ok(json!(null)), "{form:?}");
        assert_eq!(program.finish(), (Some(0), String::new()), "{form:?}");
    }
}

#[test]
fn a_misspelt_command_is_answered_with_the_nearest_one() {
    let mut program = Program::at(PATH).start();
    let failure = program.command("pnig", json!({})).unwrap_err();
    assert_eq!(failure["code"], "unknown_command");
    assert_eq!(failure["error"], "unknown command `pnig`; did you mean `ping`?");
}

#[test]
fn a_host_that_is_gone_ends_it_quietly() {
    let mut program = Program::at(PATH).start();
    program.hang_up();
    assert_eq!(program.finish(), (Some(0), String::new()));
}
