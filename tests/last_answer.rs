//! A process that ends on purpose reports so in its last answer: requests that were sent after that one have not begun
//! and are done by the next process, and the record of the crash names the answered request.

use bulkhead_protocol::{ErrorCode, Request, RequestType};
use bulkhead_tests::{Caller, World, until};
use serde_json::{Value, json};

/// A host with one `misbehave` called `bad`, ready.
fn bad(rest: &str) -> (World, Caller) {
    let mut world = World::new();
    world.module("bad", "misbehave", rest).start();
    let mut client = world.client();
    client.wait_ready("bad");
    (world, client)
}

fn crashes(client: &mut Caller) -> Vec<Value> {
    client.supervisor("crashes", json!({ "name": "bad" }))["crashes"].as_array().expect("it is a list").clone()
}

#[test]
fn what_was_sent_after_a_panic_is_done_by_the_next_process_and_the_record_names_the_panic() {
    let (mut world, mut client) = bad("env = { RUST_BACKTRACE = \"1\" }");
    let args = json!({ "message": "no ink" });
    let panic = client.send_command("bad", "panic", args.clone());
    // Not safe to do twice, and without a key.
    let later: Vec<u64> = (0..20).map(|_| client.send_command("bad", "count", json!({}))).collect();
    let failure = client.answer(panic).unwrap_err();
    assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleError, None));
    for (id, n) in later.into_iter().zip(1..) {
        assert_eq!(client.answer(id), Ok(json!({ "count": n })));
    }
    let crashes = crashes(&mut client);
    let [crash] = crashes.as_slice() else { panic!("{crashes:#?}") };
    assert_eq!(crash["exit"], json!({ "code": 101 }));
    let payload = json!({ "name": "panic", "args": args });
    let expected = json!([{ "type": "command", "payload": payload, "delivery": "started", "answered": failure.error }]);
    assert_eq!(crash["in_flight"], expected, "{crash:#}");
    let stderr: Vec<&str> = crash["stderr"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(stderr[0].starts_with("the handler panicked at ") && stderr[0].ends_with(": no ink"), "{stderr:#?}");
    assert!(stderr[1].starts_with("  at ") && stderr[1].contains("dying.rs:"), "{stderr:#?}");
    let foreign = ["/rustc/", "sdk/src", "child/src", "std::", "bulkhead_module"];
    assert!(!stderr.iter().any(|line| foreign.iter().any(|it| line.contains(it))), "{stderr:#?}");
    world.stop();
}

/// It was answered each time, and so is neither tried again nor set aside; nor are the requests after it.
#[test]
fn a_panic_over_and_over_is_answered_over_and_over_and_blames_nothing_after_it() {
    let (mut world, mut client) =
        bad("[restart]\ndelay_initial = \"1ms\"\ndelay_max = \"1ms\"\nbreaker_failures = 100");
    let ids: Vec<[u64; 2]> = (0..8)
        .map(|n| {
            let keyed =
                Request { key: (n % 2 == 0).then(|| format!("k{n}")), ..Caller::command("bad", "panic", json!({})) };
            [client.send(&keyed).unwrap(), client.send_command("bad", "echo", json!(n))]
        })
        .collect();
    for (n, [panic, later]) in ids.into_iter().enumerate() {
        assert_eq!(client.answer(panic).unwrap_err().code, ErrorCode::ModuleError);
        assert_eq!(client.answer(later), Ok(json!(n)));
    }
    // Those with a key may come after those that were sent later.
    let crashes = until("eight crashes", || Some(crashes(&mut client)).filter(|crashes| crashes.len() == 8));
    for crash in crashes {
        assert_eq!(crash["in_flight"].as_array().map(Vec::len), Some(1), "{crash:#}");
        assert_eq!(crash["in_flight"][0]["payload"]["name"], "panic", "{crash:#}");
    }
    world.stop();
}

/// As with a worker that ends after so many requests: that is never a failure.
#[test]
fn a_process_that_leaves_with_exit_0_and_requests_after_it_is_replaced_without_a_crash() {
    let (mut world, mut client) = bad("");
    let leave = json!({ "code": 0, "last": true });
    let ids: Vec<[u64; 2]> = (0..15)
        .map(|_| ["count", "answer_then_exit"].map(|name| client.send_command("bad", name, leave.clone())))
        .collect();
    let after = client.send(&Request::new(None, RequestType::Query, Value::Null.into()).to("bad")).unwrap();
    for [count, left] in ids {
        assert_eq!(client.answer(count), Ok(json!({ "count": 1 })));
        assert_eq!(client.answer(left), Ok(json!(true)));
    }
    let _ = client.answer(after);
    assert_eq!(crashes(&mut client), Vec::<Value>::new());
    let status = client.status("bad");
    assert_eq!((&status["state"], &status["restarts"]), (&json!("ready"), &json!(15)), "{status:#}");
    // Without a request after it, the module stops.
    client.call("bad", "answer_then_exit", leave).unwrap();
    client.wait_for("bad", "stopped");
    world.stop();
}

#[test]
fn a_process_that_lives_on_after_its_last_answer_is_ended() {
    let (mut world, mut client) = bad("");
    let pid = client.pid("bad");
    let args = json!({ "code": 0, "last": true, "linger_ms": 60_000 });
    let lingers = client.send_command("bad", "answer_then_exit", args);
    let later = client.send_command("bad", "whoami", json!({}));
    assert_eq!(client.answer(lingers), Ok(json!(true)));
    assert_ne!(client.answer(later).unwrap()["pid"], pid);
    let crashes = crashes(&mut client);
    let reason = crashes[0]["reason"].as_str().unwrap();
    assert_eq!(reason, "protocol violation: it answered with \"last\" and lived on");
    world.stop();
}
