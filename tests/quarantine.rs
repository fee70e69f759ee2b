//! `bulkhead quarantine`: what is kept of a message that killed its module too often, and how it is sent again when the
//! module is mended; and `--private`, which sends messages under a host of their own.

use bulkhead_protocol::{ErrorCode, Json, Request, RequestType};
use bulkhead_tests::{Caller, Done, World, owners_of_checkout, until};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const QUICK: &str =
    "[restart]\nat_once_after = \"0s\"\ndelay_initial = \"1ms\"\ndelay_max = \"1ms\"\nbreaker_failures = 1000\n";

/// A world with the module `fragile`, which dies of each message until it is mended.
fn fragile() -> World {
    let world = World::new();
    world.manifest(
        "fragile",
        &format!("name = \"fragile\"\ntransport = \"stdio\"\ncommand = [\"python3\", \"main.py\"]\n{QUICK}"),
    );
    put(&folder(&world).join("main.py"), include_str!("fragile.py"));
    world
}

fn folder(world: &World) -> PathBuf {
    world.path("modules/fragile")
}

fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

fn mend(world: &World) {
    put(&folder(world).join("mended"), "");
}

fn started() -> (World, Caller) {
    let mut world = fragile();
    world.start();
    let mut client = world.client();
    client.wait_ready("fragile");
    (world, client)
}

fn run(world: &World, words: &[&str]) -> Done {
    world.bulkhead(words).into()
}

/// The same for a command that reads manifests of a checkout that may be another user's.
fn run_trusting(world: &World, words: &[&str]) -> Done {
    let trusted = owners_of_checkout().iter().map(|owner| format!("--trust-user={owner}")).collect::<Vec<_>>();
    let words: Vec<&str> = words.iter().copied().chain(trusted.iter().map(String::as_str)).collect();
    let temporary = world.path("tmp");
    fs::create_dir_all(&temporary).unwrap();
    world.command(&words).env("TMPDIR", temporary).output().unwrap().into()
}

/// Has the module quarantine a request; its id.
fn quarantined(client: &mut Caller, key: Option<&str>) -> String {
    let payload = Json::of(&json!({ "name": "work", "args": { "n": 1 } }));
    let mut request = match key {
        Some(_) => Request::new(None, RequestType::Command, payload),
        None => Request::new(None, RequestType::Query, payload),
    };
    request.key = key.map(str::to_owned);
    let before = listed(client).len();
    let failure = client.ask(&request.to("fragile")).unwrap_err();
    assert_eq!(failure.code, ErrorCode::Quarantined, "{failure:?}");
    // The record is listed as soon as the caller is answered.
    let listed = listed(client);
    assert_eq!(listed.len(), before + 1, "{listed:?}");
    client.wait_ready("fragile");
    listed[before]["id"].as_str().unwrap().to_owned()
}

fn listed(client: &mut Caller) -> Vec<Value> {
    client.supervisor("quarantine", Value::Null)["quarantined"].as_array().unwrap().clone()
}

fn done(world: &World) -> usize {
    fs::read_to_string(folder(world).join("done")).unwrap_or_default().len()
}

#[test]
fn a_message_that_killed_its_module_is_listed_shown_and_sent_again_after_a_repair() {
    let (mut world, mut client) = started();
    let id = quarantined(&mut client, None);
    let entry = &listed(&mut client)[0];
    let expected = json!({ "id": id, "module": "fragile", "time": entry["time"], "type": "query", "command": null,
        "bytes": 30, "key": null, "from": null, "delivery": "started", "crashes": 2, "reason": "SIGABRT",
        "exit": { "signal": "SIGABRT" } });
    assert_eq!(entry, &expected);

    let table = run(&world, &["quarantine"]);
    assert!(table.code == Some(0) && table.out.contains(&id) && table.out.contains("SIGABRT"), "{table:?}");
    let shown = run(&world, &["quarantine", "show", &id]);
    assert!(shown.out.contains("query {\"args\":{\"n\":1},\"name\":\"work\"}"), "{shown:?}");
    assert!(shown.out.contains(&format!("bulkhead quarantine replay {id}")), "{shown:?}");
    let whole: Value = serde_json::from_str(&run(&world, &["quarantine", "show", &id, "--json"]).out).unwrap();
    assert_eq!((&whole["payload"]["args"], &whole["from"]), (&json!({ "n": 1 }), &Value::Null), "{whole:#}");

    // It crashes again: the record stays, and the replay, which is quarantined as well, has one of its own.
    let again = run(&world, &["quarantine", "replay", &id]);
    assert_eq!((again.code, &*again.out), (Some(1), "same end: signal 6 (SIGABRT)\n"), "{again:?}");
    assert_eq!(listed(&mut client).len(), 2);

    mend(&world);
    client.wait_ready("fragile");
    let mended = run(&world, &["quarantine", "replay", &id]);
    assert_eq!(mended.code, Some(0), "{mended:?}");
    assert_eq!(mended.out, "another end: the record has SIGABRT; now it was answered with success\n");
    assert!(mended.err.contains("it is quarantined no longer"), "{mended:?}");
    let left = listed(&mut client);
    assert!(left.len() == 1 && left[0]["id"] != json!(id), "{left:?}");
    let gone = run(&world, &["quarantine", "replay", &id]);
    assert!(gone.code == Some(1) && gone.err.contains("`bulkhead quarantine` lists them"), "{gone:?}");

    let dropped = run(&world, &["quarantine", "drop", left[0]["id"].as_str().unwrap(), &id]);
    assert!(dropped.code == Some(1) && dropped.out.ends_with(": dropped\n"), "{dropped:?}");
    assert_eq!(run(&world, &["quarantine", "list", "fragile"]).out, "no message is quarantined\n");
    world.stop();
}

#[test]
fn a_replay_with_a_key_is_what_the_key_is_answered_with_and_its_work_is_done_once() {
    let (mut world, mut client) = started();
    let id = quarantined(&mut client, Some("k-1"));
    let entry = &listed(&mut client)[0];
    assert_eq!((&entry["key"], &entry["crashes"], &entry["command"]), (&json!("k-1"), &json!(5), &json!("work")));

    let often = run(&world, &["quarantine", "replay", &id, "--times", "3"]);
    assert!(often.code == Some(2) && often.err.contains("its work is done once"), "{often:?}");
    mend(&world);
    client.wait_ready("fragile");
    let replayed = run(&world, &["quarantine", "replay", &id, "--json"]);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    let line: Value = serde_json::from_str(&replayed.out).unwrap();
    assert_eq!(line["response"]["data"], json!({ "done": 1 }), "{line:#}");
    assert!(listed(&mut client).is_empty());

    // The first caller sends its request again, and gets the answer of the replay.
    let payload = Json::of(&json!({ "name": "work", "args": { "n": 1 } }));
    let mut request = Request::new(None, RequestType::Command, payload).to("fragile");
    request.key = Some("k-1".into());
    assert_eq!(client.ask(&request).unwrap(), json!({ "done": 1 }));
    assert_eq!(done(&world), 1);
    world.stop();
}

#[test]
fn a_key_whose_work_was_done_since_then_does_it_no_second_time() {
    let (mut world, mut client) = started();
    let id = quarantined(&mut client, Some("k-2"));
    mend(&world);
    client.wait_ready("fragile");
    let payload = Json::of(&json!({ "name": "work", "args": { "n": 1 } }));
    let mut request = Request::new(None, RequestType::Command, payload).to("fragile");
    request.key = Some("k-2".into());
    assert_eq!(client.ask(&request).unwrap(), json!({ "done": 1 }));
    assert_eq!(run(&world, &["quarantine", "replay", &id]).code, Some(0));
    assert_eq!((done(&world), listed(&mut client).len()), (1, 0));
    world.stop();
}

#[test]
fn records_are_listed_in_pages_of_earlier_hosts_too_and_what_is_no_record_is_named() {
    let (mut world, mut client) = started();
    let ids: Vec<String> = (0..3).map(|_| quarantined(&mut client, None)).collect();
    world.stop();
    let records = world.state().join("quarantine");
    let text = fs::read_to_string(records.join(format!("{}.json", ids[1]))).unwrap();
    put(&records.join(format!("{}.json", ids[1])), &text[..text.len() / 2]);
    let earlier = "fragile-20200101T000000.000Z-0007";
    put(
        &records.join(format!("{earlier}.json")),
        "{\"type\":\"mutation\",\"payload\":{\"a\":1},\"key\":\"k\",\"delivery\":\"started\"}",
    );
    world.start();
    let mut client = world.client();
    client.wait_ready("fragile");

    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let page = client.supervisor("quarantine", json!({ "name": "fragile", "limit": 1, "after": after }));
        let entries = page["quarantined"].as_array().unwrap();
        seen.extend(entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(seen, [earlier, &ids[0], &ids[1], &ids[2]], "the oldest first, each once");
    let half = &listed(&mut client)[2];
    assert!(half["reason"].as_str().unwrap().starts_with("unknown: the record is not whole"), "{half:#}");
    for words in [["show", &ids[1]], ["replay", &ids[1]]] {
        let done = run(&world, &["quarantine", words[0], words[1]]);
        assert!(done.code == Some(1) && done.err.contains("no JSON object, or not whole"), "{done:?}");
    }
    let of_earlier = run(&world, &["quarantine", "replay", earlier]);
    assert!(of_earlier.code == Some(2) && of_earlier.err.contains("of an earlier version"), "{of_earlier:?}");
    assert!(run(&world, &["quarantine", "list", "fragile"]).out.contains(earlier));

    for id in
        ["", "x", "../identity", "fragile-../../lock", "fragile-1-/../../lock", "fragile-20200101T000000.000Z-0008"]
    {
        for command in ["quarantine_show", "quarantine_drop"] {
            let failure = client.call("supervisor", command, json!({ "id": id })).unwrap_err();
            assert_eq!(failure.code, ErrorCode::NotFound, "{command} {id:?}: {failure:?}");
        }
    }
    let refused = client.call("supervisor", "quarantine", json!({ "limit": 1001 })).unwrap_err();
    assert_eq!(refused.code, ErrorCode::BadRequest);
    let unknown = client.call("supervisor", "quarantine", json!({ "name": "nothing" })).unwrap_err();
    assert_eq!(unknown.code, ErrorCode::UnknownModule);
    assert!(world.state().join("lock").exists() && world.state().join("identity").exists());
    world.stop();
}

#[test]
fn a_private_host_takes_the_message_and_the_daemon_is_as_it_was() {
    let (mut world, mut client) = started();
    let id = quarantined(&mut client, Some("k-3"));
    let before = client.status("fragile");
    let count = crashes(&world);
    let again = run_trusting(&world, &["quarantine", "replay", &id, "--private"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.out.contains("end: "), "{again:?}");
    assert_eq!(crashes(&world), count);

    mend(&world);
    let mended = run_trusting(&world, &["quarantine", "replay", &id, "--private", "--times", "2"]);
    assert_eq!(mended.code, Some(0), "{mended:?}");
    assert!(mended.out.starts_with("1: another end: ") && mended.err.contains("it stays quarantined"), "{mended:?}");
    assert_eq!((done(&world), listed(&mut client).len()), (2, 1));
    let after = client.status("fragile");
    assert_eq!((&before["pid"], &before["restarts"]), (&after["pid"], &after["restarts"]));

    // A file needs no daemon, where the folder of the module is named.
    let crash = newest_crash(&world);
    let modules = world.path("modules");
    world.stop();
    let alone =
        run_trusting(&world, &["replay", crash.to_str().unwrap(), "--private", "--modules", modules.to_str().unwrap()]);
    assert_eq!((alone.code, done(&world)), (Some(0), 3), "{alone:?}");
    nothing_is_left(&world);
}

#[test]
fn a_private_host_whose_module_does_not_load_is_refused_with_the_reason() {
    let (mut world, mut client) = started();
    let id = quarantined(&mut client, None);
    put(&folder(&world).join("main.py"), "raise SystemExit('no ink')\n");
    let failed = run_trusting(&world, &["quarantine", "replay", &id, "--private"]);
    assert!(failed.code == Some(1) && failed.out.is_empty(), "{failed:?}");
    assert!(failed.err.contains("under the private host") && failed.err.contains("no ink"), "{failed:?}");
    put(&folder(&world).join("module.toml"), "[module]\nname = \"fragile\"\ncommand = \"x\"\n");
    let faulty = run_trusting(&world, &["quarantine", "replay", &id, "--private"]);
    assert!(faulty.code == Some(2) && faulty.err.contains("module.toml"), "{faulty:?}");
    let empty = world.path("empty");
    fs::create_dir(&empty).unwrap();
    let missing =
        run_trusting(&world, &["quarantine", "replay", &id, "--private", "--modules", empty.to_str().unwrap()]);
    assert!(missing.code == Some(2) && missing.err.contains("expected the module fragile in"), "{missing:?}");
    let unknown = run_trusting(&world, &["quarantine", "replay", &id, "--private", "--to", "nothing"]);
    assert_eq!(unknown.code, Some(4), "{unknown:?}");
    assert_eq!(listed(&mut client).len(), 1);
    nothing_is_left(&world);
    world.stop();
}

fn newest_crash(world: &World) -> PathBuf {
    let entries = fs::read_dir(world.state().join("crashes")).unwrap();
    entries.map(|entry| entry.unwrap().path()).max_by_key(|path| number(path)).expect("there was a crash")
}

fn number(path: &Path) -> u64 {
    path.file_stem().unwrap().to_str().unwrap().rsplit('-').next().unwrap().parse().unwrap()
}

fn crashes(world: &World) -> usize {
    world.client().supervisor("crashes", json!({ "name": "fragile" }))["crashes"].as_array().unwrap().len()
}

/// No folder and no process of a private host of this test is left.
fn nothing_is_left(world: &World) {
    until("the end of all test hosts", || {
        let processes = world.processes();
        processes.iter().all(|process| !process.command.contains("test-host")).then_some(())
    });
    assert_eq!(fs::read_dir(world.path("tmp")).unwrap().count(), 0, "its folder is removed");
}
