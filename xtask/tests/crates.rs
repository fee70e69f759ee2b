//! What holds for every crate of the workspace: where versions are declared, that its README begins with its name, and
//! that its `unsafe` is tested under a sanitizer.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folders of all members, by the list in the root's manifest.
fn members() -> Vec<PathBuf> {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let list = text.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let members: Vec<PathBuf> = list.split('"').skip(1).step_by(2).map(|member| root().join(member)).collect();
    assert!(members.contains(&root().join("protocol")), "{members:?}");
    members
}

#[test]
fn no_crate_has_a_version_of_a_dependency_of_its_own() {
    for member in members() {
        let path = member.join("Cargo.toml");
        let text = fs::read_to_string(&path).unwrap();
        let mut table = "";
        for line in text.lines() {
            if line.starts_with('[') {
                table = line;
            }
            let words = line.split_once('=').map(|(_, value)| value.trim()).unwrap_or_default();
            let is_version = table.contains("dependencies") && (words.starts_with('"') || words.contains("version ="));
            assert!(!is_version, "{}: {line}: the version belongs into the root's Cargo.toml", path.display());
        }
    }
}

#[test]
fn each_crate_has_a_readme_that_begins_with_its_name() {
    for member in members() {
        let manifest = fs::read_to_string(member.join("Cargo.toml")).unwrap();
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().trim_matches('"');
        let path = member.join("README.md");
        let readme = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(readme.lines().next(), Some(format!("# {name}").as_str()), "{}", path.display());
    }
}

/// The Rust files of a crate, without those of its tests and benchmarks.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn each_crate_with_unsafe_that_reaches_a_user_is_tested_under_the_sanitizer() {
    // The module of faults, the modules of the conformance suite, and the crates that only test and measure.
    const EXCUSED: [&str; 4] = ["misbehave", "specimen", "bulkhead-tests", "bulkhead-bench"];
    let text = fs::read_to_string(root().join("xtask/src/asan.rs")).unwrap();
    let (_, list) = text.split_once("const PACKAGES").unwrap();
    let (listed, _) = list.split_once("\n];").unwrap();
    for member in members() {
        let manifest = fs::read_to_string(member.join("Cargo.toml")).unwrap();
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().trim_matches('"').to_owned();
        let mut files = Vec::new();
        sources(&member.join("src"), &mut files);
        let has_unsafe = files.iter().any(|file| {
            let text = fs::read_to_string(file).unwrap();
            text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("unsafe {"))
        });
        let is_listed = listed.contains(&format!("(\"{name}\", "));
        assert!(
            !has_unsafe || is_listed || EXCUSED.contains(&name.as_str()),
            "{name} has unsafe and is not in asan.rs"
        );
        assert!(has_unsafe || !is_listed, "{name} is in asan.rs and has no unsafe");
    }
    // The wrapper knows crates by the names that rustc gets.
    for (package, crate_name) in listed.split("(\"").skip(1).filter_map(|entry| entry.split_once("\", \"")) {
        let crate_name = crate_name.split('"').next().unwrap();
        let of_package = |member: &PathBuf| {
            let manifest = fs::read_to_string(member.join("Cargo.toml")).unwrap();
            let names = manifest.lines().filter_map(|line| line.strip_prefix("name = "));
            let names: Vec<String> = names.map(|name| name.trim_matches('"').replace('-', "_")).collect();
            names.contains(&package.replace('-', "_")) && names.iter().any(|name| name == crate_name)
        };
        assert!(members().iter().any(of_package), "{package} has no crate {crate_name}");
    }
}
