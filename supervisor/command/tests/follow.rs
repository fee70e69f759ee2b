//! `events`, `logs`, `status`, `crashes`, `wait`, `--all`: what is requested, and how it is shown.

mod support;

use bulkhead_protocol::{ErrorCode, Failure};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use support::{Folder, Host, Running, bulkhead};

#[test]
fn events_are_printed_as_they_happen_until_the_reader_goes_away() {
    let host = Host::start(|client| {
        let request = client.request().unwrap();
        client.progress(&request, r#"{"following":true,"cursor":6}"#);
        let event = r#"{"cursor":7,"time":"2026-11-22T10:00:00Z","event":"module.ready","data":{"name":"log"}}"#;
        client.progress(&request, event);
        client.request();
    });
    let mut events = host.spawn(&["events", "module.*", "--after", "6"]);
    assert_eq!(events.line(), r#"2026-11-22T10:00:00Z module.ready {"name":"log"}"#);
    drop(events.0.stdout.take());
    let done = events.done();
    done.expect(0, "");
    assert_eq!(done.err, "bulkhead: following events after cursor 6\n");
    assert_eq!(host.seen()[0].payload.as_str(), r#"{"name":"events","args":{"after":6,"pattern":"module.*"}}"#);

    let mut events = host.spawn(&["events", "--json"]);
    let expected =
        r#"{"schema":1,"cursor":7,"time":"2026-11-22T10:00:00Z","event":"module.ready","data":{"name":"log"}}"#;
    assert_eq!(events.line(), expected);
    assert_eq!(host.seen()[1].payload.as_str(), r#"{"name":"events","args":{}}"#);
}

#[test]
fn events_from_the_beginning_say_what_is_not_kept_any_more() {
    let host = Host::start(|client| {
        let request = client.request().unwrap();
        client.progress(&request, r#"{"following":true,"cursor":9,"lost":1200}"#);
        client.progress(&request, r#"{"cursor":1201,"time":"T","event":"a.b","data":1}"#);
        client.success(&request, "null");
    });
    let done = host.run(&["events", "--from-beginning"]);
    done.expect(0, "T a.b 1\n");
    let expected = "\
bulkhead: following events after cursor 0; the newest is 9
bulkhead: 1,200 events are lost: they are not kept any more
";
    assert_eq!(done.err, expected);
    assert_eq!(host.seen()[0].payload.as_str(), r#"{"name":"events","args":{"after":0}}"#);
    host.run(&["events", "--from-beginning", "--after", "3"]).expect(2, "");
}

#[test]
fn events_go_on_after_the_last_one_when_the_daemon_is_back() {
    // Each connection is a daemon that sends one event and goes away.
    let next = AtomicU64::new(0);
    let host = Host::start(move |client| {
        let request = client.request().unwrap();
        let cursor = 10 * next.fetch_add(1, Ordering::Relaxed);
        client.progress(&request, &format!(r#"{{"following":true,"cursor":{cursor},"lost":0}}"#));
        client.progress(&request, &format!(r#"{{"cursor":{},"time":"T","event":"a.b","data":{cursor}}}"#, cursor + 1));
        if cursor == 20 {
            client.success(&request, "null");
        }
    });
    let done = host.run(&["events", "--reconnect"]);
    done.expect(0, "T a.b 0\nT a.b 10\nT a.b 20\n").says("waiting for the daemon to come back");
    let asked: Vec<String> = host.seen().iter().map(|request| request.payload.as_str().to_owned()).collect();
    let expected = ["{}", r#"{"after":1}"#, r#"{"after":11}"#];
    assert_eq!(asked, expected.map(|args| format!(r#"{{"name":"events","args":{args}}}"#)));
    let once = Host::start(|client| drop(client.request()));
    once.run(&["events"]).expect(125, "").says("the host closed the connection");
}

#[test]
fn events_go_on_with_the_epoch_of_the_last_one_and_report_another_past() {
    // The second daemon has the data of a backup: cursors are given again, in another epoch.
    let next = AtomicU64::new(0);
    let host = Host::start(move |client| {
        let request = client.request().unwrap();
        match next.fetch_add(1, Ordering::Relaxed) {
            0 => {
                client.progress(&request, r#"{"following":true,"cursor":5,"epoch":"aa","lost":0}"#);
                client.progress(&request, r#"{"cursor":6,"epoch":"aa","time":"T","event":"a.b","data":1}"#);
            }
            1 => client.progress(&request, r#"{"following":true,"cursor":5,"epoch":"bb","lost":3}"#),
            2 => {
                client.progress(&request, r#"{"following":true,"cursor":5,"epoch":"bb","lost":3}"#);
                client.progress(&request, r#"{"cursor":4,"epoch":"bb","time":"T","event":"a.b","data":2}"#);
            }
            _ => {
                client.progress(&request, r#"{"following":true,"cursor":5,"epoch":"cc","lost":0}"#);
                client.success(&request, "null");
            }
        }
    });
    let done = host.run(&["events", "--reconnect", "--after", "5@aa"]);
    done.expect(0, "T a.b 1\nT a.b 2\n").says("3 events are lost: cursor 6 is of another past of the data store");
    assert!(!done.err.contains("cursor 4 is of another past"), "{}", done.err);
    let asked: Vec<String> = host.seen().iter().map(|request| request.payload.as_str().to_owned()).collect();
    let expected = [
        r#"{"after":5,"epoch":"aa"}"#,
        r#"{"after":6,"epoch":"aa"}"#,
        // No event of the new epoch was sent: the previous cursor is the one to resume from.
        r#"{"after":6,"epoch":"aa"}"#,
        r#"{"after":4,"epoch":"bb"}"#,
    ];
    assert_eq!(asked, expected.map(|args| format!(r#"{{"name":"events","args":{args}}}"#)));
    host.run(&["events", "--after", "5@"]).expect(2, "").says("after the @");
}

#[test]
fn logs_end_with_their_answer() {
    let host = Host::answering(|client, request| {
        client.progress(request, r#"{"time":"T","stream":"stdout","level":"warn","line":"low\u001b[2J"}"#);
        client.success(request, "null");
    });
    host.run(&["logs", "log", "-n", "5"]).expect(0, "T warn   low\\u{1b}[2J\n");
    assert_eq!(host.seen()[0].payload.as_str(), r#"{"name":"logs","args":{"follow":false,"lines":5,"name":"log"}}"#);
    host.run(&["logs", "log", "-f", "--json"]).expect(
        0,
        "{\"schema\":1,\"time\":\"T\",\"stream\":\"stdout\",\"level\":\"warn\",\"line\":\"low\\u001b[2J\"}\n",
    );
}

const MODULES: &str = r#"{"schema":1,"host":{"version":"0.1.0","pid":1,"uptime_ms":12000,"containment":"cgroup",
    "clients":1,"state_dir":"/s"},"modules":[{"name":"a","type":"process","state":"ready","pid":7,"restarts":0},
    {"name":"b","type":"process","state":"stopped","reason":"stopped by hand"}]}"#;

#[test]
fn status_is_a_table_for_people_and_objects_for_scripts() {
    let host = Host::answering(|client, request| client.success(request, MODULES));
    let expected = "\
NAME  STATE    PID  UPTIME  RESTARTS  LAST EXIT  IN-FLIGHT  QUEUE  MEMORY  WHY
a     ready      7       -         0  -                  0      0       -
b     stopped    -       -         0  -                  0      0       -  stopped by hand

2 modules, 1 ready; bulkhead 0.1.0, pid 1, up 12s, containment cgroup, 1 client, state in /s
";
    host.run(&["status"]).expect(0, expected);
    let expected = "\
{\"schema\":1,\"name\":\"a\",\"type\":\"process\",\"state\":\"ready\",\"pid\":7,\"restarts\":0}
{\"schema\":1,\"name\":\"b\",\"type\":\"process\",\"state\":\"stopped\",\"reason\":\"stopped by hand\"}
";
    host.run(&["status", "--json"]).expect(0, expected);
}

#[test]
fn the_status_of_one_module_is_a_block() {
    let host = Host::answering(|client, request| {
        client.success(request, r#"{"name":"b","type":"process","desired":"stopped","state":"stopped","restarts":1}"#);
    });
    let expected = "b  stopped\n  type         process\n  desired      stopped\n  restarts     1\n  in flight    0\n  queue        0\n";
    host.run(&["status", "b"]).expect(0, expected);
    assert_eq!(host.seen()[0].payload.as_str(), r#"{"name":"status","args":{"name":"b"}}"#);
    Host::failing(ErrorCode::UnknownModule).run(&["status", "ghost"]).expect(4, "").says("bulkhead: ghost: ");
}

#[test]
fn all_means_every_module_that_the_host_has() {
    let host = Host::answering(|client, request| {
        let stopped = r#"{"id":null,"status":"success","data":{"name":"a","state":"stopped"}}"#;
        client.progress(request, &format!(r#"{{"name":"a","answer":{stopped}}}"#));
        let failed = r#"{"id":null,"status":"error","error":"it is being cleared","code":"module_unavailable"}"#;
        client.progress(request, &format!(r#"{{"name":"b","answer":{failed}}}"#));
        client.success(request, r#"{"modules":2,"failed":1}"#);
    });
    host.run(&["stop", "--all", "--json"])
        .expect(3, "{\"schema\":1,\"name\":\"a\",\"state\":\"stopped\"}\n")
        .says("bulkhead: b: it is being cleared");
    let payloads: Vec<String> = host.seen().iter().map(|request| request.payload.as_str().to_owned()).collect();
    assert_eq!(payloads, [r#"{"name":"stop","args":{"all":true}}"#]);
    let none = Host::answering(|client, request| client.success(request, r#"{"modules":0,"failed":0}"#));
    none.run(&["reload", "--all"]).expect(0, "").says("bulkhead: there are no modules");
}

#[test]
fn several_reloads_are_one_request_so_that_files_are_read_once() {
    let host = Host::answering(|client, request| {
        for name in ["a", "b"] {
            let ready = format!(r#"{{"id":null,"status":"success","data":{{"name":"{name}","state":"ready"}}}}"#);
            client.progress(request, &format!(r#"{{"name":"{name}","answer":{ready}}}"#));
        }
        client.success(request, r#"{"modules":2,"failed":0}"#);
    });
    host.run(&["reload", "a", "b"]).expect(0, "a: ready\nb: ready\n");
    assert_eq!(host.seen()[0].payload.as_str(), r#"{"name":"reload","args":{"names":["a","b"]}}"#);
    // What is wrong with the files is wrong for all of them.
    Host::failing(ErrorCode::ModuleError).run(&["reload", "a", "b"]).expect(1, "").says("bulkhead: all modules: ");
}

#[test]
fn wait_holds_or_is_124() {
    let host = Host::answering(|client, request| client.success(request, r#"{"name":"a","state":"ready"}"#));
    host.run(&["wait", "a", "--for", "ready", "--timeout", "1.5"]).expect(0, "a: ready\n");
    let request = &host.seen()[0];
    assert_eq!(request.payload.as_str(), r#"{"name":"wait","args":{"for":"ready","name":"a"}}"#);
    assert_eq!(request.deadline_ms, Some(1500));
    let late = Host::failing(ErrorCode::DeadlineExceeded);
    late.run(&["wait", "a", "--for", "stopped", "--timeout", "10ms"]).expect(124, "");
}

#[test]
fn a_wait_begins_with_the_daemon() {
    let folder = Folder::new();
    let socket = folder.0.join("control.sock");
    let wait = |timeout: &str| {
        let mut command = bulkhead(&socket);
        command.args(["wait", "a", "--for", "ready", "--timeout", timeout]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(command.spawn().unwrap())
    };
    // There is no socket; one that no process listens at; a daemon that ends; one that has no room; one that answers.
    let mut waiting = wait("20s");
    drop(UnixListener::bind(&socket).unwrap());
    std::fs::remove_file(&socket).unwrap();
    let came = AtomicU64::new(0);
    let host = Host::start_in(folder, move |client| match came.fetch_add(1, Ordering::SeqCst) {
        0 => drop(client.request()),
        1 => client.respond(None, Failure::new(ErrorCode::Overloaded, "there is no room").into()),
        _ => {
            let request = client.request().unwrap();
            client.success(&request, r#"{"name":"a","state":"ready"}"#);
        }
    });
    waiting.done().expect(0, "a: ready\n");
    let deadlines: Vec<u64> = host.seen().iter().filter_map(|request| request.deadline_ms).collect();
    assert!(deadlines.is_sorted_by(|a, b| a > b), "what is left of the timeout: {deadlines:?}");
    // An answer of a daemon is no reason to ask again.
    Host::failing(ErrorCode::ModuleError).run(&["wait", "a", "--for", "ready"]).expect(1, "").says("it did not work");
    assert_eq!(Host::failing(ErrorCode::UnknownModule).run(&["wait", "a", "--for", "ready"]).code, Some(4));
}

#[test]
fn a_status_without_a_guardian_is_shown_with_what_is_wrong() {
    let status = r#"{"schema":1,"host":{"version":"0.1.0","pid":1,"guardian_pid":null,"containment":null,
        "guardian_fault":"not running, so no module can start: no such file","socket":null,"memory_bytes":null},
        "modules":[{"name":"a","state":"waiting","pid":null,"containment":null,"version":null,"last_exit":null,
        "guardian_fault":"not running, so no module can start: no such file"}]}"#;
    let host = Host::answering(move |client, request| client.success(request, status));
    let table = host.run(&["status"]);
    let fault = "guardian: not running, so no module can start: no such file";
    assert_eq!((table.code, table.out.lines().last()), (Some(0), Some(fault)), "{table:#?}");
    let json = host.run(&["status", "--json"]);
    assert_eq!(json.code, Some(0));
    json.says(fault);
    assert!(json.out.contains(r#""guardian_fault":"not running"#), "{json:#?}");
    let one = Host::answering(|client, request| {
        client.success(request, r#"{"name":"a","state":"waiting","containment":null,"guardian_fault":"not running"}"#);
    });
    let block = one.run(&["status", "a"]);
    assert_eq!(block.code, Some(0));
    assert!(block.out.contains("\n  guardian     not running\n"), "{block:#?}");
}

#[test]
fn crashes_are_shown_or_their_absence_is() {
    let none = Host::answering(|client, request| client.success(request, r#"{"crashes":[]}"#));
    none.run(&["crashes"]).expect(0, "no crash is on record\n");
    none.run(&["crashes", "a", "--json"]).expect(0, "");
    let one = Host::answering(|client, request| {
        client.success(request, r#"{"crashes":[{"module":"a","time":"T","reason":"killed","exit":"SIGABRT"}]}"#);
    });
    one.run(&["crashes", "a"]).expect(0, "a  T\n  why        killed\n  exit       SIGABRT\n\n");
}

#[test]
fn a_status_that_is_not_understood_is_an_error() {
    let host = Host::answering(|client, request| client.success(request, "[1]"));
    host.run(&["status"]).expect(1, "").says("the host's status is not understood: ");
}
