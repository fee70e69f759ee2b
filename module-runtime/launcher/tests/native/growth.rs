//! Ten thousand messages leave nothing behind in the process that handled them.

use crate::support::{Library, end};
use bulkhead_module::testing::{Program, RequestType};
use bulkhead_protocol::Json;
use serde_json::json;

const MESSAGES: usize = 10_000;
/// How many come before the first look: what is allocated once is allocated then.
const MESSAGES_BEFORE: usize = 1_000;
/// A byte lost with every message would not be seen; sixteen are half of this.
const GROWTH_KB_MAX: u64 = 320;

#[test]
fn ten_thousand_messages_of_every_type_leave_the_memory_as_it_was() {
    let mut program = Library::of_the_samples("specimen_c.so").start();
    for message in 0..MESSAGES_BEFORE {
        send(&mut program, message);
    }
    let before = resident_kb(&program);
    for message in 0..MESSAGES {
        send(&mut program, message);
    }
    let after = resident_kb(&program);
    assert!(after <= before + GROWTH_KB_MAX, "{before} kB grew to {after} kB");
    end(program);
}

/// One message of a kind that depends on its number, and its answer.
fn send(program: &mut Program, number: usize) {
    let text = "ü".repeat(number % 97);
    let id = match number % 6 {
        0 => program.send_command("echo", json!({ "text": text })),
        1 => program.send(RequestType::Query, Json::of(&json!(text))),
        2 => program.send(RequestType::Event, Json::of(&json!({ "event": "a.b", "data": text }))),
        3 => program.send_command("fail", json!({ "code": "own", "message": text })),
        4 => program.send_command("no-such-command", json!({})),
        _ => {
            let id = program.send_command("ask_query", json!({ "payload": text }));
            let asked = program.message().expect("the question comes first");
            program.succeed(asked["id"].as_u64().expect("a question has an id"), json!(text));
            id
        }
    };
    let answer = program.answer(id);
    assert_eq!(answer.is_err(), matches!(number % 6, 3 | 4), "{answer:?}");
}

fn resident_kb(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says it");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}
