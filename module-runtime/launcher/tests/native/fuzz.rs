//! A library that answers anything: random bytes, random JSON, JSON that is cut or changed. In each case the request is
//! answered, and the process lives and ends well.

use crate::support::{Library, send_init, to_answer};
use bulkhead_module::testing::{Program, RequestType, Scratch};
use bulkhead_protocol::{Json, OnPanic};
use serde_json::json;

const ANSWERS: u64 = 3_000;
const STARTS: u64 = 300;
/// So many requests are sent before their answers are read.
const AHEAD: u64 = 50;

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Something that a library may answer.
fn answer(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => (0..random.below(64)).map(|_| random.below(256) as u8).collect(),
        1 => {
            let mut bytes = object(random, 3).into_bytes();
            bytes.truncate(random.below(bytes.len() + 1));
            bytes
        }
        2 => {
            let mut bytes = object(random, 3).into_bytes();
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
            bytes
        }
        _ => object(random, 3).into_bytes(),
    }
}

/// An object with the members that mean something, and values that they should not have.
fn object(random: &mut Random, depth: usize) -> String {
    const NAMES: &[&str] = &[
        "status",
        "status",
        "data",
        "error",
        "message",
        "code",
        "module_code",
        "retryable",
        "permanent",
        "panicked",
        "delivery",
        "exit",
        "stderr",
        "name",
        "version",
        "commands",
        "features",
        "batch_answers",
        "id",
        "\\u0000",
        "",
    ];
    let members: Vec<String> =
        (0..random.below(5)).map(|_| format!("\"{}\":{}", random.pick(NAMES), value(random, depth))).collect();
    format!("{{{}}}", members.join(","))
}

fn value(random: &mut Random, depth: usize) -> String {
    const VALUES: &[&str] = &[
        "\"error\"",
        "\"success\"",
        "\"progress\"",
        "\"\"",
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1e999",
        "125",
        "18446744073709551616",
        "\"module_crashed\"",
        "\"not_found\"",
        "\"\\ud800\"",
        "[]",
        "{}",
        "[{\"name\":\"a\"}]",
        "{\"code\":300}",
        "{\"signal\":\"SIGX\"}",
        "\"started\"",
        "[\"line\"]",
        "\"\u{1F30A}\"",
    ];
    match random.below(8) {
        0 if depth > 0 => object(random, depth - 1),
        1 => "[".repeat(200) + &"]".repeat(200),
        _ => random.pick(VALUES).to_owned(),
    }
}

fn is_alive(program: &mut Program) {
    assert_eq!(program.command("say", to_answer(b"[1]")), Ok(json!([1])));
}

#[test]
fn whatever_a_library_answers_the_caller_has_an_answer_and_the_process_lives() {
    let mut program = Library::build("parrot.c", &[]).start_with(|init| init.on_panic = OnPanic::Continue);
    let mut random = Random(0x5eed);
    for _ in 0..ANSWERS / AHEAD {
        let sent: Vec<(u64, Vec<u8>)> = (0..AHEAD)
            .map(|_| {
                let bytes = answer(&mut random);
                let payload = to_answer(&bytes);
                let id = match random.below(4) {
                    0 => program.send(RequestType::Query, payload.into()),
                    1 => program.send(RequestType::Mutation, payload.into()),
                    2 => program.send(RequestType::Event, json!({ "event": "a.b", "data": payload }).into()),
                    _ => program.send_command("say", payload),
                };
                (id, bytes)
            })
            .collect();
        for (id, bytes) in sent {
            if program.try_answer(id).is_none() {
                panic!("no answer after {:?}: {:?}", String::from_utf8_lossy(&bytes), program.finish());
            }
        }
        is_alive(&mut program);
    }
    let shutdown = program.send(RequestType::Shutdown, Json::of(&to_answer(b"\xff")));
    assert_eq!(program.answer(shutdown), Ok(json!(null)));
    assert_eq!(program.finish().0, Some(0));
}

#[test]
fn whatever_a_library_says_of_itself_it_starts_or_says_why_not() {
    let mut random = Random(0xace);
    let scratch = Scratch::new();
    let file = scratch.path().join("metadata");
    let library = Library::build("parrot.c", &[&format!("METADATA_FILE=\"{}\"", file.display())]);
    for _ in 0..STARTS {
        let (metadata, greeting) = (answer(&mut random), answer(&mut random));
        std::fs::write(&file, metadata).unwrap();
        let mut program = library.spawn();
        match send_init(&mut program, |init| init.config = Json::of(&to_answer(&greeting))) {
            Ok(_) => is_alive(&mut program),
            Err(failure) => {
                assert!(failure["error"].is_string(), "{failure}");
                assert!(matches!(program.finish().0, Some(1 | 125)));
            }
        }
    }
}
