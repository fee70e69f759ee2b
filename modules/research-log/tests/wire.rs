//! The built program and the built library over the wire, on the host's own store, killed at critical points. The
//! host's part (keys, a second try, its own crash) is tested with the host.

use bulkhead_module::Json;
use bulkhead_module::testing::{Form, Message, Program, ProgramBuilder, Request, RequestType};
use bulkhead_module_testing::{Hosted, Layer1};
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

    fn start(self, store: &Layer1) -> Hosted {
        Hosted::new(self.builder().start(), store)
    }
}

fn store() -> Layer1 {
    Layer1::new(&[("ResearchLog", "title"), ("ResearchEntry", "log")], &[])
}

/// Sends all in one write and returns their ids.
fn send_together(hosted: &mut Hosted, texts: impl Iterator<Item = String>, log: Option<&str>) -> Vec<u64> {
    let program = hosted.program();
    let requests: Vec<Request> = texts
        .map(|text| {
            let mut args = json!({ "text": text });
            if let Some(log) = log {
                args["log"] = log.into();
            }
            Request::new(program.number(), RequestType::Command, json!({ "name": "add_entry", "args": args }).into())
        })
        .collect();
    let ids = requests.iter().filter_map(|request| request.id).collect();
    program.send_messages(&requests.into_iter().map(Message::Request).collect::<Vec<_>>());
    ids
}

fn entries(from: usize, to: usize) -> impl Iterator<Item = String> {
    (from..to).map(|number| format!("entry {number}"))
}

fn texts(hosted: &mut Hosted) -> Vec<String> {
    let page = hosted.command("query_logs", json!({ "limit": 10_000 })).unwrap();
    let text = |entry: &Value| entry["text"].as_str().unwrap().to_owned();
    page["entries"].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn every_entry_that_was_answered_is_there_after_a_kill_and_no_other() {
    for kind in KINDS {
        let store = store();
        let mut hosted = kind.start(&store);
        hosted.command("create_log", json!({ "title": "One" })).unwrap();
        let mut stored = 0;
        for (killed_after, log) in [(1, None), (40, Some("One")), (90, None), (150, Some("One"))] {
            let ids = send_together(&mut hosted, entries(stored, stored + 200), log);
            let mut answers = ids.iter();
            for id in answers.by_ref().take(killed_after) {
                hosted.answer(*id).expect("the program lives").unwrap();
                stored += 1;
            }
            hosted.program().kill();
            // What the program answered before it died counts, as for a host.
            while let Some(answer) = answers.next().and_then(|id| hosted.answer(*id)) {
                answer.unwrap();
                stored += 1;
            }
            hosted = kind.start(&store);
            assert_eq!(texts(&mut hosted), entries(0, stored).collect::<Vec<_>>());
        }
    }
}

#[test]
fn it_works_over_standard_input_and_output_and_shuts_down() {
    for kind in KINDS {
        let mut hosted = Hosted::new(kind.builder().form(Form::Stdio).start(), &store());
        hosted.command("create_log", json!({ "title": "One" })).unwrap();
        assert_eq!(hosted.events()[0].0, "research_log.created");
        let shutdown = hosted.program().send(RequestType::Shutdown, Json::null());
        assert_eq!(hosted.answer(shutdown), Some(Ok(json!(null))));
        assert_eq!(hosted.program().finish().0, Some(0));
    }
}

#[test]
fn a_journal_of_the_earlier_form_is_left_alone_and_reported() {
    for kind in KINDS {
        let scratch = bulkhead_module::testing::Scratch::new();
        let journal = scratch.path().join("journal.jsonl");
        std::fs::write(&journal, "something\n").unwrap();
        let mut program = kind.builder().data_dir(scratch.path()).start();
        program.kill();
        let said = program.finish().1;
        assert!(said.contains("journal.jsonl is of an earlier form of this module and is not read"), "{said}");
        assert_eq!(std::fs::read_to_string(&journal).unwrap(), "something\n");
    }
}

#[test]
fn a_store_that_refuses_is_reported_and_nothing_is_half_there() {
    for kind in KINDS {
        let store = store();
        let mut program = kind.builder().start();
        let id = program.send_command("create_log", json!({ "title": "One" }));
        // This test answers for the store: the first request is refused.
        let asked = program.message().unwrap();
        assert_eq!((&asked["type"], &asked["of"], asked.get("to")), (&json!("query"), &json!(id), None));
        let denied =
            bulkhead_module::Error::permission_denied("entity_read = [\"ResearchBook\"] is not in the manifest");
        program.fail(asked["id"].as_u64().unwrap(), &denied);
        let failure = program.answer(id).unwrap_err();
        assert!(failure["error"].as_str().unwrap().contains("entity_read"), "{failure}");
        assert_eq!(Hosted::new(program, &store).command("analyze_activity", json!({})).unwrap()["entries"], 0);
    }
}

/// The part of the module's page about this command.
fn on_page(command: &str) -> Option<&'static str> {
    const PAGE: &str = include_str!("../README.md");
    let heading = format!("`{command}`\n");
    PAGE.split("\n## ").find_map(|section| section.strip_prefix(heading.as_str()))
}

#[test]
fn the_page_has_every_command_that_is_declared_with_its_arguments() {
    let mut program = Program::at(PATH).spawn();
    let init = program.send_init();
    let ready = program.answer(init).expect("it is ready");
    let commands = ready["commands"].as_array().expect("it declares commands");
    assert_eq!(commands.len(), 6);
    for command in commands {
        let name = command["name"].as_str().unwrap();
        let section = on_page(name).unwrap_or_else(|| panic!("README.md has no section `{name}`"));
        let arguments = command["args"]["properties"].as_object().expect("it describes its arguments");
        assert!(!arguments.is_empty() && command["returns"]["type"] == "object", "{command}");
        // The filters are those of `query_logs`, which has rows for them.
        let section = if section.contains("are those of [`query_logs`]") {
            [section, on_page("query_logs").expect("it has a section")].concat()
        } else {
            section.to_owned()
        };
        for argument in arguments.keys() {
            assert!(section.contains(&format!("\n| `{argument}` |")), "the section `{name}` has no row for {argument}");
        }
    }
}
