//! What holds for every crate of the workspace: where versions stand, and that it says what it is.

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
