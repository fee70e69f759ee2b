//! What a command costs through the attribute `module`, beside the same command written by hand. It is no guide:
//! `cargo bench -p bulkhead-bench --bench instructions` runs it under valgrind, which counts instructions, once with few
//! calls and once with more. The difference for each call goes from the payload as it is on the wire to the text of the
//! answer.
//!
//! The attribute may cost 2 % more. With Rust 1.95 on x86-64 it cost less: 1,331 instructions and by hand 1,847 for
//! `ping`, 3,512 and 6,008 for `add`, 8,911 and 9,596 for `order`.

use bulkhead_module::testing::{Harness, RequestType};
use bulkhead_module::{Context, Description, Error, Init, Json, JsonSchema, Module, arguments, json, module};
use serde::{Deserialize, Serialize};
use std::hint::black_box;

/// By hand.
struct ByHand {
    count: u64,
}

#[derive(Deserialize)]
struct Add {
    item: String,
    count: u64,
    note: Option<String>,
}

#[derive(Deserialize)]
struct Order {
    id: String,
    lines: Vec<Line>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Line {
    item: String,
    count: u64,
}

#[derive(Deserialize)]
struct NoArguments {}

impl Module for ByHand {
    fn describe() -> Description {
        Description::new("cost", "1").command("add", "").command("order", "").command("ping", "")
    }

    fn init(_: &Init) -> Result<ByHand, Error> {
        Ok(ByHand { count: 0 })
    }

    fn command(&mut self, _: &mut Context<'_>, name: &str, args: &Json) -> Result<Json, Error> {
        match name {
            "add" => {
                let Add { item, count, note } = arguments(args)?;
                self.count = self.count.wrapping_add(count + (item.len() + note.map_or(0, |note| note.len())) as u64);
            }
            "order" => {
                let Order { id, lines } = arguments(args)?;
                self.count = lines.iter().fold(id.len() as u64, |sum, line| sum + line.count + line.item.len() as u64);
            }
            "ping" => {
                let NoArguments {} = arguments(args)?;
            }
            other => return Err(Error::unknown_command(other)),
        }
        Ok(json!({ "count": self.count }))
    }
}

/// By the attribute.
#[derive(Default)]
struct ByMacro {
    count: u64,
}

#[derive(Serialize, JsonSchema)]
struct Counted {
    count: u64,
}

#[module(name = "cost", version = "1")]
impl ByMacro {
    #[command]
    fn add(&mut self, item: String, count: u64, note: Option<String>) -> Result<Counted, Error> {
        self.count = self.count.wrapping_add(count + (item.len() + note.map_or(0, |note| note.len())) as u64);
        Ok(Counted { count: self.count })
    }

    #[command]
    fn order(&mut self, id: String, lines: Vec<Line>) -> Result<Counted, Error> {
        self.count = lines.iter().fold(id.len() as u64, |sum, line| sum + line.count + line.item.len() as u64);
        Ok(Counted { count: self.count })
    }

    #[command]
    fn ping(&mut self) -> Counted {
        Counted { count: self.count }
    }
}

fn calls<M: Module>(payload: &Json, count: usize) {
    let mut harness = Harness::<M>::start(json!({})).expect("it starts");
    for _ in 0..count {
        black_box(harness.send(RequestType::Command, black_box(payload))).expect("it is answered");
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [way, command, count] = words[..] else {
        eprintln!("usage: macro_cost trait|macro add|order|ping CALLS");
        std::process::exit(2);
    };
    let payload = match command {
        "add" => r#"{"name":"add","args":{"item":"bolt","count":5,"note":"for the door"}}"#,
        "order" => {
            r#"{"name":"order","args":{"id":"o-17","lines":[{"item":"bolt","count":5},{"item":"nut","count":40}]}}"#
        }
        _ => r#"{"name":"ping"}"#,
    };
    let payload = Json::parse(payload).expect("it is JSON");
    let count = count.parse().expect("a number of calls");
    match way {
        "trait" => calls::<ByHand>(&payload, count),
        _ => calls::<ByMacro>(&payload, count),
    }
}
