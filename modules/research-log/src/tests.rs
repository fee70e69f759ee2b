//! The module's functions, without a process. What needs one is in `tests/`.

use super::*;
use bulkhead_module::json;
use bulkhead_module::testing::{Harness, Scratch};
use serde_json::{Value, json as value};
use std::path::Path;

type Logbook = Harness<ResearchLog>;

fn start() -> Logbook {
    let mut harness = Logbook::start(json!({})).unwrap();
    harness.command("create_log", json!({ "title": "Yeast" })).unwrap();
    harness.emitted();
    harness
}

fn add(harness: &mut Logbook, args: Value) -> Value {
    harness.command("add_entry", args.into()).unwrap()
}

fn refusal(harness: &mut Logbook, command: &str, args: Value) -> String {
    harness.command(command, args.into()).expect_err("it is refused").to_string()
}

fn ids(page: &Value) -> Vec<&str> {
    page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

fn journal(folder: &Path) -> std::path::PathBuf {
    folder.join("journal.jsonl")
}

#[test]
fn an_entry_goes_to_the_active_log_and_is_told_to_others() {
    let mut harness = Logbook::start(json!({ "default_researcher": "Ada" })).unwrap();
    let no_log = refusal(&mut harness, "add_entry", value!({ "text": "x" }));
    assert!(no_log.starts_with("no log is active; name one"), "{no_log}");
    let log = harness.command("create_log", json!({ "title": "Yeast", "template": "experiment" })).unwrap();
    assert_eq!((&log["log"]["id"], &log["log"]["sections"][0]), (&value!("log-1"), &value!("Question")));
    assert_eq!(
        harness.emitted(),
        [("research_log.created".to_owned(), value!({"log": "log-1", "title": "Yeast", "researcher": "Ada"}))]
    );
    let time = "2026-03-01T12:00:00+02:00";
    let said = add(&mut harness, value!({ "text": "It rises.", "type": "observation", "time": time }));
    assert_eq!(said, value!({"id": "entry-1", "log": "log-1", "type": "observation", "time": "2026-03-01T10:00:00Z"}));
    assert_eq!(harness.emitted(), [("research_log.entry_added".to_owned(), said)]);
    let page = harness.command("query_logs", json!({})).unwrap();
    let entry = value!({"id": "entry-1", "log": "log-1", "type": "observation", "time": "2026-03-01T10:00:00Z",
        "researcher": "Ada", "tags": [], "references": [], "text": "It rises."});
    assert_eq!(page, value!({"entries": [entry], "next": null}));
}

#[test]
fn what_was_answered_is_there_after_a_restart() {
    let scratch = Scratch::new();
    let mut first = Logbook::start_in(scratch.path(), json!({})).unwrap();
    first.command("create_log", json!({ "title": "One" })).unwrap();
    first.command("create_log", json!({ "title": "Two", "activate": false })).unwrap();
    add(&mut first, value!({ "text": "a", "log": "Two", "tags": ["x", "y", "x"], "references": ["doi:1"] }));
    let before = first.command("query_logs", json!({})).unwrap();
    drop(first);
    let mut second = Logbook::start_in(scratch.path(), json!({})).unwrap();
    assert_eq!(second.command("query_logs", json!({})).unwrap(), before);
    assert_eq!(before["entries"][0]["tags"], value!(["x", "y"]));
    assert_eq!(add(&mut second, value!({ "text": "b" }))["log"], "log-1");
}

#[test]
fn a_torn_last_line_is_cut_and_everything_before_it_stays() {
    let scratch = Scratch::new();
    let mut first = Logbook::start_in(scratch.path(), json!({})).unwrap();
    first.command("create_log", json!({ "title": "One" })).unwrap();
    add(&mut first, value!({ "text": "kept" }));
    add(&mut first, value!({ "text": "torn" }));
    drop(first);
    let whole = std::fs::read(journal(scratch.path())).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in (last..whole.len()).step_by(13) {
        std::fs::write(journal(scratch.path()), &whole[..cut]).unwrap();
        let mut again = Logbook::start_in(scratch.path(), json!({})).unwrap();
        assert_eq!(again.command("query_logs", json!({})).unwrap()["entries"].as_array().unwrap().len(), 1, "{cut}");
        assert_eq!(add(&mut again, value!({ "text": "next" }))["id"], "entry-2", "{cut}");
    }
}

#[test]
fn a_torn_header_is_begun_again() {
    let scratch = Scratch::new();
    std::fs::write(journal(scratch.path()), b"{\"journ").unwrap();
    let mut harness = Logbook::start_in(scratch.path(), json!({})).unwrap();
    harness.command("create_log", json!({ "title": "One" })).unwrap();
}

#[test]
fn a_broken_line_is_refused_with_its_number_and_the_file_stays_as_it_is() {
    let header = r#"{"journal":"research-log","version":1}"#;
    for (text, expected) in [
        (format!("{header}\nnonsense\n{{\"active\":null}}\n"), "line 2: expected a change"),
        (format!("{header}\n{{\"active\":\"log-7\"}}\n"), "line 2: expected a known log, found \"log-7\""),
        (
            "{\"journal\":\"research-log\",\"version\":2}\n".to_owned(),
            "line 1: expected a journal of research-log in version 1",
        ),
        ("something else\n".to_owned(), "line 1: expected the header"),
    ] {
        let scratch = Scratch::new();
        std::fs::write(journal(scratch.path()), &text).unwrap();
        let error = Logbook::start_in(scratch.path(), json!({})).err().expect("it is refused").to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(std::fs::read_to_string(journal(scratch.path())).unwrap(), text);
    }
}

#[test]
fn the_same_key_is_the_same_work() {
    let scratch = Scratch::new();
    let mut harness = Logbook::start_in(scratch.path(), json!({})).unwrap();
    let log = harness.with_key("k0").command("create_log", json!({ "title": "One" })).unwrap();
    let entry = harness.with_key("k1").command("add_entry", json!({ "text": "once", "type": "task" })).unwrap();
    // The order of the arguments is not part of the work.
    let again = harness.with_key("k1").command("add_entry", Json::parse(r#"{"type":"task","text":"once"}"#).unwrap());
    assert_eq!(again.unwrap(), entry);
    let other = harness.with_key("k1").command("add_entry", json!({ "text": "twice" })).unwrap_err();
    assert_eq!(other.code().name(), "conflict");
    drop(harness);
    let mut harness = Logbook::start_in(scratch.path(), json!({})).unwrap();
    assert_eq!(harness.with_key("k0").command("create_log", json!({ "title": "One" })).unwrap(), log);
    assert_eq!(harness.with_key("k1").command("add_entry", json!({ "text": "once", "type": "task" })).unwrap(), entry);
    assert_eq!(harness.command("analyze_activity", json!({})).unwrap()["entries"], 1);
}

#[test]
fn two_processes_on_one_journal_see_what_the_other_did() {
    let scratch = Scratch::new();
    let mut active = Logbook::start_in(scratch.path(), json!({})).unwrap();
    let mut spare = Logbook::start_in(scratch.path(), json!({})).unwrap();
    active.command("create_log", json!({ "title": "One" })).unwrap();
    let entry = active.with_key("k").command("add_entry", json!({ "text": "a" })).unwrap();
    assert_eq!(spare.with_key("k").command("add_entry", json!({ "text": "a" })).unwrap(), entry);
    assert_eq!(add(&mut spare, value!({ "text": "b" }))["id"], "entry-2");
    assert_eq!(add(&mut active, value!({ "text": "c" }))["id"], "entry-3");
    let page = spare.command("query_logs", json!({ "order": "newest" })).unwrap();
    assert_eq!(ids(&page), ["entry-3", "entry-2", "entry-1"]);
}

#[test]
fn filters_choose_and_pages_lead_on() {
    let mut harness = start();
    harness.command("create_log", json!({ "title": "Bread", "activate": false })).unwrap();
    add(
        &mut harness,
        value!({"text": "Sugar helps", "type": "hypothesis", "tags": ["a"], "time": "2026-01-01T00:00:00Z"}),
    );
    add(
        &mut harness,
        value!({"text": "no change", "researcher": "Eve", "tags": ["a", "b"], "time": "2026-01-02T00:00:00Z"}),
    );
    add(&mut harness, value!({"text": "SUGAR again", "log": "Bread", "time": "2026-01-03T00:00:00Z"}));
    for (filter, expected) in [
        (value!({}), vec!["entry-1", "entry-2", "entry-3"]),
        (value!({"log": "Bread"}), vec!["entry-3"]),
        (value!({"log": "log-1"}), vec!["entry-1", "entry-2"]),
        (value!({"type": "hypothesis"}), vec!["entry-1"]),
        (value!({"type": ["hypothesis", "note"], "log": "log-1"}), vec!["entry-1", "entry-2"]),
        (value!({"tag": "a"}), vec!["entry-1", "entry-2"]),
        (value!({"tag": ["a", "b"]}), vec!["entry-2"]),
        (value!({"tag": "never"}), vec![]),
        (value!({"researcher": "Eve"}), vec!["entry-2"]),
        (value!({"researcher": "never"}), vec![]),
        (value!({"text": "sugar"}), vec!["entry-1", "entry-3"]),
        (value!({"since": "2026-01-02"}), vec!["entry-2", "entry-3"]),
        (value!({"until": "2026-01-02"}), vec!["entry-1"]),
        (value!({"order": "newest", "limit": 2}), vec!["entry-3", "entry-2"]),
        (value!({"order": "newest", "after": "entry-2"}), vec!["entry-1"]),
    ] {
        let page = harness.command("query_logs", filter.clone().into()).unwrap();
        assert_eq!(ids(&page), expected, "{filter}");
    }
    let page = harness.command("query_logs", json!({ "limit": 2 })).unwrap();
    assert_eq!(page["next"], "entry-2");
    let rest = harness.command("query_logs", json!({ "limit": 2, "after": page["next"] })).unwrap();
    assert_eq!((ids(&rest), &rest["next"]), (vec!["entry-3"], &value!(null)));
}

#[test]
fn activity_is_counted() {
    let mut harness = start();
    add(&mut harness, value!({"text": "1", "tags": ["a"], "time": "2026-01-01T10:00:00Z", "researcher": "Eve"}));
    add(&mut harness, value!({"text": "2", "tags": ["a", "b"], "time": "2026-01-01T11:00:00Z", "type": "task"}));
    let activity = harness.command("analyze_activity", json!({})).unwrap();
    assert_eq!(activity["by_type"], value!({"note": 1, "task": 1}));
    assert_eq!(activity["by_tag"], value!([{"tag": "a", "entries": 2}, {"tag": "b", "entries": 1}]));
    assert_eq!(activity["by_researcher"], value!([{"researcher": "Eve", "entries": 1}]));
    assert_eq!(activity["by_day"], value!([{"day": "2026-01-01", "entries": 2}]));
    assert_eq!(activity["by_log"], value!([{"log": "log-1", "entries": 2}]));
    assert_eq!(
        (&activity["first"], &activity["last"]),
        (&value!("2026-01-01T10:00:00Z"), &value!("2026-01-01T11:00:00Z"))
    );
    assert_eq!(harness.command("analyze_activity", json!({ "text": "2" })).unwrap()["entries"], 1);
}

#[test]
fn exports_are_exact() {
    let mut harness = start();
    let time = "2026-01-01T10:00:00Z";
    add(
        &mut harness,
        value!({"text": "=1+1, \"so\"\n# two", "tags": ["a", "b"], "references": ["doi:1"], "time": time, "researcher": "E*e"}),
    );
    let mut export = |args: Value| harness.command("export_data", args.into()).unwrap()["content"].clone();
    assert_eq!(
        export(value!({"format": "csv"})).as_str().unwrap(),
        "id,log,log_title,type,time,researcher,tags,references,text\r\n\
         entry-1,log-1,Yeast,note,2026-01-01T10:00:00Z,E*e,a; b,doi:1,\"=1+1, \"\"so\"\"\n# two\"\r\n"
    );
    let safe = export(value!({"format": "csv", "spreadsheet_safe": true}));
    assert!(safe.as_str().unwrap().contains(",\"'=1+1, \"\"so"), "{safe}");
    assert_eq!(
        export(value!({"format": "markdown"})).as_str().unwrap(),
        "# Yeast\n\n## 2026-01-01T10:00:00Z note by E\\*e\n\n\\=1+1, \"so\"\\\n\\# two\n\nTags: a, b\n\nReferences: doi:1\n\n"
    );
    assert_eq!(export(value!({"format": "json"}))[0]["text"], "=1+1, \"so\"\n# two");
}

#[test]
fn an_export_that_no_frame_holds_is_refused_with_the_way_out() {
    let mut harness = start();
    harness.module().frame_bytes_max = 64 * 1024;
    let long = "x".repeat(40_000);
    add(&mut harness, value!({ "text": long }));
    add(&mut harness, value!({ "text": long }));
    let error = harness.command("export_data", json!({ "format": "json" })).unwrap_err();
    assert_eq!(error.code().name(), "frame_too_large");
    assert!(
        error.to_string().ends_with("narrow the export with filters, or take it in parts with limit and after"),
        "{error}"
    );
    let part = harness.command("export_data", json!({ "format": "json", "limit": 1 })).unwrap();
    assert_eq!((&part["entries"], &part["next"]), (&value!(1), &value!("entry-1")));
    // A page of a query ends early instead.
    let page = harness.command("query_logs", json!({})).unwrap();
    assert_eq!((ids(&page), &page["next"]), (vec!["entry-1"], &value!("entry-1")));
}

#[test]
fn a_session_opens_a_log_once() {
    let mut harness = start();
    let started = value!({"session": "s-1", "title": "Night shift", "mood": "fine"});
    harness.event("research_session.started", started.clone().into()).unwrap();
    assert_eq!(harness.emitted()[0].1["title"], "Night shift");
    assert_eq!(add(&mut harness, value!({ "text": "x" }))["log"], "log-2");
    harness.command("set_active_log", json!({ "log": "Yeast" })).unwrap();
    harness.event("research_session.started", started.into()).unwrap();
    assert_eq!(add(&mut harness, value!({ "text": "x" }))["log"], "log-2");
    harness.event("research_session.started", json!({ "session": 7 })).unwrap();
    assert_eq!(harness.command("query_logs", json!({ "log": "Session 7" })).unwrap()["entries"], value!([]));
    assert!(harness.event("research_session.started", json!({})).is_err());
    harness.event("research_session.ended", json!({})).unwrap();
}

#[test]
fn bad_input_is_refused_with_what_was_expected() {
    let mut harness = start();
    for (command, args, expected) in [
        ("add_entry", value!({}), "missing argument `text`"),
        ("add_entry", value!({"text": " "}), "expected a text, found nothing but white space"),
        ("add_entry", value!({"text": "x".repeat(65_537)}), "expected a text of at most 65536 bytes, found 65537"),
        ("add_entry", value!({"txet": "x"}), "unknown argument `txet`; did you mean `text`?"),
        (
            "add_entry",
            value!({"text": "x", "type": "idea"}),
            "argument `type`: unknown variant `idea`, expected one of `note`",
        ),
        ("add_entry", value!({"text": "x", "time": "soon"}), "argument `time`: expected a moment like"),
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
        ("create_log", value!({"title": "Yeast"}), "log-1 has the title \"Yeast\" already"),
        ("create_log", value!({"title": "x", "template": "novel"}), "argument `template`: unknown variant `novel`"),
        ("set_active_log", value!({"log": "log-01"}), "no log has the id or the title \"log-01\""),
        ("query_logs", value!({"limit": 0}), "expected a limit of 1 to 10000, found 0"),
        ("query_logs", value!({"after": "x"}), "expected the id of an entry in \"after\", found \"x\""),
        ("query_logs", value!({"type": 7}), "argument `type`: expected a name, or a list of names"),
        ("export_data", value!({"format": "pdf"}), "argument `format`: unknown variant `pdf`, expected one of `json`"),
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
