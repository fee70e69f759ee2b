//! `pipe`: one line out for each line in, in order, in all cases.

mod support;

use bulkhead_protocol::{Delivery, ErrorCode, Failure, RequestType, Status};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use support::{DEADLINE, Host, args_of};

fn numbers(count: u64) -> String {
    (1..=count).map(|number| format!("{number}\n")).collect()
}

#[test]
fn each_line_is_the_arguments_of_the_command() {
    let host = Host::echo();
    let done = host.run_with(&["pipe", "log", "--command", "add", "--timeout", "5"], b"{\"a\": 1}\n[2]\n");
    done.expect(0, "{\"a\": 1}\n[2]\n");
    assert_eq!(done.err, "");
    let request = &host.seen()[0];
    assert_eq!((request.kind.name(), request.to.as_deref()), ("command", Some("log")));
    assert_eq!(request.payload.as_str(), r#"{"name":"add","args":{"a": 1}}"#);
    assert_eq!((request.deadline_ms, request.key.as_deref()), (Some(5000), None));
}

#[test]
fn without_a_command_each_line_is_a_whole_payload() {
    let host = Host::echo();
    host.run_with(&["pipe", "log"], b"{\"name\":\"add\",\"args\":7}\n").expect(0, "7\n");
    assert_eq!(host.seen()[0].payload.as_str(), r#"{"name":"add","args":7}"#);
}

#[test]
fn without_a_command_a_line_that_names_none_gets_an_error_with_the_option() {
    let host = Host::echo();
    let done = host.run_with(&["pipe", "log"], b"{\"text\":\"x\"}\n{\"name\":\"add\",\"args\":7}\n");
    assert_eq!(done.code, Some(1));
    assert_eq!(done.out.lines().nth(1), Some("7"));
    done.says("1 of 2 lines failed, first line 1: expected a payload such as").says("with --command NAME");
    assert_eq!(host.seen().len(), 1, "such a line is not sent");
}

#[test]
fn every_kind_of_broken_line_has_its_error_in_its_place() {
    let host = Host::echo();
    let mut input = b"\xef\xbb\xbf1\r\n\n{oops\n\"\xff\"\n \t\n".to_vec();
    input.extend(std::iter::repeat_n(b'9', 17 << 20));
    input.extend(b"\n{} {}\n3");
    let done = host.run_with(&["pipe", "log", "--command", "add"], &input);
    let expected = r#"1
{"status":"error","error":"expected one JSON value, found an empty line","code":"bad_request","delivery":"not_started","retryable":false,"line":2}
{"status":"error","error":"column 2: expected the name of a member, in double quotes, found oops","code":"bad_request","delivery":"not_started","retryable":false,"line":3}
{"status":"error","error":"expected UTF-8, found the byte 0xff at column 2","code":"bad_request","delivery":"not_started","retryable":false,"line":4}
{"status":"error","error":"expected one JSON value, found an empty line","code":"bad_request","delivery":"not_started","retryable":false,"line":5}
{"status":"error","error":"expected a line of at most 16777216 bytes, found 17825792","code":"frame_too_large","delivery":"not_started","retryable":false,"line":6}
{"status":"error","error":"column 4: expected nothing after the value, found {","code":"bad_request","delivery":"not_started","retryable":false,"line":7}
3
"#;
    done.expect(1, expected).says("bulkhead: 6 of 8 lines failed, first line 2: expected one JSON value");
}

#[test]
fn a_line_that_just_fits_but_not_with_its_envelope_is_refused_as_too_large() {
    let host = Host::echo();
    let mut input = vec![b'9'; 16 << 20];
    input.extend(b"\n1\n");
    let done = host.run_with(&["pipe", "log", "--command", "add"], &input);
    let lines: Vec<&str> = done.out.lines().collect();
    assert!(lines[0].contains("\"code\":\"frame_too_large\"") && lines[0].ends_with("\"line\":1}"), "{}", lines[0]);
    assert_eq!((lines[1], lines.len(), done.code), ("1", 2, Some(1)));
}

/// A host that says in its status that it accepts messages of so many bytes, and answers all else with its arguments.
fn host_that_takes(frame_bytes_max: usize) -> Host {
    Host::answering(move |client, request| match request.to.as_deref() {
        Some("supervisor") => {
            client.success(request, &format!(r#"{{"host":{{"frame_bytes_max":{frame_bytes_max}}},"modules":[]}}"#));
        }
        _ => client.respond(request.id, bulkhead_protocol::Status::Success(args_of(request))),
    })
}

#[test]
fn a_line_that_is_too_long_for_the_daemon_fails_alone_with_its_number_its_length_and_the_limit() {
    let host = host_that_takes(70_000);
    let (long, fits) = (format!("\"{}\"", "x".repeat(80_000)), format!("\"{}\"", "x".repeat(66_000)));
    let done = host.run_with(&["pipe", "log", "--command", "add"], format!("1\n{long}\n{fits}\n4\n").as_bytes());
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[3], done.code), (4, "1", "4", Some(1)), "{}", done.err);
    assert!(lines[2] == fits, "what fits is sent");
    assert!(lines[1].contains("\"code\":\"frame_too_large\"") && lines[1].ends_with("\"line\":2}"), "{}", lines[1]);
    done.says("1 of 4 lines failed, first line 2: expected a message of at most 70000 bytes")
        .says("the daemon's frame_bytes_max")
        .says("the line has 80002 of them");
    let asked = host.seen().iter().filter(|request| request.to.as_deref() == Some("supervisor")).count();
    assert_eq!(asked, 1, "it is asked once");
}

#[test]
fn a_question_for_the_limit_that_fails_ends_nothing_of_the_lines() {
    let host = Host::answering(|client, request| match request.to.as_deref() {
        Some("supervisor") => client.success(request, "7"),
        _ => client.respond(request.id, Status::Success(args_of(request))),
    });
    let input = format!("1\n\"{}\"\n3\n", "x".repeat(80_000));
    host.run_with(&["pipe", "log", "--command", "add"], input.as_bytes()).expect(0, &input);
}

#[test]
fn a_failed_line_says_how_far_it_got() {
    let host = Host::answering(|client, request| match args_of(request).as_str() {
        "2" => client
            .fail(request, Failure::new(ErrorCode::ModuleCrashed, "the module crashed").delivery(Delivery::Started)),
        other => client.success(request, other),
    });
    let expected = "1\n\
        {\"status\":\"error\",\"error\":\"the module crashed\",\"code\":\"module_crashed\",\"delivery\":\"started\",\"retryable\":true,\"line\":2}\n\
        3\n";
    host.run_with(&["pipe", "log", "--command", "add"], b"1\n2\n3\n").expect(1, expected).says("1 of 3 lines failed");
}

#[test]
fn answers_in_any_order_come_out_in_the_order_of_the_lines() {
    let host = Host::start(|client| {
        let mut held = Vec::new();
        while let Some(request) = client.request() {
            held.push(request);
            if held.len() == 8 {
                for request in held.drain(..).rev() {
                    client.respond(request.id, Status::Success(args_of(&request)));
                }
            }
        }
    });
    let input = numbers(800);
    host.run_with(&["pipe", "log", "--command", "add", "--in-flight", "8"], input.as_bytes()).expect(0, &input);
}

#[test]
fn no_more_than_in_flight_lines_are_under_way() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    let host = Host::start(move |client| {
        // The first answer is slow: everything that may be sent ahead is, and then no more.
        let first = client.request().unwrap();
        let mut others = Vec::new();
        for _ in 1..16 {
            others.push(client.request().unwrap());
        }
        for request in others {
            client.respond(request.id, Status::Success(args_of(&request)));
        }
        client.flush();
        client.stream.set_nonblocking(true).unwrap();
        let more = std::io::Read::read(&mut client.stream, &mut [0; 1]);
        seen.store(if more.is_err() { 16 } else { 17 }, Ordering::SeqCst);
        client.stream.set_nonblocking(false).unwrap();
        client.respond(first.id, Status::Success(args_of(&first)));
        while let Some(request) = client.request() {
            client.respond(request.id, Status::Success(args_of(&request)));
        }
    });
    let input = numbers(100);
    host.run_with(&["pipe", "log", "--command", "add", "--in-flight", "16"], input.as_bytes()).expect(0, &input);
    assert_eq!(most.load(Ordering::SeqCst), 16);
}

#[test]
fn an_idle_input_does_not_hold_answers_back() {
    let host = Host::echo();
    let mut pipe = host.spawn(&["pipe", "log", "--command", "add"]);
    let mut stdin = pipe.0.stdin.take().unwrap();
    for number in 1..=50 {
        writeln!(stdin, "{number}").unwrap();
        assert_eq!(pipe.line(), number.to_string(), "the answer comes while the input is open and idle");
    }
    write!(stdin, "51").unwrap();
    drop(stdin);
    pipe.done().expect(0, "51\n");
}

#[test]
fn each_line_has_a_key_of_its_own() {
    let host = Host::echo();
    host.run_with(&["pipe", "log", "--command", "add", "--key-prefix", "import"], b"1\n\n3\n");
    let keys: Vec<String> = host.seen().into_iter().filter_map(|request| request.key).collect();
    assert_eq!(keys, ["import-1", "import-3"], "the number is the line's, so that a second run has the same keys");
    let long = "x".repeat(108);
    host.run(&["pipe", "log", "--key-prefix", &long]).expect(2, "").says("--key-prefix: expected at most 107 bytes");
}

#[test]
fn a_daemon_that_goes_away_leaves_no_line_without_a_word() {
    let host = Host::start(|client| {
        let first = client.request().unwrap();
        client.respond(first.id, Status::Success(args_of(&first)));
        client.request();
        let third = client.request().unwrap();
        client.respond(third.id, Status::Success(args_of(&third)));
    });
    let mut pipe = host.spawn(&["pipe", "log", "--command", "add"]);
    pipe.0.stdin.as_mut().unwrap().write_all(b"1\n2\n3\n").unwrap();
    let done = pipe.done();
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[2], done.code), (3, "1", "3", Some(125)), "{done:#?}");
    assert!(lines[1].contains("\"delivery\":\"unknown\"") && lines[1].ends_with("\"line\":2}"), "{done:#?}");
    done.says("lines 2 to 2 were under way; no line after 3 was sent");
    done.says("the host closed the connection before it answered");
}

#[test]
fn a_host_that_falls_silent_ends_the_pipe() {
    let host = Host::start(|client| while client.request().is_some() {});
    let done = host.run_with(&["pipe", "log", "--command", "add", "--timeout", "10ms"], b"1\n");
    assert_eq!(done.code, Some(124), "{done:#?}");
    assert!(done.out.contains("deadline_exceeded"), "{done:#?}");
}

#[test]
fn a_reader_that_goes_away_ends_the_pipe_quietly_and_cancels_what_is_under_way() {
    let (sender, cancelled) = mpsc::channel();
    let host = Host::start(move |client| {
        let mut first = true;
        while let Some(request) = client.request() {
            if request.kind == RequestType::Cancel {
                sender.send(request.payload.as_str().to_owned()).unwrap();
            } else if std::mem::take(&mut first) {
                client.respond(request.id, Status::Success(args_of(&request)));
            }
        }
    });
    let mut pipe = host.spawn(&["pipe", "log", "--command", "add"]);
    // The input stays open and idle: only the reader's end ends the pipe.
    let mut stdin = pipe.0.stdin.take().unwrap();
    stdin.write_all(b"1\n2\n3\n").unwrap();
    assert_eq!(pipe.line(), "1");
    drop(pipe.0.stdout.take());
    let done = pipe.done();
    done.expect(0, "");
    assert_eq!(done.err, "");
    let mut found = [cancelled.recv_timeout(DEADLINE).unwrap(), cancelled.recv_timeout(DEADLINE).unwrap()];
    found.sort();
    assert_eq!(found, ["{\"id\":2}", "{\"id\":3}"]);
    drop(stdin);
}

#[test]
fn head_ends_a_pipe_that_never_would() {
    let host = Host::echo();
    let mut command = std::process::Command::new("sh");
    let script = r#"{ yes 1 | { "$1" --socket "$2" pipe log --command add; echo "code $?" >&2; } } | head -3"#;
    command.arg("-c").arg(script).arg("sh").arg(env!("CARGO_BIN_EXE_bulkhead")).arg(host.socket());
    let done = support::run(command, b"");
    done.expect(0, "1\n1\n1\n");
    assert!(done.err.ends_with("code 0\n"), "{done:#?}");
}

#[test]
fn an_input_that_cannot_be_read_is_an_error_and_not_an_end() {
    let host = Host::echo();
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(r#"exec "$1" --socket "$2" pipe log --command add </"#).arg("sh");
    command.arg(env!("CARGO_BIN_EXE_bulkhead")).arg(host.socket());
    support::run(command, b"").expect(1, "").says("standard input cannot be read: Is a directory");
}

#[test]
fn many_large_answers_and_lines_pass_through_small_buffers() {
    let host = Host::echo();
    let line = format!("\"{}\"\n", "x".repeat(100_000));
    let input = line.repeat(200);
    let done = host.run_with(&["pipe", "log", "--command", "add"], input.as_bytes());
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out == input, "200 lines of 100 kB come back as they went");
}
