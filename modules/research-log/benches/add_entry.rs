//! How many entries a second go over a raw channel, 64 in flight: without keys, where each waits
//! for the disk by itself, and with keys, where those that arrive together share the wait.

use bulkhead_module::testing::{Message, Program, Request, RequestType, Scratch};
use serde_json::json;
use std::time::Instant;

const ENTRIES: u64 = 20_000;
const IN_FLIGHT: u64 = 64;

fn main() {
    for (name, keyed) in [("without keys", false), ("with keys", true)] {
        let scratch = Scratch::new();
        let mut program = Program::at(env!("CARGO_BIN_EXE_research-log")).data_dir(scratch.path()).start();
        program.command("create_log", json!({ "title": "bench" })).expect("a log can be made");
        let began = Instant::now();
        let first = program.number() + 1;
        let (mut sent, mut answered) = (0, 0);
        while answered < ENTRIES {
            let mut batch = Vec::new();
            while sent < ENTRIES && sent - answered < IN_FLIGHT {
                let args = json!({ "text": format!("commit {sent}: a line as git log writes it"), "type": "progress" });
                let payload = json!({ "name": "add_entry", "args": args });
                let mut request = Request::new(program.number(), RequestType::Command, payload.into());
                request.key = keyed.then(|| format!("bench-{sent}"));
                batch.push(Message::Request(request));
                sent += 1;
            }
            program.send_messages(&batch);
            loop {
                let message = program.message().expect("the module answers");
                if message["id"] == first + answered {
                    assert_eq!(message["status"], "success", "{message}");
                    answered += 1;
                    if sent - answered <= IN_FLIGHT / 2 {
                        break;
                    }
                }
            }
        }
        let rate = ENTRIES as f64 / began.elapsed().as_secs_f64();
        println!("add_entry {name}: {rate:.0} entries/s");
    }
}
