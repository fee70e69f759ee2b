//! A data store that is restored from a backup gives cursors again. A follower that resumes from an earlier cursor
//! learns what is not there any more, and gets everything that was stored instead; modules resume from their own
//! positions.

use crate::support::{emit, failure, one};
use bulkhead_protocol::ErrorCode;
use bulkhead_tests::{Caller, Running, World, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn emit_all(client: &mut Caller, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|n| drop(emit(client, "a.b", json!(n))));
}

fn epoch(client: &mut Caller) -> String {
    client.supervisor("status", Value::Null)["host"]["layer1"]["epoch"].as_str().unwrap().to_owned()
}

fn backup(world: &World) -> PathBuf {
    let backup = world.path("b.db");
    assert!(world.bulkhead(&["layer1", "backup", backup.to_str().unwrap()]).status.success());
    backup
}

/// Replaces the database of a host that has ended by the backup, as the manual says.
fn restore(world: &World, backup: &Path) {
    let folder = world.state().join("layer1");
    for entry in fs::read_dir(&folder).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    fs::copy(backup, folder.join("layer1.db")).unwrap();
}

/// What a follower with these args gets: the report where it begins, and the next events, each of this epoch.
fn reported(client: &mut Caller, args: Value, events: usize) -> (Value, Vec<(u64, u64)>) {
    let now = epoch(client);
    let id = client.send_command("supervisor", "events", args);
    let begin = client.progress(id);
    assert_eq!((&begin["following"], &begin["epoch"]), (&json!(true), &json!(now)), "{begin}");
    let mut one = || {
        let event = client.progress(id);
        assert_eq!(event["epoch"], now, "{event}");
        (event["cursor"].as_u64().unwrap(), event["data"].as_u64().unwrap())
    };
    let reported = (0..events).map(|_| one()).collect();
    (begin["lost"].clone(), reported)
}

/// Three events, a backup, three more, the backup put back, and three instead of them; with the previous epoch.
fn restored() -> (World, Caller, String) {
    let mut world = World::new();
    world.start();
    let mut client = world.client();
    emit_all(&mut client, 1..=3);
    let (backup, first) = (backup(&world), epoch(&mut client));
    emit_all(&mut client, 4..=6);
    world.stop();
    restore(&world, &backup);
    world.start();
    let mut client = world.client();
    emit_all(&mut client, 104..=107);
    assert_ne!(epoch(&mut client), first);
    (world, client, first)
}

#[test]
fn a_follower_learns_what_a_restored_store_has_lost_and_gets_what_came_in_its_place() {
    let (mut world, mut client, first) = restored();
    let second = epoch(&mut client);
    let since = vec![(4, 104), (5, 105), (6, 106), (7, 107)];
    // Only by its epoch is cursor 6 not taken for that of event 106.
    assert_eq!(reported(&mut client, json!({ "after": 6, "epoch": first }), 4), (json!(3), since.clone()));
    assert_eq!(reported(&mut client, json!({ "after": 3, "epoch": first }), 4), (json!(0), since.clone()));
    assert_eq!(reported(&mut client, json!({ "after": 2, "epoch": first }), 2), (json!(0), vec![(3, 3), (4, 104)]));
    assert_eq!(reported(&mut client, json!({ "after": 6, "epoch": second }), 1), (json!(0), vec![(7, 107)]));
    assert_eq!(reported(&mut client, json!({ "after": 6, "epoch": "0000000" }), 4), (json!(3), since.clone()));
    assert_eq!(reported(&mut client, json!({ "after": 9 }), 4), (json!(6), since));
    assert_eq!(reported(&mut client, json!({ "after": 6 }), 1), (json!(0), vec![(7, 107)]));
    for args in
        [json!({ "epoch": first }), json!({ "after": 1, "epoch": "" }), json!({ "after": 1, "epoch": "x".repeat(65) })]
    {
        let id = client.send_command("supervisor", "events", args.clone());
        assert_eq!(failure(client.answer(id)).code, ErrorCode::BadRequest, "{args}");
    }
    world.stop();
}

#[test]
fn an_epoch_stays_over_restarts_and_kills_and_stands_beside_every_cursor() {
    let mut world = World::new();
    world.start();
    let mut client = world.client();
    let first = epoch(&mut client);
    assert!(!first.is_empty() && first.len() <= 64);
    assert_eq!(emit(&mut client, "a.b", json!(1)), json!({ "subscribers": 0, "cursor": 1, "epoch": first }));
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGKILL] {
        world.end_host(signal);
        world.start();
        let mut client = world.client();
        assert_eq!(epoch(&mut client), first);
        assert_eq!(reported(&mut client, json!({ "after": 0, "epoch": first }), 1), (json!(0), vec![(1, 1)]));
    }
    world.stop();
}

#[test]
fn a_store_that_was_made_anew_sends_everything_it_has() {
    let (mut world, _, first) = restored();
    world.stop();
    fs::remove_dir_all(world.state()).unwrap();
    world.start();
    let mut client = world.client();
    emit_all(&mut client, 201..=202);
    assert_eq!(reported(&mut client, json!({ "after": 6, "epoch": first }), 2), (json!(6), vec![(1, 201), (2, 202)]));
    world.stop();
}

#[test]
fn the_command_goes_on_over_a_restore_and_says_what_is_lost() {
    let mut world = World::new();
    world.start();
    let mut client = world.client();
    emit_all(&mut client, 1..=3);
    let backup = backup(&world);
    emit_all(&mut client, 4..=6);
    let events = Running::start(&world, &["events", "a.*", "--from-beginning", "--reconnect", "--json"]);
    let data = |line: String| serde_json::from_str::<Value>(&line).unwrap()["data"].clone();
    (1..=6).for_each(|n| assert_eq!(data(events.line()), json!(n)));
    world.end_host(Signal::SIGTERM);
    restore(&world, &backup);
    world.start();
    emit_all(&mut world.client(), 104..=106);
    // Also events whose cursors it had seen before.
    (104..=106).for_each(|n| assert_eq!(data(events.line()), json!(n)));
    emit_all(&mut world.client(), [107]);
    assert_eq!(data(events.line()), json!(107));
    drop(events);
    world.stop();
}

#[test]
fn a_module_goes_on_from_its_position_in_what_was_restored() {
    const TAKER: &str = "[capabilities]\nevent_subscribe = [\"a.*\"]\nentity_create = [\"Seen\"]\n[config]\n\
                         on_event = [{ mutation = { entity = \"Seen\", operation = \"create\", data = {} } }]";
    let Some((mut world, mut client)) = one(TAKER) else { return };
    let seen = |client: &mut Caller| crate::support::count(client, "Seen");
    emit_all(&mut client, 1..=3);
    until("the module has seen three", || (seen(&mut client) == 3).then_some(()));
    let backup = backup(&world);
    emit_all(&mut client, 4..=6);
    until("the module has seen six", || (seen(&mut client) == 6).then_some(()));
    world.stop();
    restore(&world, &backup);
    world.start();
    let mut client = world.client();
    assert_eq!(seen(&mut client), 3);
    emit_all(&mut client, 104..=105);
    until("the module has seen what came in their place", || (seen(&mut client) == 5).then_some(()));
    let place = client.supervisor("layer1", Value::Null)["subscriptions"][0].clone();
    assert_eq!((&place["missed"], &place["behind"]), (&json!(0), &json!(0)), "{place}");
    world.stop();
}
