//! `module.h` is good C99 and good C++, and exports what is defined without further declarations.

use bulkhead_module::testing::Scratch;
use std::path::Path;
use std::process::{Command, Output};

const SOURCE: &str = r#"
#define BULKHEAD_IMPLEMENT_SET_HOST
#define BULKHEAD_IMPLEMENT_STRINGS
#include "module.h"
void *create_module(void) { return malloc(1); }
void destroy_module(void *module) { free(module); }
char *handle_message(void *module, const char *type, const char *payload) {
    (void)module;
    bulkhead_log("info", type);
    bulkhead_free(bulkhead_query(0, payload, -1));
    return (char *)calloc(2, 1);
}
"#;

/// Builds a library of [`SOURCE`] in which everything is hidden that is not exported.
fn build(compiler: &str, standard: &str, path: &Path) -> std::io::Result<Output> {
    let mut command = Command::new(compiler);
    command.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-fvisibility=hidden"]);
    command.args(["-fPIC", "-shared", concat!("-I", env!("CARGO_MANIFEST_DIR"), "/../include"), "-o"]);
    command.arg(path.with_extension("so")).arg(path).output()
}

#[track_caller]
fn check(built: &Output, library: &Path) {
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut program = crate::support::native(library).start();
    program.hang_up();
    let (code, stderr) = program.finish();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains(r#""message":"init""#), "{stderr}");
}

#[test]
fn the_header_is_c_and_what_is_defined_is_exported() {
    let scratch = Scratch::new();
    let path = scratch.path().join("module.c");
    std::fs::write(&path, SOURCE).unwrap();
    check(&build("cc", "-std=c99", &path).unwrap(), &path.with_extension("so"));
}

#[test]
fn the_header_is_cpp_and_what_is_defined_is_exported() {
    let scratch = Scratch::new();
    let path = scratch.path().join("module.cc");
    std::fs::write(&path, SOURCE).unwrap();
    match build("c++", "-std=c++11", &path) {
        Ok(built) => check(&built, &path.with_extension("so")),
        Err(error) => eprintln!("skipped: the header in C++, because c++ cannot be run: {error}"),
    }
}
