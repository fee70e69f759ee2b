//! What a handler knows of its request and of the machine, and which resources it may use.

use crate::samples::Sample;
use crate::stage::{RESTARTS, SUBJECT, Stage, ms};
use bulkhead_protocol::{ErrorCode, Failure, Status};
use bulkhead_tests::{Caller, timeout, until};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) fn the_key_and_the_deadline_are_known_to_the_handler(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    assert_eq!(stage.call("key", json!({})), json!({ "key": null }));
    for key in ["order-17", "é\u{1F30A} \"\\", &"k".repeat(128)] {
        let mut request = Caller::command(SUBJECT, "key", json!({}));
        request.key = Some(key.into());
        assert_eq!(stage.client.ask(&request), Ok(json!({ "key": key })));
    }
    // Without a deadline of its own, a request has that of the manifest.
    for (asked, most) in [(None, 30_000), (Some(20_000), 20_000), (Some(86_400_000), 86_400_000)] {
        let mut request = Caller::command(SUBJECT, "deadline", json!({}));
        request.deadline_ms = asked;
        let answer = stage.client.ask(&request).expect("it is answered");
        let left = answer["deadline_ms"].as_u64().unwrap_or_else(|| panic!("expected a number, found {answer}"));
        assert!((most - 15_000..=most).contains(&left), "{left} of {most}");
    }
    stage.finish_unharmed();
}

pub(crate) fn lines_of_the_log_keep_their_level(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for level in ["debug", "info", "warn", "error"] {
        let message = format!("a line of level {level} with é \u{1F30A} \"\\");
        stage.call("log", json!({ "level": level, "message": message }));
        until(&message, || {
            let lines = log(&mut stage.client);
            let line = lines.into_iter().find(|line| message_of(line).is_some_and(|found| found == *message))?;
            assert_eq!(line["level"], level, "{line}");
            Some(())
        });
    }
    stage.finish_unharmed();
}

/// The message of a line that is an object with one.
fn message_of(line: &Value) -> Option<Value> {
    let line: Value = serde_json::from_str(line["line"].as_str()?).ok()?;
    line.get("message").cloned()
}

/// The lines of the subject's log.
fn log(client: &mut Caller) -> Vec<Value> {
    let mut lines = Vec::new();
    let request = Caller::command("supervisor", "logs", json!({ "name": SUBJECT }));
    let response = client.request_with(&request, Some(timeout()), |line| lines.push(line.read().expect("it is JSON")));
    assert!(matches!(response.expect("it is answered").status, Status::Success(_)));
    lines
}

pub(crate) fn there_is_a_clock_and_there_is_chance(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
    let before = now();
    let got = stage.call("time", json!({}));
    let got = u128::from(got["unix_ms"].as_u64().unwrap_or_else(|| panic!("expected a number, found {got}")));
    assert!((before..=now()).contains(&got), "{got} is not between {before} and {}", now());
    let mut seen = Vec::new();
    for bytes in [0, 1, 7, 32, 32, 4096] {
        let answer = stage.call("random", json!({ "bytes": bytes }));
        let hex = answer["hex"].as_str().unwrap_or_else(|| panic!("expected a text, found {answer}")).to_owned();
        assert!(hex.len() == bytes * 2 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{bytes}: {hex}");
        assert!(bytes < 32 || !seen.contains(&hex), "twice the same: {hex}");
        seen.push(hex);
    }
    // In 4096 bytes, each value of half a byte occurs many times.
    let long = seen.last().expect("it was just pushed");
    assert!("0123456789abcdef".chars().all(|digit| long.to_lowercase().matches(digit).count() > 300), "{long}");
    stage.finish_unharmed();
}

pub(crate) fn processor_time_beyond_the_limit_ends_the_message(sample: &'static Sample) {
    let rest = format!("{RESTARTS}[resources]\ncpu_time_limit = {}", ms(300));
    let mut stage = Stage::of(sample, &rest);
    let failure = stage.fail("spin", json!({ "ms": 60_000 }));
    assert!(is_its_end(&failure), "{failure:?}");
    assert!(["CPU time", "cpu_time_limit"].iter().any(|name| failure.error.contains(name)), "{failure:?}");
    stage.probe_a_fresh_one();
    stage.finish();
}

pub(crate) fn memory_beyond_the_limit_ends_the_message(sample: &'static Sample) {
    let mut stage = Stage::of(sample, &format!("{RESTARTS}[resources]\nmemory_limit = \"200MB\""));
    assert_eq!(stage.call("grow", json!({ "bytes": 20_000_000 })), json!({ "bytes": 20_000_000 }));
    let failure = stage.fail("grow", json!({ "bytes": 1_000_000_000 }));
    assert!(is_its_end(&failure), "{failure:?}");
    stage.probe();
    stage.finish();
}

pub(crate) fn a_limit_costs_only_its_message_where_the_manifest_says_so(sample: &'static Sample) {
    let limits = format!("cpu_time_limit = {}\nmemory_limit = \"200MB\"\non_limit = \"continue\"", ms(300));
    let mut stage = Stage::of(sample, &format!("[resources]\n{limits}"));
    let pid = stage.pid();
    for (command, args, names) in [
        ("spin", json!({ "ms": 60_000 }), ["CPU time", "cpu_time_limit"]),
        ("grow", json!({ "bytes": 1_000_000_000 }), ["memory_limit", "memory limit"]),
    ] {
        let failure = stage.fail(command, args);
        assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleError, None), "{failure:?}");
        assert!(names.iter().any(|name| failure.error.contains(name)), "{failure:?}");
        // Its state is in doubt, so it begins anew, in the same process.
        stage.probe_a_fresh_one();
        assert_eq!(stage.pid(), pid);
    }
    stage.finish_unharmed();
}

/// A process is ended, and WebAssembly is stopped by its runtime, which reports that itself.
fn is_its_end(failure: &Failure) -> bool {
    [ErrorCode::ModuleCrashed, ErrorCode::ModuleError].contains(&failure.code) && !failure.error.is_empty()
}
