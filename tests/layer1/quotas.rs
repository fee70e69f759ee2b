//! What a module makes the host store is bounded: its events, the answers under its keys, and what both take on the
//! disk.

use crate::support::{add_steps, create, emit, failure, keyed, world};
use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Caller, World, until};
use serde_json::{Value, json};

const MIB: u64 = 1024 * 1024;

/// How many bytes the data store's files have.
fn stored(world: &World) -> u64 {
    let files = std::fs::read_dir(world.path("state/layer1")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// What is stored for an owner.
fn owner(client: &mut Caller, name: &str) -> Value {
    let owners = client.supervisor("layer1", Value::Null)["owners"].clone();
    let found = owners.as_array().unwrap().iter().find(|one| one["owner"] == name);
    found.unwrap_or_else(|| panic!("{name} in {owners}")).clone()
}

#[test]
fn a_module_that_publishes_without_end_loses_its_own_oldest_events_and_none_of_others() {
    let Some(mut world) = world() else { return };
    add_steps(&world, "m", "[capabilities]\nevent_emit = [\"loud.*\"]\n[resources]\nstorage_quota = \"1MiB\"\n");
    add_steps(&world, "slow", "[capabilities]\nevent_subscribe = [\"still.*\", \"loud.*\"]\n");
    world.start();
    let mut client = world.client();
    client.wait_ready("m");
    client.wait_ready("slow");
    client.supervisor("stop", json!({ "name": "slow" }));
    let first = emit(&mut client, "still.said", json!(1))["cursor"].as_u64().unwrap();
    let lost = client.follow("module.events_lost");
    for _ in 0..2 {
        client.call("m", "do", json!([{ "burst": [40, 500_000] }])).unwrap();
        assert!(stored(&world) < 16 * MIB, "{} bytes", stored(&world));
    }
    emit(&mut client, "still.said", json!(2));
    let held = owner(&mut client, "m");
    assert_eq!(
        (&held["storage_quota"], &held["events_quota"], &held["keys_quota"]),
        (&json!(MIB), &json!(4 * MIB), &json!(MIB)),
        "{held}"
    );
    assert_eq!((&held["events"], held["event_bytes"].as_u64().unwrap() <= 4 * MIB), (&json!(8), true), "{held}");
    // A follower from the beginning is informed of those that are gone between others.
    let following = client.send_command("supervisor", "events", json!({ "after": first - 1, "pattern": "still.*" }));
    let mut reported = Vec::new();
    let mut gone = 0;
    while reported.len() < 2 {
        let progress = client.progress(following);
        match progress["lost"].as_u64() {
            Some(lost) => gone += lost,
            None => reported.push(progress["data"].clone()),
        }
    }
    assert_eq!((reported, gone), (vec![json!(1), json!(2)], 72));
    // So is the module that was away, and its account records it.
    client.supervisor("start", json!({ "name": "slow" }));
    client.event(lost, "module.events_lost");
    let (seen, missed) = until("it has seen or missed every event", || {
        let seen = client.call("slow", "do", json!([{ "number_seen": true }])).unwrap()[0].as_u64()?;
        let status = client.supervisor("layer1", Value::Null);
        let one = status["subscriptions"].as_array().unwrap().iter().find(|one| one["module"] == "slow").cloned()?;
        let missed = one["missed"].as_u64()?;
        (seen + missed >= 82).then_some((seen, missed))
    });
    // Some of the removed ones had been fetched for it before.
    assert!(seen + missed == 82 && (1..=72).contains(&missed), "{seen} seen, {missed} missed");
    world.stop();
}

#[test]
fn a_new_key_of_a_module_whose_keys_are_full_is_refused_before_anything_is_done() {
    let Some(mut world) = world() else { return };
    add_steps(&world, "m", "[capabilities]\ncall = [\"p\"]\n[resources]\nkeys_quota = \"1MiB\"\n");
    add_steps(&world, "p", "[capabilities]\nentity_create = [\"Done\"]\nentity_read = [\"*\"]\n");
    world.start();
    let mut client = world.client();
    client.wait_ready("m");
    client.wait_ready("p");
    let work = json!([{ "mutation": { "entity": "Done", "operation": "create", "data": {} } }, { "long": 600_000 }]);
    let mut ask = |key: &str| client.call("m", "do", json!([{ "call": ["p", "do", work, key] }])).unwrap()[0].clone();
    let first = ask("k1");
    assert!(first[1].as_str().is_some_and(|answer| answer.len() == 600_000), "{first}");
    assert!(ask("k2").is_array());
    let refused = ask("k3");
    assert_eq!(refused["code"], "permission_denied", "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("keys_quota"), "{refused}");
    // Earlier keys are still known, and a request without a key is done.
    assert_eq!(ask("k1"), first);
    let plain = client.call("m", "do", json!([{ "call": ["p", "do", work, null] }])).unwrap();
    assert!(plain[0].is_array(), "{plain}");
    assert_eq!(crate::support::count(&mut client, "Done"), 3);
    let held = owner(&mut client, "m");
    assert_eq!((&held["keys"], &held["keys_quota"]), (&json!(2), &json!(MIB)), "{held}");
    world.stop();
}

#[test]
fn all_clients_together_are_one_owner_with_the_quotas_of_the_hosts_file() {
    let Some(mut world) = world() else { return };
    add_steps(&world, "m", "");
    world.host_file("[layer1]\nclients_keys_quota = \"1KiB\"\nclients_events_quota = \"1KiB\"\n");
    world.start();
    let mut client = world.client();
    client.wait_ready("m");
    assert!(client.ask(&keyed("do", json!([{ "long": 2000 }]), "a")).is_ok());
    let mut other = world.client();
    let refused = failure(other.ask(&keyed("do", json!([{ "say": "never" }]), "b")));
    assert_eq!(refused.code, ErrorCode::PermissionDenied);
    assert!(refused.error.contains("the quota of all clients"), "{refused:?}");
    (0..100).for_each(|n| drop(create(&mut client, "Note", json!({ "n": n }))));
    let held = owner(&mut client, "");
    assert!(held["event_bytes"].as_u64().unwrap() <= 1024 && held["entities"] == 100, "{held}");
    world.stop();
}
