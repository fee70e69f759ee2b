//! `bulkhead bench`.

use crate::support::{Ended, bench, ended, with_misbehave, world};
use bulkhead_tests::{RESEARCH_LOG, kill, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn number(json: &Value, name: &str) -> f64 {
    json[name].as_f64().unwrap_or_else(|| panic!("expected a number {name} in {json}"))
}

#[test]
fn each_row_has_all_its_calls_and_their_percentiles_are_in_order() {
    let world = with_misbehave("");
    let words = ["misbehave", "read", "--in-flight", "1,16", "--calls", "300", "--warm-up", "20ms", "--json"];
    let done = ended(bench(&world, &words));
    assert_eq!((done.code, &*done.errors), (Some(0), ""));
    let report = done.json();
    assert_eq!(report["ended"], "done");
    for (row, in_flight) in report["rows"].as_array().unwrap().iter().zip([1, 16]) {
        assert_eq!((&row["in_flight"], &row["calls"], &row["unanswered"]), (&json!(in_flight), &json!(300), &json!(0)));
        let times = ["p50_us", "p90_us", "p99_us", "max_us"].map(|name| number(row, name));
        assert!(times[0] > 0.0 && times.is_sorted(), "{row}");
        assert!((number(row, "calls_per_second") * number(row, "seconds") - 300.0).abs() < 0.001, "{row}");
    }
    assert_eq!(report["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn a_time_is_measured_and_the_table_has_a_row_for_each_number() {
    let world = with_misbehave("");
    let words = ["misbehave", "echo", "text=x", "--in-flight", "2,8", "--for", "200ms", "--warm-up", "0s"];
    let done = ended(bench(&world, &words));
    assert_eq!((done.code, &*done.errors), (Some(0), ""));
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!(lines[0], "misbehave echo: 200 ms each");
    assert!(lines[1].starts_with("IN FLIGHT     CALLS/S"), "{}", done.out);
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    assert_eq!((lines.len(), first(lines[2]), first(lines[3])), (4, Some("2".into()), Some("8".into())));
}

#[test]
fn each_call_with_a_key_is_work_of_its_own() {
    let mut world = world();
    world.module("research-log", "research-log", RESEARCH_LOG).start();
    let mut client = world.client();
    client.wait_ready("research-log");
    client.call("research-log", "create_log", json!({ "title": "load" })).unwrap();
    for _ in 0..2 {
        let words = ["research-log", "add_entry", "text=call {id}", "--keyed", "--calls", "40", "--in-flight", "4"];
        let done = ended(bench(&world, &[&words[..], &["--warm-up", "0s"]].concat()));
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let activity = client.call("research-log", "analyze_activity", json!({})).unwrap();
    assert_eq!(activity["entries"], 80);
    let found = client.call("research-log", "query_logs", json!({ "limit": 1 })).unwrap();
    assert!(!found.to_string().contains("{id}"), "{found}");
}

#[test]
fn errors_are_counted_by_their_codes_and_are_no_calls_that_succeeded() {
    let world = with_misbehave("");
    let words =
        ["misbehave", "error", "code=out_of_ink", "sentence=there is no ink", "--calls", "20", "--warm-up", "0s"];
    let done = ended(bench(&world, &words));
    assert_eq!(done.code, Some(1));
    assert!(done.out.contains("1 in flight: 20 module_error, the first: there is no ink"), "{done:?}");
    let report = ended(bench(&world, &[&words[..], &["--json"]].concat())).json();
    assert_eq!((&report["rows"][0]["calls"], &report["rows"][0]["p99_us"]), (&json!(0), &Value::Null));
    assert_eq!(report["rows"][0]["errors"]["module_error"]["count"], 20);
}

#[test]
fn what_every_call_would_end_with_ends_the_rows_and_says_how_far_it_got() {
    let world = with_misbehave("");
    for (module, command, code, expected) in
        [("misbehave", "no_such", 1, "unknown_command"), ("no-such", "read", 4, "unknown_module")]
    {
        let done = ended(bench(&world, &[module, command, "--in-flight", "1,2"]));
        assert_eq!(done.code, Some(code), "{done:?}");
        let said = "every further call would end like this; it got as far as 1 of 2 rows: 0 calls measured";
        assert!(done.errors.contains(expected) && done.errors.contains(said), "{done:?}");
    }
    world.client().supervisor("stop", json!({ "name": "misbehave" }));
    let done = ended(bench(&world, &["misbehave", "read"]));
    assert_eq!(done.code, Some(3), "{done:?}");
}

/// Starts a row of an hour, and waits until it is measured.
fn of_an_hour(world: &bulkhead_tests::World) -> std::process::Child {
    let words = ["misbehave", "count", "--for", "1h", "--warm-up", "0s", "--in-flight", "4", "--json"];
    let child = bench(world, &words).spawn().expect("the program can be started");
    let mut client = world.client();
    until("calls", || {
        let count = client.call("misbehave", "read", json!({})).ok()?["count"].as_u64()?;
        (count > 100).then_some(())
    });
    child
}

#[test]
fn what_was_measured_until_an_interruption_is_printed() {
    let world = with_misbehave("");
    let child = of_an_hour(&world);
    kill(child.id().into(), Signal::SIGINT);
    let done = Ended::of(child.wait_with_output().unwrap());
    assert_eq!(done.code, Some(130), "{done:?}");
    assert!(done.errors.contains("interrupted by SIGINT; it got as far as 1 of 1 row: "), "{done:?}");
    let report = done.json();
    assert_eq!(report["ended"], "interrupted");
    assert!(number(&report["rows"][0], "calls") > 90.0, "{report}");
}

#[test]
fn what_was_measured_until_the_daemon_went_away_is_printed_with_what_has_no_answer() {
    let mut world = with_misbehave("");
    let child = of_an_hour(&world);
    world.end_host(Signal::SIGKILL);
    let done = Ended::of(child.wait_with_output().unwrap());
    assert_eq!(done.code, Some(125), "{done:?}");
    let report = done.json();
    assert_eq!((&report["ended"], &report["rows"][0]["unanswered"]), (&json!("disconnected"), &json!(4)));
    assert!(number(&report["rows"][0], "calls") > 90.0, "{report}");
    let done = ended(bench(&world, &["misbehave", "count"]));
    assert_eq!(done.code, Some(125), "{done:?}");
}

#[test]
fn arguments_are_read_as_call_reads_them() {
    let world = world();
    let done = ended(bench(&world, &["misbehave", "echo", "{text:x}"]));
    assert_eq!(done.code, Some(2));
    let expected = r#"bulkhead bench: the argument: expected JSON, found {text:x}: write '{"text":"x"}'"#;
    assert_eq!(done.errors.trim_end(), expected);
}
