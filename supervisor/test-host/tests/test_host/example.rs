//! The test that `docs/testing-a-module.md` shows, and the code of that page.

use bulkhead_module::testing::TestHost;
use bulkhead_protocol::{Delivery, ErrorCode};
use bulkhead_tests::program;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn what_is_counted_is_lost_with_the_process_and_the_crash_is_on_record() {
    let host = TestHost::of_program(program("misbehave"))
        .config(json!({ "level": 7 }))
        .program(program("bulkhead-test-host"))
        .start()
        .unwrap();
    assert_eq!(host.call("whoami", json!({})).unwrap()["config"]["level"], 7);
    host.call("count", json!({})).unwrap();
    let error = host.call("abort", json!({})).unwrap_err();
    assert_eq!((error.code(), error.delivery()), (ErrorCode::ModuleCrashed, Some(Delivery::Started)));
    assert_eq!(host.call("count", json!({})).unwrap()["count"], 1);
    assert_eq!(host.crashes().unwrap()[0]["reason"], "SIGABRT");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the repository")
}

#[test]
fn each_piece_of_code_of_the_page_stands_in_a_test_that_is_run() {
    let page = fs::read_to_string(root().join("docs/testing-a-module.md")).unwrap();
    // The tests of the samples are run with those of the SDKs.
    let sources = [
        "supervisor/test-host/tests/test_host/example.rs",
        "docs/examples/test_echo.py",
        "modules/stock-python/test_stock.py",
        "modules/stock-typescript/stock.host.test.ts",
    ];
    let sources = sources.map(|path| fs::read_to_string(root().join(path)).unwrap());
    let mut count = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (language, code) = block.split_once('\n').unwrap();
        if ["python", "ts", "rust"].contains(&language) {
            count += 1;
            assert!(sources.iter().any(|source| source.contains(code)), "no test has this piece:\n{code}");
        }
    }
    assert_eq!(count, 4);
}

#[test]
fn a_test_that_was_written_without_an_sdk_passes() {
    let python = Command::new("python3").args(["-c", "import json, socket, struct"]).output();
    if !python.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: the test in plain Python, because python3 cannot be run");
        return;
    }
    let mut command = Command::new("python3");
    command.arg(root().join("docs/examples/test_echo.py")).env("BULKHEAD_BIN", program("bulkhead"));
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "passed\n", "{}", String::from_utf8_lossy(&output.stderr));
}
