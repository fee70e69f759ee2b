//! A program that stays, and ends: by itself, because it lost the order, or because of `shutdown`.

use crate::support::{await_end_of, sentence, shut_down, start_with_short_frames, stream, wrapper};
use bulkhead_module::Json;
use bulkhead_module::testing::RequestType;
use serde_json::json;

#[test]
fn the_answer_to_the_first_open_message_says_how_the_program_ended() {
    for (ending, expected) in [
        ("exit 3", "exit code 3"),
        ("exit 0", "exit code 0"),
        ("kill -s KILL $$", "SIGKILL"),
        ("kill -s SEGV $$", "SIGSEGV"),
    ] {
        let script = format!("read -r line; echo \"$line\"; read -r line; read -r line; {ending}");
        let mut filter = stream(&script);
        let ids: Vec<u64> = (0..3).map(|n| filter.send_command("any", json!(n))).collect();
        assert_eq!(filter.answer(ids[0]), Ok(json!(0)));
        let found = sentence(filter.answer(ids[1]), "module_error");
        assert_eq!(found, format!("the filter ended with {expected} before it answered this message, after 1 answer"));
        // The host answers those after it, which the program had.
        assert_eq!(filter.try_answer(ids[2]), None);
        let (code, stderr) = filter.finish();
        assert_eq!(code, Some(1));
        assert!(stderr.contains(&format!("ended with {expected} without being asked to")), "{stderr}");
    }
}

#[test]
fn a_program_that_ends_over_the_only_message_that_it_has_says_that_nothing_else_has_begun() {
    for ending in ["exit 3", "printf '%70000s'", "echo '['; echo 1; sleep 60", "exec >&-; sleep 60"] {
        let mut filter = start_with_short_frames(wrapper(
            &["--line", "args"],
            &["/bin/sh", "-c", &format!("read -r line; {ending}")],
        ));
        let failure = filter.command("any", json!(1)).unwrap_err();
        assert_eq!(failure["last"], true, "{ending}: {failure}");
        assert_eq!(filter.finish().0, Some(1));
    }
    let mut filter = stream("read -r a; read -r b; exit 3");
    let ids = [1, 2].map(|n| filter.send_command("any", json!(n)));
    let failure = filter.answer(ids[0]).unwrap_err();
    assert!(failure["last"].is_null(), "the program has the other one: {failure}");
}

#[test]
fn a_program_that_ends_while_nothing_is_asked_ends_the_module_all_the_same() {
    let mut filter = stream("exit 0");
    let (code, stderr) = filter.finish();
    assert_eq!(code, Some(1));
    assert!(stderr.contains("the filter ended with exit code 0 without being asked to, after 0 answers"), "{stderr}");
}

#[test]
fn what_was_printed_before_the_end_is_answered_with_first() {
    let mut filter = stream("for n in 1 2 3 4 5; do read -r line; done; seq 1 5 | tr '\\n' '\\n'; exit 3");
    let ids: Vec<u64> = (0..5).map(|n| filter.send_command("any", json!(n))).collect();
    for (id, expected) in ids.into_iter().zip(1..) {
        assert_eq!(filter.answer(id), Ok(json!(expected)));
    }
    assert_eq!(filter.finish().0, Some(1));
}

#[test]
fn a_last_line_without_an_end_is_an_answer_only_of_a_program_that_did_not_fail() {
    let mut filter = stream("read -r line; printf 12");
    assert_eq!(filter.command("any", json!(1)), Ok(json!(12)));
    let mut filter = stream("read -r line; printf 12; exit 3");
    assert!(sentence(filter.command("any", json!(1)), "module_error").contains("exit code 3"));
}

#[test]
fn a_line_that_answers_no_message_ends_the_program() {
    let mut filter = stream("read -r line; echo \"$line\"; echo '\"again\"'; sleep 60");
    assert_eq!(filter.command("any", json!(1)), Ok(json!(1)));
    let (code, stderr) = filter.finish();
    assert_eq!(code, Some(1));
    assert!(stderr.contains("wrote a line without a request, after 1 answer: "), "{stderr}");

    let mut filter = stream("echo welcome; sleep 60");
    assert_eq!(filter.finish().0, Some(1));
}

#[test]
fn a_value_that_goes_on_after_its_line_ends_the_program_and_is_reported_to_all_in_flight() {
    let mut filter = stream("read -r a; read -r b; read -r c; echo '['; echo '1'; echo ']'; sleep 60");
    let ids: Vec<u64> = (0..3).map(|n| filter.send_command("any", json!(n))).collect();
    for (id, is_last) in ids.into_iter().zip([false, false, true]) {
        let answer = filter.answer(id);
        assert_eq!(answer.as_ref().is_err_and(|failure| failure["last"] == true), is_last, "{answer:?}");
        let found = sentence(answer, "module_error");
        assert!(
            found.starts_with(r#"the filter's answer does not end on the line on which it begins: "[""#),
            "{found}"
        );
    }
    assert_eq!(filter.finish().0, Some(1));
}

#[test]
fn a_program_that_closes_a_pipe_and_lives_on_is_ended() {
    for (script, pipe) in
        [("read -r line; exec >&-; sleep 60", "output"), ("read -r line; exec <&-; sleep 60", "input")]
    {
        let mut filter = stream(script);
        let first = filter.send_command("any", json!(1));
        let found = sentence(filter.answer(first), "module_error");
        assert!(found.starts_with(&format!("the filter closed its {pipe} and was ended before")), "{found}");
        assert_eq!(filter.finish().0, Some(1));
    }
}

#[test]
fn at_shutdown_the_input_ends_and_the_last_answers_come() {
    let mut filter = stream("lines=$(cat); printf '%s\\n' \"$lines\"; exit 4");
    let ids: Vec<u64> = (0..50).map(|n| filter.send_command("any", json!(n))).collect();
    let shutdown = filter.send(RequestType::Shutdown, Json::null());
    for (id, n) in ids.into_iter().zip(0..) {
        assert_eq!(filter.answer(id), Ok(json!(n)));
    }
    assert_eq!(filter.answer(shutdown), Ok(json!(null)));
    let (code, stderr) = filter.finish();
    assert_eq!(code, Some(0));
    assert!(stderr.contains("the filter ended with exit code 4 at the end of its input"), "{stderr}");
}

#[test]
fn at_shutdown_a_program_that_owes_answers_is_reported() {
    let mut filter = stream("cat >/dev/null");
    let ids = [filter.send_command("any", json!(1)), filter.send_command("any", json!(2))];
    let shutdown = filter.send(RequestType::Shutdown, Json::null());
    for id in ids {
        let found = sentence(filter.answer(id), "module_error");
        assert_eq!(found, "the filter ended with exit code 0 before it answered this message, after 0 answers");
    }
    assert_eq!(filter.answer(shutdown), Ok(json!(null)));
    assert_eq!(filter.finish().0, Some(0));
}

#[test]
fn a_host_that_is_gone_takes_the_program_and_its_children_with_it() {
    let mut filter = stream("trap '' TERM; sleep 60 & read -r line; echo \"[$$,$!]\"; wait");
    let pids = filter.command("any", json!(1)).unwrap();
    filter.hang_up();
    assert_eq!(filter.finish().0, Some(0));
    for pid in pids.as_array().unwrap() {
        await_end_of(pid.as_u64().unwrap());
    }
}

#[test]
fn what_a_program_leaves_in_its_group_is_killed() {
    let mut filter = stream("sleep 60 & read -r line; echo $!; cat >/dev/null");
    let pid = filter.command("any", json!(1)).unwrap().as_u64().unwrap();
    shut_down(&mut filter);
    await_end_of(pid);
}
