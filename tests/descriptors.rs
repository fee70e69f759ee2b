//! A host that may open few files: a start beyond the limit is refused with the number that it needs and counted for no
//! module, running processes keep running, and an operator can still send requests.

use bulkhead_protocol::Json;
use bulkhead_tests::{Caller, World, kill, timeout, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};

const MODULES: usize = 40;

/// A host with many modules and that limit, as soon as each has reached the state that it can reach.
fn limited(limit: u64) -> (World, Caller) {
    let mut world = World::new().through(&format!("ulimit -n {limit} && exec \"$@\""));
    for n in 0..MODULES {
        world.module(&format!("m{n:02}"), "test-minimal", "");
    }
    let mut client = world.start().client();
    until("nothing starts any more", || {
        let states = states(&mut client);
        states.values().all(|state| state == "ready" || state == "waiting").then_some(())
    });
    (world, client)
}

fn states(client: &mut Caller) -> BTreeMap<String, String> {
    let status = client.supervisor("status", Value::Null);
    let modules = status["modules"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    modules.map(|module| (text(&module["name"]), text(&module["state"]))).collect()
}

fn named(states: &BTreeMap<String, String>, state: &str) -> Vec<String> {
    states.iter().filter(|(_, other)| *other == state).map(|(name, _)| name.clone()).collect()
}

/// The number of files that a module says is needed.
fn needed(status: &Value, limit: u64) -> u64 {
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("may have {limit} files open")), "{reason}");
    let words: Vec<&str> = reason.split([' ', ':']).collect();
    let at = words.iter().position(|word| *word == "needs").unwrap();
    words[at + 1].parse().unwrap()
}

#[test]
fn what_the_limit_does_not_allow_is_refused_with_the_number_and_counted_for_no_module() {
    let limit = 80;
    let (mut world, mut client) = limited(limit);
    // Of eighty, the host has some forty for itself, clients and what is open for a moment.
    let states = states(&mut client);
    let (ready, waiting) = (named(&states, "ready"), named(&states, "waiting"));
    assert!(ready.len() >= 8 && !waiting.is_empty(), "{states:?}");
    let mut enough = 0;
    for name in &waiting {
        let status = client.status(name);
        assert_eq!((&status["restarts"], &status["last_exit"]), (&json!(0), &Value::Null), "{status}");
        enough = needed(&status, limit);
    }
    assert!(enough > limit);
    let crashes = client.supervisor("crashes", json!({}));
    assert_eq!(crashes["crashes"].as_array().unwrap().len(), 0, "{crashes}");
    let refused = client.call("supervisor", "start", json!({ "name": waiting[0] })).unwrap_err();
    assert!(refused.error.contains(&enough.to_string()), "{refused:?}");

    // A running module comes back when it is killed, and after a restart.
    for name in &ready {
        let pid = client.pid(name);
        kill(pid, Signal::SIGKILL);
        client.until_status(name, "it is back", |status| status["state"] == "ready" && status["pid"] != pid);
        client.supervisor("restart", json!({ "name": name }));
    }
    assert_eq!(named(&self::states(&mut client), "waiting"), waiting);

    // A stopped module makes room for the next.
    client.supervisor("stop", json!({ "name": ready[0] }));
    until("another one has its place", || {
        (named(&self::states(&mut client), "ready").len() == ready.len()).then_some(())
    });
    let ended = world.end_host(Signal::SIGTERM);
    let reported = ended.stderr.matches("no module can be started any more").count();
    assert!((1..=3).contains(&reported), "{}", ended.stderr);
    assert!(!ended.stderr.contains("Too many open files"), "{}", ended.stderr);

    // With the number that the error names there is room for all.
    let (world, mut client) = limited(enough);
    assert_eq!(named(&self::states(&mut client), "ready").len(), MODULES);
    drop(world);
}

#[test]
fn the_guardian_comes_back_where_modules_and_clients_have_all_there_is() {
    let (mut world, mut client) = limited(80);
    let before = states(&mut client);
    // More clients than there is room for: the idle ones make room, and each that comes is answered.
    let mut clients: Vec<Caller> = Vec::new();
    for n in 0..60 {
        let mut another = world.client();
        let status = another.0.call("supervisor", "status", Json::null(), Some(timeout()));
        status.unwrap_or_else(|error| panic!("client {n} is not answered: {error}"));
        clients.push(another);
    }
    let open = std::fs::read_dir(format!("/proc/{}/fd", world.host().pid())).unwrap().count();
    assert!(open <= 80, "{open}");
    let mut client = clients.pop().unwrap();
    let guardian = client.guardian_pid();
    kill(guardian, Signal::SIGKILL);
    until("all that ran runs again", || {
        let now = states(&mut client);
        (named(&now, "ready").len() == named(&before, "ready").len()).then_some(())
    });
    drop(clients);
    world.stop();
}

#[test]
fn a_module_takes_one_descriptor_of_the_host_whatever_it_prints() {
    let mut world = World::new();
    let count = 12;
    for n in 0..count {
        world.module(&format!("m{n}"), "misbehave", "autostart = false");
    }
    let mut client = world.start().client();
    let open = |world: &mut World| fs::read_dir(format!("/proc/{}/fd", world.host().pid())).unwrap().count();
    let start = |client: &mut Caller, n: usize| {
        let name = format!("m{n}");
        client.supervisor("start", json!({ "name": name }));
        client.call(&name, "print", json!({ "line": "hello", "stream": "stderr" })).unwrap();
        client.until_status(&name, "its line is there", |status| status["log_tail"].to_string().contains("hello"));
    };
    start(&mut client, 0);
    let written = |world: &World, n: usize| {
        let path = world.state().join(format!("logs/m{n}.log"));
        until("its line is in its file", || {
            fs::read_to_string(&path).is_ok_and(|text| text.contains("hello")).then_some(())
        });
    };
    written(&world, 0);
    let before = open(&mut world);
    (1..count).for_each(|n| start(&mut client, n));
    (1..count).for_each(|n| written(&world, n));
    until("each takes one descriptor", || (open(&mut world) == before + count - 1).then_some(()));
    world.stop();
}
