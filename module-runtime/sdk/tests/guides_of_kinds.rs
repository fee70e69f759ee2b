//! The code in the guides of the other kinds of module is that of files which are compiled and used.
//! The transcripts in them are not checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NATIVE: &str = include_str!("../../../docs/native-modules.md");
const FILTERS: &str = include_str!("../../../docs/filters.md");
const PRIMES: &str = include_str!("../../../docs/examples/primes.c");
const SPECIMEN_IN_C: &str = include_str!("../../../modules/specimen-c/specimen.c");
const MINIMAL: &str = include_str!("../../../modules/test-minimal/src/lib.rs");
const MINIMAL_PROGRAM: &str = include_str!("../../../modules/test-minimal/src/main.rs");
const COST: &str = include_str!("../../../docs/examples/cost.jq");
const GREETER: &str = include_str!("../../../modules/shell-greeter/greeter.sh");

fn blocks(guide: &'static str, language: &str) -> Vec<&'static str> {
    let beginning = format!("\n```{language}\n");
    let blocks = guide.split(beginning.as_str()).skip(1);
    blocks.map(|block| block.split_once("\n```").expect("the block ends").0).collect()
}

/// What comes after the comment at the top of a file.
fn after_the_first_comment(source: &'static str) -> &'static str {
    source.split_once("\n\n").expect("the file begins with a comment").1.trim_end()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where a compiler writes what is not read.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

#[test]
fn the_module_in_c_is_shown_whole_and_every_other_piece_stands_in_a_sample() {
    let blocks = blocks(NATIVE, "c");
    assert_eq!(blocks.first(), Some(&after_the_first_comment(PRIMES)), "the guide does not show primes.c");
    for block in &blocks[1..] {
        assert!(SPECIMEN_IN_C.contains(block), "specimen.c does not have this piece:\n{block}");
    }
}

#[test]
fn the_module_in_rust_is_test_minimal() {
    assert_eq!(blocks(NATIVE, "rust"), [MINIMAL.trim_end(), MINIMAL_PROGRAM.trim_end()]);
}

#[test]
fn the_line_that_the_guide_repairs_is_the_one_with_the_bug() {
    let repaired = blocks(NATIVE, "diff")[0];
    let bug = repaired.lines().find_map(|line| line.strip_prefix('-')).expect("a line is taken out");
    assert!(PRIMES.lines().any(|line| line == bug), "primes.c does not have the line {bug:?}");
}

#[test]
fn the_filters_that_are_shown_are_those_in_the_files() {
    assert_eq!(blocks(FILTERS, "jq"), [COST.trim_end()]);
    for block in blocks(FILTERS, "sh") {
        assert!(GREETER.contains(block), "greeter.sh does not have this piece:\n{block}");
    }
}

#[test]
fn the_module_in_c_is_compiled_without_a_warning() {
    // Once as the guide does it, and once by the oldest standard that the header supports.
    let shown = flags_of_the_guide();
    for standard in [&[] as &[&str], &["-std=c99", "-Wl,-z,defs"]] {
        compile(&root().join("docs/examples/primes.c"), shown.iter().copied().chain(standard.iter().copied()));
    }
}

#[test]
fn the_guides_flags_let_a_module_use_all_of_the_c_library() {
    let source = scratch("posix").with_extension("c");
    fs::write(
        &source,
        "#include <string.h>\nchar *copy(const char *text);\nchar *copy(const char *text) { return strdup(text); }\n",
    )
    .unwrap();
    compile(&source, flags_of_the_guide().into_iter());
    fs::remove_file(&source).unwrap();
}

/// The flags of the guide's command for the compiler, which stands there several times and always the same.
fn flags_of_the_guide() -> Vec<&'static str> {
    let commands: Vec<&str> = NATIVE.lines().filter_map(|line| line.strip_prefix("$ cc ")).collect();
    assert!(commands.len() > 1 && commands.iter().all(|command| *command == commands[0]), "{commands:?}");
    let flags = commands[0].split(" -I ").next().expect("there is a first part");
    flags.split(' ').collect()
}

/// Compiles a source without a warning.
fn compile<'a>(source: &Path, flags: impl Iterator<Item = &'a str>) {
    let output = scratch(source.file_stem().and_then(|name| name.to_str()).expect("it is one of ours"));
    let compiled = Command::new("cc")
        .args(flags)
        .args(["-Werror", "-I"])
        .arg(root().join("module-runtime/include"))
        .arg("-o")
        .arg(&output)
        .arg(source)
        .output()
        .expect("a C compiler is here");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    fs::remove_file(&output).unwrap();
}

#[test]
fn the_module_in_c_is_compiled_to_webassembly_where_there_is_a_clang_for_it() {
    let clang = ["clang-14", "clang"].into_iter().find(|clang| Command::new(clang).arg("--version").output().is_ok());
    let Some(clang) = clang.filter(|_| Path::new("/usr/include/wasm32-wasi").is_dir()) else {
        println!("skipped: there is no clang, or no C library for WebAssembly; see CONTRIBUTING.md");
        return;
    };
    let output = scratch("primes.wasm");
    let compiled = Command::new(clang)
        .args(["--target=wasm32-wasi", "-mexec-model=reactor", "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-I"])
        .arg(root().join("module-runtime/include"))
        .arg("-o")
        .arg(&output)
        .arg(root().join("docs/examples/primes.c"))
        .output()
        .expect("it was found a moment ago");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    assert!(fs::read(&output).unwrap().starts_with(b"\0asm"));
    fs::remove_file(&output).unwrap();
}
