//! When a library ends the process, the last line names the call in progress. The signal and the exit code stay what
//! they were.

use crate::support::Library;
use bulkhead_module::testing::RequestType;
use bulkhead_protocol::Json;
use nix::sys::signal::Signal;
use serde_json::json;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

/// How a process ended, and what it had written.
struct Ended {
    status: ExitStatus,
    stderr: String,
}

/// Takes a library that does `sin` at `place` through its whole life.
fn live(sin: &str, place: &str) -> Ended {
    let library = Library::build("sinner.c", &[&format!("SIN={sin}"), &format!("PLACE={place}")]);
    let mut program = library.spawn();
    let init = bulkhead_module::testing::init("sinner", Json::of(&json!({})), Path::new("/nonexistent"));
    program.send(RequestType::Init, Json::of(&init));
    program.send_command("sin", json!({}));
    let shutdown = program.send(RequestType::Shutdown, Json::null());
    let _ = program.try_answer(shutdown);
    let status = program.wait();
    Ended { status, stderr: program.finish().1 }
}

#[track_caller]
fn dies(sin: &str, place: &str, signal: Signal, words: &str) {
    let Ended { status, stderr } = live(sin, place);
    assert_eq!(status.signal(), Some(signal as i32), "{sin} at {place}: {status}: {stderr}");
    let line = format!("module-runtime: {} {words}", signal.as_str());
    assert!(stderr.lines().any(|said| said.starts_with(&line)), "expected {line:?} in {stderr:?}");
}

#[test]
fn a_library_that_behaves_ends_well() {
    let Ended { status, stderr } = live("ABORT", "NOWHERE");
    assert_eq!((status.code(), &*stderr), (Some(0), ""));
}

#[test]
fn the_line_names_the_function_wherever_it_crashed() {
    dies("NULL_WRITE", "CONSTRUCTOR", Signal::SIGSEGV, "while loading /");
    dies("ABORT", "SET_HOST", Signal::SIGABRT, "in set_host");
    dies("ABORT", "CREATE", Signal::SIGABRT, "in create_module");
    dies("ABORT", "METADATA", Signal::SIGABRT, "in get_module_metadata");
    dies("ABORT", "MESSAGE", Signal::SIGABRT, "in handle_message of command");
    dies("ABORT", "FREE", Signal::SIGABRT, "in free_string");
    dies("ABORT", "BARRIER", Signal::SIGABRT, "in before_answers");
    dies("ABORT", "DESTROY", Signal::SIGABRT, "in destroy_module");
    dies("ABORT", "DESTRUCTOR", Signal::SIGABRT, "in the destructors of /");
}

#[test]
fn every_signal_of_a_program_that_went_wrong_is_named_and_stays_the_end() {
    dies("NULL_WRITE", "MESSAGE", Signal::SIGSEGV, "in handle_message of command");
    dies("DIVIDE", "MESSAGE", Signal::SIGFPE, "in handle_message of command");
    dies("ILLEGAL", "MESSAGE", Signal::SIGILL, "in handle_message of command");
    dies("KILL_BUS", "MESSAGE", Signal::SIGBUS, "in handle_message of command");
}

#[test]
fn a_stack_that_overflowed_leaves_room_for_the_line() {
    let Ended { status, stderr } = live("OVERFLOW", "MESSAGE");
    assert!(matches!(status.signal(), Some(libc::SIGSEGV | libc::SIGABRT)), "{status}: {stderr}");
    assert!(stderr.contains("module-runtime: SIGSEGV in handle_message of command"), "{stderr}");
}

#[test]
fn a_crash_on_a_thread_of_the_librarys_own_is_reported_as_that() {
    let words = "on a thread of the library's own, in handle_message of command";
    dies("ABORT", "THREAD", Signal::SIGABRT, words);
    dies("NULL_WRITE", "THREAD", Signal::SIGSEGV, words);
}

#[test]
fn an_exception_never_comes_through_the_border() {
    dies("EXCEPTION", "MESSAGE", Signal::SIGABRT, "in handle_message of command");
    dies("EXCEPTION", "CREATE", Signal::SIGABRT, "in create_module");
}

/// What standard error says of an exception in C++.
fn thrown(place: &str, what: &str) -> String {
    let library = Library::build("thrower.cc", &[&format!("PLACE={place}"), &format!("WHAT={what}")]);
    let mut program = library.spawn();
    let init = program.send_init();
    if program.try_answer(init).is_some() {
        let id = program.send_command("any", json!({}));
        assert!(program.try_answer(id).is_none(), "{place} {what}");
    }
    let status = program.wait();
    let stderr = program.finish().1;
    assert_eq!(status.signal(), Some(libc::SIGABRT), "{place} {what}: {status}: {stderr}");
    stderr
}

#[test]
fn an_exception_of_cpp_says_what_it_is_before_it_ends_the_process() {
    for (place, words) in [
        ("CREATE", "SIGABRT in create_module"),
        ("MESSAGE", "SIGABRT in handle_message of command"),
        ("DEEP", "SIGABRT in handle_message of command"),
        ("NOEXCEPT", "SIGABRT in handle_message of command"),
        ("RETHROWN", "SIGABRT in handle_message of command"),
    ] {
        let stderr = thrown(place, "ERROR");
        for line in ["std::runtime_error", "the ink is dry", words] {
            assert!(stderr.contains(line), "{place}: expected {line:?} in {stderr:?}");
        }
    }
    assert!(thrown("MESSAGE", "NUMBER").contains("'int'"));
    assert!(thrown("MESSAGE", "LONG").contains("xxxxxxxx"));
}

#[test]
fn an_exception_that_the_library_catches_is_its_own_affair() {
    let mut program = Library::build("thrower.cc", &["PLACE=CAUGHT", "WHAT=ERROR"]).start();
    assert_eq!(program.command("any", json!({})), Ok(json!("caught")));
}

#[test]
fn a_library_that_calls_exit_is_reported_and_its_code_passes() {
    for (place, words) in [("MESSAGE", "handle_message of command"), ("CREATE", "create_module"), ("THREAD", "")] {
        let Ended { status, stderr } = live("EXIT_3", place);
        assert_eq!(status.code(), Some(3), "{place}: {stderr}");
        assert!(stderr.contains("module-runtime: the library called exit "), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[test]
fn an_answer_that_points_nowhere_is_reported_as_that() {
    dies("WILD_ANSWER", "NOWHERE", Signal::SIGSEGV, "while reading the string that handle_message returned");
}

#[test]
fn a_forked_process_may_end_in_any_way_and_its_crash_is_reported_as_its_own() {
    let Ended { status, stderr } = live("EXIT_3", "FORKED");
    assert_eq!((status.code(), &*stderr), (Some(0), ""));
    let Ended { status, stderr } = live("ABORT", "FORKED");
    assert_eq!(status.code(), Some(0), "{stderr}");
    let words = "module-runtime: SIGABRT in a process that the library forked, in handle_message of command";
    assert!(stderr.contains(words), "{stderr}");
}
