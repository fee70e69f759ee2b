//! What the tests of the data store share: requests to it, and a module that does the steps of its commands.

use bulkhead_protocol::{Failure, Json, Request, RequestType};
use bulkhead_tests::{Answer, Caller, World};
use serde_json::{Value, json};
use std::{fs, process::Command};

const STEPS: &str = include_str!("steps.py");

/// The grants of a manifest that may do everything.
pub(crate) const ALL: &str = "[capabilities]\nentity_read = [\"*\"]\nentity_create = [\"*\"]\nentity_write = [\"*\"]\n\
                              entity_delete = [\"*\"]\nevent_emit = [\"*\"]\n";

/// A world, or `None` where there is no Python to run the module.
pub(crate) fn world() -> Option<World> {
    let found = Command::new("python3").args(["-c", "import json, socket, struct"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(World::new());
    }
    eprintln!("skipped: what a module does with the data store, because python3 cannot be run");
    None
}

/// Adds a module that does the steps of its commands; `rest` is the manifest after the common keys.
pub(crate) fn add_steps(world: &World, name: &str, rest: &str) {
    let inherited = r#"inherit_env = ["PYENV_ROOT", "PYENV_VERSION", "VIRTUAL_ENV"]"#;
    world.manifest(name, &format!("name = \"{name}\"\ncommand = [\"python3\", \"steps.py\"]\n{inherited}\n{rest}"));
    fs::write(world.path("modules").join(name).join("steps.py"), STEPS).unwrap();
}

/// A host with one such module, called `m`, ready.
pub(crate) fn one(rest: &str) -> Option<(World, Caller)> {
    let mut world = world()?;
    add_steps(&world, "m", rest);
    world.start();
    let mut client = world.client();
    client.wait_ready("m");
    Some((world, client))
}

pub(crate) fn failure(answer: Answer) -> Box<Failure> {
    match answer {
        Ok(data) => panic!("expected a failure, found {data}"),
        Err(failure) => failure,
    }
}

fn ask(client: &mut Caller, kind: RequestType, payload: &Value) -> Answer {
    client.ask(&Request::new(None, kind, Json::of(payload)).to("layer1"))
}

pub(crate) fn query(client: &mut Caller, payload: Value) -> Answer {
    ask(client, RequestType::Query, &payload)
}

pub(crate) fn mutate(client: &mut Caller, payload: Value) -> Answer {
    ask(client, RequestType::Mutation, &payload)
}

pub(crate) fn create(client: &mut Caller, entity: &str, data: Value) -> Value {
    mutate(client, json!({ "entity": entity, "operation": "create", "data": data })).unwrap()
}

pub(crate) fn creates(entity: &str, data: Value) -> Value {
    json!({ "mutation": { "entity": entity, "operation": "create", "data": data } })
}

/// How many entities of a type there are.
pub(crate) fn count(client: &mut Caller, entity: &str) -> u64 {
    let counted = query(client, json!({ "entity": entity, "limit": 0, "count": true })).unwrap();
    counted["count"].as_u64().unwrap()
}

pub(crate) fn emit(client: &mut Caller, event: &str, data: Value) -> Value {
    let payload = json!({ "event": event, "data": data });
    client.ask(&Request::new(None, RequestType::Event, payload.into())).unwrap()
}

/// A command with a key.
pub(crate) fn keyed(name: &str, args: Value, key: &str) -> Request {
    let mut request = Caller::command("m", name, args);
    request.key = Some(key.into());
    request
}
