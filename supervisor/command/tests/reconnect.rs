//! `pipe --reconnect` and `--key-from`: what is sent again when the daemon goes away, what is not, and that each line
//! still has one answer. Connections here are ended on purpose by a scripted host; a real host is killed elsewhere.

mod support;

use bulkhead_protocol::{Delivery, ErrorCode, Failure, Request};
use std::io::{BufRead, BufReader, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use support::{Connection, Done, Folder, Host, args_of, bulkhead, json};

const ADD: [&str; 4] = ["pipe", "log", "--command", "add"];

fn add<'a>(options: &[&'a str]) -> Vec<&'a str> {
    ADD.into_iter().chain(options.iter().copied()).collect()
}

fn numbers(count: u64) -> String {
    (1..=count).map(|number| format!("{number}\n")).collect()
}

/// A host that runs `first` for its first client, and answers each request of all others with its arguments.
fn host(first: impl Fn(&mut Connection) + Send + Sync + 'static) -> Host {
    host_after(1, first)
}

/// As [`host`], with so many clients before the others.
fn host_after(clients: u64, first: impl Fn(&mut Connection) + Send + Sync + 'static) -> Host {
    let number = AtomicU64::new(0);
    Host::start(move |client| {
        if number.fetch_add(1, Ordering::SeqCst) < clients {
            return first(client);
        }
        while let Some(request) = client.request() {
            echo(client, &request);
        }
    })
}

/// Reads three requests, answers the first, and ends the connection.
fn answer_one_of_three(client: &mut Connection) {
    let first = client.request().unwrap();
    echo(client, &first);
    client.request();
    client.request();
}

fn echo(client: &mut Connection, request: &Request) {
    client.success(request, args_of(request).as_str());
}

fn keys(host: &Host) -> Vec<String> {
    host.seen().into_iter().filter_map(|request| request.key).collect()
}

fn stopping(delivery: Delivery) -> Failure {
    let mut failure =
        Failure::new(ErrorCode::ModuleUnavailable, "log is not running: the host is stopping").delivery(delivery);
    failure.data = Some(json(r#"{"reason":"host_stopping"}"#));
    failure
}

/// Which lines of the output are failures, with their delivery; all others are the numbers of their lines.
fn failures(done: &Done) -> Vec<(u64, String)> {
    let mut failures = Vec::new();
    for (line, number) in done.out.lines().zip(1..) {
        if line == number.to_string() {
            continue;
        }
        let failure: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(failure["line"], number, "{line}");
        failures.push((number, failure["delivery"].as_str().unwrap().to_owned()));
    }
    failures
}

#[test]
fn lines_with_keys_are_sent_again_and_each_has_one_answer() {
    let host = host(answer_one_of_three);
    let done = host.run_with(&add(&["--key-prefix", "a", "--reconnect"]), b"1\n2\n3\n");
    done.expect(0, "1\n2\n3\n").says("waiting up to 1m00s for the daemon; 2 lines will be sent again\n");
    done.says("the daemon answers again, after 0.2s");
    assert_eq!(keys(&host), ["a-1", "a-2", "a-3", "a-2", "a-3"]);
}

#[test]
fn a_line_without_a_key_that_was_sent_is_not_sent_again_and_those_after_it_go_on() {
    let host = host(answer_one_of_three);
    let mut pipe = host.spawn(&add(&["--reconnect"]));
    let mut stdin = pipe.0.stdin.take().unwrap();
    stdin.write_all(b"1\n2\n3\n").unwrap();
    assert_eq!(pipe.line(), "1");
    for line in 2..=3 {
        let failure: serde_json::Value = serde_json::from_str(&pipe.line()).unwrap();
        assert_eq!((&failure["line"], &failure["delivery"]), (&line.into(), &"unknown".into()), "{failure}");
    }
    stdin.write_all(b"4\n").unwrap();
    drop(stdin);
    let done = pipe.done();
    done.expect(1, "4\n").says("of 2 lines it is not known whether they were done").says("2 of 4 lines failed");
    let seen: Vec<String> = host.seen().iter().map(|request| args_of(request).as_str().to_owned()).collect();
    assert_eq!(seen, ["1", "2", "3", "4"]);
}

#[test]
fn of_lines_without_keys_those_are_sent_again_that_had_not_left() {
    // They are not read, so not all of them fit into the socket.
    let host = host(|client| drop(client.request()));
    let text = "x".repeat(100_000);
    let input: String = (1..=40).map(|number| format!("[{number},\"{text}\"]\n")).collect();
    let done = host.run_with(&add(&["--reconnect"]), input.as_bytes());
    let mut unknown = 0;
    for (out, line) in done.out.lines().zip(input.lines()) {
        if out != line {
            assert!(out.contains("\"delivery\":\"unknown\""), "{}", &out[..out.len().min(200)]);
            unknown += 1;
        }
    }
    assert_eq!((done.out.lines().count(), done.code), (40, Some(1)));
    assert!((1..20).contains(&unknown), "{unknown} lines had left");
    done.says(&format!("{unknown} of 40 lines failed"));
    // The first reached the first connection, and of those that it never read none reached the second.
    let lines = host.seen().iter().filter(|request| request.to.as_deref() == Some("log")).count();
    assert_eq!(lines, 1 + 40 - unknown);
}

#[test]
fn a_line_that_the_next_daemon_is_too_small_for_fails_alone() {
    let number = AtomicU64::new(0);
    let host = Host::start(move |client| {
        let is_first = number.fetch_add(1, Ordering::SeqCst) == 0;
        let mut lines = 0;
        while let Some(request) = client.request() {
            match request.to.as_deref() {
                // The limit is asked over a second connection of the first daemon, and over one of the next.
                Some("supervisor") if number.load(Ordering::SeqCst) == 2 => client.success(&request, "{}"),
                Some("supervisor") => client.success(&request, r#"{"host":{"frame_bytes_max":70000}}"#),
                // The first daemon ends when it has all lines.
                _ if is_first => {
                    lines += 1;
                    if lines == 3 {
                        return;
                    }
                }
                _ => echo(client, &request),
            }
        }
    });
    let long = "x".repeat(80_000);
    let done = host.run_with(&add(&["--key-prefix", "a", "--reconnect"]), format!("1\n\"{long}\"\n3\n").as_bytes());
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[2], done.code), (3, "1", "3", Some(1)), "{}", done.err);
    assert!(lines[1].contains("found one of 80") && lines[1].contains("\"line\":2"), "{}", lines[1]);
    done.says("3 lines will be sent again").says("1 of 3 lines failed, first line 2: expected a message of at most");
}

#[test]
fn many_ends_in_a_row_cost_time_and_no_line() {
    let host = host_after(3, |client| {
        for _ in 0..5 {
            let Some(request) = client.request() else { return };
            echo(client, &request);
        }
        client.request();
    });
    let input = numbers(500);
    host.run_with(&add(&["--key-prefix", "a", "--reconnect"]), input.as_bytes()).expect(0, &input);
}

#[test]
fn the_time_is_that_since_the_last_answer() {
    // Each connection gives one answer, so the daemon is away for 250 ms each time, and never for a second.
    let host = Host::start(|client| {
        let Some(request) = client.request() else { return };
        echo(client, &request);
        client.request();
    });
    let input = numbers(6);
    host.run_with(&add(&["--key-prefix", "a", "--reconnect=600ms"]), input.as_bytes()).expect(0, &input);
    // None gives any.
    let host = Host::start(|client| drop(client.request()));
    let done = host.run_with(&add(&["--key-prefix", "a", "--reconnect=600ms"]), b"1\n2\n");
    assert_eq!((done.code, done.out.lines().count()), (Some(125), 2), "{done:#?}");
    assert_eq!(failures(&done), [(1, "unknown".to_owned()), (2, "unknown".to_owned())]);
    done.says("lines 1 to 2 were under way").says("2 of 2 lines failed").says("closed the connection");
    assert_eq!(done.err.matches("waiting up to 0.6s").count(), 1, "it is said once: {done:#?}");
}

#[test]
fn a_daemon_that_does_not_come_back_leaves_no_line_without_a_word() {
    let folder = Folder::new();
    let socket = folder.0.join("control.sock");
    let host = Host::start_in(folder, move |client| {
        let first = client.request().unwrap();
        std::fs::remove_file(&socket).unwrap();
        echo(client, &first);
        client.request();
    });
    let done = host.run_with(&add(&["--key-prefix", "a", "--in-flight", "2", "--reconnect=300ms"]), b"1\n2\n3\n4\n");
    assert_eq!(done.code, Some(125), "{done:#?}");
    assert_eq!(done.out.lines().next(), Some("1"));
    let failures = failures(&done);
    assert_eq!(failures[0], (2, "unknown".to_owned()), "it was sent: {done:#?}");
    done.says("there is no socket at").says("no line after");
}

#[test]
fn what_a_stopping_host_refuses_is_done_by_the_next_one() {
    let host = host(|client| {
        let mut number = 0;
        while let Some(request) = client.request() {
            number += 1;
            match number {
                1..=20 => echo(client, &request),
                _ => client.fail(&request, stopping(Delivery::NotStarted)),
            }
        }
    });
    let input = numbers(1000);
    let done = host.run_with(&add(&["--in-flight", "8", "--reconnect"]), input.as_bytes());
    done.expect(0, &input).says("bulkhead: the host is stopping; waiting up to 1m00s for the daemon; ");
    // Of a thousand lines only those in flight were refused.
    assert!(host.seen().len() <= 1000 + 16, "{} requests", host.seen().len());
}

#[test]
fn of_what_a_stopping_host_had_begun_only_lines_with_keys_are_sent_again() {
    let begun = |client: &mut Connection| {
        let first = client.request().unwrap();
        let second = client.request().unwrap();
        client.fail(&first, stopping(Delivery::Started));
        client.fail(&second, stopping(Delivery::NotStarted));
        while client.request().is_some() {}
    };
    let done = host(begun).run_with(&add(&["--reconnect"]), b"1\n2\n");
    assert_eq!((failures(&done), done.code), (vec![(1, "started".to_owned())], Some(1)), "{done:#?}");
    host(begun).run_with(&add(&["--reconnect", "--key-prefix", "a"]), b"1\n2\n").expect(0, "1\n2\n");
    // Without --reconnect, it is an answer like any other.
    let done = host(begun).run_with(&add(&["--key-prefix", "a"]), b"1\n2\n");
    let expected = vec![(1, "started".to_owned()), (2, "not_started".to_owned())];
    assert_eq!((failures(&done), done.code), (expected, Some(1)), "{done:#?}");
}

#[test]
fn a_daemon_that_is_not_there_yet_is_waited_for() {
    let folder = Folder::new();
    let mut command = bulkhead(&folder.0.join("control.sock"));
    command.args(add(&["--reconnect"]));
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut pipe = support::Running(command.stderr(std::process::Stdio::piped()).spawn().unwrap());
    pipe.0.stdin.take().unwrap().write_all(b"1\n").unwrap();
    let mut stderr = BufReader::new(pipe.0.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.contains("there is no socket at") && said.contains("waiting up to 1m00s for the daemon"), "{said}");
    let _host = Host::start_in(folder, |client| {
        while let Some(request) = client.request() {
            echo(client, &request);
        }
    });
    pipe.done().expect(0, "1\n");
}

#[test]
fn without_a_daemon_the_wait_ends_with_its_time_and_with_its_reader() {
    let folder = Folder::new();
    let socket = folder.0.join("control.sock");
    let mut command = bulkhead(&socket);
    command.args(add(&["--reconnect=300ms"]));
    support::run(command, b"1\n").expect(125, "").says("there is no socket at");
    let mut command = bulkhead(&socket);
    command.args(add(&["--reconnect=1h"]));
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut pipe = support::Running(command.stderr(std::process::Stdio::piped()).spawn().unwrap());
    drop(pipe.0.stdout.take());
    pipe.done().expect(0, "");
}

#[test]
fn a_key_comes_from_the_line_and_one_without_is_a_failed_line_of_which_nothing_is_sent() {
    let host = Host::echo();
    let input = b"{\"id\":\"x\"}\n{\"id\":7}\n{}\n{\"id\":null}\n{\"id\":\"x\"}\n";
    let done = host.run_with(&add(&["--key-from", "id"]), input);
    let expected = "{\"id\":\"x\"}\n{\"id\":7}\n\
        {\"status\":\"error\",\"error\":\"--key-from id: found no \\\"id\\\" in the line\",\"code\":\"bad_request\",\"delivery\":\"not_started\",\"retryable\":false,\"line\":3}\n\
        {\"status\":\"error\",\"error\":\"--key-from id: expected a text or an integer, found null\",\"code\":\"bad_request\",\"delivery\":\"not_started\",\"retryable\":false,\"line\":4}\n\
        {\"id\":\"x\"}\n";
    done.expect(1, expected).says("2 of 5 lines failed, first line 3: --key-from id: found no \"id\" in the line");
    assert_eq!(keys(&host), ["x", "7", "x"]);
}

#[test]
fn a_key_is_looked_for_in_the_line_as_it_is_and_comes_after_the_prefix() {
    let host = Host::echo();
    let line = b"{\"name\":\"add\",\"args\":{\"order\":{\"id\":17}}}\n";
    let whole = ["pipe", "log", "--key-prefix", "orders", "--key-from", "/args/order/id"];
    host.run_with(&whole, line).expect(0, "{\"order\":{\"id\":17}}\n");
    assert_eq!(keys(&host), ["orders-17"]);
    for bad in ["", "/a~b"] {
        host.run(&add(&["--key-from", bad])).expect(2, "").says("--key-from");
    }
    let long = "x".repeat(127);
    host.run(&add(&["--key-from", "id", "--key-prefix", &long])).expect(2, "").says("at most 126 bytes, found 127");
}
