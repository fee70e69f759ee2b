//! A program that stays: what it reads, and which answer is for which message.

use crate::support::{sentence, shut_down, start_with_short_frames, stream, wrapper};
use bulkhead_module::Json;
use bulkhead_module::testing::{Message, Program, Request, RequestType};
use serde_json::{Value, json};

/// Answers with what it reads, and does what some words in it request.
const ECHO: &str = r#"
    while read -r line; do
        case "$line" in
            *oops*) echo 'oops "quoted"' ;;
            *bytes*) printf '"\377"\n' ;;
            *empty*) echo ;;
            *) printf '%s\n' "$line" ;;
        esac
    done"#;

fn cat() -> Program {
    wrapper(&["--line", "args"], &["/bin/cat"]).start()
}

#[test]
fn ten_thousand_lines_are_answered_in_order() {
    let mut filter = cat();
    // As a host does it: a window of requests ahead of the answers.
    for window in 0..100 {
        let messages: Vec<Message> = (0..100)
            .map(|n| {
                let payload = json!({"name": "any", "args": {"n": window * 100 + n}});
                Message::Request(Request::new(filter.number(), RequestType::Command, payload.into()))
            })
            .collect();
        filter.send_messages(&messages);
        for n in 0..100 {
            let answer = filter.message().unwrap();
            assert_eq!(answer["data"]["n"], window * 100 + n, "{answer}");
        }
    }
    shut_down(&mut filter);
}

#[test]
fn a_message_longer_than_all_pipes_goes_in_and_out_at_once() {
    let mut filter = cat();
    let long = json!({ "text": "ä".repeat(1 << 20) });
    let first = filter.send_command("any", long.clone());
    assert!(filter.answer(first) == Ok(long));
    assert_eq!(filter.command("any", json!([1])), Ok(json!([1])));
}

#[test]
fn a_program_that_writes_more_than_it_reads_is_read_while_it_is_written_to() {
    // An answer is ten times as long as its line, and no line is read before it is written.
    let script = r#"while read -r line; do printf '[%s' "$line"; for n in 1 2 3 4 5 6 7 8 9; do printf ',%s' "$line"; done; echo ']'; done"#;
    let mut filter = stream(script);
    let line = json!("x".repeat(2000));
    let ids: Vec<u64> = (0..64).map(|_| filter.send_command("any", line.clone())).collect();
    for id in ids {
        assert!(filter.answer(id) == Ok(json!(vec![&line; 10])));
    }
}

#[test]
fn the_line_is_the_payload_and_the_answer_is_the_data() {
    let mut filter = cat();
    assert_eq!(filter.command("any", json!({"status": "error", "b": 1})), Ok(json!({"status": "error", "b": 1})));
    assert_eq!(filter.command("any", json!(null)), Ok(json!({})));
    for kind in [RequestType::Query, RequestType::Mutation] {
        let id = filter.send(kind, json!(["a", null]).into());
        assert_eq!(filter.answer(id), Ok(json!(["a", null])));
    }
}

#[test]
fn in_the_form_of_messages_an_answer_can_be_an_error() {
    let script = r#"
        while read -r line; do
            case "$line" in
                *fail*) echo '{"status":"error","code":"out_of_ink","error":"no ink"}' ;;
                *) printf '{"status":"success","data":%s}\n' "$line" ;;
            esac
        done"#;
    let mut filter = wrapper(&["--line", "message"], &["/bin/sh", "-c", script]).start();
    let sent = json!({"type": "command", "payload": {"name": "greet", "args": {"to": "you"}}});
    assert_eq!(filter.command("greet", json!({"to": "you"})), Ok(sent));
    let failure = filter.command("fail", json!({})).unwrap_err();
    assert_eq!((&failure["module_code"], &failure["error"]), (&json!("out_of_ink"), &json!("no ink")));
    let event = filter.send(RequestType::Event, json!({"event": "a.b", "data": "fail"}).into());
    assert_eq!(sentence(filter.answer(event), "module_error"), "no ink");
    assert!(shut_down(&mut filter).contains("an event was not handled: no ink"));
}

#[test]
fn an_event_gets_a_line_and_its_answer_is_dropped() {
    let mut filter = cat();
    let with_id = filter.send(RequestType::Event, json!({"event": "a.b", "data": 1}).into());
    let event = Request::new(None, RequestType::Event, json!({"event": "a.c"}).into());
    filter.send_messages(&[Message::Request(event)]);
    assert_eq!(filter.answer(with_id), Ok(json!(null)));
    assert_eq!(filter.command("any", json!(7)), Ok(json!(7)));
}

#[test]
fn white_space_with_line_ends_is_made_one_line_and_numbers_keep_their_digits() {
    let mut filter = cat();
    let payload = "{\"name\":\"any\",\"args\":{\n\t\"b\" : 1.50,\r\n \"a\":12345678901234567890123\n}}";
    let id = filter.send(RequestType::Command, Json::parse(payload).unwrap());
    let expected =
        format!("{{\"id\":{id},\"status\":\"success\",\"data\":{{\"b\":1.50,\"a\":12345678901234567890123}}}}");
    let frame = filter.bytes(4 + expected.len());
    assert_eq!(String::from_utf8_lossy(&frame[4..]), expected);
}

#[test]
fn a_line_that_is_no_answer_is_reported_to_its_own_caller_and_to_no_other() {
    let mut filter = stream(ECHO);
    let said = ["a", "oops", "b", "bytes", "empty", "c"];
    let ids: Vec<u64> = said.iter().map(|text| filter.send_command("any", json!(text))).collect();
    let answers: Vec<Result<Value, Value>> = ids.into_iter().map(|id| filter.answer(id)).collect();
    assert_eq!((&answers[0], &answers[2], &answers[5]), (&Ok(json!("a")), &Ok(json!("b")), &Ok(json!("c"))));
    for (at, expected) in [
        (1, r#"the filter's answer is not one JSON value: "oops \"quoted\"""#),
        (3, "the filter's answer is not UTF-8: found the byte 0xff at offset 1 of"),
        (4, "the filter answered with an empty line, expected JSON"),
    ] {
        let found = sentence(answers[at].clone(), "module_error");
        assert!(found.starts_with(expected), "{found}");
    }
    shut_down(&mut filter);
}

#[test]
fn what_is_not_for_the_program_is_answered_without_it() {
    let mut filter = stream("cat >/dev/null");
    let waits = filter.send_command("any", json!({}));
    let ping = filter.send(RequestType::Ping, Json::null());
    assert_eq!(filter.answer(ping), Ok(json!(null)));
    let unknown = filter.send(RequestType::Unknown("dance".into()), Json::null());
    sentence(filter.answer(unknown), "unknown_type");
    let again = filter.send_init();
    assert_eq!(sentence(filter.answer(again), "bad_request"), "the filter is initialised already");
    let odd = filter.send(RequestType::Command, json!([1]).into());
    sentence(filter.answer(odd), "bad_request");
    let late = filter.number();
    let mut request = Request::new(late, RequestType::Query, Json::null());
    request.deadline_ms = Some(0);
    filter.send_messages(&[Message::Request(request)]);
    sentence(filter.answer(late), "deadline_exceeded");
    filter.send(RequestType::Shutdown, Json::null());
    assert!(sentence(filter.answer(waits), "module_error").contains("before it answered this message"));
}

#[test]
fn a_cancel_of_what_a_silent_program_has_gives_a_hint_once_and_the_late_answer_still_comes() {
    // It answers when its input ends, as a program does that holds its output back in a buffer.
    let mut filter = stream("lines=$(cat); printf '%s\\n' \"$lines\"");
    let ids = [filter.send_command("any", json!(1)), filter.send_command("any", json!(2))];
    // Its answer says that both were taken before it.
    let ping = filter.send(RequestType::Ping, Json::null());
    assert_eq!(filter.answer(ping), Ok(json!(null)));
    for id in ids {
        let cancel = filter.send(RequestType::Cancel, json!({ "id": id }).into());
        assert_eq!(filter.answer(cancel), Ok(json!(null)));
    }
    let shutdown = filter.send(RequestType::Shutdown, Json::null());
    assert_eq!((filter.answer(ids[0]), filter.answer(ids[1])), (Ok(json!(1)), Ok(json!(2))));
    assert_eq!(filter.answer(shutdown), Ok(json!(null)));
    let (code, stderr) = filter.finish();
    assert_eq!(code, Some(0));
    assert_eq!(stderr.matches("stdbuf -oL").count(), 1, "{stderr}");
}

#[test]
fn an_answer_longer_than_a_frame_is_cut_off_and_ends_the_program() {
    let script = "read -r line; echo '\"short\"'; read -r line; while :; do printf xxxxxxxxxxxxxxxx; done";
    let mut filter = start_with_short_frames(wrapper(&["--line", "args"], &["/bin/sh", "-c", script]));
    assert_eq!(filter.command("any", json!(1)), Ok(json!("short")));
    let found = sentence(filter.command("any", json!(2)), "frame_too_large");
    assert_eq!(found, "the filter's answer is longer than a frame may be, 65536 bytes");
    assert_eq!(filter.finish().0, Some(1));
}

#[test]
fn an_answer_that_fits_a_line_and_not_a_frame_is_an_error_for_its_caller_and_the_program_goes_on() {
    let script = r#"while read -r line; do printf '"%065530d"\n' 0; done"#;
    let mut filter = start_with_short_frames(wrapper(&["--line", "args"], &["/bin/sh", "-c", script]));
    for _ in 0..2 {
        sentence(filter.command("any", json!(1)), "frame_too_large");
    }
    shut_down(&mut filter);
}
