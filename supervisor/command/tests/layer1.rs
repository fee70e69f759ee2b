//! `layer1`: what is done to the data store as a whole, beside a host that has it and without one. The store is a real
//! one; the host is a script, so that it can give answers that are rare from a real one.

mod support;

use bulkhead_layer1::{Job, JobId, Layer1, Outcome, Settings};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, Json, layer1::Mutation};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{DEADLINE, Done, Folder, Host, Running, args_of, bulkhead, run};

/// A state directory with so many entities, open as a host has it.
fn filled(folder: &Folder, entities: usize) -> Layer1 {
    fs::create_dir_all(folder.0.join("layer1")).unwrap();
    let store = Layer1::open(Settings::new(folder.0.join("layer1/layer1.db")), || {}).unwrap();
    let made: Vec<Value> = (0..entities)
        .map(|n| {
            let entity = if n == 0 { "Odd" } else { "Note" };
            json!({ "entity": entity, "operation": "create", "data": { "n": n, "text": "a\nb" } })
        })
        .collect();
    for operations in made.chunks(1000) {
        let mutation = Mutation::read(&Json::of(&json!({ "operations": operations }))).unwrap();
        let job = Job::Mutate { unit: None, owner: String::new(), mutation, key: None };
        store.submit(JobId(1), job, None).unwrap();
        assert!(matches!(store.wait().1, Outcome::Mutated { .. }));
    }
    store
}

/// The command, with no daemon at its socket.
fn alone(args: &[&str]) -> Done {
    alone_with(args, b"")
}

fn alone_with(args: &[&str], input: &[u8]) -> Done {
    let mut command = bulkhead(Path::new("/nowhere/control.sock"));
    command.args(args);
    run(command, input)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A host whose data is in `folder`.
fn host_of(folder: &Folder) -> Host {
    let state = folder.0.clone();
    Host::answering(move |client, request| {
        client.success(request, &json!({ "host": { "state_dir": state }, "modules": [] }).to_string());
    })
}

#[test]
fn an_export_is_lines_on_standard_output_beside_a_host_and_without_one() {
    let folder = Folder::new();
    let store = filled(&folder, 3);
    let state = text(&folder.0);
    let beside = alone(&["layer1", "export", "--state", state]);
    let lines: Vec<&str> = beside.out.lines().collect();
    assert_eq!((beside.code, lines.len(), beside.err.as_str()), (Some(0), 4, ""), "{beside:?}");
    assert_eq!(lines[0], r#"{"bulkhead":"layer1","format":1,"entities":3}"#);
    assert!(lines[1].ends_with(r#""owner":"","data":{"n":0,"text":"a\nb"}}"#), "{}", lines[1]);
    host_of(&folder).run(&["layer1", "export"]).expect(0, &beside.out);
    drop(store);
    alone(&["layer1", "export", "-", "--state", state]).expect(0, &beside.out);
    let odd = alone(&["layer1", "export", "--entity", "Odd", "--state", state]);
    assert_eq!((odd.out.lines().count(), odd.out.lines().nth(1)), (2, Some(lines[1])));
    alone(&["layer1", "export", "--entity", "a b", "--state", state]).expect(2, "").says("--entity: ");
}

#[test]
fn an_export_that_went_through_an_editor_is_imported_or_refused_by_name() {
    let folder = Folder::new();
    let store = filled(&folder, 3);
    let exported = alone(&["layer1", "export", "--state", text(&folder.0)]).out;
    drop(store);
    let state = ["layer1", "import", "-", "--state", text(&folder.0)];
    let kept = "created 0, replaced 0, kept 3\n";
    let with_mark = format!("\u{feff}{exported}");
    let crlf = with_mark.replace('\n', "\r\n");
    let no_end = with_mark.trim_end().to_owned();
    for changed in [with_mark, crlf, no_end] {
        alone_with(&state, changed.as_bytes()).expect(0, kept);
    }
    for (mark, wide) in [(b"\xff\xfe", u16::to_le_bytes as fn(u16) -> [u8; 2]), (b"\xfe\xff", u16::to_be_bytes)] {
        let mut utf16 = mark.to_vec();
        utf16.extend(exported.encode_utf16().flat_map(wide));
        let refused = alone_with(&state, &utf16);
        assert_eq!(refused.code, Some(2), "{refused:#?}");
        refused.says("standard input:1: expected UTF-8, found the byte order mark of UTF-16: save it as UTF-8");
    }
    // Within a line it is part of the content.
    let inside = exported.replacen("\n{", "\n\u{feff}{", 1);
    assert_eq!(alone_with(&state, inside.as_bytes()).code, Some(1));
}

#[test]
fn a_file_of_an_export_or_a_backup_is_whole_private_and_never_replaced() {
    let folder = Folder::new();
    let _store = filled(&folder, 2);
    let state = text(&folder.0);
    let (lines, copy) = (folder.0.join("data.jsonl"), folder.0.join("copy.db"));
    // Where an export is begun, another user may have put a link.
    let victim = folder.0.join("victim");
    fs::write(&victim, "as it was").unwrap();
    for path in [&lines, &copy] {
        std::os::unix::fs::symlink(&victim, format!("{}.partial", path.display())).unwrap();
    }
    alone(&["layer1", "export", text(&lines), "--state", state]).expect(0, "").says("exported 2 entities to ");
    assert_eq!(fs::read_to_string(&lines).unwrap().lines().count(), 3);
    let done = alone(&["layer1", "backup", text(&copy), "--state", state, "--json"]);
    let summary: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&summary["schema"], &summary["bytes"]), (&json!(1), &json!(fs::metadata(&copy).unwrap().len())));
    alone(&["layer1", "backup", "-", "--state", state]).expect(2, "").says("cannot go to standard output");
    for (path, command) in [(&lines, "export"), (&copy, "backup")] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        alone(&["layer1", command, text(path), "--state", state]).expect(1, "").says("is there already; name another");
    }
    alone(&["layer1", "export", "/nowhere/x", "--state", state]).expect(1, "").says("/nowhere/x: ");
    let left: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
}

#[test]
fn a_check_lists_what_is_wrong_and_is_1_then() {
    let folder = Folder::new();
    let store = filled(&folder, 2);
    let state = text(&folder.0);
    host_of(&folder).run(&["layer1", "check"]).expect(0, "the data is whole: 2 entities\n");
    let json = "{\"entities\":2,\"problems\":[],\"schema\":1}\n";
    alone(&["layer1", "check", "--json", "--state", state]).expect(0, json);
    drop(store);
    let file = folder.0.join("layer1/layer1.db");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(5).position(|window| window == b"{\"n\":").unwrap();
    bytes[at] = b'[';
    fs::write(&file, bytes).unwrap();
    let done = alone(&["layer1", "check", "--state", state]);
    assert!(done.code == Some(1) && done.out.contains("what it holds is no JSON"), "{done:?}");
    done.says("2 problems were found");
}

#[test]
fn without_a_daemon_and_without_a_state_directory_the_remedy_is_named() {
    let folder = Folder::new();
    for command in [&["layer1", "export"][..], &["layer1", "check"], &["layer1", "backup", "x"]] {
        alone(command).expect(125, "").says("; or name the data's state directory with --state DIR");
    }
    assert!(!alone(&["layer1", "status"]).err.contains("--state"), "it is the daemon that knows");
    alone(&["layer1", "check", "--state", text(&folder.0)]).expect(2, "").says("there is no data store at ");
    fs::create_dir_all(folder.0.join("layer1")).unwrap();
    fs::write(folder.0.join("layer1/layer1.db"), "no database, but long enough for a header ".repeat(20)).unwrap();
    alone(&["layer1", "check", "--state", text(&folder.0)]).expect(1, "").says("it is not a SQLite database");
}

#[test]
fn an_import_into_a_state_directory_is_made_once_however_often_it_is_run() {
    let (from, to) = (Folder::new(), Folder::new());
    drop(filled(&from, 2500));
    let export = alone(&["layer1", "export", "--state", text(&from.0)]).out;
    let into = &["layer1", "import", "-", "--state", text(&to.0)];
    alone_with(into, export.as_bytes()).expect(0, "created 2,500, replaced 0, kept 0\n");
    let again = [into, &["--json"][..]].concat();
    alone_with(&again, export.as_bytes()).expect(0, "{\"created\":0,\"kept\":2500,\"replaced\":0,\"schema\":1}\n");
    alone(&["layer1", "export", "--state", text(&to.0)]).expect(0, &export);
    let file = from.0.join("data.jsonl");
    fs::write(&file, &export).unwrap();
    let store = filled(&to, 0);
    let in_use = alone(&["layer1", "import", text(&file), "--state", text(&to.0)]);
    in_use.expect(1, "").says("is in use by another host").says("leave --state away");
    drop(store);
}

#[test]
fn a_broken_line_of_an_import_is_named_and_so_is_how_much_was_imported() {
    let (from, to) = (Folder::new(), Folder::new());
    drop(filled(&from, 2500));
    let mut lines: Vec<String> =
        alone(&["layer1", "export", "--state", text(&from.0)]).out.lines().map(str::to_owned).collect();
    lines[1500] = "nonsense".into();
    let file = from.0.join("data.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    let done = alone(&["layer1", "import", text(&file), "--state", text(&to.0)]);
    let name = text(&file);
    done.expect(1, "").says("lines 2 to 1001 were imported: created 1,000, replaced 0, kept 0; nothing after that was");
    done.says(&format!("bulkhead: {name}:1501: expected a line of an export: "));
    alone(&["layer1", "check", "--state", text(&to.0)]).expect(0, "the data is whole: 1,000 entities\n");
    for (input, words) in [
        (&b""[..], "standard input:1: expected the first line of an export of layer1"),
        (b"\xff\n", "standard input:1: expected UTF-8"),
    ] {
        alone_with(&["layer1", "import", "-", "--state", text(&to.0)], input).expect(2, "").says(words);
    }
    alone(&["layer1", "import", "/nowhere/x"]).expect(2, "").says("/nowhere/x: ");
}

const HEAD: &str = "{\"bulkhead\":\"layer1\",\"format\":1}\n";

#[test]
fn an_import_into_a_host_goes_in_groups_of_lines_and_waits_while_it_is_busy() {
    let tries = AtomicU32::new(0);
    let host = Host::answering(move |client, request| {
        if tries.fetch_add(1, Ordering::Relaxed) == 0 {
            client.fail(request, Failure::new(ErrorCode::Overloaded, "too much in progress"));
        } else {
            client.success(request, r#"{"created":2,"replaced":1,"kept":0}"#);
        }
    });
    let input = format!("{HEAD}{}", "{\"a\":\"b\"}\n".repeat(1500));
    let done = host.run_with(&["layer1", "import", "-", "--existing", "replace"], input.as_bytes());
    done.expect(0, "created 4, replaced 2, kept 0\n");
    let groups: Vec<(u64, usize)> = host
        .seen()
        .iter()
        .map(|request| {
            let args: Value = args_of(request).read().unwrap();
            assert_eq!((&args["existing"], &args["lines"][0]), (&json!("replace"), &json!("{\"a\":\"b\"}\n")));
            (args["first"].as_u64().unwrap(), args["lines"].as_array().unwrap().len())
        })
        .collect();
    assert_eq!(groups, [(2, 1000), (2, 1000), (1002, 500)]);
}

#[test]
fn an_import_that_a_host_refuses_or_leaves_says_what_is_known() {
    let refusing = Host::answering(|client, request| {
        let mut failure = Failure::new(ErrorCode::BadRequest, "line 3: at id: expected a UUID");
        failure.data = Some(Json::of(&json!({ "line": 3, "reason": "at id: expected a UUID" })));
        client.fail(request, failure.delivery(Delivery::NotStarted));
    });
    let input = format!("{HEAD}{{}}\n{{}}\n");
    let done = refusing.run_with(&["layer1", "import", "-"], input.as_bytes());
    done.expect(1, "").says("nothing was imported").says("bulkhead: standard input:3: at id: expected a UUID");
    let small = Host::start(|client| {
        client.request();
        client.respond(None, Failure::new(ErrorCode::FrameTooLarge, "a frame has at most 65536 bytes").into());
    });
    let done = small.run_with(&["layer1", "import", "-"], input.as_bytes());
    done.expect(1, "").says("nothing was imported\n").says("import into its state directory with --state");
    let leaving = Host::start(|client| drop(client.request()));
    let done = leaving.run_with(&["layer1", "import", "-"], input.as_bytes());
    done.expect(125, "").says("nothing was imported; whether lines 2 to 3 were is not known: run it again");
}

const SET_ASIDE: &str = r#"{"set_aside":[{"id":17,"module":"mirror","cursor":40,"time":"T","event":"Log.created",
    "source":"","data":{"n":1},"attempts":5,"error":"no ink","set_aside_at":"2026-11-22T10:00:00Z"}],"next":null}"#;

#[test]
fn events_that_were_set_aside_are_listed_replayed_and_dropped() {
    let host = Host::answering(|client, request| match request.payload.as_str() {
        list if list.contains("\"set_aside\"") => client.success(request, SET_ASIDE),
        missing if missing.contains("99") => {
            client.fail(request, Failure::new(ErrorCode::NotFound, "there is no set-aside event 99"));
        }
        _ => client.success(request, r#"{"id":17,"module":"mirror"}"#),
    });
    let table = "\
ID  MODULE  EVENT        CURSOR  TRIES  SET ASIDE             ERROR
17  mirror  Log.created      40      5  2026-11-22T10:00:00Z  no ink
";
    host.run(&["layer1", "set-aside"]).expect(0, table);
    let listed = host.run(&["layer1", "set-aside", "list", "mirror", "--json"]);
    assert!(listed.out.starts_with("{\"schema\":1,\"id\":17,") && listed.out.lines().count() == 1, "{listed:?}");
    host.run(&["layer1", "set-aside", "replay", "17", "99"])
        .expect(1, "17: handled by mirror\n")
        .says("bulkhead: 99: there is no set-aside event 99");
    host.run(&["layer1", "set-aside", "drop", "--all", "mirror"]).expect(0, "17: dropped, of mirror\n");
    let payloads: Vec<String> = host.seen().iter().map(|request| request.payload.as_str().to_owned()).collect();
    let list = r#"{"name":"set_aside","args":{"limit":1000,"name":"mirror"}}"#;
    assert_eq!(payloads[0], r#"{"name":"set_aside","args":{"limit":1000}}"#);
    assert_eq!(payloads[1], list);
    assert_eq!(payloads[2], r#"{"name":"replay","args":{"id":17}}"#);
    assert_eq!(payloads[4..], [list, r#"{"name":"drop","args":{"id":17}}"#]);
    host.run(&["layer1", "set-aside", "drop", "mirror"]).expect(2, "").says("expected the number of a set-aside event");
    host.run(&["layer1", "set-aside", "drop"]).expect(2, "");
    let none = Host::answering(|client, request| client.success(request, r#"{"set_aside":[],"next":null}"#));
    none.run(&["layer1", "set-aside"]).expect(0, "no event is set aside\n");
}

#[test]
fn a_long_list_is_asked_for_piece_by_piece() {
    let host = Host::answering(|client, request| {
        let after = args_of(request).read::<Value>().unwrap()["after"].as_i64().unwrap_or(0);
        let next = if after < 3 { json!(after + 1) } else { Value::Null };
        let one =
            SET_ASIDE.replace("\"id\":17", &format!("\"id\":{}", after + 1)).replace("null}", &format!("{next}}}"));
        client.success(request, &one);
    });
    let listed = host.run(&["layer1", "set-aside", "list", "--json"]);
    assert_eq!((listed.out.lines().count(), host.seen().len()), (4, 4), "{listed:?}");
}

#[test]
fn a_module_is_forgotten_through_its_host_which_may_refuse() {
    let host = Host::answering(|client, request| match request.payload.as_str().contains("\"loaded\"") {
        true => client.fail(request, Failure::new(ErrorCode::Conflict, "loaded is loaded: take its manifest away")),
        false => client.success(request, r#"{"module":"old","cursor":34,"missed":0,"set_aside":2}"#),
    });
    let sentence = "old: forgotten; no event after cursor 34 waits for it any more, 2 set-aside events dropped\n";
    host.run(&["layer1", "forget", "old"]).expect(0, sentence);
    host.run(&["layer1", "forget", "loaded", "old"])
        .expect(1, sentence)
        .says("bulkhead: loaded is loaded: take its manifest away");
    let json = "{\"schema\":1,\"module\":\"old\",\"cursor\":34,\"missed\":0,\"set_aside\":2}\n";
    host.run(&["layer1", "forget", "old", "--json"]).expect(0, json);
    assert_eq!(host.seen()[0].payload.as_str(), r#"{"name":"forget","args":{"name":"old"}}"#);
    host.run(&["layer1", "forget"]).expect(2, "");
}

#[test]
fn a_module_is_forgotten_in_a_state_directory_that_no_host_has() {
    let folder = Folder::new();
    let forget = &["layer1", "forget", "old", "--state", text(&folder.0)];
    alone(forget).expect(2, "").says("there is no data store at ");
    assert!(!folder.0.join("layer1").exists(), "nothing is made");
    let store = filled(&folder, 2);
    store.submit(JobId(2), Job::Subscribe { module: "old".into() }, None).unwrap();
    store.wait();
    alone(forget).expect(1, "").says("is in use by another host").says("or leave --state away");
    drop(store);
    alone(forget)
        .expect(0, "old: forgotten; no event after cursor 2 waits for it any more, 0 set-aside events dropped\n");
    alone(forget).expect(1, "").says("old: there is nothing of a module of this name");
    alone(&["layer1", "check", "--state", text(&folder.0)]).expect(0, "the data is whole: 2 entities\n");
    alone(&["layer1", "forget", "old"]).expect(125, "").says("; or name the data's state directory with --state DIR");
}

#[test]
fn the_reader_of_an_export_may_go_away() {
    let folder = Folder::new();
    let _store = filled(&folder, 20_000);
    let mut command = bulkhead(Path::new("/nowhere"));
    command.args(["layer1", "export", "--state", text(&folder.0)]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    assert!(running.line().starts_with("{\"bulkhead\""));
    drop(running.0.stdout.take());
    let done = running.done();
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?} within {DEADLINE:?}");
}

#[test]
fn a_store_is_compacted_while_no_host_has_it_and_says_how_long_it_was() {
    let folder = Folder::new();
    let state = text(&folder.0);
    alone(&["layer1", "compact"]).expect(2, "").says("--state <DIR>");
    alone(&["layer1", "compact", "--state", state]).expect(2, "").says("there is no data store at");
    let store = filled(&folder, 100);
    alone(&["layer1", "compact", "--state", state]).expect(1, "").says("; stop it for as long as this takes");
    store.close().unwrap();
    drop(store);
    let database = folder.0.join("layer1/layer1.db");
    let older = Path::new(env!("CARGO_MANIFEST_DIR")).join("../layer1/tests/fixtures/version-4.db");
    fs::copy(older, &database).unwrap();
    fs::set_permissions(&database, fs::Permissions::from_mode(0o600)).unwrap();
    let older = alone(&["layer1", "check", "--state", state]);
    older
        .expect(1, "")
        .says("its tables are of version 4, this program knows 5; start the host once, which changes them");
    let done = alone(&["layer1", "compact", "--state", state, "--json"]);
    let summary: Value = serde_json::from_str(&done.out).unwrap();
    let length = fs::metadata(&database).unwrap().len();
    assert_eq!((&summary["before"], &summary["after"]), (&json!(131_072), &json!(length)), "{done:?}");
    alone(&["layer1", "check", "--state", state]).expect(0, "the data is whole: 35 entities\n");
    let again = alone(&["layer1", "compact", "--state", state]);
    assert!(again.code == Some(0) && again.out.contains("KiB before, "), "{again:?}");
}
