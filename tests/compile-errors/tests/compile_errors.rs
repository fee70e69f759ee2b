//! What is wrong with a module in its source is an error at the line of its author. The words around it are the
//! compiler's, so they are compared only where the compiler is known: where `BULKHEAD_COMPILE_ERRORS` is `compare`, as
//! in CI. Elsewhere each case is only seen not to compile. `TRYBUILD=overwrite` with that variable writes the files anew.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the cases are for the test that is started by itself.
const CASES: &str = "BULKHEAD_COMPILE_ERRORS_CASES";

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_errors")
}

fn are_compared() -> bool {
    env::var_os("BULKHEAD_COMPILE_ERRORS").is_some_and(|found| found == "compare")
        || env::var_os("CI").is_some_and(|found| found == "true")
}

#[test]
fn each_fault_in_the_source_is_an_error_at_its_line() {
    if let Some(folder) = env::var_os(CASES) {
        return compile(Path::new(&folder));
    }
    if are_compared() {
        return compile(&cases());
    }
    println!(
        "the words of the errors are not compared, as that needs the compiler of CI: BULKHEAD_COMPILE_ERRORS=compare"
    );
    // Copies, beside which the words may be written.
    let copies = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compile-errors-{}", std::process::id()));
    fs::create_dir_all(&copies).unwrap();
    for case in fs::read_dir(cases()).unwrap().map(|entry| entry.unwrap().path()) {
        if case.extension() == Some(OsStr::new("rs")) {
            fs::copy(&case, copies.join(case.file_name().expect("a file has a name"))).unwrap();
        }
    }
    let again = Command::new(env::current_exe().unwrap())
        .args(["--exact", "each_fault_in_the_source_is_an_error_at_its_line"])
        .env(CASES, &copies)
        .env("TRYBUILD", "overwrite")
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&again.stdout).into_owned() + &String::from_utf8_lossy(&again.stderr);
    fs::remove_dir_all(&copies).unwrap();
    assert!(again.status.success(), "{found}");
}

fn compile(folder: &Path) {
    let cases = trybuild::TestCases::new();
    cases.compile_fail(folder.join("*.rs"));
}
