//! Every target with every input of its corpus and of the tests that it takes some from, and with what proptest makes
//! of them. `PROPTEST_CASES=1000000` tries more, and `cargo xtask fuzz` does so guided by coverage.

use bulkhead_fuzz::{TARGETS, Target, corpus, mutation};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::collections::BTreeSet;

#[path = "../../../protocol/json/tests/texts/mod.rs"]
mod texts;

fn target(name: &str) -> &'static Target {
    Target::named(name).expect("there is a target of this name")
}

/// The inputs, changes of them, and any other bytes of this kind.
fn check(name: &str, other: impl Strategy<Value = Vec<u8>>) {
    let target = target(name);
    let inputs = corpus::read(target).unwrap();
    assert!(inputs.len() > 5, "{name} has lost its inputs: {} are left", inputs.len());
    inputs.iter().for_each(|input| (target.run)(input));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let changed = any::<u64>().prop_map(|seed| {
        let mut random = mutation::Random::new(seed);
        mutation::mutated(&inputs, &mut random)
    });
    let any_input = prop_oneof![4 => changed, 1 => other];
    let done = runner.run(&any_input, |input| {
        (target.run)(&input);
        Ok(())
    });
    if let Err(error) = done {
        panic!("{name}: {error}");
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    (texts::value(), texts::damages(), any::<bool>()).prop_map(|(value, damages, is_damaged)| {
        if is_damaged { texts::damaged(&value, &damages).into_bytes() } else { value.into_bytes() }
    })
}

#[test]
fn json_is_what_serde_json_says_it_is() {
    check("json", value());
}

#[test]
fn json_in_pieces_is_what_it_is_as_a_whole() {
    let cut = (any::<[u8; 4]>(), value()).prop_map(|(cuts, value)| [&cuts[..], &value].concat());
    check("json-in-pieces", cut);
}

#[test]
fn a_message_is_read_alike_short_and_long_and_as_it_was_written() {
    check("messages", bytes());
}

#[test]
fn frames_are_the_same_however_a_stream_is_cut() {
    check("frames", bytes());
}

#[test]
fn payloads_of_the_data_store_are_read_or_refused() {
    check("layer1", value());
}

#[test]
fn a_manifest_is_read_or_its_faults_are_named() {
    check("module-toml", bytes());
}

#[test]
fn a_hosts_file_is_read_or_its_faults_are_named() {
    check("bulkhead-toml", bytes());
}

#[test]
fn every_target_has_a_corpus_and_no_other_folder_is_there() {
    let folders = std::fs::read_dir(corpus::root().join("tests/fuzz/corpus")).unwrap();
    let folders: BTreeSet<_> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(folders, TARGETS.iter().map(|target| target.name.to_owned()).collect());
}

#[test]
fn a_target_that_finds_something_wrong_panics() {
    // This shows that the tests above can fail.
    let wrong = Target { name: "wrong", holds: "", seeds: &[], run: |bytes| assert!(bytes.is_empty()) };
    assert!(std::panic::catch_unwind(|| (wrong.run)(b"x")).is_err());
}
