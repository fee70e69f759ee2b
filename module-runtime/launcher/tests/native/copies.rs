//! Libraries that fork and return in both processes: one goes on as the module.

use crate::support::Library;
use bulkhead_module::testing::{Program, RequestType};
use bulkhead_protocol::Json;
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

/// How often the copy's last line is expected at least.
const COMMANDS: u64 = 8;

fn forker(place: &str, way: &str, does: &str) -> Library {
    let definitions = [format!("PLACE={place}"), format!("WAY={way}"), format!("DOES={does}")];
    Library::build("forker.c", &definitions.each_ref().map(String::as_str))
}

/// Lets it handle messages, of which each is answered once and gets the next number, and ends it.
/// Returns standard error.
fn live(place: &str, way: &str, does: &str) -> String {
    let library = forker(place, way, does);
    let mut program = library.start();
    let ids: Vec<u64> = (0..COMMANDS).map(|_| program.send_command("fork", json!({}))).collect();
    for (id, number) in ids.iter().zip(1..) {
        let expected = json!({ "id": id, "status": "success", "data": number });
        assert_eq!(program.message().unwrap(), expected, "{place} {way} {does}");
    }
    await_the_end_of_copies(&program);
    let id = program.send(RequestType::Shutdown, Json::null());
    assert_eq!(program.message().unwrap(), json!({ "id": id, "status": "success", "data": null }));
    let (code, stderr) = program.finish();
    assert_eq!(code, Some(0), "{place} {way} {does}: {stderr}");
    assert!(stderr.matches("destroyed\n").count() == 1, "{place} {way} {does}: {stderr}");
    stderr
}

/// No child of the program lives: what it never waits for is left as a zombie.
fn await_the_end_of_copies(program: &Program) {
    let pid = program.pid();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let lives =
            |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        if !children.split_ascii_whitespace().any(lives) {
            return;
        }
        assert!(Instant::now() < deadline, "a copy lives on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many copies said why they ended.
fn said(stderr: &str) -> usize {
    let line = "{\"level\":\"error\",\"message\":\"a copy of the module's process, made by a fork, ";
    stderr.lines().filter(|said| said.starts_with(line)).count()
}

#[test]
fn a_copy_that_comes_back_from_a_handler_ends_before_it_answers() {
    for way in ["FORK", "CLONE"] {
        assert_eq!(said(&live("MESSAGE", way, "NOTHING")), 8, "{way}");
    }
    assert_eq!(said(&live("MESSAGE", "FORK_OF_FORK", "NOTHING")), 16);
}

#[test]
fn a_copy_made_anywhere_in_the_library_ends() {
    for place in ["CONSTRUCTOR", "CREATE", "METADATA", "INIT"] {
        assert_eq!(said(&live(place, "FORK", "NOTHING")), 1, "{place}");
    }
    assert!(said(&live("FREE", "FORK", "NOTHING")) >= 8);
    assert!(said(&live("BARRIER", "FORK", "NOTHING")) >= 1);
}

#[test]
fn a_copy_asks_the_host_for_nothing_and_tells_it_nothing() {
    for does in ["ASKS", "EMITS", "PROGRESSES", "WAITS"] {
        assert_eq!(said(&live("MESSAGE", "FORK", does)), 8, "{does}");
    }
}

#[test]
fn a_copy_that_panics_or_ends_by_itself_leaves_the_module_alone() {
    assert_eq!(said(&live("MESSAGE", "FORK", "PANICS")), 8);
    assert_eq!(said(&live("MESSAGE", "FORK", "EXITS")), 0);
    assert_eq!(said(&live("MESSAGE", "FORK", "ENDS")), 0);
}

#[test]
fn what_was_buffered_when_a_copy_was_made_is_written_once() {
    // Standard output of a library is a log, and the tests' harness keeps only standard error: so it is
    // led there.
    let library = forker("MESSAGE", "FORK", "NOTHING");
    let runtime = env!("CARGO_BIN_EXE_module-runtime");
    let script = format!("exec {runtime} native --library {} >&2", library.path.display());
    let mut program = Program::at("/bin/sh").args(&["-c", &script]).start();
    assert_eq!(program.command("fork", json!({})), Ok(json!(1)));
    await_the_end_of_copies(&program);
    let id = program.send(RequestType::Shutdown, Json::null());
    program.answer(id).unwrap();
    let (_, stderr) = program.finish();
    assert_eq!(stderr.matches("number 1 ").count(), 1, "{stderr}");
}
