//! The SDKs and the schemas, below `share/bulkhead`: what `bulkhead new` copies into a module or names in it. The crates
//! of the SDK for Rust become a workspace of their own, without what only their tests need.

use super::content::{Content, Item, Kind, READ};
use super::places::Places;
use crate::cargo::root;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crate of the SDK for Rust; those that it needs go with it.
const CRATE: &str = "bulkhead-module";

/// All files of all SDKs, and the schemas.
///
/// # Errors
/// When the sources cannot be read.
pub(crate) fn items(places: &Places) -> Result<Vec<Item>> {
    let sdk = places.sdk();
    let runtime = root().join("module-runtime");
    let mut items = Vec::new();
    python(&runtime.join("python"), &sdk.join("python"), &mut items)?;
    typescript(Kind::Sdk("typescript"), &runtime.join("typescript"), &sdk.join("typescript"), &mut items)?;
    rust(&sdk.join("rust"), &mut items)?;
    add(Kind::Sdk("c"), runtime.join("include/module.h"), sdk.join("c/module.h"), &mut items);
    for name in ["module.schema.json", "bulkhead.schema.json"] {
        add(Kind::Schema, root().join("docs/schemas").join(name), places.schemas().join(name), &mut items);
    }
    Ok(items)
}

fn python(from: &Path, to: &Path, items: &mut Vec<Item>) -> Result<()> {
    for name in ["pyproject.toml", "README.md"] {
        add(Kind::Sdk("python"), from.join(name), to.join(name), items);
    }
    add_folder(Kind::Sdk("python"), &from.join("src/bulkhead"), &to.join("src/bulkhead"), items)
}

/// The package as npm would take it, built: for an SDK, or in the `node_modules` of a sample.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn typescript(kind: Kind, from: &Path, to: &Path, items: &mut Vec<Item>) -> Result<()> {
    add(kind, from.join("package.json"), to.join("package.json"), items);
    add_folder(kind, &from.join("dist"), &to.join("dist"), items)
}

fn rust(to: &Path, items: &mut Vec<Item>) -> Result<()> {
    let workspace = read(&root().join("Cargo.toml"))?;
    let dependencies = section(&workspace, "[workspace.dependencies]");
    let dependencies = entries(&dependencies);
    let members = members(&dependencies)?;
    let kind = Kind::Sdk("rust");
    let mut used = BTreeSet::new();
    for folder in members.values() {
        let manifest = manifest(&read(&root().join(folder).join("Cargo.toml"))?);
        used.extend(needed(&manifest));
        let (from, to) = (root().join(folder), to.join(folder));
        items.push(Item { kind, path: to.join("Cargo.toml"), content: Content::Bytes(manifest.into()), mode: READ });
        add(kind, from.join("README.md"), to.join("README.md"), items);
        add_folder(kind, &from.join("src"), &to.join("src"), items)?;
    }
    let used: String = dependencies.iter().filter(|(name, _)| used.contains(**name)).map(|(_, text)| *text).collect();
    let list: String = members.values().map(|folder| format!("    \"{folder}\",\n")).collect();
    let text = format!(
        "# Made by `cargo xtask install`: the crates that a module in Rust needs.\n[workspace]\nresolver = \"3\"\n\
         members = [\n{list}]\n\n[workspace.package]\n{}[workspace.dependencies]\n{used}",
        section(&workspace, "[workspace.package]")
    );
    items.push(Item { kind, path: to.join("Cargo.toml"), content: Content::Bytes(text.into()), mode: READ });
    add(kind, root().join("Cargo.lock"), to.join("Cargo.lock"), items);
    Ok(())
}

/// The crates of this repository that the SDK needs, each with its folder.
fn members(dependencies: &BTreeMap<&str, &str>) -> Result<BTreeMap<String, String>> {
    let folder_of = |name: &str| {
        let (_, rest) = dependencies.get(name)?.split_once("path = \"")?;
        rest.split('"').next().map(str::to_owned)
    };
    let mut members = BTreeMap::new();
    let mut missing = vec![CRATE.to_owned()];
    while let Some(name) = missing.pop() {
        let Some(folder) = folder_of(&name) else { continue };
        if members.insert(name, folder.clone()).is_none() {
            missing.extend(needed(&manifest(&read(&root().join(folder).join("Cargo.toml"))?)));
        }
    }
    Ok(members)
}

/// A crate's manifest, without its tests, benchmarks and examples, which are not installed, and without the lints,
/// which are not the concern of those who build a module.
fn manifest(text: &str) -> String {
    let is_kept = |part: &&str| {
        let header = part.lines().next().unwrap_or_default();
        !header.contains("dev-dependencies")
            && !["[[example]]", "[[test]]", "[[bench]]", "[lints]"].iter().any(|left_out| header.starts_with(left_out))
    };
    parts(text).into_iter().filter(is_kept).collect()
}

/// The names of what a crate depends on, whatever the target is.
fn needed(manifest: &str) -> Vec<String> {
    let of_dependencies = |part: &&str| part.lines().next().is_some_and(|header| header.contains("dependencies"));
    let lines = parts(manifest).into_iter().filter(of_dependencies).flat_map(str::lines);
    let names = lines.filter_map(|line| line.split_once(['.', ' ', '=']).map(|(name, _)| name));
    names.filter(|name| !name.is_empty() && !name.starts_with(['[', '#'])).map(str::to_owned).collect()
}

/// A manifest in parts that begin with the header of a table.
fn parts(text: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = text.match_indices("\n[").map(|(at, _)| at + 1).collect();
    starts.insert(0, 0);
    starts.dedup();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(from, to)| &text[from..to]).collect()
}

/// What stands below a header.
fn section(text: &str, header: &str) -> String {
    let part = parts(text).into_iter().find(|part| part.lines().next() == Some(header));
    part.and_then(|part| part.split_once('\n')).map_or(String::new(), |(_, rest)| rest.to_owned())
}

/// The entries of a table by their names, each with its lines. An entry may go over several lines.
fn entries(table: &str) -> BTreeMap<&str, &str> {
    let mut entries = BTreeMap::new();
    let (mut rest, mut open) = (table, 0_i32);
    let mut begun: Option<(&str, usize)> = None;
    let mut at = 0;
    while !rest.is_empty() {
        let end = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let line = &rest[..end];
        if begun.is_none() && !line.starts_with('#') {
            begun = line.split_once([' ', '.', '=']).map(|(name, _)| (name, at));
        }
        open += line.matches(['{', '[']).count() as i32 - line.matches(['}', ']']).count() as i32;
        at += end;
        rest = &rest[end..];
        if let (Some((name, from)), 0) = (begun, open) {
            entries.insert(name, &table[from..at]);
            begun = None;
        }
    }
    entries
}

fn add(kind: Kind, from: PathBuf, to: PathBuf, items: &mut Vec<Item>) {
    items.push(Item { kind, path: to, content: Content::File(from), mode: READ });
}

/// The files in a folder and those below it, but not what Python compiles on its way.
fn add_folder(kind: Kind, from: &Path, to: &Path, items: &mut Vec<Item>) -> Result<()> {
    let fail = || format!("cannot read {}", from.display());
    let mut entries = fs::read_dir(from).and_then(Iterator::collect::<Result<Vec<_>, _>>).with_context(fail)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries.iter().filter(|entry| entry.file_name() != "__pycache__") {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true => add_folder(kind, &from, &to, items)?,
            false => add(kind, from, to, items),
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_of_the_sdk_has_what_its_crates_need_and_nothing_of_the_host() {
        let mut items = Vec::new();
        rust(Path::new("/sdk"), &mut items).unwrap();
        let text = |path: &str| {
            let item = items.iter().find(|item| item.path == Path::new(path)).unwrap_or_else(|| panic!("{path}"));
            match &item.content {
                Content::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
                Content::File(from) => fs::read_to_string(from).unwrap(),
            }
        };
        let workspace = text("/sdk/Cargo.toml");
        let entries = section(&workspace, "[workspace.dependencies]");
        let entries = super::entries(&entries);
        for name in ["bulkhead-protocol", "bulkhead-json", "bulkhead-child", "serde", "nix"] {
            assert!(entries.contains_key(name), "{name}: {workspace}");
        }
        // What is only tested with, and what the host needs.
        for name in ["proptest", "bulkhead-module-testing", "rusqlite", "tokio"] {
            assert!(!entries.contains_key(name), "{name}: {workspace}");
        }
        assert!(workspace.contains("    \"module-runtime/sdk\",\n"), "{workspace}");
        let sdk = text("/sdk/module-runtime/sdk/Cargo.toml");
        assert!(sdk.contains("bulkhead-protocol.workspace = true"), "{sdk}");
        for left_out in ["dev-dependencies", "[[example]]", "[lints]"] {
            assert!(!sdk.contains(left_out), "{sdk}");
        }
    }

    #[test]
    fn an_entry_that_goes_over_several_lines_is_one() {
        let table = "a = \"1\"\n# why\nb = { version = \"2\", features = [\n    \"c\", \"d\",\n] }\ne.path = \"f\"\n";
        let entries = entries(table);
        assert_eq!(entries.keys().copied().collect::<Vec<_>>(), ["a", "b", "e"]);
        assert_eq!(entries["b"], "b = { version = \"2\", features = [\n    \"c\", \"d\",\n] }\n");
    }
}
