//! The module's functions on the host's own store, without a process. What needs one is in `tests/`.

use super::*;
use bulkhead_module::testing::Harness;
use bulkhead_module::{Json, json};
use bulkhead_module_testing::Layer1;
use serde_json::{Value, json as value};

type Logbook = Harness<ResearchLog>;

/// As the manifest declares it.
fn store() -> Layer1 {
    Layer1::new(
        &[
            ("ResearchLog", "title"),
            ("ResearchLog", "session"),
            ("ResearchEntry", "log"),
            ("ResearchEntry", "researcher"),
        ],
        &[("ResearchEntry", &["text"])],
    )
}

fn start_on(store: &Layer1, config: Json) -> Logbook {
    Logbook::start(config).unwrap().with_store(store.clone())
}

/// A log book with one log, the active one, and its id.
fn start() -> (Logbook, String) {
    let mut harness = start_on(&store(), json!({}));
    let log = create(&mut harness, value!({ "title": "Yeast" }));
    harness.emitted();
    (harness, log)
}

fn create(harness: &mut Logbook, args: Value) -> String {
    let created = harness.command("create_log", args.into()).unwrap();
    created["log"]["id"].as_str().unwrap().to_owned()
}

fn add(harness: &mut Logbook, args: Value) -> Value {
    harness.command("add_entry", args.into()).unwrap()
}

fn refusal(harness: &mut Logbook, command: &str, args: Value) -> String {
    harness.command(command, args.into()).expect_err("it is refused").to_string()
}

fn texts(page: &Value) -> Vec<&str> {
    page["entries"].as_array().unwrap().iter().map(|entry| entry["text"].as_str().unwrap()).collect()
}

#[test]
fn an_entry_goes_to_the_active_log_and_is_published() {
    let mut harness = start_on(&store(), json!({ "default_researcher": "Ada" }));
    let no_log = refusal(&mut harness, "add_entry", value!({ "text": "x" }));
    assert!(no_log.starts_with("no log is active; name one"), "{no_log}");
    let made = harness.command("create_log", json!({ "title": "Yeast", "template": "experiment" })).unwrap();
    let log = made["log"]["id"].clone();
    assert_eq!((&made["log"]["sections"][0], &made["active"]), (&value!("Question"), &value!(true)));
    assert_eq!(
        harness.emitted(),
        [("research_log.created".to_owned(), value!({"log": log, "title": "Yeast", "researcher": "Ada"}))]
    );
    let time = "2026-03-01T12:00:00+02:00";
    let said = add(&mut harness, value!({ "text": "It rises.", "type": "observation", "time": time }));
    let id = said["id"].clone();
    assert_eq!(said, value!({"id": id, "log": log, "type": "observation", "time": "2026-03-01T10:00:00Z"}));
    assert_eq!(harness.emitted(), [("research_log.entry_added".to_owned(), said)]);
    let page = harness.command("query_logs", json!({})).unwrap();
    let entry = value!({"id": id, "log": log, "type": "observation", "time": "2026-03-01T10:00:00Z",
        "researcher": "Ada", "tags": [], "references": [], "text": "It rises."});
    assert_eq!(page, value!({"entries": [entry], "next": null}));
}

#[test]
fn another_process_goes_on_where_the_first_was() {
    let store = store();
    let mut first = start_on(&store, json!({}));
    let one = create(&mut first, value!({ "title": "One" }));
    create(&mut first, value!({ "title": "Two", "activate": false }));
    add(&mut first, value!({ "text": "a", "log": "Two", "tags": ["x", "y", "x"], "references": ["doi:1"] }));
    let before = first.command("query_logs", json!({})).unwrap();
    let mut second = start_on(&store, json!({}));
    assert_eq!(second.command("query_logs", json!({})).unwrap(), before);
    assert_eq!(before["entries"][0]["tags"], value!(["x", "y"]));
    assert_eq!(add(&mut second, value!({ "text": "b" }))["log"], one);
    // Both at once, too: each knows what the other one was sent.
    first.command("set_active_log", json!({ "log": "Two" })).unwrap();
    assert_ne!(add(&mut second, value!({ "text": "c" }))["log"], one);
}

#[test]
fn what_a_failed_request_did_is_not_there() {
    let (mut harness, _) = start();
    let error = harness.event("research_session.started", json!({ "session": "x".repeat(300) })).unwrap_err();
    assert!(error.to_string().starts_with("expected a title of at most 256 bytes"), "{error}");
    assert_eq!(harness.emitted(), []);
    assert!(refusal(&mut harness, "query_logs", value!({ "log": "Session" })).starts_with("no log has"));
}

#[test]
fn a_title_is_given_once_in_any_order() {
    let store = store();
    let (mut first, mut second) = (start_on(&store, json!({})), start_on(&store, json!({})));
    let one = create(&mut first, value!({ "title": "One" }));
    let error = second.command("create_log", json!({ "title": "One" })).unwrap_err();
    assert_eq!((error.code().name(), error.to_string()), ("conflict", format!("{one} has the title \"One\" already")));
    assert_eq!(error.data().unwrap().as_str(), format!("{{\"log\":\"{one}\"}}"));
    create(&mut second, value!({ "title": "Two" }));
    let book = store.query(json!({ "entity": "ResearchBook" })).unwrap();
    assert_eq!((book["entities"].as_array().unwrap().len(), &book["entities"][0]["data"]["logs"]), (1, &value!(2)));
}

#[test]
fn filters_choose_and_pages_lead_on() {
    let (mut harness, yeast) = start();
    create(&mut harness, value!({ "title": "Bread", "activate": false }));
    for entry in [
        value!({"text": "1 Sugar helps", "type": "hypothesis", "tags": ["a"], "time": "2026-01-01T00:00:00Z"}),
        value!({"text": "2 no change", "researcher": "Eve", "tags": ["a", "b"], "time": "2026-01-02T00:00:00Z"}),
        value!({"text": "3 SUGAR again", "log": "Bread", "time": "2026-01-03T00:00:00.5Z"}),
    ] {
        add(&mut harness, entry);
    }
    let all = harness.command("query_logs", json!({})).unwrap();
    let id = |at: usize| all["entries"][at]["id"].clone();
    for (filter, expected) in [
        (value!({}), "123"),
        (value!({"log": "Bread"}), "3"),
        (value!({"log": yeast}), "12"),
        (value!({"type": "hypothesis"}), "1"),
        (value!({"type": ["hypothesis", "note"], "log": yeast}), "12"),
        (value!({"type": []}), ""),
        (value!({"tag": "a"}), "12"),
        (value!({"tag": ["a", "b"]}), "2"),
        (value!({"tag": ["b", "a"]}), "2"),
        (value!({"tag": "never"}), ""),
        (value!({"researcher": "Eve"}), "2"),
        (value!({"researcher": "never"}), ""),
        (value!({"text": "sugar"}), "13"),
        (value!({"text": "UGA"}), "13"),
        (value!({"search": "sugar"}), "13"),
        (value!({"search": "sugar -again"}), "1"),
        (value!({"search": "uga"}), ""),
        (value!({"since": "2026-01-02"}), "23"),
        (value!({"since": "2026-01-03T00:00:00Z"}), "3"),
        (value!({"since": "2026-01-03T00:00:00.500001Z"}), ""),
        (value!({"until": "2026-01-02"}), "1"),
        (value!({"until": "2026-01-03T00:00:01Z", "since": "2026-01-03"}), "3"),
        (value!({"order": "newest", "limit": 2}), "32"),
        (value!({"order": "newest", "after": id(1)}), "1"),
        (value!({"after": id(0), "limit": 1}), "2"),
    ] {
        let page = harness.command("query_logs", filter.clone().into()).unwrap();
        let found: String = texts(&page).iter().filter_map(|text| text.chars().next()).collect();
        assert_eq!(found, expected, "{filter}");
    }
    let page = harness.command("query_logs", json!({ "limit": 2 })).unwrap();
    assert_eq!(page["next"], id(1));
    let rest = harness.command("query_logs", json!({ "limit": 2, "after": page["next"] })).unwrap();
    assert_eq!((texts(&rest).len(), &rest["next"]), (1, &value!(null)));
    let exact = harness.command("query_logs", json!({ "limit": 1, "after": page["next"] })).unwrap();
    assert_eq!(exact["next"], value!(null));
}

#[test]
fn activity_is_counted() {
    let (mut harness, log) = start();
    add(&mut harness, value!({"text": "1", "tags": ["a"], "time": "2026-01-01T10:00:00Z", "researcher": "Eve"}));
    add(&mut harness, value!({"text": "2", "tags": ["a", "b"], "time": "2026-01-01T11:00:00Z", "type": "task"}));
    let activity = harness.command("analyze_activity", json!({})).unwrap();
    assert_eq!(activity["by_type"], value!({"note": 1, "task": 1}));
    assert_eq!(activity["by_tag"], value!([{"tag": "a", "entries": 2}, {"tag": "b", "entries": 1}]));
    assert_eq!(activity["by_researcher"], value!([{"researcher": "Eve", "entries": 1}]));
    assert_eq!(activity["by_day"], value!([{"day": "2026-01-01", "entries": 2}]));
    assert_eq!(activity["by_log"], value!([{"log": log, "entries": 2}]));
    assert_eq!((&activity["active_log"], &activity["days_active"]), (&value!(log), &value!(1)));
    assert_eq!(
        (&activity["first"], &activity["last"]),
        (&value!("2026-01-01T10:00:00Z"), &value!("2026-01-01T11:00:00Z"))
    );
    assert_eq!(harness.command("analyze_activity", json!({ "text": "2" })).unwrap()["entries"], 1);
}

#[test]
fn no_question_has_more_than_a_page_in_memory() {
    let store = store();
    let mut harness = start_on(&store, json!({}));
    let log = create(&mut harness, value!({ "title": "Many" }));
    for from in (0..5000).step_by(1000) {
        let operations: Vec<Value> = (from..from + 1000)
            .map(|n| {
                let data = value!({"log": log, "type": "note", "time": "2026-01-01T00:00:00.000000Z", "researcher": null,
                    "tags": [format!("t{}", n % 7)], "references": [], "text": format!("entry {n}")});
                value!({"entity": "ResearchEntry", "operation": "create", "data": data})
            })
            .collect();
        store.mutate(json!({ "operations": operations })).unwrap();
    }
    harness.asked();
    let activity = harness.command("analyze_activity", json!({})).unwrap();
    assert_eq!((&activity["entries"], &activity["by_tag"][0]["entries"]), (&value!(5000), &value!(715)));
    let asked = harness.asked();
    assert_eq!(asked.len(), 6);
    assert!(asked[..5].iter().all(|asked| asked.payload["limit"] == 1000), "{asked:?}");
    let page = harness.command("query_logs", json!({ "text": "entry 4", "order": "newest", "limit": 3 })).unwrap();
    assert_eq!(texts(&page), ["entry 4999", "entry 4998", "entry 4997"]);
    assert_eq!(harness.asked().len(), 1);
    let all = harness.command("query_logs", json!({ "limit": 10_000 })).unwrap();
    assert_eq!(texts(&all)[4999], "entry 4999");
}

#[test]
fn exports_are_exact() {
    let (mut harness, log) = start();
    let time = "2026-01-01T10:00:00Z";
    let entry = add(
        &mut harness,
        value!({"text": "=1+1, \"so\"\n# two", "tags": ["a", "b"], "references": ["doi:1"], "time": time, "researcher": "E*e"}),
    );
    let id = entry["id"].as_str().unwrap();
    let mut export = |args: Value| harness.command("export_data", args.into()).unwrap()["content"].clone();
    assert_eq!(
        export(value!({"format": "csv"})).as_str().unwrap(),
        format!(
            "id,log,log_title,type,time,researcher,tags,references,text\r\n\
             {id},{log},Yeast,note,2026-01-01T10:00:00Z,E*e,a; b,doi:1,\"=1+1, \"\"so\"\"\n# two\"\r\n"
        )
    );
    let safe = export(value!({"format": "csv", "spreadsheet_safe": true}));
    assert!(safe.as_str().unwrap().contains(",\"'=1+1, \"\"so"), "{safe}");
    assert_eq!(
        export(value!({"format": "markdown"})).as_str().unwrap(),
        "# Yeast\n\n## 2026-01-01T10:00:00Z note by E\\*e\n\n\\=1+1, \"so\"\\\n\\# two\n\nTags: a, b\n\nReferences: doi:1\n\n"
    );
    let json = export(value!({"format": "json"}));
    assert_eq!(
        (&json[0]["text"], &json[0]["id"], &json[0]["time"]),
        (&value!("=1+1, \"so\"\n# two"), &value!(id), &value!(time))
    );
}

#[test]
fn an_export_that_no_frame_holds_is_refused_with_the_way_out() {
    let (mut harness, _) = start();
    harness.module().frame_bytes_max = 64 * 1024;
    let long = "x".repeat(40_000);
    let first = add(&mut harness, value!({ "text": long }))["id"].clone();
    add(&mut harness, value!({ "text": long }));
    let error = harness.command("export_data", json!({ "format": "json" })).unwrap_err();
    assert_eq!(error.code().name(), "frame_too_large");
    assert!(
        error.to_string().ends_with("narrow the export with filters, or take it in parts with limit and after"),
        "{error}"
    );
    let part = harness.command("export_data", json!({ "format": "json", "limit": 1 })).unwrap();
    assert_eq!((&part["entries"], &part["next"]), (&value!(1), &first));
    // A page of a query ends early instead.
    let page = harness.command("query_logs", json!({})).unwrap();
    assert_eq!((texts(&page).len(), &page["next"]), (1, &first));
}

#[test]
fn a_session_opens_a_log_once() {
    let (mut harness, _) = start();
    let started = value!({"session": "s-1", "title": "Night shift", "mood": "fine"});
    harness.event("research_session.started", started.clone().into()).unwrap();
    let opened = harness.emitted()[0].1.clone();
    assert_eq!(opened["title"], "Night shift");
    assert_eq!(add(&mut harness, value!({ "text": "x" }))["log"], opened["log"]);
    harness.command("set_active_log", json!({ "log": "Yeast" })).unwrap();
    harness.event("research_session.started", started.into()).unwrap();
    assert_eq!(add(&mut harness, value!({ "text": "x" }))["log"], opened["log"]);
    harness.event("research_session.started", json!({ "session": 7, "title": "Yeast" })).unwrap();
    assert_eq!(harness.command("query_logs", json!({ "log": "Yeast (7)" })).unwrap()["entries"], value!([]));
    harness.event("research_session.started", json!({ "session": 8 })).unwrap();
    assert_eq!(harness.command("query_logs", json!({ "log": "Session 8" })).unwrap()["entries"], value!([]));
    assert!(harness.event("research_session.started", json!({})).is_err());
    harness.event("research_session.ended", json!({})).unwrap();
}

#[test]
fn bad_input_is_refused_with_what_was_expected() {
    let (mut harness, log) = start();
    let title_taken = format!("{log} has the title \"Yeast\" already");
    let no_such_log = "no log has the id or the title \"00000000-0000-4000-8000-000000000000\"";
    for (command, args, expected) in [
        ("add_entry", value!({}), "missing argument `text`"),
        ("add_entry", value!({"text": " "}), "expected a text, found nothing but white space"),
        ("add_entry", value!({"text": "x".repeat(65_537)}), "expected a text of at most 65536 bytes, found 65537"),
        ("add_entry", value!({"txet": "x"}), "unknown argument `txet`; did you mean `text`?"),
        (
            "add_entry",
            value!({"text": "x", "type": "idea"}),
            "argument `type`: expected \"note\", \"observation\", \"question\", \"hypothesis\", \"conclusion\", \"task\" or \"progress\", found \"idea\"",
        ),
        ("add_entry", value!({"text": "x", "time": "soon"}), "argument `time`: expected a moment like"),
        ("add_entry", value!({"text": "x", "time": "-000001-01-01T00:00:00Z"}), "argument `time`: expected a moment"),
        ("add_entry", value!({"text": "x", "tags": ["a;b"]}), "expected a tag without ';', found \"a;b\""),
        ("add_entry", value!({"text": "x", "tags": vec!["a"; 33]}), "expected at most 32 tags, found 33"),
        (
            "add_entry",
            value!({"text": "x", "references": ["a\nb"]}),
            "expected a reference of one line, found '\\n' in it",
        ),
        (
            "add_entry",
            value!({"text": "x", "log": "Yaest"}),
            "no log has the id or the title \"Yaest\"; did you mean \"Yeast\"?",
        ),
        ("create_log", value!({"title": "Yeast"}), &title_taken),
        (
            "create_log",
            value!({"title": "x", "template": "novel"}),
            "argument `template`: expected \"standard\", \"experiment\", \"reading\" or null, found \"novel\"",
        ),
        ("set_active_log", value!({"log": "00000000-0000-4000-8000-000000000000"}), no_such_log),
        ("query_logs", value!({"limit": 0}), "argument `limit`: expected an integer from 1 to 10000, found 0"),
        ("query_logs", value!({"after": "x"}), "expected the id of an entry in \"after\", found \"x\""),
        ("query_logs", value!({"type": 7}), "argument `type`: expected \"note\", \"observation\""),
        ("query_logs", value!({"search": "-"}), "at search: expected at least one word to look for"),
        (
            "export_data",
            value!({"format": "pdf"}),
            "argument `format`: expected \"json\", \"csv\" or \"markdown\", found \"pdf\"",
        ),
    ] {
        let found = refusal(&mut harness, command, args);
        assert!(found.starts_with(expected), "expected {expected}, found {found}");
    }
    assert_eq!(harness.command("analyze_activity", json!({})).unwrap()["entries"], 0);
}

#[test]
fn an_unknown_key_of_the_configuration_is_refused() {
    let error = Logbook::start(json!({ "default_tempalte": "standard" })).err().expect("it is refused");
    assert_eq!(error.to_string(), "[config]: unknown key `default_tempalte`; did you mean `default_template`?");
}

#[test]
fn times_compare_as_their_texts_do() {
    let written = |text: &str| record::comparable(select::moment("time", text).unwrap());
    let mut times = [
        "0000-01-01",
        "0999-12-31T23:59:59.999999999Z",
        "1969-12-31T23:59:59.5Z",
        "1970-01-01",
        "2026-01-01T00:00:00.000001Z",
        "2026-01-01T00:00:00.5Z",
        "2026-01-01T00:00:01Z",
        "9999-12-30T00:00:00Z",
    ]
    .map(written);
    assert_eq!(times[3], "1970-01-01T00:00:00.000000Z");
    let sorted = times.clone();
    times.sort();
    assert_eq!(times, sorted);
}

/// The examples of the page: each command with its arguments, and what it printed.
fn examples() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let blocks = include_str!("../README.md").split("```\n$ bulkhead call research-log ").skip(1);
    blocks.map(|block| {
        let (line, printed) = block.split_once('\n').unwrap();
        let (command, args) = line.split_once(' ').unwrap();
        (command, args.trim_matches('\''), printed.split("\n```").next().unwrap())
    })
}

/// The names and types of what an answer has, at every depth; ids, times and numbers differ.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) | Value::Null => value.clone(),
    }
}

#[test]
fn the_examples_of_the_page_print_what_it_shows() {
    let mut harness = start_on(&store(), json!({}));
    let mut played = 0;
    for (command, args, printed) in examples() {
        let args = Json::parse(args).unwrap_or_else(|error| panic!("{args}: {error}"));
        match harness.command(command, args) {
            Ok(answer) => {
                let expected: Value =
                    serde_json::from_str(printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
                assert_eq!(shape(&answer), shape(&expected), "{command}");
            }
            Err(error) => {
                let expected = format!("bulkhead: research-log: {error}\n  code       {}", error.code().name());
                assert!(printed.starts_with(&expected), "{command}: expected {expected}, found {printed}");
            }
        }
        played += 1;
    }
    assert_eq!(played, 10);
}
