//! The companions: modules that are workspaces of their own, so that what they depend on never reaches the build, the
//! lock and the tests of the product. They are found by a search, as a list would not be kept up to date.

use crate::cargo::root;
use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The manifests of all companions, in the order of their names.
///
/// # Errors
/// When a folder or a manifest cannot be read.
pub(crate) fn find() -> Result<Vec<PathBuf>> {
    find_in(&root().join("modules"))
}

fn find_in(modules: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(modules).with_context(|| format!("cannot read {}", modules.display()))? {
        let manifest = entry.with_context(|| format!("cannot read {}", modules.display()))?.path().join("Cargo.toml");
        match fs::read_to_string(&manifest) {
            Ok(text) if is_workspace(&text) => found.push(manifest),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", manifest.display())),
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a manifest begins a workspace: by its own table, or by one below it.
fn is_workspace(manifest: &str) -> bool {
    manifest.lines().any(|line| {
        let header = line.trim().strip_prefix("[workspace");
        header.is_some_and(|rest| rest.starts_with([']', '.']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_companion_is_a_module_that_is_a_workspace() {
        assert!(is_workspace("[package]\nname = \"a\"\n\n[workspace]\n"));
        assert!(is_workspace("[workspace.package]\nversion = \"1.0.0\"\n"));
        assert!(!is_workspace("[package]\nversion.workspace = true\n[lints]\nworkspace = true\n"));
        assert!(!is_workspace("# a [workspace] of its own it is not\n[workspaces]\n"));
    }

    #[test]
    fn companions_are_found_beside_members_of_the_workspace_and_modules_without_cargo() {
        let modules = std::env::temp_dir().join(format!("xtask-companions-{}", std::process::id()));
        for (name, manifest) in [
            ("b", Some("[workspace]\n")),
            ("a", Some("[workspace]\n")),
            ("member", Some("[package]\n")),
            ("shell", None),
        ] {
            fs::create_dir_all(modules.join(name)).unwrap();
            if let Some(text) = manifest {
                fs::write(modules.join(name).join("Cargo.toml"), text).unwrap();
            }
        }
        fs::write(modules.join("build.sh"), "").unwrap();
        let found = find_in(&modules);
        fs::remove_dir_all(&modules).unwrap();
        assert_eq!(found.unwrap(), [modules.join("a/Cargo.toml"), modules.join("b/Cargo.toml")]);
    }

    #[test]
    fn no_member_of_the_workspace_is_a_companion() {
        let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let members = text.split_once("members = [").expect("a list").1.split_once(']').expect("its end").0;
        for companion in find().unwrap() {
            let folder = companion.parent().unwrap().strip_prefix(root()).unwrap().display().to_string();
            assert!(!members.contains(&format!("\"{folder}\"")), "{folder}");
        }
    }
}
