//! The built program and the built library over the wire, killed where it hurts.

use bulkhead_module::Json;
use bulkhead_module::testing::{Form, Message, Program, ProgramBuilder, Request, RequestType, Scratch};
use serde_json::{Value, json};

const PATH: &str = env!("CARGO_BIN_EXE_research-log");

/// What the module is built as.
#[derive(Clone, Copy)]
enum Kind {
    Program,
    Library,
}

const KINDS: [Kind; 2] = [Kind::Program, Kind::Library];

impl Kind {
    fn builder(self) -> ProgramBuilder {
        match self {
            Kind::Program => Program::at(PATH),
            Kind::Library => Program::library("libresearch_log.so"),
        }
    }

    fn start(self, scratch: &Scratch) -> Program {
        self.builder().data_dir(scratch.path()).start()
    }
}

fn add_entry(number: u64) -> Request {
    let args = json!({ "text": format!("entry {number}") });
    Request::new(None, RequestType::Command, json!({ "name": "add_entry", "args": args }).into())
}

/// Sends all in one write and returns their ids.
fn send_together(program: &mut Program, requests: Vec<Request>) -> Vec<u64> {
    let numbered: Vec<Request> =
        requests.into_iter().map(|request| Request { id: Some(program.number()), ..request }).collect();
    let ids = numbered.iter().filter_map(|request| request.id).collect();
    program.send_messages(&numbered.into_iter().map(Message::Request).collect::<Vec<_>>());
    ids
}

fn texts(program: &mut Program) -> Vec<String> {
    let page = program.command("query_logs", json!({ "limit": 10_000 })).unwrap();
    let text = |entry: &Value| entry["text"].as_str().unwrap().to_owned();
    page["entries"].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn every_entry_that_was_answered_is_there_after_a_kill_and_none_is_there_twice() {
    for kind in KINDS {
        let scratch = Scratch::new();
        let mut program = kind.start(&scratch);
        program.command("create_log", json!({ "title": "One" })).unwrap();
        let ids = send_together(&mut program, (0..200).map(add_entry).collect());
        for id in &ids[..50] {
            program.answer(*id).unwrap();
        }
        program.kill();
        let mut answered = 50;
        while program.try_answer(ids[answered]).is_some_and(|answer| answer.is_ok()) {
            answered += 1;
            if answered == ids.len() {
                break;
            }
        }
        let mut program = kind.start(&scratch);
        let stored = texts(&mut program);
        // One more may have been stored than was answered: the one that was being handled.
        assert!(
            stored.len() == answered || stored.len() == answered + 1,
            "{} stored, {answered} answered",
            stored.len()
        );
        let expected: Vec<String> = (0..stored.len()).map(|number| format!("entry {number}")).collect();
        assert_eq!(stored, expected);
    }
}

#[test]
fn keyed_entries_that_are_sent_again_after_a_kill_are_there_once() {
    for kind in KINDS {
        let scratch = Scratch::new();
        let mut program = kind.start(&scratch);
        program.command("create_log", json!({ "title": "One" })).unwrap();
        let keyed = |number| Request { key: Some(format!("k-{number}")), ..add_entry(number) };
        for killed_after in [1, 40, 90, 150] {
            let ids = send_together(&mut program, (0..200).map(keyed).collect());
            for id in &ids[..killed_after] {
                program.answer(*id).unwrap();
            }
            program.kill();
            program = kind.start(&scratch);
        }
        let ids = send_together(&mut program, (0..200).map(keyed).collect());
        for (number, id) in ids.into_iter().enumerate() {
            assert_eq!(program.answer(id).unwrap()["id"], format!("entry-{}", number + 1));
        }
        let expected: Vec<String> = (0..200).map(|number| format!("entry {number}")).collect();
        assert_eq!(texts(&mut program), expected);
    }
}

#[test]
fn it_works_over_standard_input_and_output_and_shuts_down() {
    for kind in KINDS {
        let mut program = kind.builder().form(Form::Stdio).start();
        program.command("create_log", json!({ "title": "One" })).unwrap();
        // An event leaves before the answer to the change that it tells of.
        assert_eq!(program.message().unwrap()["payload"]["event"], "research_log.created");
        let shutdown = program.send(RequestType::Shutdown, Json::null());
        assert_eq!(program.answer(shutdown), Ok(json!(null)));
        assert_eq!(program.finish().0, Some(0));
    }
}

#[test]
fn a_broken_journal_is_no_reason_to_start_again_and_again() {
    for kind in KINDS {
        let scratch = Scratch::new();
        std::fs::write(scratch.path().join("journal.jsonl"), "something else\n").unwrap();
        let mut program = kind.builder().data_dir(scratch.path()).spawn();
        let init = program.send_init();
        let failure = program.answer(init).unwrap_err();
        assert!(failure["error"].as_str().unwrap().contains("journal.jsonl: line 1: expected the header"), "{failure}");
        assert_eq!(program.finish().0, Some(125));
    }
}

#[test]
fn a_full_disk_loses_nothing_and_says_so() {
    for kind in KINDS {
        // /dev/full cannot be a journal, so the limit on the size of files plays the full disk.
        let scratch = Scratch::new();
        let small_disk = ["/bin/sh", "-c", "ulimit -f 8; trap '' XFSZ; exec \"$0\" \"$@\""];
        let mut program = kind.builder().by_way_of(&small_disk).data_dir(scratch.path()).start();
        program.command("create_log", json!({ "title": "One" })).unwrap();
        program.command("add_entry", json!({ "text": "small" })).unwrap();
        let failure = program.command("add_entry", json!({ "text": "x".repeat(60_000) })).unwrap_err();
        assert!(failure["error"].as_str().unwrap().contains("cannot be written, and nothing was stored"), "{failure}");
        program.command("add_entry", json!({ "text": "small again" })).unwrap();
        drop(program);
        assert_eq!(texts(&mut kind.start(&scratch)), ["small", "small again"]);
    }
}
