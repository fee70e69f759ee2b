//! The input of the demo: the history of the repository, as entries of a research log.

use crate::stage::Failed;
use serde_json::{Value, json};
use std::process::Command;

/// Files of one commit that become an entry each; a history has commits with thousands.
const FILES_MAX: usize = 50;

/// One entry for each commit, and one for each file that it changed.
pub(crate) fn entries() -> Result<Vec<Value>, Failed> {
    let output = Command::new("git")
        // Who has built and run this checkout has trusted its owner, also where that is another user.
        .args(["-c", "safe.directory=*", "log", "--reverse", "--numstat", "--format=%x1e%h%x1f%an%x1f%aI%x1f%s"])
        .output()
        .map_err(|error| format!("the demo's input is the repository's history, and git cannot be run: {error}"))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("the demo's input is the repository's history, and git log failed: {reason}").into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let entries: Vec<Value> = text.split('\x1e').skip(1).flat_map(commit).collect();
    if entries.len() < 4 {
        return Err("the demo's input is the repository's history, and there is next to none".into());
    }
    Ok(entries)
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
