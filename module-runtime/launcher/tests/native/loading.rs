//! A library that cannot be a module: the error says what it lacks, and it is not tried again.

use crate::support::{Library, native, send_init, sentence};
use bulkhead_module::testing::{Program, Scratch};
use std::path::Path;

#[track_caller]
fn refuses(library: &Library, words: &[&str]) {
    check(library.spawn(), words);
}

/// Whether the answer to `init` has all of `words`, after which the process ends with 125.
#[track_caller]
fn check(mut program: Program, words: &[&str]) {
    let answer = send_init(&mut program, |_| {});
    let said = sentence(&answer).to_owned();
    for word in words {
        assert!(said.contains(word), "expected {word:?} in {said:?}");
    }
    let (code, stderr) = program.finish();
    assert_eq!(code, Some(125), "{stderr}");
    assert!(stderr.contains("cannot start"), "{stderr}");
}

#[test]
fn a_missing_file_is_named() {
    check(native(Path::new("/nonexistent/lib.so")).spawn(), &["library '/nonexistent/lib.so' does not exist"]);
}

#[test]
fn a_folder_and_a_pipe_are_no_libraries_and_are_not_waited_for() {
    let scratch = Scratch::new();
    check(native(scratch.path()).spawn(), &["not a regular file"]);
    let pipe = scratch.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    check(native(&pipe).spawn(), &["not a regular file"]);
}

#[test]
fn a_file_that_is_no_library_is_called_that() {
    refuses(&Library::of_bytes(b""), &["cannot be loaded", "the file is empty"]);
    check(Library::of_bytes(&[b'x'; 4096]).spawn(), &["invalid ELF header", "no ELF file"]);
}

#[test]
fn a_library_that_was_cut_short_is_called_that_and_does_not_crash_the_loader() {
    let whole = std::fs::read(Library::build("parrot.c", &[]).path).unwrap();
    for length in [5, 63, 64, 100, 1000, 4096, 8192, whole.len() / 2] {
        refuses(&Library::of_bytes(&whole[..length]), &["the file is cut short"]);
    }
}

#[test]
fn a_library_for_another_architecture_is_distinguished_from_a_broken_one() {
    let mut bytes = std::fs::read(Library::build("parrot.c", &[]).path).unwrap();
    // A machine that no system has.
    bytes[18..20].copy_from_slice(&0x7777u16.to_ne_bytes());
    refuses(&Library::of_bytes(&bytes), &["it was built for machine 30583", "expected "]);
    let mut bytes = std::fs::read(Library::build("parrot.c", &[]).path).unwrap();
    bytes[4] = 1;
    refuses(&Library::of_bytes(&bytes), &["ELFCLASS32", "(32 bits), expected "]);
}

#[test]
fn a_symbol_that_is_nowhere_is_named_before_anything_runs() {
    let library = Library::build("lacking.c", &["LACKS_A_FUNCTION_OF_ITS_OWN"]);
    refuses(&library, &["cannot be loaded: undefined symbol: no_such_function_anywhere"]);
}

#[test]
fn all_functions_that_a_module_lacks_are_named_at_once() {
    let library = Library::build("lacking.c", &["LACKS_FUNCTIONS"]);
    let words = "does not export handle_message and free_string; \
                 a module exports create_module, destroy_module, handle_message and free_string";
    refuses(&library, &[words, "extern \"C\""]);
}

#[test]
fn a_library_that_makes_no_module_is_called_that() {
    refuses(&Library::build("lacking.c", &[]), &["create_module returned a null pointer"]);
}

#[test]
fn nothing_of_a_library_runs_before_init_came() {
    let library = Library::build("sinner.c", &["SIN=ABORT", "PLACE=CONSTRUCTOR"]);
    let mut program = library.spawn();
    program.hang_up();
    assert_eq!(program.finish().0, Some(2));
}

#[test]
fn wrong_usage_and_a_person_in_place_of_a_host_are_reported() {
    for (arguments, words) in [
        (&["native"][..], "expected 'native --library PATH'"),
        (&["native", "--library"], "expected 'native --library PATH'"),
        (&["native", "--library", "a", "b"], "expected 'native --library PATH'"),
        (&["native", "--library", "a"], "start it with `bulkhead run --modules FOLDER`"),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_module-runtime"));
        let output = command.args(arguments).stdin(std::process::Stdio::null()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}
