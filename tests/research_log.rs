//! The research log with the real host: what was acknowledged survives any crash, and for a hundred thousand entries
//! the module needs no more memory than for a page of them.

use bulkhead_client::ClientError;
use bulkhead_protocol::{Request, RequestType, Status};
use bulkhead_tests::{Caller, RESEARCH_LOG, World, kill, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const LOG: &str = "research-log";

fn log_book() -> (World, Caller) {
    let mut world = World::new();
    let rest = format!("[restart]\nat_once_after = \"0s\"\n{RESEARCH_LOG}");
    world.module(LOG, LOG, &rest).start();
    let mut client = world.client();
    client.wait_ready(LOG);
    client.call(LOG, "create_log", json!({ "title": "One" })).unwrap();
    (world, client)
}

fn entry(number: usize, key: Option<String>) -> Request {
    // Half of them name their log, which is another path through the module.
    let mut args = json!({ "text": format!("entry {number}") });
    if number.is_multiple_of(2) {
        args["log"] = "One".into();
    }
    let mut request = Caller::command(LOG, "add_entry", args);
    request.key = key;
    request
}

/// The numbers of the entries that are there, in their order.
fn stored(client: &mut Caller) -> Vec<usize> {
    let page = client.call(LOG, "query_logs", json!({ "limit": 10_000 })).unwrap();
    assert_eq!(page["next"], Value::Null);
    let number = |entry: &Value| entry["text"].as_str().unwrap().strip_prefix("entry ").unwrap().parse().unwrap();
    page["entries"].as_array().unwrap().iter().map(number).collect()
}

/// Reads so many answers, or as many as come before the host is gone; returns the numbers of the entries that were
/// acknowledged.
fn acknowledged(client: &mut Caller, asked: &BTreeMap<u64, usize>, answers: usize) -> BTreeSet<usize> {
    let responses = (0..answers).map_while(|_| match client.receive(Some(bulkhead_tests::timeout())) {
        Ok(response) => Some(response),
        Err(ClientError::TimedOut) => panic!("expected {answers} answers, found fewer"),
        Err(_) => None,
    });
    let successes = responses.filter(|response| matches!(response.status, Status::Success(_)));
    successes.map(|response| asked[&response.id.unwrap()]).collect()
}

#[test]
fn every_acknowledged_entry_survives_the_death_of_the_module_and_of_the_host() {
    let (mut world, mut client) = log_book();
    let mut acknowledgements = BTreeSet::new();
    let mut sent = 0;
    for round in 0..6 {
        let pid = client.pid(LOG);
        let asked: BTreeMap<u64, usize> =
            (sent..sent + 200).map(|number| (client.send(&entry(number, None)).unwrap(), number)).collect();
        sent += 200;
        let early = 10 + 25 * round;
        acknowledgements.extend(acknowledged(&mut client, &asked, early));
        if round % 2 == 0 {
            // Requests that had begun get an error, all others are done; in both cases each is answered.
            kill(pid, Signal::SIGKILL);
            acknowledgements.extend(acknowledged(&mut client, &asked, 200 - early));
        } else {
            world.end_host(Signal::SIGKILL);
            acknowledgements.extend(acknowledged(&mut client, &asked, 200 - early));
            world.start();
            client = world.client();
        }
        client.wait_ready(LOG);
        let found = stored(&mut client);
        let unique: BTreeSet<usize> = found.iter().copied().collect();
        assert_eq!(unique.len(), found.len(), "an entry is there twice");
        let lost: Vec<_> = acknowledgements.difference(&unique).collect();
        assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
        acknowledgements = unique;
    }
    world.stop();
}

#[test]
fn keyed_entries_are_there_once_however_often_they_are_sent_and_whatever_dies() {
    let (mut world, mut client) = log_book();
    let key = |number| Some(format!("import-{number}"));
    let mut acknowledgements: BTreeMap<usize, String> = BTreeMap::new();
    for round in 0..4 {
        let asked: BTreeMap<u64, usize> =
            (0..300).map(|number| (client.send(&entry(number, key(number))).unwrap(), number)).collect();
        for _ in 0..(40 + 60 * round) {
            let response = client.receive(Some(bulkhead_tests::TIMEOUT)).unwrap();
            let Status::Success(data) = response.status else { panic!("{response:?}") };
            let data: Value = data.read().unwrap();
            let id = data["id"].as_str().unwrap().to_owned();
            let first = acknowledgements.entry(asked[&response.id.unwrap()]).or_insert_with(|| id.clone());
            assert_eq!(*first, id, "the same key is the same work");
        }
        if round % 2 == 0 {
            world.end_host(Signal::SIGKILL);
            world.start();
        }
        client = world.client();
        client.wait_ready(LOG);
    }
    let ids: Vec<u64> = (0..300).map(|number| client.send(&entry(number, key(number))).unwrap()).collect();
    for id in ids {
        client.answer(id).unwrap();
    }
    let mut found = stored(&mut client);
    found.sort_unstable();
    assert_eq!(found, (0..300).collect::<Vec<_>>());
    world.stop();
}

#[test]
fn a_session_has_one_log_whatever_dies_while_it_is_opened() {
    const SESSIONS: usize = 40;
    let (mut world, mut client) = log_book();
    for session in 0..SESSIONS {
        let payload = json!({ "event": "research_session.started", "data": { "session": session } });
        client.ask(&Request::new(None, RequestType::Event, payload.into())).unwrap();
        if session % 10 == 5 {
            kill(client.pid(LOG), Signal::SIGKILL);
            client.until_status(LOG, "it is back", |status| status["state"] == "ready");
        }
        if session == 22 {
            world.end_host(Signal::SIGKILL);
            world.start();
            client = world.client();
            client.wait_ready(LOG);
        }
    }
    let last = format!("Session {}", SESSIONS - 1);
    until("the last session has its log", || client.call(LOG, "query_logs", json!({ "log": last })).ok());
    let all = json!({ "entity": "ResearchLog", "order": "$id", "limit": 1000 });
    let all = client.ask(&Request::new(None, RequestType::Query, all.into()).to("layer1")).unwrap();
    let titles: Vec<&str> =
        all["entities"].as_array().unwrap().iter().map(|log| log["data"]["title"].as_str().unwrap()).collect();
    let sessions = (0..SESSIONS).map(|session| format!("Session {session}"));
    assert_eq!(titles, std::iter::once("One".to_owned()).chain(sessions).collect::<Vec<_>>());
    world.stop();
}

/// The peak memory of a process, in KiB.
fn peak_kib(pid: i64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_hundred_thousand_entries_are_asked_about_without_loading_them_all() {
    const ENTRIES: usize = 100_000;
    let (mut world, mut client) = log_book();
    let mut create = |entity: &str, data: Vec<Value>| -> Vec<String> {
        let operations: Vec<Value> =
            data.into_iter().map(|data| json!({ "entity": entity, "operation": "create", "data": data })).collect();
        let payload = json!({ "operations": operations });
        let made = client.ask(&Request::new(None, RequestType::Mutation, payload.into()).to("layer1")).unwrap();
        made["results"].as_array().unwrap().iter().map(|made| made["id"].as_str().unwrap().to_owned()).collect()
    };
    let log = |title: &str| {
        json!({ "title": title, "description": null, "researcher": null, "tags": [], "template": "standard",
            "sections": [], "created": "2026-01-01T00:00:00Z" })
    };
    let logs = create("ResearchLog", vec![log("Rare"), log("Many")]);
    let text = "words and words of a text that is about as long as what people write into a log book in one go";
    for from in (0..ENTRIES).step_by(1000) {
        let entries = (from..from + 1000).map(|n| {
            let day = n / 4000 + 1;
            json!({ "log": logs[usize::from(n % 1000 != 0)], "type": if n % 3 == 0 { "task" } else { "note" },
                "time": format!("2026-01-{day:02}T00:00:00.000000Z"), "researcher": format!("r{}", n % 10),
                "tags": [format!("t{}", n % 100), "all"], "references": [], "text": format!("entry{n} {text}") })
        });
        create("ResearchEntry", entries.collect());
    }
    let pid = client.pid(LOG);
    let before = peak_kib(pid);
    let mut ask = |name: &str, args: Value| client.call_within(120_000, LOG, name, args).unwrap();

    let activity = ask("analyze_activity", json!({}));
    assert_eq!((&activity["entries"], &activity["days_active"]), (&json!(ENTRIES), &json!(25)));
    assert_eq!(activity["by_type"], json!({ "note": 66_666, "task": 33_334 }));
    assert_eq!(activity["by_tag"][0], json!({ "tag": "all", "entries": ENTRIES }));
    assert_eq!(activity["by_log"][1], json!({ "log": logs[0], "entries": 100 }));
    assert_eq!(activity["by_day"].as_array().unwrap().len(), 25);
    assert_eq!(ask("analyze_activity", json!({ "log": "Rare" }))["entries"], 100);
    assert_eq!(ask("analyze_activity", json!({ "researcher": "r3", "since": "2026-01-25" }))["entries"], 400);

    let first = |page: &Value| page["entries"][0]["text"].as_str().unwrap().split(' ').next().unwrap().to_owned();
    let newest = ask("query_logs", json!({ "order": "newest", "limit": 1 }));
    assert_eq!(first(&newest), format!("entry{}", ENTRIES - 1));
    assert_eq!(first(&ask("query_logs", json!({ "search": "entry77777" }))), "entry77777");
    assert_eq!(first(&ask("query_logs", json!({ "text": "NTRY99999" }))), "entry99999");
    assert_eq!(
        first(&ask("query_logs", json!({ "tag": ["t42", "all"], "since": "2026-01-10", "limit": 1 }))),
        "entry36042"
    );
    let mut after = json!(null);
    let mut seen = 0;
    loop {
        let page = ask("query_logs", json!({ "log": "Many", "limit": 10_000, "after": after, "type": "task" }));
        seen += page["entries"].as_array().unwrap().len();
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    // A third of all, except those in the rare log.
    assert_eq!(seen, 33_334 - 34);
    // All of them are 25 MiB of JSON, and twice that as values; ten thousand in an answer are a tenth of it.
    let grown = peak_kib(pid) - before;
    assert!(grown < 24 * 1024, "the module took {grown} KiB more");
    world.stop();
}
