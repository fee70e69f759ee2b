//! `--inspect`: a line for each message.

use crate::support::{Dev, Folder, version};
use bulkhead_tests::owners_of_checkout;
use serde_json::json;
use std::process::{Command, Stdio};

#[test]
fn a_call_and_its_answer_are_lines_without_what_is_in_them() {
    let folder = Folder::new();
    folder.module("shop", "").module("stock", "");
    let mut dev = Dev::start(&folder, &["--inspect=shop", "--inspect-type", "command", "shop", "stock"]);
    let mut client = dev.client();
    dev.until_seen("shop  * ready in");
    dev.until_seen("stock * ready in");
    assert_eq!(version(&mut client, "stock"), json!("one"));
    assert_eq!(version(&mut client, "shop"), json!("one"));
    let asked = dev.until(" in  command version  (id ");
    assert!(asked.starts_with("shop  ~ ") && asked.ends_with(" B, #1)"), "{asked}");
    let answered = dev.until(" out success of command version  (id ");
    assert!(answered.contains("ms, #1)") || answered.contains("µs, #1)"), "{answered}");
    assert_eq!((dev.count("stock ~"), dev.count(" init"), dev.count("one")), (0, 0, dev.count("this is one")));
}

#[test]
fn a_module_or_type_that_is_none_is_refused() {
    let folder = Folder::new();
    folder.module("shop", "");
    for (words, expected) in [
        (["--inspect=other", "shop"], "--inspect: expected modules of this command, shop; found \"other\""),
        (["--inspect-type=dance", "--inspect"], "invalid value 'dance'"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-dev"));
        command.current_dir(folder.path(".")).args(words).stdin(Stdio::null());
        command.args(owners_of_checkout().iter().map(|owner| format!("--trust-user={owner}")));
        let done = command.output().unwrap();
        let errors = String::from_utf8_lossy(&done.stderr);
        assert_eq!((done.status.code(), errors.contains(expected)), (Some(2), true), "{errors}");
    }
}
