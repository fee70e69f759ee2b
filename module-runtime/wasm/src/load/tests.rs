//! Files that are no module of ours, and the errors for them.

use super::*;
use crate::testing::{Kit, data, module};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

fn good() -> String {
    module("", "(local.get $payload)", "")
}

/// The error after the file's name.
fn problem(kit: &Kit) -> String {
    let error = kit.refused();
    assert!(error.is_permanent(), "{error}");
    let sentence = error.to_string();
    let named = format!("cannot load {}: ", kit.options.module.display());
    sentence.strip_prefix(&named).unwrap_or_else(|| panic!("{sentence}")).to_owned()
}

#[test]
fn what_is_no_core_module_is_named_by_what_it_is() {
    let component = [&b"\0asm\x0d\0\x01\0"[..], &[0; 8]].concat();
    for (bytes, sentence) in [
        (&b""[..], "it is empty"),
        (b"\0as", "it ends within the first eight bytes"),
        (b"\0asm\x01\0\0", "it ends within the first eight bytes"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "it is no WebAssembly: it does not begin with \\0asm"),
        (b"(module)", "it is WebAssembly as text, expected the binary format (wat2wasm makes it)"),
        (b"\0asm\x02\0\0\0", "it is WebAssembly of version 2, expected version 1"),
        (&component, "it is a WebAssembly component, expected a core module (for clang and rustc, wasm32-wasip1)"),
    ] {
        assert_eq!(problem(&Kit::of(bytes)), sentence);
    }
}

#[test]
fn what_is_not_valid_is_reported_with_its_position() {
    let wasm = wat::parse_str(good()).unwrap();
    let cut = problem(&Kit::of(&wasm[..wasm.len() / 2]));
    assert!(cut.starts_with("it is no valid WebAssembly: ") && cut.contains("(at offset 0x"), "{cut}");
    // A function that leaves nothing on the stack and should leave a number.
    let invalid = wat::parse_str("(module (func (result i32)))").unwrap();
    let sentence = problem(&Kit::of(&invalid));
    assert!(sentence.contains("type mismatch") && sentence.contains("at offset 24"), "{sentence}");
    let wide = good().replace("(memory (export \"memory\") 1)", "(memory (export \"memory\") i64 1)");
    assert!(problem(&Kit::new(&wide)).contains("memory64 must be enabled"));
}

#[test]
fn a_missing_file_is_reported() {
    let kit = Kit::of(b"").with(|options| options.module = "/no/such/module.wasm".into());
    assert_eq!(problem(&kit), "No such file or directory (os error 2)");
}

#[test]
fn every_missing_or_unfit_export_is_named_with_what_is_expected() {
    assert_eq!(
        problem(&Kit::new("(module)")),
        "the module's exports are not those of a module of Bulkhead: create_module () -> i32 is missing; \
         destroy_module (i32) is missing; handle_message (i32, i32, i32) -> i32 is missing; free_string (i32) is \
         missing; alloc_string (i32) -> i32 is missing; memory is missing"
    );
    let unfit = good()
        .replace(
            "(func (export \"free_string\") (param i32))",
            "(func (export \"free_string\") (param i64) (result i32) (i32.const 0))",
        )
        .replace(
            "(func (export \"destroy_module\") (param i32))",
            "(global (export \"destroy_module\") i32 (i32.const 0))",
        )
        .replace("(global $top", "(func (export \"before_answers\")) (func (export \"_start\")) (global $top");
    assert_eq!(
        problem(&Kit::new(&unfit)),
        "the module's exports are not those of a module of Bulkhead: destroy_module is a global, expected (i32); \
         free_string is (i64) -> i32, expected (i32); before_answers is (), expected (i32) -> i32; it has _start, as \
         a program has: build it as a library (for clang, -mexec-model=reactor)"
    );
}

#[test]
fn a_table_is_no_memory() {
    let text = good().replace("(memory (export \"memory\") 1)", "(memory 1) (table (export \"memory\") 1 funcref)");
    assert!(problem(&Kit::new(&text)).ends_with("memory is a table, expected a 32-bit memory"));
}

/// Modules built by clang, with WASI.
fn samples() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../modules");
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
    };
    vec![
        read("word-count/wasm/word_count.wasm"),
        read("specimen-c/wasm/specimen_c.wasm"),
        wat::parse_str(good()).unwrap(),
    ]
}

#[test]
fn the_samples_load() {
    for wasm in samples() {
        let kit = Kit::of(&wasm);
        if let Err(problem) = load(&kit.options, &mut |_| {}) {
            panic!("{problem}");
        }
    }
}

/// Loads arbitrary bytes, and sends `init` to what loads: within bounds, all of it must return.
fn survive(wasm: &[u8]) {
    let kit = Kit::of(wasm).with(|options| {
        options.memory_limit = Some(64 << 20);
        options.cpu_time_limit = Some(Duration::from_millis(50));
    });
    let (_guest, _either) = kit.init();
}

/// A stage with many useful mutations: of one byte, in a file that is otherwise whole.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let samples = samples();
    (0..samples.len(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)).prop_map(
        move |(which, changes)| {
            let mut wasm = samples[which].clone();
            for (at, byte) in changes {
                let at = at.index(wasm.len());
                wasm[at] = byte;
            }
            wasm
        },
    )
}

fn cut() -> impl Strategy<Value = Vec<u8>> {
    let samples = samples();
    (0..samples.len(), any::<prop::sample::Index>()).prop_map(move |(which, at)| {
        let mut wasm = samples[which].clone();
        wasm.truncate(at.index(wasm.len()));
        wasm
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_break_the_loader(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survive(&bytes);
        survive(&[&b"\0asm\x01\0\0\0"[..], &bytes].concat());
    }

    #[test]
    fn altered_modules_never_break_the_loader(wasm in mutated()) {
        survive(&wasm);
    }

    #[test]
    fn cut_modules_never_break_the_loader(wasm in cut()) {
        survive(&wasm);
    }
}

#[test]
fn a_module_loads_from_the_cache_as_it_did_without() {
    let kit = Kit::new(&good());
    let cache = kit.folder("cache");
    let kit = kit.with(|options| options.cache = Some(cache.clone()));
    for _ in 0..3 {
        assert_eq!(data(&mut kit.ready(), json!("a")), "a");
        assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1);
    }
}
