//! A failed request, as text for a person: the sentence, the evidence, and what to do next.

use crate::output::printable;
use bulkhead_protocol::{Delivery, ErrorCode, Failure, Json};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// The failure in words; the first line is the sentence, the others are indented below it. `log` is the last lines of
/// the module, where it did not become ready and the failure does not have them.
pub(crate) fn explain(subject: &str, failure: &Failure, log: &[String]) -> String {
    let sentence = printable(&failure.error);
    // Many sentences begin with their subject.
    let names_it = sentence.strip_prefix(subject).is_some_and(|rest| rest.starts_with([' ', ',', ':', '\'']));
    let mut text = if names_it { sentence } else { format!("{subject}: {sentence}") };
    let mut add = |name: &str, value: &str| {
        let _ = write!(text, "\n  {name:<10} {value}");
    };
    let code = failure.module_code.as_deref().unwrap_or(failure.code.name());
    add("code", &printable(code));
    if let Some(exit) = &failure.exit {
        add("exit", &exit.to_string());
    }
    if let Some(delivery) = failure.delivery {
        add("delivery", delivery_in_words(delivery));
    }
    if let Some(data) = failure.data.as_ref().filter(|data| data.as_str() != "null" && !is_said(data, failure)) {
        match data.read::<Faults>() {
            Ok(Faults { faults }) => faults.iter().for_each(|fault| add("fault", &printable(fault))),
            Err(_) => add("data", &printable(data.as_str())),
        }
    }
    for (name, lines) in [("stderr", &*failure.stderr), ("log", log)] {
        for (index, line) in lines.iter().enumerate() {
            add(if index == 0 { name } else { "" }, &format!("| {}", printable(line)));
        }
    }
    let printed = if shows_output(failure, log) { Some(whole_output(subject)) } else { None };
    let hints: Vec<String> = hint(subject, failure).into_iter().chain(printed).collect();
    if !hints.is_empty() {
        add("hint", &hints.join("; "));
    }
    text
}

/// Whether lines of the module's output are shown because it did not become ready: for a crash, its record has more.
fn shows_output(failure: &Failure, log: &[String]) -> bool {
    !log.is_empty() || (failure.code == ErrorCode::ModuleError && !failure.stderr.is_empty())
}

fn whole_output(subject: &str) -> String {
    format!("`bulkhead logs {subject}` shows all that it printed")
}

/// What is wrong with the files that a reload has read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Faults {
    faults: Vec<String>,
}

/// Whether the sentence already has what the data has for programs: the path inside the payload.
fn is_said(data: &Json, failure: &Failure) -> bool {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct At {
        at: String,
    }
    data.read::<At>().is_ok_and(|At { at }| failure.error.starts_with(&format!("at {at}: ")))
}

/// Addresses of the host's own, of which `status` and `crashes` know nothing.
pub(crate) fn is_built_in(subject: &str) -> bool {
    matches!(subject, "layer1" | "supervisor")
}

fn delivery_in_words(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::NotStarted => "not started: nothing was done",
        Delivery::Started => "started: it may have been done, wholly or in part",
        Delivery::Unknown => "unknown: it may have been done, wholly, in part or not at all",
    }
}

const WITH_A_KEY: &str = "with --key KEY, the host sends a request again by itself";

fn hint(subject: &str, failure: &Failure) -> Option<String> {
    Some(match failure.code {
        ErrorCode::UnknownModule => "`bulkhead status` lists the modules".into(),
        ErrorCode::ModuleUnavailable if is_built_in(subject) => return None,
        ErrorCode::ModuleUnavailable => {
            format!("`bulkhead status {subject}` says why, `bulkhead start {subject}` starts it")
        }
        ErrorCode::ModuleCrashed if failure.delivery == Some(Delivery::NotStarted) => {
            format!("send it again; `bulkhead crashes {subject}` shows what the module was doing")
        }
        ErrorCode::ModuleCrashed => {
            format!("`bulkhead crashes {subject}` shows what the module was doing; {WITH_A_KEY}")
        }
        ErrorCode::Quarantined => {
            format!(
                "`bulkhead quarantine list {subject}` has the message; change it or the module before it is sent again"
            )
        }
        ErrorCode::DeadlineExceeded => "--timeout gives it longer".into(),
        ErrorCode::Overloaded => "send it again in a moment".into(),
        // The host's own refusals say which setting would allow it, or which limit was met; a module's are its own.
        ErrorCode::Conflict => return version_hint(subject, failure),
        ErrorCode::BadRequest
        | ErrorCode::UnknownType
        | ErrorCode::UnknownCommand
        | ErrorCode::ModuleError
        | ErrorCode::Cancelled
        | ErrorCode::FrameTooLarge
        | ErrorCode::ProtocolError
        | ErrorCode::PermissionDenied
        | ErrorCode::NotFound
        | ErrorCode::Internal => return None,
    })
}

/// What to do about an entity of the data store that has another version than was expected.
fn version_hint(subject: &str, failure: &Failure) -> Option<String> {
    #[derive(Deserialize)]
    struct Found {
        entity: String,
        id: String,
        found: u64,
    }
    let Found { entity, id, found } = failure.data.as_ref()?.read().ok()?;
    (subject == "layer1").then(|| {
        let query = serde_json::json!({ "entity": entity, "id": id });
        format!("read it again with `bulkhead query layer1 '{query}'`, then expect version {found}")
    })
}

/// The failure as the JSON object that a pipe prints instead of an answer.
pub(crate) fn as_json(failure: &Failure, line: u64) -> Json {
    #[derive(Serialize)]
    struct Wire<'a> {
        status: &'static str,
        error: &'a str,
        code: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        delivery: Option<Delivery>,
        retryable: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        exit: Option<&'a bulkhead_protocol::Exit>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        stderr: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        module_code: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a Json>,
        line: u64,
    }
    Json::of(&Wire {
        status: "error",
        error: &failure.error,
        code: failure.code.name(),
        delivery: failure.delivery,
        retryable: failure.retryable,
        exit: failure.exit.as_ref(),
        stderr: &failure.stderr,
        module_code: failure.module_code.as_deref(),
        data: failure.data.as_ref(),
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_protocol::Exit;

    fn crash() -> Failure {
        let mut failure = Failure::new(ErrorCode::ModuleCrashed, "the module crashed while it handled the request");
        failure.delivery = Some(Delivery::Started);
        failure.exit = Some(Exit::Signal("SIGSEGV".into()));
        failure.stderr = vec!["about to write".into(), "\x1b[31mbad pointer".into()];
        failure
    }

    #[test]
    fn a_crash_is_reported_with_its_evidence() {
        let expected = "\
research-log: the module crashed while it handled the request
  code       module_crashed
  exit       SIGSEGV
  delivery   started: it may have been done, wholly or in part
  stderr     | about to write
             | \\u{1b}[31mbad pointer
  hint       `bulkhead crashes research-log` shows what the module was doing; with --key KEY, the host sends a request again by itself";
        assert_eq!(explain("research-log", &crash(), &[]), expected);
    }

    #[test]
    fn a_sentence_that_begins_with_its_subject_does_not_name_it_twice() {
        let failure = Failure::new(ErrorCode::ModuleError, "slow did not become ready: it took longer than 10 s");
        let expected = "slow did not become ready: it took longer than 10 s\n  code       module_error";
        assert_eq!(explain("slow", &failure, &[]), expected);
        let failure = Failure::new(ErrorCode::ModuleError, "slowly does it");
        assert_eq!(explain("slow", &failure, &[]), "slow: slowly does it\n  code       module_error");
    }

    #[test]
    fn a_module_that_did_not_become_ready_is_reported_with_what_it_printed() {
        let mut failure = Failure::new(ErrorCode::ModuleError, "m did not become ready: exit code 3");
        failure.stderr = vec!["no such file".into()];
        let expected = "\
m did not become ready: exit code 3
  code       module_error
  stderr     | no such file
  hint       `bulkhead logs m` shows all that it printed";
        assert_eq!(explain("m", &failure, &[]), expected);
        let failure = Failure::new(ErrorCode::DeadlineExceeded, "the deadline passed before m could begin");
        let expected = "\
m: the deadline passed before m could begin
  code       deadline_exceeded
  log        | out of ink
  hint       --timeout gives it longer; `bulkhead logs m` shows all that it printed";
        assert_eq!(explain("m", &failure, &["out of ink".into()]), expected);
    }

    #[test]
    fn a_modules_own_code_is_shown() {
        let mut failure = Failure::new(ErrorCode::ModuleError, "no ink");
        failure.module_code = Some("out_of_ink".into());
        assert_eq!(explain("printer", &failure, &[]), "printer: no ink\n  code       out_of_ink");
    }

    #[test]
    fn a_modules_own_refusal_has_no_hint_about_manifests() {
        let failure = Failure::new(ErrorCode::PermissionDenied, "only on Mondays");
        assert_eq!(explain("printer", &failure, &[]), "printer: only on Mondays\n  code       permission_denied");
    }

    #[test]
    fn the_place_inside_a_payload_is_said_once_and_a_conflict_says_how_to_go_on() {
        let mut failure = Failure::new(ErrorCode::BadRequest, "at filters.n: expected a number, found a list");
        failure.data = Some(Json::parse(r#"{"at":"filters.n"}"#).unwrap());
        let expected = "layer1: at filters.n: expected a number, found a list\n  code       bad_request";
        assert_eq!(explain("layer1", &failure, &[]), expected);
        let mut failure =
            Failure::new(ErrorCode::Conflict, "expected version 1 of the A with the id x, found version 2");
        failure.data = Some(Json::parse(r#"{"entity":"A","id":"x","expected":1,"found":2}"#).unwrap());
        let expected = "\
layer1: expected version 1 of the A with the id x, found version 2
  code       conflict
  data       {\"entity\":\"A\",\"id\":\"x\",\"expected\":1,\"found\":2}
  hint       read it again with `bulkhead query layer1 '{\"entity\":\"A\",\"id\":\"x\"}'`, then expect version 2";
        assert_eq!(explain("layer1", &failure, &[]), expected);
        assert!(!explain("log", &failure, &[]).contains("hint"));
    }

    #[test]
    fn a_failed_line_of_a_pipe_is_one_object() {
        let expected = r#"{"status":"error","error":"the module crashed while it handled the request","code":"module_crashed","delivery":"started","retryable":true,"exit":{"signal":"SIGSEGV"},"stderr":["about to write","\u001b[31mbad pointer"],"line":17}"#;
        assert_eq!(as_json(&crash(), 17).as_str(), expected);
    }
}
