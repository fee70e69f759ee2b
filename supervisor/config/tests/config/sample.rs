//! The sample of the host's file in the documentation: it loads, it has every key, and its values are the defaults.

use crate::support::Tree;
use bulkhead_config::{Environment, Flags, HostConfig, Loaded, show};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};

const SAMPLE: &str = include_str!("../../../../docs/examples/bulkhead.toml");

/// Keys of manifests alone, or that a host's file can only narrow.
const OF_MANIFESTS: [&str; 4] = ["capabilities.", "dev.", "layer1.", "wasi."];

/// The sample with every key in force, for a module of this name.
fn uncommented(module: &str) -> String {
    let setting = |line: &&str| line.starts_with(|c: char| c == '[' || c.is_ascii_lowercase());
    let lines = SAMPLE.lines().map(|line| line.strip_prefix('#').filter(setting).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n").replace("NAME", module)
}

/// One value in force.
#[derive(Debug, PartialEq)]
struct Row {
    module: Value,
    key: String,
    value: Value,
    origin: String,
}

/// What is in force by this file with root's defaults. The only module is WebAssembly, which has every key of the
/// sample.
fn in_force(tree: &Tree, file: &str, modules: Vec<PathBuf>) -> Vec<Row> {
    tree.write("modules/counter/module.toml", "[module]\nname = 'counter'\ntype = 'wasm'\nwasm = 'counter.wasm'\n");
    tree.write("modules/counter/counter.wasm", b"\0asm\x01\0\0\0").write("bulkhead.toml", file);
    let flags = Flags { config: Some("bulkhead.toml".into()), modules, ..Flags::default() };
    let root = Environment { root: true, variables: BTreeMap::new(), ..tree.environment() };
    let loaded = HostConfig::load_in(flags, &root).unwrap_or_else(|problems| panic!("{problems}"));
    rows(&loaded)
}

fn rows(loaded: &Loaded) -> Vec<Row> {
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        Row { module: row["module"].clone(), key: text("key"), value: row["value"].clone(), origin: text("origin") }
    };
    show(loaded, true).lines().map(row).collect()
}

#[test]
fn the_sample_as_it_is_changes_nothing() {
    let tree = Tree::new();
    let modules = vec!["modules".into()];
    assert_eq!(in_force(&tree, SAMPLE, modules.clone()), in_force(&tree, "", modules));
}

#[test]
fn the_sample_has_every_key_with_its_default() {
    let tree = Tree::new();
    let modules = vec!["modules".into()];
    let sample = in_force(&tree, &uncommented("counter"), modules.clone());
    let default = in_force(&tree, "", modules);
    assert_eq!(sample.len(), default.len());
    for (sample, default) in sample.iter().zip(&default) {
        assert_eq!((&sample.key, &sample.value), (&default.key, &default.value));
        // The flag takes precedence over the file; users are trusted by a flag alone; the tables have no members here.
        let elsewhere = ["host.modules", "host.trusted_users", "module.version", "module.requires"];
        let of_manifest =
            !sample.module.is_null() && OF_MANIFESTS.iter().any(|section| sample.key.starts_with(section));
        if default.origin == "default" && !elsewhere.contains(&sample.key.as_str()) && !of_manifest {
            assert!(sample.origin.starts_with("bulkhead.toml:"), "{} is not in the sample", sample.key);
        }
    }
}

#[test]
fn the_sample_shows_the_module_folder_of_root() {
    let default = in_force(&Tree::new(), "", Vec::new());
    let default = &default.iter().find(|row| row.key == "host.modules").unwrap().value;
    let sample: toml::Table = uncommented("counter").parse().unwrap();
    assert_eq!(serde_json::to_value(&sample["host"]["modules"]).unwrap(), *default);
}
