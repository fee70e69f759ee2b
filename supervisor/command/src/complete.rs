//! What shells ask for while a line is being written: names of modules, of their commands and of arguments, from the
//! daemon that runs. The scripts that `bulkhead completions` prints call `bulkhead __complete SHELL WORD…`, where the
//! last word is the one being written. It prints one candidate a line and never a fault: without a daemon, and after
//! half a second, there is nothing that could be said. Everything else the scripts know without it.

mod position;
mod scripts;

use crate::describe::arguments;
use crate::exit::Exit;
use crate::lenient::{list, or_empty};
use crate::lifecycle::to_supervisor;
use crate::streams::Stdout;
use bulkhead_client::Client;
use bulkhead_config::HostConfig;
use bulkhead_protocol::{Json, Status};
use position::{Position, Wanted};
use serde::Deserialize;
use std::ffi::OsString;
use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

pub(crate) use scripts::with_live;

/// The word after the program's name by which the scripts ask.
const ASKED_BY: &str = "__complete";

/// How long a person waits for candidates.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Candidates that are printed.
const PRINTED_MAX: usize = 1000;

/// Longest candidate, in bytes.
const CANDIDATE_BYTES_MAX: usize = 128;

/// A question of a shell.
#[derive(Debug)]
pub(crate) struct Asked {
    position: Option<Position>,
}

impl Asked {
    /// Reads a command line, which begins with the name of this program. `None` if no shell asks by it.
    pub(crate) fn read(words: &[OsString]) -> Option<Asked> {
        let [_, asked_by, shell, line @ ..] = words else { return None };
        if asked_by != ASKED_BY {
            return None;
        }
        // What is no text is no name.
        let line = line.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let line = if shell == "bash" { position::rejoined(line) } else { line };
        Some(Asked { position: Position::find(&line) })
    }

    /// Prints the candidates. [`Exit::Failed`] leaves the word to what the script knows by itself.
    pub(crate) fn answer(self) -> Exit {
        let Some(position) = self.position else { return Exit::Failed };
        if matches!(position.wanted, Wanted::Value) {
            return Exit::Done;
        }
        let (sender, receiver) = mpsc::channel();
        // A daemon that was stopped may not even accept a connection; this process ends all the same.
        thread::spawn(move || {
            let _ = sender.send(candidates(&position));
        });
        let found = receiver.recv_timeout(TIMEOUT).ok().flatten().unwrap_or_default();
        if found.is_empty() {
            return Exit::Failed;
        }
        let lines: String = found.iter().take(PRINTED_MAX).map(|candidate| format!("{candidate}\n")).collect();
        // That it is not read is no fault.
        let _ = Stdout.write_all(lines.as_bytes());
        Exit::Done
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    #[serde(deserialize_with = "or_empty")]
    name: String,
    args: Option<Json>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    #[serde(deserialize_with = "list")]
    modules: Vec<Named>,
    #[serde(deserialize_with = "list")]
    commands: Vec<Named>,
}

/// What the daemon knows for a position, as far as it begins with what is written there.
fn candidates(position: &Position) -> Option<Vec<String>> {
    let path = HostConfig::socket_for(position.socket.as_deref()).ok()?;
    let mut client = Client::connect(&path).ok()?;
    let mut ask = |command: &str, args: serde_json::Value| -> Option<Answer> {
        let mut request = to_supervisor(command, &args.into());
        request.deadline_ms = Some(TIMEOUT.as_millis() as u64);
        match client.request(&request, Some(TIMEOUT)).ok()?.status {
            Status::Success(data) => data.read().ok(),
            Status::Progress(_) | Status::Error(_) => None,
        }
    };
    let names = |all: Vec<Named>| all.into_iter().map(|one| one.name);
    let mut found: Vec<String> = match &position.wanted {
        Wanted::Value => Vec::new(),
        Wanted::Module { others } => {
            let modules = ask("status", serde_json::json!({}))?.modules;
            names(modules).chain(others.iter().map(|&name| name.to_owned())).collect()
        }
        Wanted::Command { module } => names(ask("commands", serde_json::json!({ "name": module }))?.commands).collect(),
        Wanted::Argument { module, command } => {
            let args = serde_json::json!({ "name": module, "command": command });
            let schema = ask("describe", args)?.commands.into_iter().next()?.args?;
            let pair = |name: String, is_text: bool| if is_text { format!("{name}=") } else { format!("{name}:=") };
            arguments(&schema).into_iter().map(|argument| pair(argument.name, argument.is_text)).collect()
        }
    };
    let is_given = |candidate: &String| {
        let name = candidate.trim_end_matches(['=', ':']);
        position.given.iter().any(|given| given == name)
    };
    found.retain(|candidate| candidate.starts_with(&position.written) && is_plain(candidate) && !is_given(candidate));
    Some(found)
}

/// Whether a shell takes it as it stands: what modules are called is their own choice, and so is what it would do to a
/// line or a terminal.
fn is_plain(candidate: &str) -> bool {
    let name = candidate.trim_end_matches('=');
    let name = if name.len() < candidate.len() { name.trim_end_matches(':') } else { name };
    (1..=CANDIDATE_BYTES_MAX).contains(&name.len())
        && !name.starts_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_takes_as_it_stands_is_a_candidate() {
        for (candidate, expected) in [
            ("research-log", true),
            ("a.b/c_1", true),
            ("title=", true),
            ("n:=", true),
            ("", false),
            ("=", false),
            ("--help", false),
            ("a b", false),
            ("a;b", false),
            ("$(reboot)", false),
            ("a\nb", false),
            ("a:b", false),
            ("\u{1b}[2J", false),
            ("é", false),
        ] {
            assert_eq!(is_plain(candidate), expected, "{candidate:?}");
        }
        assert!(!is_plain(&"a".repeat(CANDIDATE_BYTES_MAX + 1)));
    }
}
