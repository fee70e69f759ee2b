//! What is read besides tools: the last lines of a module's log, and its crash records.

use crate::daemon::{AskError, Daemon, Scope, read};
use bulkhead_protocol::{Json, Request, RequestType, Status};
use futures_util::StreamExt;
use rmcp::model::{Resource, ResourceContents, ResourceTemplate};
use serde::Deserialize;
use serde_json::{Value, json};

/// How many lines of a log are read.
const LINES_MAX: usize = 200;

/// How many crash records of a module are listed.
const CRASHES_MAX: usize = 20;

/// How many bytes of a text are returned; of a log the last ones.
const TEXT_BYTES_MAX: usize = 256 * 1024;

const LOGS: &str = "bulkhead://logs/";
const CRASHES: &str = "bulkhead://crashes/";

/// What an address names.
#[derive(Debug, PartialEq, Eq)]
enum Address<'a> {
    Log(&'a str),
    Crashes(&'a str),
    Crash(&'a str, &'a str),
}

/// Reads an address.
fn address(uri: &str) -> Option<Address<'_>> {
    if let Some(module) = uri.strip_prefix(LOGS) {
        return is_name(module).then_some(Address::Log(module));
    }
    let rest = uri.strip_prefix(CRASHES)?;
    match rest.split_once('/') {
        None => is_name(rest).then_some(Address::Crashes(rest)),
        Some((module, file)) => (is_name(module) && is_name(file)).then_some(Address::Crash(module, file)),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

/// The resources of the modules.
pub(crate) fn list(modules: &[String]) -> Vec<Resource> {
    let of_module = |module: &String| {
        [
            Resource::new(format!("{LOGS}{module}"), format!("log of {module}"))
                .with_description(format!("the last {LINES_MAX} lines of what the module {module} printed"))
                .with_mime_type("text/plain"),
            Resource::new(format!("{CRASHES}{module}"), format!("crashes of {module}"))
                .with_description(format!(
                    "the last {CRASHES_MAX} crash records of the module {module}, with the address of each"
                ))
                .with_mime_type("application/json"),
        ]
    };
    modules.iter().flat_map(of_module).collect()
}

/// The forms of the addresses.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(format!("{LOGS}{{module}}"), "the last lines of a module's log")
            .with_mime_type("text/plain"),
        ResourceTemplate::new(format!("{CRASHES}{{module}}"), "the crash records of a module")
            .with_mime_type("application/json"),
        ResourceTemplate::new(format!("{CRASHES}{{module}}/{{file}}"), "one crash record")
            .with_mime_type("application/json"),
    ]
}

/// Why a resource is not read.
pub(crate) enum ReadError {
    /// There is none of this address.
    NotFound(String),
    Failed(AskError),
}

impl From<AskError> for ReadError {
    fn from(error: AskError) -> ReadError {
        ReadError::Failed(error)
    }
}

/// Reads a resource.
///
/// # Errors
/// When there is none, or the daemon does not answer.
pub(crate) async fn contents(daemon: &Daemon, scope: &Scope, uri: &str) -> Result<ResourceContents, ReadError> {
    let not_found = || {
        let forms: Vec<String> = templates().into_iter().map(|template| template.uri_template).collect();
        ReadError::NotFound(format!(
            "expected an address of a module that is shown, as {}; found {uri:?}",
            forms.join(", ")
        ))
    };
    let address = address(uri).ok_or_else(not_found)?;
    let (Address::Log(module) | Address::Crashes(module) | Address::Crash(module, _)) = address;
    if !scope.has(module) {
        return Err(not_found());
    }
    match address {
        Address::Log(module) => {
            let text = log(daemon, module).await?;
            let from = text.ceil_char_boundary(text.len().saturating_sub(TEXT_BYTES_MAX));
            Ok(ResourceContents::text(&text[from..], uri).with_mime_type("text/plain"))
        }
        Address::Crashes(module) => {
            let records: Vec<Value> =
                crashes(daemon, module).await?.iter().map(|record| head(module, record)).collect();
            Ok(object(&json!({ "module": module, "crashes": records }), uri))
        }
        Address::Crash(module, file) => {
            let records = crashes(daemon, module).await?;
            let is_it = |record: &&Value| file_of(record) == Some(file);
            records.iter().find(is_it).map(|record| object(record, uri)).ok_or_else(not_found)
        }
    }
}

fn object(value: &Value, uri: &str) -> ResourceContents {
    let mut text = serde_json::to_string_pretty(value).expect("a value can be written");
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push_str("\n… (the rest is longer than this answer may be; `bulkhead crashes` shows it)");
        return ResourceContents::text(text, uri).with_mime_type("text/plain");
    }
    ResourceContents::text(text, uri).with_mime_type("application/json")
}

/// What a list says of a crash record.
fn head(module: &str, record: &Value) -> Value {
    json!({
        "time": record["time"], "instance": record["instance"], "reason": record["reason"], "exit": record["exit"],
        "uri": file_of(record).map(|file| format!("{CRASHES}{module}/{file}")),
    })
}

/// The name of a record's file, without its folders.
fn file_of(record: &Value) -> Option<&str> {
    record["file"].as_str()?.rsplit('/').next()
}

async fn crashes(daemon: &Daemon, module: &str) -> Result<Vec<Value>, AskError> {
    #[derive(Deserialize)]
    struct Answer {
        crashes: Vec<Value>,
    }
    let answer = daemon.ask("crashes", json!({ "name": module, "limit": CRASHES_MAX })).await?;
    Ok(read::<Answer>(&answer)?.crashes)
}

/// Each line comes as a progress.
async fn log(daemon: &Daemon, module: &str) -> Result<String, AskError> {
    #[derive(Deserialize)]
    struct Line {
        time: Option<String>,
        stream: String,
        level: Option<String>,
        line: String,
    }
    let connection = daemon.connection().await.map_err(AskError::Away)?;
    let args = Json::of(&json!({ "name": module, "lines": LINES_MAX }));
    let payload = bulkhead_client_async::command_payload("logs", args.as_str());
    let request = Request::new(None, RequestType::Command, payload).to("supervisor");
    let unanswered = |error| AskError::Unanswered(bulkhead_client_async::CallError::Unanswered(error));
    let mut answers = connection.send(request).await.map_err(unanswered)?;
    let mut text = String::new();
    while let Some(answer) = answers.next().await {
        match answer.map_err(unanswered)?.status {
            Status::Progress(line) => {
                let Line { time, stream, level, line } = read(&line)?;
                let kind = level.unwrap_or(stream);
                text.push_str(&format!("{} {kind} {line}\n", time.as_deref().unwrap_or("-")));
            }
            Status::Success(_) => break,
            Status::Error(failure) => {
                return Err(AskError::Unanswered(bulkhead_client_async::CallError::Failed(failure)));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_log_or_crashes() {
        assert_eq!(address("bulkhead://logs/a"), Some(Address::Log("a")));
        assert_eq!(address("bulkhead://crashes/a"), Some(Address::Crashes("a")));
        assert_eq!(address("bulkhead://crashes/a/b.json"), Some(Address::Crash("a", "b.json")));
        for uri in ["", "bulkhead://logs/", "bulkhead://logs/a/b", "bulkhead://crashes/a/b/c", "file:///etc/passwd"] {
            assert_eq!(address(uri), None, "{uri}");
        }
    }
}
