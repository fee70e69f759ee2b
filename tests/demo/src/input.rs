//! The input of the demo, as entries of a research log: the history of the repository, or, where there is next to
//! none, the lines of the project's own documents.

use crate::stage::Failed;
use serde_json::{Value, json};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Files of one commit that become an entry each; a history has commits with thousands.
const FILES_MAX: usize = 50;

/// The input takes seconds, also where a flush of the disk takes long.
const ENTRIES_MAX: usize = 2000;

/// With less than this, the log could finish before it is killed.
const ENTRIES_MIN: usize = 500;

pub(crate) struct Input {
    /// For the audience, as the object of a sentence.
    pub(crate) what: String,
    pub(crate) entries: Vec<Value>,
}

/// Reads it from the checkout.
pub(crate) fn read() -> Result<Input, Failed> {
    let root = root();
    let lack = match history(&root) {
        Ok(mut entries) if entries.len() >= ENTRIES_MIN => {
            let old = entries.len().saturating_sub(ENTRIES_MAX);
            entries.drain(..old);
            let commits = entries.iter().filter(|entry| entry["tags"][0] == "commit").count();
            let files = entries.len() - commits;
            let all = if old > 0 { "the latest part of " } else { "" };
            let what = format!("{all}the history of this repository, {commits} commits and {files} changed files");
            return Ok(Input { what, entries });
        }
        Ok(entries) => format!("its history has only {} entries", entries.len()),
        Err(reason) => reason,
    };
    let mut entries = documents(&root).map_err(|error| format!("cannot read the documents of the project: {error}"))?;
    entries.truncate(ENTRIES_MAX);
    if entries.len() < ENTRIES_MIN {
        let (root, found) = (root.display(), entries.len());
        return Err(
            format!("expected at least {ENTRIES_MIN} lines of documents in {root}, found {found}; {lack}").into()
        );
    }
    let what = format!("{} lines of the project's documents ({lack})", entries.len());
    Ok(Input { what, entries })
}

fn root() -> PathBuf {
    // Cargo sets the variable when it runs the demo. What it was at build time is wrong in a checkout that moved.
    let own = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    own.join("../..")
}

/// One entry for each commit, and one for each file that it changed.
fn history(root: &Path) -> Result<Vec<Value>, String> {
    // Without it, git would take the history of a repository around this copy.
    if !root.join(".git").exists() {
        return Err("this copy has no history".into());
    }
    let output = Command::new("git")
        // A user who has built and run this checkout trusts its owner, also where that is another user.
        .args(["-c", "safe.directory=*", "log", "--reverse", "--numstat", "--format=%x1e%h%x1f%an%x1f%aI%x1f%s"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("git log failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split('\x1e').skip(1).flat_map(commit).collect())
}

fn commit(record: &str) -> Vec<Value> {
    let mut lines = record.lines();
    let mut fields = lines.next().unwrap_or_default().split('\x1f');
    let mut field = || fields.next().unwrap_or_default().to_owned();
    let (hash, author, time, subject) = (field(), field(), field(), field());
    let mut entries = vec![json!({
        "type": "progress",
        "text": format!("{hash} {subject}"),
        "researcher": author,
        "time": time,
        "tags": ["commit"],
        "references": [hash],
    })];
    for line in lines.filter(|line| !line.is_empty()).take(FILES_MAX) {
        entries.push(json!({
            "type": "observation",
            "text": format!("{hash} {}", line.replace('\t', " ")),
            "researcher": author,
            "time": time,
            "tags": ["file"],
            "references": [hash],
        }));
    }
    entries
}

/// One entry for each line that is not empty; a heading is of another type.
fn documents(root: &Path) -> std::io::Result<Vec<Value>> {
    let mut pages = Vec::new();
    for folder in [root.to_owned(), root.join("docs")] {
        for entry in fs::read_dir(folder)? {
            pages.push(entry?.path());
        }
    }
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    let mut entries = Vec::new();
    for page in pages {
        let name = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&page)?;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            entries.push(json!({
                "type": if line.starts_with('#') { "progress" } else { "observation" },
                "text": format!("{name}:{} {line}", at + 1),
                "tags": ["line"],
                "references": [name],
            }));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_an_entry_and_each_of_its_files_is_one() {
        let found = commit("abc\x1fAda\x1f2026-01-02T03:04:05Z\x1fA subject\n\n3\t1\tREADME.md\n-\t-\tlogo.png\n");
        let texts: Vec<_> = found.iter().map(|entry| entry["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["abc A subject", "abc 3 1 README.md", "abc - - logo.png"]);
    }

    #[test]
    fn the_documents_are_enough_where_there_is_no_history() {
        let entries = documents(&root()).unwrap();
        assert!(entries.len() >= ENTRIES_MIN, "{}", entries.len());
        assert!(entries.iter().any(|entry| entry["text"] == "README.md:1 # Bulkhead"));
        assert_eq!(history(&root().join("docs")).unwrap_err(), "this copy has no history");
    }
}
