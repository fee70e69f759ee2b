//! A process for each message.

use crate::support::{await_end_of, await_that, sentence, shut_down, single, start_with_short_frames, wrapper};
use bulkhead_module::Json;
use bulkhead_module::testing::{Message, Program, Request, RequestType};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn each_message_has_a_process_of_its_own_and_the_end_of_its_input() {
    let mut filter = single("line=$(cat); printf '\\n {\"pid\": %s,\\n\"line\": %s}\\n\\n' $$ \"$line\"");
    let first = filter.command("any", json!({"n": 1})).unwrap();
    let second = filter.command("any", json!({"n": 2})).unwrap();
    assert_eq!((&first["line"], &second["line"]), (&json!({"n": 1}), &json!({"n": 2})));
    assert_ne!(first["pid"], second["pid"]);
    shut_down(&mut filter);
}

#[test]
fn messages_are_handled_one_after_the_other() {
    let mut filter = single("cat");
    let ids: Vec<u64> = (0..20).map(|n| filter.send_command("any", json!(n))).collect();
    let shutdown = filter.send(RequestType::Shutdown, Json::null());
    for (id, n) in ids.iter().zip(0..) {
        assert_eq!(filter.message().unwrap(), json!({"id": id, "status": "success", "data": n}));
    }
    assert_eq!(filter.answer(shutdown), Ok(json!(null)));
    assert_eq!(filter.finish().0, Some(0));
}

#[test]
fn a_message_longer_than_all_pipes_goes_in_and_out_at_once() {
    let mut filter = single("cat");
    let long = json!({ "text": "ä".repeat(1 << 20) });
    assert!(filter.command("any", long.clone()) == Ok(long));
}

#[test]
fn a_program_need_not_read_its_input() {
    let mut filter = single("echo 1");
    assert_eq!(filter.command("any", json!({ "text": "x".repeat(1 << 20) })), Ok(json!(1)));
}

#[test]
fn a_program_that_fails_is_reported_with_its_last_lines_which_go_to_the_log_too() {
    let mut filter = single("for n in $(seq 1 30); do echo \"line $n\" >&2; done; printf 'no ink' >&2; echo 1; exit 5");
    let failure = filter.command("any", json!({})).unwrap_err();
    assert_eq!(failure["error"], "the filter ended with exit code 5: no ink");
    assert_eq!(failure["data"]["exit"], json!({"code": 5}));
    let stderr = failure["data"]["stderr"].as_array().unwrap();
    assert_eq!((stderr.len(), &stderr[0], &stderr[19]), (20, &json!("line 12"), &json!("no ink")));
    assert!(shut_down(&mut filter).contains("line 1\nline 2\n"));

    let mut filter = single("kill -s KILL $$");
    let failure = filter.command("any", json!({})).unwrap_err();
    assert_eq!(failure["error"], "the filter ended with SIGKILL");
    assert_eq!(failure["data"], json!({"exit": {"signal": "SIGKILL"}, "stderr": []}));
}

#[test]
fn the_whole_output_is_one_answer() {
    for (script, expected) in [
        ("true", "the filter ended without an answer: it printed nothing, expected JSON"),
        ("echo", "the filter ended without an answer: it printed nothing, expected JSON"),
        ("echo 1; echo 2", "the filter's answer is not one JSON value: \"1\\n2\\n\""),
        ("echo '{'", "the filter's answer ends in the middle of a value: \"{\\n\""),
    ] {
        let mut filter = single(script);
        assert_eq!(sentence(filter.command("any", json!({})), "module_error"), expected);
    }
}

#[test]
fn an_event_needs_no_answer() {
    let mut filter = single("cat >&2");
    let event = filter.send(RequestType::Event, json!({"event": "a.b"}).into());
    assert_eq!(filter.answer(event), Ok(json!(null)));
    assert!(shut_down(&mut filter).contains(r#"{"event":"a.b"}"#));
}

#[test]
fn an_answer_longer_than_a_frame_ends_the_process_and_not_the_module() {
    let script = "read -r line; case $line in 1) while :; do printf xxxxxxxxxxxxxxxx; done ;; *) echo 2 ;; esac";
    let mut filter = start_with_short_frames(wrapper(&["--per-message", "--line", "args"], &["/bin/sh", "-c", script]));
    let found = sentence(filter.command("any", json!(1)), "frame_too_large");
    assert_eq!(found, "the filter's answer is longer than a frame may be, 65536 bytes");
    assert_eq!(filter.command("any", json!(2)), Ok(json!(2)));
}

#[test]
fn a_cancel_ends_the_process_and_its_group_even_if_they_ignore_signals() {
    for trap in ["", "trap '' TERM;"] {
        let file = std::env::temp_dir().join(format!("bulkhead-filter-test-{}-{}", std::process::id(), trap.len()));
        let script =
            format!("{trap} sleep 60 & printf '%s %s' $$ $! >{0}.new; mv {0}.new {0}; wait; sleep 60", file.display());
        let mut filter = single(&script);
        let id = filter.send_command("any", json!({}));
        crate::support::await_that("the script runs", || file.exists());
        let next = filter.send_command("any", json!({}));
        filter.send(RequestType::Cancel, json!({ "id": next }).into());
        filter.send(RequestType::Cancel, json!({ "id": id }).into());
        assert_eq!(sentence(filter.answer(id), "cancelled"), "the caller cancelled");
        assert_eq!(sentence(filter.answer(next), "cancelled"), "cancelled before the module began with it");
        for pid in std::fs::read_to_string(&file).unwrap().split(' ') {
            await_end_of(pid.parse().unwrap());
        }
        std::fs::remove_file(file).unwrap();
        shut_down(&mut filter);
    }
}

#[test]
fn the_deadline_ends_the_process() {
    let mut filter = single("sleep 60; echo 1");
    let id = filter.number();
    let mut request = Request::new(id, RequestType::Query, Json::null());
    request.deadline_ms = Some(30);
    filter.send_messages(&[Message::Request(request)]);
    let found = sentence(filter.answer(id), "deadline_exceeded");
    assert_eq!(found, "the deadline passed while the filter worked on it");
}

#[test]
fn what_a_process_leaves_in_its_group_is_killed_before_the_next_begins() {
    let mut filter = single("sleep 60 >/dev/null 2>&1 & echo $!");
    let pid = filter.command("any", json!({})).unwrap().as_u64().unwrap();
    await_end_of(pid);
    shut_down(&mut filter);
}

#[test]
fn a_process_that_leaves_its_group_and_keeps_the_pipes_does_not_hold_up_the_answer() {
    let mut filter = single("setsid sleep 60 & echo $!");
    let pid = filter.command("any", json!({})).unwrap().as_u64().unwrap();
    assert!(is_gone(pid));
    shut_down(&mut filter);
}

/// Starts `helper` in a session of its own, its parent gone, and answers its number once it runs.
fn leaving(helper: &str) -> Program {
    single(&format!("(setsid sh -c 'echo $$; exec >&- 2>&-; {helper}' &) | head -n 1"))
}

#[test]
fn nothing_is_left_of_a_message_when_it_is_answered() {
    for helper in [
        "exec sleep 60",
        "trap \"\" TERM HUP INT; sleep 60; sleep 60",
        "sleep 60 & sleep 60 & wait",
        "(setsid sleep 60 &) ; exec setsid sleep 60",
    ] {
        let mut filter = leaving(helper);
        for _ in 0..5 {
            let pid = filter.command("any", json!({})).unwrap().as_u64().unwrap();
            assert!(is_gone(pid), "{helper}");
            assert_eq!(children_of(&filter), "", "{helper}");
        }
        let said = shut_down(&mut filter);
        assert_eq!(said.matches("left behind was ended").count(), 1, "{helper}: {said}");
    }
}

#[test]
fn what_a_message_leaves_behind_that_is_ended_at_its_deadline_goes_with_it() {
    let file = std::env::temp_dir().join(format!("bulkhead-filter-deadline-{}", std::process::id()));
    let script = format!("setsid sh -c 'echo $$ >{0}.new; mv {0}.new {0}; exec sleep 60' & sleep 60", file.display());
    let mut filter = single(&script);
    let id = filter.number();
    let mut request = Request::new(id, RequestType::Query, Json::null());
    request.deadline_ms = Some(400);
    filter.send_messages(&[Message::Request(request)]);
    sentence(filter.answer(id), "deadline_exceeded");
    assert_eq!(children_of(&filter), "");
    // It had that long to start; a helper that did not start in that time does not count.
    if let Ok(pid) = std::fs::read_to_string(&file) {
        assert!(is_gone(pid.trim().parse().unwrap()));
        std::fs::remove_file(file).unwrap();
    }
    shut_down(&mut filter);
}

#[test]
fn a_helper_that_forks_on_and_on_holds_up_no_answer_for_long() {
    // Each starts the next and ends; this is over in some seconds by itself.
    let script = "setsid sh -c 'f() { [ $1 -gt 0 ] && { f $(($1 - 1)) & }; }; f 20000 & f 20000' & sleep 0.2; echo 1";
    let mut filter = single(script);
    let begun = Instant::now();
    assert_eq!(filter.command("any", json!({})), Ok(json!(1)));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    await_that("nothing of it is left", || children_of(&filter).is_empty());
    shut_down(&mut filter);
}

#[test]
fn a_helper_of_a_message_may_use_helpers_of_its_own_until_it_is_answered() {
    let mut filter = single("(setsid sh -c 'sleep 0.05; echo 7' &) | head -n 1");
    for _ in 0..10 {
        assert_eq!(filter.command("any", json!({})), Ok(json!(7)));
    }
    shut_down(&mut filter);
}

/// Whether no process has that number; a number is used again only after tens of thousands of others.
fn is_gone(pid: u64) -> bool {
    !std::path::Path::new(&format!("/proc/{pid}")).exists()
}

fn children_of(filter: &Program) -> String {
    let pid = filter.pid();
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap()
}

#[test]
fn a_host_that_is_gone_ends_the_process() {
    let mut filter = single("sleep 60");
    filter.send_command("any", json!({}));
    filter.hang_up();
    assert_eq!(filter.finish().0, Some(0));
}
