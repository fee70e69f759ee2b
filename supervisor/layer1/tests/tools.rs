//! Export, import, backup and check.

mod common;

use bulkhead_layer1::{Layer1, OpenError, Settings, ToolError, Tools, job::Existing, outcome::Imported};
use bulkhead_protocol::layer1::EntityName;
use common::*;
use rusqlite::Connection;
use std::{fs, ops::ControlFlow, os::unix::fs::PermissionsExt};

fn go(_: bulkhead_layer1::Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn export(store: &Store) -> String {
    let mut out = Vec::new();
    store.layer1.tools().export(None, &mut out, &mut go).unwrap();
    String::from_utf8(out).unwrap()
}

/// A store with odd and ordinary entities of two owners.
fn filled() -> Store {
    let store = Store::with(|settings| settings.searches = vec![searched("A", &["title"])]);
    store.create("Odd", r#"{"big":12345678901234567890.10,"nul":"\u0000","line":"a\nb\u2028","é":-0}"#);
    for n in 0..2500 {
        let payload = format!(
            r#"{{"entity":"A","operation":"create","data":{{"n":{n},"title":"title {n}","text":"{}"}}}}"#,
            "x".repeat(500)
        );
        store.mutate_as(Some(1), if n % 2 == 0 { "even" } else { "odd-owner" }, &payload).unwrap();
    }
    assert!(matches!(store.commit(1), bulkhead_layer1::Outcome::Committed { .. }));
    store
}

#[test]
fn an_export_is_imported_exactly_and_twice_without_harm() {
    let store = filled();
    let text = export(&store);
    assert_eq!(text.lines().next().unwrap(), r#"{"bulkhead":"layer1","format":1,"entities":2501}"#);
    assert!(
        text.contains(
            r#""owner":"","data":{"big":12345678901234567890.10,"nul":"\u0000","line":"a\nb\u2028","é":-0}}"#
        )
    );
    let other = Store::with(|settings| settings.searches = vec![searched("A", &["title"])]);
    let mut reported = 0;
    let imported = other.layer1.import(text.as_bytes(), Existing::Refuse, &mut |progress| {
        assert!(progress.done > reported);
        reported = progress.done;
        ControlFlow::Continue(())
    });
    assert_eq!(imported.unwrap(), Imported { created: 2501, replaced: 0, kept: 0 });
    assert_eq!(reported, text.len() as u64);
    assert!(export(&other) == text, "the two exports differ");
    let again = other.layer1.import(text.as_bytes(), Existing::Refuse, &mut go).unwrap();
    assert_eq!(again, Imported { created: 0, replaced: 0, kept: 2501 });
    assert_eq!(other.query(r#"{"entity":"A","search":"2499","count":true}"#)["count"], 1);
    assert_eq!(other.layer1.tools().check(&mut go).unwrap(), Vec::<String>::new());
}

#[test]
fn an_entity_that_is_there_in_another_state_is_refused_kept_or_replaced() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":1}"#);
    let text = export(&store);
    store.mutate(&format!(r#"{{"entity":"A","operation":"update","id":"{id}","data":{{"n":22}}}}"#));
    let refused = store.layer1.import(text.as_bytes(), Existing::Refuse, &mut go).unwrap_err();
    assert!(
        matches!(&refused, ToolError::Line { line: 2, reason } if reason.contains("is there already, of version 2")),
        "{refused}"
    );
    let kept = store.layer1.import(text.as_bytes(), Existing::Keep, &mut go).unwrap();
    assert_eq!((kept.kept, column(&store.query(r#"{"entity":"A"}"#), "n")[0].clone()), (1, 22.into()));
    let replaced = store.layer1.import(text.as_bytes(), Existing::Replace, &mut go).unwrap();
    assert_eq!((replaced.replaced, column(&store.query(r#"{"entity":"A"}"#), "n")[0].clone()), (1, 1.into()));
    assert_eq!(store.layer1.tools().check(&mut go).unwrap(), Vec::<String>::new());
}

#[test]
fn a_wrong_line_is_named_and_its_group_is_not_imported() {
    let head = r#"{"bulkhead":"layer1","format":1,"entities":1}"#;
    let good = r#"{"entity":"A","id":"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f","version":1,"created_at":"2026-01-01","updated_at":"2026-01-01","data":{}}"#;
    let long = format!("{{\"data\":\"{}\"}}", "x".repeat(2_000_000));
    for (text, line, words) in [
        (String::new(), 1, "expected the first line of an export"),
        ("{}".into(), 1, "expected the first line of an export"),
        (head.replace("\"format\":1", "\"format\":2"), 1, "has the format 2, this program knows 1"),
        (format!("{head}\n{good}\nnonsense"), 3, "expected a line of an export"),
        (format!("{head}\n{good}\n{good}"), 3, "stands in another line too"),
        (format!("{head}\n{}", good.replace("2026-01-01", "soon")), 2, "at created_at: expected a time"),
        (
            format!("{head}\n{}", good.replace("{}", "{\"a\":1,\"a\":2}")),
            2,
            "at data.a: the object has this member twice",
        ),
        (format!("{head}\n{}", good.replace("\"A\"", "\"a b\"")), 2, "at entity: "),
        (format!("{head}\n{}", good.replace("\"version\":1", "\"version\":0")), 2, "at version: "),
        (format!("{head}\n{long}"), 2, "a line has at most"),
        ("[\"layer1\",1,1]".into(), 1, "expected an object, found [\"layer1\",1,1]"),
        (format!("{head}\n\n{good}"), 2, "expected an object, found an empty line"),
        (format!("{head}\n[\"A\"]"), 2, "expected an object, found [\"A\"]"),
        (format!("{head}\n{{\"entity\":5}}"), 2, "column 11: invalid type: integer `5`, expected a string"),
        (format!("{head}\n{}", good.replace("\"data\"", "\"ownr\":\"m\",\"data\"")), 2, "unknown field `ownr`"),
        (
            format!("{head}\n{}", good.replace("\"data\"", "\"owner\":\"M m\",\"data\"")),
            2,
            "at owner: expected the name",
        ),
        // With 2^63-1, no change of it could ever be stored.
        (format!("{head}\n{}", good.replace(":1,", ":9223372036854775807,")), 2, "from 1 to 9007199254740991, found 9"),
    ] {
        let store = Store::new();
        let error = store.layer1.import(text.as_bytes(), Existing::Refuse, &mut go).unwrap_err();
        assert!(
            matches!(&error, ToolError::Line { line: found, reason } if *found == line && reason.contains(words)),
            "{words}: {error}"
        );
        assert_eq!(store.query(r#"{"entity":"A","limit":0,"count":true}"#)["count"], 0);
    }
}

#[test]
fn a_backup_is_a_store_of_one_moment_while_the_store_goes_on() {
    let store = filled();
    let to = store.folder.0.join("backup.db");
    let mut steps = 0;
    let tools = store.layer1.tools();
    tools
        .backup(&to, &mut |_| {
            steps += 1;
            // Without a moment of its own, a copy would begin anew with each of these.
            store.create("Later", "{}");
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(steps >= 2);
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(tools.backup(&to, &mut go), Err(ToolError::Exists(_))));
    let files: Vec<_> =
        fs::read_dir(&store.folder.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files.iter().filter(|name| name.starts_with("backup")).count(), 1, "{files:?}");
    let folder = Folder::new();
    fs::copy(&to, folder.database()).unwrap();
    let copy = Store::in_folder(folder, |settings| settings.searches = vec![searched("A", &["title"])]);
    assert_eq!(copy.query(r#"{"entity":"A","limit":0,"count":true}"#)["count"], 2500);
    assert_eq!(copy.query(r#"{"entity":"Later","limit":0,"count":true}"#)["count"], 0);
    assert_eq!(copy.layer1.tools().check(&mut go).unwrap(), Vec::<String>::new());
}

#[test]
fn a_tool_that_is_stopped_leaves_no_file() {
    let store = filled();
    let to = store.folder.0.join("backup.db");
    let tools = store.layer1.tools();
    assert!(matches!(tools.backup(&to, &mut |_| ControlFlow::Break(())), Err(ToolError::Stopped)));
    assert!(!to.exists() && !store.folder.0.join("backup.db.partial").exists());
    assert!(matches!(tools.export(None, &mut Vec::new(), &mut |_| ControlFlow::Break(())), Err(ToolError::Stopped)));
    assert!(matches!(tools.check(&mut |_| ControlFlow::Break(())), Err(ToolError::Stopped)));
}

#[test]
fn a_check_finds_what_another_program_has_broken() {
    let store = filled();
    store.close();
    let Store { layer1, folder, .. } = store;
    drop(layer1);
    let other = Connection::open(folder.database()).unwrap();
    other
        .execute_batch(
            "UPDATE entities SET data = '{\"a\":1,\"a\":2}' WHERE rowid = 5; UPDATE entities SET id = x'07' WHERE rowid = 6;
             UPDATE entities SET data = '{' WHERE rowid = 7; DELETE FROM events WHERE cursor = 3;
             UPDATE entities SET event = 9 WHERE rowid = 8;",
        )
        .unwrap();
    drop(other);
    let layer1 = Layer1::open(Settings::new(folder.database()), || {}).unwrap();
    // An opening would bring it back.
    let other = Connection::open(folder.database()).unwrap();
    other.execute("INSERT INTO subscriptions (module, cursor, since) VALUES ('m', 99999, 0)", []).unwrap();
    let problems = layer1.tools().check(&mut go).unwrap().join("\n");
    for words in [
        "this member twice",
        "no 16 bytes",
        "the event 5",
        "neither an entity nor a copy has what the event 8 says",
        "no JSON",
        "is counted with",
        "bytes in 1250 events, and has ",
        "is at event 99999",
    ] {
        assert!(problems.contains(words), "{words}: {problems}");
    }
}

#[test]
fn a_page_that_a_disk_has_lost_is_found_and_is_in_no_backup() {
    let store = filled();
    store.close();
    let Store { layer1, folder, .. } = store;
    drop(layer1);
    let whole = fs::read(folder.database()).unwrap();
    let page = 4096;
    let tools = Tools::of(folder.database()).unwrap();
    for lost in [1, 20, whole.len() / page / 2] {
        let mut damaged = whole.clone();
        damaged[lost * page..(lost + 1) * page].fill(0);
        fs::write(folder.database(), &damaged).unwrap();
        let problems = tools.check(&mut go).unwrap();
        assert!(problems.iter().any(|problem| problem.contains(&format!("age {}", lost + 1))), "{lost}: {problems:?}");
        let to = folder.0.join("backup.db");
        let refused = tools.backup(&to, &mut go).unwrap_err().to_string();
        assert!(refused.contains("is damaged: ") && refused.contains("put a backup in its place"), "{refused}");
        assert!(!to.exists() && !folder.0.join("backup.db.partial").exists());
        assert!(fs::read(folder.database()).unwrap() == damaged, "a tool has changed the database");
    }
}

#[test]
fn the_tools_work_beside_the_host_that_has_the_database_and_without_one() {
    let store = filled();
    let whole = export(&store);
    let path = store.folder.database();
    let (mut all, mut odd) = (Vec::new(), Vec::new());
    let tools = Tools::of(&path).unwrap();
    assert_eq!(tools.export(None, &mut all, &mut go).unwrap(), 2501);
    assert!(all == whole.as_bytes(), "the two exports differ");
    let entity = EntityName::new("Odd").unwrap();
    assert_eq!(tools.export(Some(&entity), &mut odd, &mut go).unwrap(), 1);
    let odd = String::from_utf8(odd).unwrap();
    assert!(odd.starts_with("{\"bulkhead\":\"layer1\",\"format\":1,\"entities\":1}\n{\"entity\":\"Odd\""), "{odd}");
    store.close();
    let Store { layer1, folder, .. } = store;
    drop(layer1);
    assert_eq!(tools.export(None, &mut Vec::new(), &mut go).unwrap(), 2501);
    assert_eq!(Tools::of(&path).unwrap().check(&mut go).unwrap(), Vec::<String>::new());
    assert!(matches!(Tools::of(folder.0.join("nothing.db")), Err(OpenError::Missing { .. })));
    fs::write(folder.0.join("text.db"), "not a database, and long enough to have a header of one".repeat(10)).unwrap();
    assert!(matches!(Tools::of(folder.0.join("text.db")), Err(OpenError::Foreign { .. })));
}

#[test]
fn a_store_that_is_opened_as_it_was_found_keeps_what_is_declared() {
    let store = Store::with(|settings| {
        settings.indexes = vec![index("A", "a.b"), index("A", "$updated_at")];
        settings.searches = vec![searched("A", &["title", "text"])];
    });
    store.create("A", r#"{"title":"first"}"#);
    store.close();
    let Store { layer1, folder, .. } = store;
    drop(layer1);
    let mut found = Settings::as_found(folder.database()).unwrap();
    found.indexes.sort();
    assert_eq!(found.indexes, [index("A", "$updated_at"), index("A", "a.b")]);
    assert_eq!(found.searches, [searched("A", &["title", "text"])]);
    assert!(Settings::as_found(folder.0.join("new.db")).unwrap().indexes.is_empty());
    assert!(!folder.0.join("new.db").exists());
}

#[test]
fn an_export_that_was_cut_short_is_reported_at_its_end() {
    let text = export(&filled());
    let cut: Vec<&str> = text.lines().take(1500).collect();
    let store = Store::with(|settings| settings.searches = vec![searched("A", &["title"])]);
    let error = store.layer1.import(cut.join("\n").as_bytes(), Existing::Refuse, &mut go).unwrap_err();
    assert!(
        matches!(&error, ToolError::Line { line: 1500, reason } if reason.starts_with("expected 2501 entities, as the first line says, found 1499")),
        "{error}"
    );
    assert_eq!(store.query(r#"{"entity":"A","limit":0,"count":true}"#)["count"], 1498);
    let meant = cut.join("\n").replacen(",\"entities\":2501", "", 1);
    assert_eq!(store.layer1.import(meant.as_bytes(), Existing::Refuse, &mut go).unwrap().kept, 1499);
}
