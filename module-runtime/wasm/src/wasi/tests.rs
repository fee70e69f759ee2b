//! What WASI shows a module, and what it hides.

use crate::arguments::{Access, DataFolder, Folder};
use crate::testing::{Kit, Script, data, last, module, query};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const IMPORTS: &str = r#"
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_shutdown" (func $sock_shutdown (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))"#;

/// Answers with a number of up to three digits.
const NUMBER: &str = r#"
  (func $number (param $n i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 34))
    (i32.store8 (i32.const 1025) (i32.add (i32.const 48) (i32.div_u (local.get $n) (i32.const 100))))
    (i32.store8 (i32.const 1026) (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $n) (i32.const 10)) (i32.const 10))))
    (i32.store8 (i32.const 1027) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
    (i32.store16 (i32.const 1028) (i32.const 34))
    (i32.const 1024))"#;

fn kit(body: &str) -> Kit {
    Kit::new(&module(IMPORTS, body, NUMBER))
}

/// Opens the path in the payload, a JSON string, below descriptor 3, and answers the first bytes of
/// the file as they are, or the number of the error. The flags are those of `path_open`.
fn opener(create: &str, rights: &str) -> Kit {
    let body = format!(
        r#"(loop $next
      (local.set $length (i32.add (local.get $length) (i32.const 1)))
      (br_if $next (i32.load8_u (i32.add (local.get $payload) (local.get $length)))))
    (local.set $errno (call $path_open (i32.const 3) (i32.const 1)
      (i32.add (local.get $payload) (i32.const 1)) (i32.sub (local.get $length) (i32.const 2))
      {create} {rights} (i64.const 0) (i32.const 0) (i32.const 3000)))
    (if (local.get $errno) (then (return (call $number (local.get $errno)))))
    (i32.store (i32.const 3008) (i32.const 3100))
    (i32.store (i32.const 3012) (i32.const 100))
    (local.set $errno (call $fd_read (i32.load (i32.const 3000)) (i32.const 3008) (i32.const 1) (i32.const 3004)))
    (if (local.get $errno) (then (return (call $number (local.get $errno)))))
    (i32.const 3100)"#
    );
    kit(&body)
}

fn reader() -> Kit {
    opener("(i32.const 0)", "(i64.const 2)")
}

fn creator() -> Kit {
    opener("(i32.const 1)", "(i64.const 66)")
}

fn shown(kit: Kit, path: &Path, access: Access) -> Kit {
    let folder = Folder { path: path.to_owned(), guest: "files".into(), access };
    kit.with(|options| options.grants.folders.push(folder))
}

/// Number of "bad descriptor", "no such entry", "not permitted", "read-only", as WASI has them.
const BADF: &str = "008";
const NOENT: &str = "044";
const PERM: &str = "063";

#[test]
fn a_folder_that_is_granted_can_be_read() {
    let kit = reader();
    let folder = kit.folder("files");
    std::fs::write(folder.join("a.json"), r#""hello""#).unwrap();
    let kit = shown(kit, &folder, Access::Read);
    let mut guest = kit.ready();
    assert_eq!(data(&mut guest, json!("a.json")), "hello");
    assert_eq!(data(&mut guest, json!("b.json")), NOENT);
}

#[test]
fn without_a_grant_there_is_no_folder() {
    let mut guest = reader().ready();
    assert_eq!(data(&mut guest, json!("a.json")), BADF);
    assert_eq!(data(&mut guest, json!("/etc/passwd")), BADF);
    assert_eq!(data(&mut kit("(call $number (call $prestat (i32.const 3) (i32.const 3000)))").ready(), json!(1)), BADF);
}

#[test]
fn nothing_beside_the_granted_folder_can_be_reached() {
    let kit = reader();
    let folder = kit.folder("files");
    let secret = kit.scratch.path().join("secret.json");
    std::fs::write(&secret, r#""secret""#).unwrap();
    std::os::unix::fs::symlink(&secret, folder.join("absolute")).unwrap();
    std::os::unix::fs::symlink("../secret.json", folder.join("relative")).unwrap();
    std::os::unix::fs::symlink("..", folder.join("parent")).unwrap();
    let kit = shown(kit, &folder, Access::Read);
    let mut guest = kit.ready();
    let secret = secret.to_str().unwrap();
    for path in ["../secret.json", "./../secret.json", "absolute", "relative", "parent/secret.json", secret] {
        assert_eq!(data(&mut guest, json!(path)), PERM, "{path}");
    }
}

#[test]
fn a_folder_for_reading_cannot_be_written_to() {
    let kit = creator();
    let folder = kit.folder("files");
    let kit = shown(kit, &folder, Access::Read);
    let errno = data(&mut kit.ready(), json!("new"));
    assert!([json!(PERM), json!("069"), json!("002")].contains(&errno), "{errno}");
    assert!(!folder.join("new").exists());
}

#[test]
fn a_folder_for_writing_can_be_written_to() {
    let kit = creator();
    let folder = kit.folder("files");
    let kit = shown(kit, &folder, Access::Write);
    // The new file is empty, and an empty answer is not JSON.
    let _ = query(&mut kit.ready(), &mut Script::default(), json!("new"));
    assert!(folder.join("new").exists());
}

#[test]
fn the_data_folder_is_there_when_it_is_granted() {
    let kit = creator().with(|options| options.grants.data = DataFolder::Shown);
    let _ = query(&mut kit.ready(), &mut Script::default(), json!("kept"));
    assert!(kit.folder("data").join("kept").exists());
}

#[test]
fn a_granted_folder_that_is_not_there_is_named() {
    let kit = shown(reader(), Path::new("/no/such/folder"), Access::Read);
    let error = kit.refused();
    assert!(
        error.to_string().starts_with("cannot open the folder /no/such/folder, which the module may see as files: "),
        "{error}"
    );
}

#[test]
fn only_the_variables_that_are_granted_are_seen() {
    let body = "(drop (call $environ_sizes (i32.const 3000) (i32.const 3004)))
                (call $number (i32.load (i32.const 3000)))";
    assert_eq!(data(&mut kit(body).ready(), json!(1)), "000");
    let variables = [("PATH".to_owned(), "/bin".to_owned()), ("LD_PRELOAD".to_owned(), "/x.so".to_owned())];
    let granted = |body: &str| kit(body).with(|options| options.grants.environment = variables.clone().into());
    assert_eq!(data(&mut granted(body).ready(), json!(1)), "002");
    // The first of them, between quotes.
    let first = "(i32.store8 (i32.const 3099) (i32.const 34))
                 (drop (call $environ (i32.const 3000) (i32.const 3100)))
                 (i32.store16 (i32.const 3116) (i32.const 34))
                 (i32.const 3099)";
    assert_eq!(data(&mut granted(first).ready(), json!(1)), "LD_PRELOAD=/x.so");
}

#[test]
fn there_are_no_arguments_no_input_and_no_sockets() {
    let arguments =
        "(drop (call $args_sizes (i32.const 3000) (i32.const 3004))) (call $number (i32.load (i32.const 3000)))";
    assert_eq!(data(&mut kit(arguments).ready(), json!(1)), "000");
    let input = "(i32.store (i32.const 3008) (i32.const 3100)) (i32.store (i32.const 3012) (i32.const 10))
                 (drop (call $fd_read (i32.const 0) (i32.const 3008) (i32.const 1) (i32.const 3004)))
                 (call $number (i32.load (i32.const 3004)))";
    assert_eq!(data(&mut kit(input).ready(), json!(1)), "000");
    let socket = "(call $number (i32.eqz (call $sock_shutdown (i32.const 3) (i32.const 0))))";
    assert_eq!(data(&mut kit(socket).ready(), json!(1)), "000");
}

#[test]
fn proc_exit_is_answered_and_the_process_ends_with_its_code() {
    let (error, code) = last(query(
        &mut kit("(call $proc_exit (i32.const 7)) (unreachable)").ready(),
        &mut Script::default(),
        json!(1),
    ));
    assert_eq!(code, 7);
    assert_eq!(error.to_string(), "the module called proc_exit(7) in handle_message (query)");
    let mut guest = kit("(call $proc_exit (i32.const 7)) (unreachable)").ready_with(json!({ "on_panic": "continue" }));
    assert_eq!(last(query(&mut guest, &mut Script::default(), json!(1))).1, 7, "whatever follows a trap");
}

#[test]
fn proc_exit_in_a_message_is_no_clean_end_whatever_its_code() {
    for (code, expected) in [(0, 1), (1, 1), (256, 102), (-1, 102)] {
        let mut guest = kit(&format!("(call $proc_exit (i32.const {code})) (unreachable)")).ready();
        let (error, exit) = last(query(&mut guest, &mut Script::default(), json!(1)));
        assert_eq!(exit, expected, "proc_exit({code}): {error}");
    }
}

#[test]
fn a_loop_of_calls_of_wasi_is_stopped_by_the_processor_time_limit() {
    for deed in [
        "(loop $again (drop (call $random_get (i32.const 3000) (i32.const 500))) (br $again))",
        "(loop $again (drop (call $environ_sizes (i32.const 3000) (i32.const 3004))) (br $again))",
        "(loop $again (drop (call $fd_read (i32.const 0) (i32.const 3008) (i32.const 1) (i32.const 3004))) (br $again))",
    ] {
        let kit = kit(&format!("{deed} (i32.const 0)"))
            .with(|options| options.cpu_time_limit = Some(Duration::from_millis(50)));
        let (error, _) = last(query(&mut kit.ready(), &mut Script::default(), Value::Null));
        assert_eq!(error.module_code(), Some("cpu_time_limit"), "{deed}: {error}");
    }
}

#[test]
fn one_call_for_gigabytes_is_refused_before_anything_is_held_for_it() {
    let random = "(drop (memory.grow (i32.const 16000))) (drop (call $random_get (i32.const 0) (i32.const 1000000000)))
                  (i32.const 16)";
    let (error, code) = last(query(&mut kit(random).ready(), &mut Script::default(), Value::Null));
    assert_eq!((error.module_code(), code), (Some("trap"), 102));
    assert!(error.to_string().contains("1000000000"), "{error}");
    // A write to the log of a gigabyte: the error "no memory".
    let write = "(drop (memory.grow (i32.const 16000)))
                 (i32.store (i32.const 3008) (i32.const 0)) (i32.store (i32.const 3012) (i32.const 1000000000))
                 (call $number (call $fd_write (i32.const 2) (i32.const 3008) (i32.const 1) (i32.const 3004)))";
    assert_eq!(data(&mut kit(write).ready(), Value::Null), "048");
}
