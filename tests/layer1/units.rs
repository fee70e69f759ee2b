//! What a module does for one request: visible when it has succeeded, gone when it has not; once, with a key.

use crate::support::{ALL, add_steps, count, create, creates, failure, keyed, mutate, one, query, world};
use bulkhead_protocol::{Delivery, ErrorCode};
use bulkhead_tests::{Caller, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

#[test]
fn what_a_module_changes_is_seen_by_others_after_its_success_and_by_itself_before() {
    let Some((mut world, mut client)) = one(ALL) else { return };
    let steps = json!([
        creates("Note", json!({ "n": 1 })),
        { "query": { "entity": "Note", "count": true } },
        { "say": "has changed" },
        { "nap": 300 },
        creates("Note", json!({ "n": 2 })),
        { "event": { "event": "note.made", "data": 5 } },
    ]);
    let following = client.follow("*");
    let running = client.send_command("m", "do", steps);
    client
        .until_status("m", "it has changed something", |status| status["log_tail"].to_string().contains("has changed"));
    assert_eq!(count(&mut client, "Note"), 0);
    let done = client.answer(running).unwrap();
    assert_eq!((&done[0]["version"], &done[1]["count"]), (&json!(1), &json!(1)));
    assert_eq!(count(&mut client, "Note"), 2);
    let names: Vec<(u64, Value, Value)> = (0..3)
        .map(|_| client.progress(following))
        .map(|event| (event["cursor"].as_u64().unwrap(), event["event"].clone(), event["source"].clone()))
        .collect();
    let expected = ["Note.created", "Note.created", "note.made"];
    assert_eq!(names, [1, 2, 3].map(|n| (n, json!(expected[n as usize - 1]), json!("m"))));
    world.stop();
}

#[test]
fn an_error_a_crash_and_a_deadline_undo_all_of_it() {
    let Some((mut world, mut client)) = one(&format!("{ALL}[limits]\ncancel_grace = \"100ms\"")) else { return };
    let with = |end: Value| json!([creates("Note", json!({})), { "event": { "event": "note.made" } }, end]);
    let failed = failure(client.call("m", "do", with(json!({ "fail": "not today" }))));
    assert_eq!((failed.code, &*failed.error), (ErrorCode::ModuleError, "not today"));
    let crashed = failure(client.call("m", "do", with(json!({ "crash": true }))));
    assert_eq!((crashed.code, crashed.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
    client.wait_ready("m");
    let late = failure(client.call_within(300, "m", "do", with(json!({ "nap": 2000 }))));
    assert_eq!(late.code, ErrorCode::DeadlineExceeded);
    assert!(late.error.contains("undone"), "{}", late.error);
    client.wait_ready("m");
    assert_eq!(count(&mut client, "Note"), 0);
    assert_eq!(client.supervisor("status", Value::Null)["host"]["layer1"]["cursor"], 0);
    world.stop();
}

#[test]
fn a_long_change_belongs_to_its_request_though_the_success_comes_right_after_it() {
    let Some((mut world, mut client)) = one(ALL) else { return };
    let dash = |n: u64, length: usize| {
        let note = json!({ "n": n, "text": "x".repeat(length) });
        json!({ "dash": { "entity": "Note", "operation": "create", "data": note } })
    };
    for (done, length) in [(1, 10), (2, 100_000), (3, 1_000_000)] {
        client.call("m", "do", json!([dash(done, length)])).unwrap();
        assert_eq!(count(&mut client, "Note"), done);
    }
    // Its messages are read before its end is decided, and undone by that.
    let crashed = failure(client.call("m", "do", json!([dash(4, 100_000), { "crash": true }])));
    assert_eq!((crashed.code, crashed.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
    client.wait_ready("m");
    assert_eq!(count(&mut client, "Note"), 3);
    world.stop();
}

#[test]
fn of_two_that_change_the_same_one_is_run_again_where_that_is_safe_and_gets_an_error_where_it_is_not() {
    let Some((mut world, mut client)) = one(ALL) else { return };
    let id = create(&mut client, "Note", json!({ "n": 1 }))["id"].clone();
    let update = json!({ "entity": "Note", "operation": "update", "id": id, "data": { "seen": true } });
    for (command, again) in [("again", true), ("do", false)] {
        let before = client.status("m")["log_tail"].to_string().matches("changed it").count();
        let steps = json!([{ "mutation": update }, { "say": "changed it" }, { "nap": 300 }]);
        let running = client.send_command("m", command, steps);
        client.until_status("m", "it has changed the note", |status| {
            status["log_tail"].to_string().matches("changed it").count() > before
        });
        mutate(&mut client, json!({ "entity": "Note", "operation": "update", "id": id, "data": { "n": 2 } })).unwrap();
        let answer = client.answer(running);
        match again {
            true => assert!(answer.unwrap()[0]["version"].as_u64().unwrap() >= 3),
            false => {
                let conflict = failure(answer);
                assert_eq!((conflict.code, conflict.retryable), (ErrorCode::Conflict, true));
            }
        }
    }
    world.stop();
}

#[test]
fn a_key_is_one_effect_and_one_answer_over_crashes_of_the_module_and_the_host() {
    let Some((mut world, mut client)) = one(ALL) else { return };
    let once = world.path("crashed").display().to_string();
    let steps = json!([{ "add": "a" }, { "crash_once": once }]);
    // Its first process crashes in the middle, which no caller sees.
    let first = client.ask(&keyed("do", steps.clone(), "k1")).unwrap();
    assert_eq!(first, json!([1]));
    assert_eq!(client.ask(&keyed("do", steps.clone(), "k1")).unwrap(), first);
    let other = failure(client.ask(&keyed("do", json!([{ "add": "b" }]), "k1")));
    assert_eq!(other.code, ErrorCode::Conflict);
    let ended = world.end_host(Signal::SIGKILL);
    assert_eq!(ended.signal, Some(9));
    world.start();
    let mut client = world.client();
    assert_eq!(client.ask(&keyed("do", steps, "k1")).unwrap(), first);
    assert_eq!(client.ask(&keyed("do", json!([{ "add": "a" }]), "k2")).unwrap(), json!([2]));
    let found = query(&mut client, json!({ "entity": "Counter" })).unwrap();
    assert_eq!(found["entities"][0]["data"]["n"], 2);
    assert_eq!(found["entities"].as_array().unwrap().len(), 1);
    world.stop();
}

#[test]
fn a_key_is_its_callers_and_for_one_target() {
    let Some(mut world) = world() else { return };
    add_steps(&world, "m", ALL);
    add_steps(&world, "other", &format!("{ALL}call = [\"m\"]\n"));
    world.start();
    let mut client = world.client();
    client.wait_ready("m");
    client.wait_ready("other");
    let add = json!([{ "add": "a" }]);
    // A module is first, with the key that the client will give, for the same work.
    let call = json!([{ "call": ["m", "do", add, "order-1"] }]);
    assert_eq!(client.ask(&Caller::command("other", "do", call.clone())).unwrap(), json!([[1]]));
    assert_eq!(client.ask(&keyed("do", add.clone(), "order-1")).unwrap(), json!([2]), "the module's answer came");
    // Each has its own answer, and nothing is done again: a client has that of any client, after a restart too.
    assert_eq!(world.client().ask(&keyed("do", add.clone(), "order-1")).unwrap(), json!([2]));
    assert_eq!(world.end_host(Signal::SIGKILL).signal, Some(9));
    world.start();
    let mut client = world.client();
    client.wait_ready("other");
    assert_eq!(client.ask(&Caller::command("other", "do", call)).unwrap(), json!([[1]]));
    assert_eq!(client.ask(&keyed("do", add.clone(), "order-1")).unwrap(), json!([2]));
    // For another target it is another key.
    let mut request = keyed("do", add, "order-1");
    request.to = Some("other".into());
    assert_eq!(client.ask(&request).unwrap(), json!([3]));
    world.stop();
}

#[test]
fn a_counter_that_is_called_with_keys_while_its_module_is_killed_equals_its_calls() {
    let Some((mut world, mut client)) = one(&format!("{ALL}[restart]\nbreaker_failures = 1000\ndelay_max = \"100ms\""))
    else {
        return;
    };
    let mut killer = world.client();
    let calls: Vec<u64> =
        (0..300).map(|n| client.send(&keyed("do", json!([{ "add": "c" }]), &format!("call-{n}"))).unwrap()).collect();
    for (n, call) in calls.into_iter().enumerate() {
        if n % 40 == 20 {
            let pid = killer.pid("m");
            bulkhead_tests::kill(pid, Signal::SIGKILL);
        }
        let answer = client.answer(call);
        assert!(answer.is_ok(), "call {n}: {answer:?}");
    }
    let found = query(&mut client, json!({ "entity": "Counter" })).unwrap();
    assert_eq!((found["entities"].as_array().unwrap().len(), &found["entities"][0]["data"]["n"]), (1, &json!(300)));
    world.stop();
}

#[test]
fn what_is_not_granted_is_refused_with_the_line_that_would() {
    let rest =
        "[capabilities]\nentity_create = [\"Note\"]\nevent_emit = [\"note.*\"]\n[resources]\nstorage_quota = \"1KiB\"";
    let Some((mut world, mut client)) = one(rest) else { return };
    let note = json!({ "entity": "Note", "operation": "create", "data": { "text": "x".repeat(600) } });
    let id = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";
    let refused = client
        .call(
            "m",
            "do",
            json!([
                { "query": { "entity": "Note" } },
                creates("Other", json!({})),
                { "mutation": { "entity": "Note", "operation": "delete", "id": id } },
                { "mutation": { "entity": "Note", "operation": "update", "id": id, "data": {} } },
                { "event": { "event": "other.made" } },
                { "mutation": note },
                { "mutation": note },
            ]),
        )
        .unwrap();
    let lines = [
        "entity_read = [\"Note\"]",
        "entity_create = [\"Other\"]",
        "entity_delete = [\"Note\"]",
        "entity_write = [\"Note\"]",
        "event_emit = [\"other.made\"]",
    ];
    for (refusal, line) in refused.as_array().unwrap().iter().zip(lines) {
        assert_eq!(refusal["code"], "permission_denied", "{refusal}");
        assert!(refusal["error"].as_str().unwrap().contains(line), "{refusal}");
    }
    assert_eq!(refused[5]["version"], 1);
    assert!(refused[6]["error"].as_str().unwrap().contains("storage_quota"), "{refused}");
    assert_eq!(count(&mut client, "Note"), 1);
    let owners = client.supervisor("layer1", Value::Null)["owners"].clone();
    assert_eq!((&owners[0]["owner"], &owners[0]["entities"]), (&json!("m"), &json!(1)), "{owners}");
    world.stop();
}

#[test]
fn what_is_committed_when_the_host_is_stopped_is_there_afterwards() {
    let Some((mut world, mut client)) = one(ALL) else { return };
    let running =
        client.send_command("m", "do", json!([{ "say": "begun" }, { "nap": 300 }, creates("Note", json!({}))]));
    client.until_status("m", "it has begun", |status| status["log_tail"].to_string().contains("begun"));
    world.host().signal(Signal::SIGTERM);
    assert_eq!(client.answer(running).unwrap()[0]["version"], 1);
    let ended = until("the end of the host", || (!world.host().is_up()).then(|| world.end_host(Signal::SIGTERM)));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // After an orderly close, the database is one file.
    assert!(!world.state().join("layer1/layer1.db-wal").exists());
    world.start();
    assert_eq!(count(&mut world.client(), "Note"), 1);
    world.stop();
}
