//! The schemas against the checks: what a file may say by the checks is accepted by the schema, and what the checks
//! refuse by its form is refused by the schema, for every key and kind.

#[path = "schema_validator.rs"]
mod validator;

use super::*;
use crate::document::Document;
use crate::fill::{Filling, Scope};
use crate::keys::{HOST_KEYS, MODULE_KEYS};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use validator::Validator;

const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

/// Values in TOML, of each form that a key may have, right and wrong.
const VALUES: &[&str] = &[
    "-1",
    "0",
    "1",
    "3",
    "17",
    "500",
    "100_000",
    "2_000_000",
    "1.5",
    "true",
    "false",
    "\"\"",
    "\"a\"",
    "\"A\"",
    "\"layer1\"",
    "\"~/a\"",
    "\"a=b\"",
    "\"5\"",
    "\"5s\"",
    "\"1.5h\"",
    "\"1.0000000001s\"",
    "\"-5s\"",
    "\"0s\"",
    "\"3650d\"",
    "\"64MiB\"",
    "\"64mb\"",
    "\"1.5MiB\"",
    "\"1B\"",
    "\"9TiB\"",
    "\"none\"",
    "\"unlimited\"",
    "\"restart\"",
    "\"continue\"",
    "\"socket\"",
    "\"message\"",
    "\"always\"",
    "\"debug\"",
    "[]",
    "[\"a\"]",
    "[\"A\"]",
    "[\"Aa-b*\"]",
    "[\"layer1\"]",
    "[\"supervisor\"]",
    "[\"BULKHEAD_X\"]",
    "[\"a=b\"]",
    "[\"\"]",
    "[\"*\"]",
    "[\"a.*\"]",
    "[\"~\"]",
    "[\"a\", 1]",
    "[1]",
    "[[]]",
    "{}",
    "{ a = \"b\" }",
    "{ A = [\"b\"] }",
    "{ A = [] }",
    "{ A = [\"b\", \"b\"] }",
    "{ A = \"b\" }",
    "{ \"1\" = [\"b\"] }",
    "{ BULKHEAD_X = \"b\" }",
    "{ \"a=b\" = \"c\" }",
    "{ a = 1 }",
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn validator(of: SchemaOf) -> Validator {
    Validator::new(serde_json::from_str(&schema(of)).unwrap())
}

/// A file as an editor shows it to a schema.
fn value(text: &str) -> Value {
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    serde_json::to_value(table).unwrap()
}

/// The faults that the checks find in the tables of a file, each with its place.
fn faults<T>(config: &mut T, keys: &'static [Key<T>], scope: Scope<'_>, text: &str) -> Vec<String> {
    let document = Document::of_bytes(Arc::from(Path::new("f.toml")), "/f".into(), text.into()).unwrap();
    let (mut problems, mut positions) = (Vec::new(), crate::read::Positions::new());
    let table = document.parse().unwrap();
    let mut filling =
        Filling { document: &document, scope, keys, others: &[], problems: &mut problems, positions: &mut positions };
    filling.fill(config, &table);
    problems.iter().map(ToString::to_string).collect()
}

/// What a schema cannot say: the bounds of quantities, the grammar of paths, and whether a command
/// has a word. Of the right type, such a value may be refused by the checks alone.
fn only_checks_know(slot: &Slot<'_>, value: &str) -> bool {
    let is_quantity =
        parse_duration(value.trim_matches('"')).is_some() || parse_size(value.trim_matches('"')).is_some();
    match slot {
        Slot::Time(..) | Slot::OptionalTime(..) => is_quantity,
        Slot::Size(..) | Slot::OptionalSize(..) | Slot::SizeOrUnlimited(..) => is_quantity,
        Slot::Command(_) | Slot::Words(_) => value == "[\"\"]",
        Slot::Indexes(_) | Slot::Searches(_) => value.starts_with(['[', '{']),
        _ => false,
    }
}

/// The line of a key in its section.
fn line(path: &str, value: &str) -> String {
    match path.rsplit_once('.') {
        Some((section, name)) => format!("{section}.{name} = {value}\n"),
        None => format!("{path} = {value}\n"),
    }
}

/// A manifest of a kind with all that it must have.
fn manifest(kind: &str) -> String {
    let needed = match kind {
        "native" => "library = \"a.so\"",
        "wasm" => "wasm = \"a.wasm\"",
        _ => "command = [\"a\"]",
    };
    format!("module.name = \"a\"\nmodule.type = \"{kind}\"\nmodule.{needed}\n")
}

#[test]
fn the_schema_of_a_manifest_accepts_and_refuses_what_the_checks_do() {
    let validator = validator(SchemaOf::Module);
    let mut compared = 0;
    for (kind, _) in kinds() {
        for key in MODULE_KEYS.iter().filter(|key| key.path != "module.type") {
            for candidate in VALUES {
                let mut config = kinds().into_iter().find(|(name, _)| *name == kind).unwrap().1;
                let needed = manifest(kind);
                let others = needed.lines().filter(|line| !line.starts_with(&format!("{} ", key.path)));
                let others: String = others.map(|line| format!("{line}\n")).collect();
                let text = others + &line(key.path, candidate);
                let faults = faults(&mut config, MODULE_KEYS, Scope::File, &text);
                let accepted = validator.is_valid(&value(&text));
                let slot = key.slot(&mut config);
                let excused = slot.is_some_and(|slot| only_checks_know(&slot, candidate));
                let fits = if faults.is_empty() { accepted } else { !accepted || excused };
                assert!(
                    fits,
                    "the schema {} this:\n{text}the checks say {faults:?}",
                    if accepted { "accepts" } else { "refuses" }
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 10_000, "{compared}");
}

#[test]
fn the_schema_of_the_hosts_file_accepts_and_refuses_what_the_checks_do() {
    let validator = validator(SchemaOf::Host);
    for key in HOST_KEYS {
        for candidate in VALUES {
            let mut config = HostConfig::new("", "");
            let text = line(key.path, candidate);
            let faults = faults(&mut config, HOST_KEYS, Scope::File, &text);
            let accepted = validator.is_valid(&value(&text));
            let excused = key.slot(&mut config).is_some_and(|slot| only_checks_know(&slot, candidate));
            let fits = if faults.is_empty() { accepted } else { !accepted || excused };
            assert!(fits, "accepted by the schema: {accepted}\n{text}the checks say {faults:?}");
        }
    }
    // The keys of a module in the host's file, of the kind that has the most.
    for key in MODULE_KEYS {
        for candidate in VALUES {
            let of_key = |(_, mut config): (&str, ModuleConfig)| key.slot(&mut config).is_some().then_some(config);
            let mut config = kinds().into_iter().find_map(of_key).unwrap();
            let path = key.path.strip_prefix("module.").unwrap_or(key.path);
            let faults = faults(&mut config, MODULE_KEYS, Scope::Module("a"), &line(path, candidate));
            let accepted = validator.is_valid(&value(&format!("[module.a]\n{}", line(path, candidate))));
            let slot = key.slot(&mut config).unwrap();
            // What the manifest grants is not in this file, so that everything is beyond it.
            let excused = only_checks_know(&slot, candidate)
                || (key.operator == Operator::Narrows
                    && faults.iter().all(|fault| fault.contains("grant it in the manifest")));
            let fits = if faults.is_empty() { accepted } else { !accepted || excused };
            assert!(fits, "accepted by the schema: {accepted}\n{path} = {candidate}\nthe checks say {faults:?}");
        }
    }
}

#[test]
fn a_manifest_without_a_name_or_with_a_key_that_is_none_is_refused() {
    let validator = validator(SchemaOf::Module);
    for (text, accepted) in [
        ("[module]\nname = 'a'\ncommand = ['b']\n", true),
        ("[module]\ncommand = ['b']\n", false),
        ("[module]\nname = 'a'\n", false),
        ("[module]\nname = 'a'\ntype = 'native'\ncommand = ['b']\n", false),
        ("[module]\nname = 'a'\ntype = 'cobol'\ncommand = ['b']\n", false),
        ("[module]\nname = 'a'\ncommand = ['b']\nlimits = 5\n", false),
        ("[module]\nname = 'a'\ncommand = ['b']\n[limits]\nque = 5\n", false),
        ("[module]\nname = 'a'\ncommand = ['b']\n[limit]\nqueue = 5\n", false),
        ("", false),
    ] {
        assert_eq!(validator.is_valid(&value(text)), accepted, "{text}");
    }
}

/// The manifests of this repository.
fn manifests(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if entry.file_type().unwrap().is_dir() && !hidden && name != "target" && name != "node_modules" {
            manifests(&path, found);
        } else if name == "module.toml" {
            found.push(path);
        }
    }
}

#[test]
fn every_manifest_of_the_repository_and_the_sample_of_the_hosts_file_fit_the_schemas() {
    let of_module = validator(SchemaOf::Module);
    let mut found = Vec::new();
    manifests(root(), &mut found);
    assert!(found.len() > 10, "{found:?}");
    for path in found {
        if let Err(error) = of_module.validate(&value(&fs::read_to_string(&path).unwrap())) {
            panic!("{}: {error}", path.display());
        }
    }
    let sample = fs::read_to_string(root().join("docs/examples/bulkhead.toml")).unwrap();
    // As it is, and with every key in force.
    let setting = |line: &&str| line.starts_with(|c: char| c == '[' || c.is_ascii_lowercase());
    let whole: Vec<&str> = sample.lines().map(|line| line.strip_prefix('#').filter(setting).unwrap_or(line)).collect();
    let of_host = validator(SchemaOf::Host);
    for text in [sample.clone(), whole.join("\n").replace("NAME", "counter")] {
        if let Err(error) = of_host.validate(&value(&text)) {
            panic!("{error}");
        }
    }
}

#[test]
fn the_schemas_in_the_documentation_are_those_that_are_printed() {
    for (of, name) in [(SchemaOf::Module, "module"), (SchemaOf::Host, "bulkhead")] {
        let path = root().join(format!("docs/schemas/{name}.schema.json"));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, schema(of)).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == schema(of),
            "{} is not what the tables say; UPDATE_EXPECTED=1 cargo test -p bulkhead-config schema writes it",
            path.display()
        );
    }
}

/// A text without its links.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (before, label) = before.rsplit_once('[').expect("the link begins");
        plain += before;
        plain += label;
        rest = after.split_once(')').expect("the link ends").1;
    }
    plain + rest
}

#[test]
fn each_key_has_one_meaning_which_is_that_of_the_documentation() {
    let (of_manifest, of_host) = DOCUMENTATION.split_once("\n# The host's file").unwrap();
    let module: Vec<&str> = MODULE_KEYS.iter().map(|key| key.path).collect();
    let host: Vec<&str> = HOST_KEYS.iter().map(|key| key.path).filter(|path| *path != TRUSTED_USERS).collect();
    for (page, keys, meanings) in [(of_manifest, module, MODULE_MEANINGS), (of_host, host, HOST_MEANINGS)] {
        let page = without_links(page).replace(" See below.", "");
        for path in &keys {
            let text = meaning(meanings, path).unwrap_or_else(|| panic!("{path} has no meaning"));
            let (section, name) = path.split_once('.').unwrap_or((path, path));
            let heading = format!("`[{section}]`");
            let part = page.split("\n## ").find(|part| part.lines().next().is_some_and(|l| l.contains(&heading)));
            let row = part.unwrap().lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap();
            assert!(
                row.ends_with(&format!("| {text} |")),
                "the page and the schema differ about {path}:\n{row}\n{text}"
            );
        }
        assert_eq!(meanings.len(), keys.len(), "a meaning is there without a key, or twice");
    }
}
