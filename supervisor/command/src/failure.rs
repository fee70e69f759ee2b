//! A failed request, told to a person: the sentence, the evidence, and what to do next.

use crate::output::printable;
use bulkhead_protocol::{Delivery, ErrorCode, Failure, Json};
use serde::Serialize;
use std::fmt::Write;

/// The failure in words; the first line is the sentence, the others are indented below it.
pub(crate) fn explain(subject: &str, failure: &Failure) -> String {
    let mut text = format!("{subject}: {}", printable(&failure.error));
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
    if let Some(data) = failure.data.as_ref().filter(|data| data.as_str() != "null") {
        add("data", &printable(data.as_str()));
    }
    for (index, line) in failure.stderr.iter().enumerate() {
        add(if index == 0 { "stderr" } else { "" }, &format!("| {}", printable(line)));
    }
    if let Some(hint) = hint(subject, failure) {
        add("hint", &hint);
    }
    text
}

fn delivery_in_words(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::NotStarted => "not started: nothing was done",
        Delivery::Started => "started: it may have been done, wholly or in part",
        Delivery::Unknown => "unknown: it may have been done, wholly, in part or not at all",
    }
}

fn hint(subject: &str, failure: &Failure) -> Option<String> {
    Some(match failure.code {
        ErrorCode::UnknownModule => "`bulkhead status` lists the modules".into(),
        ErrorCode::ModuleUnavailable => {
            format!("`bulkhead status {subject}` says why, `bulkhead start {subject}` starts it")
        }
        ErrorCode::ModuleCrashed if failure.delivery == Some(Delivery::NotStarted) => {
            format!("send it again; `bulkhead crashes {subject}` shows what the module was doing")
        }
        ErrorCode::ModuleCrashed => {
            format!(
                "`bulkhead crashes {subject}` shows what the module was doing; a module that knows keys is sent a request with a --key again"
            )
        }
        ErrorCode::Quarantined => {
            format!("`bulkhead crashes {subject}` shows the message; change it before it is sent again")
        }
        ErrorCode::DeadlineExceeded => "--timeout gives it longer".into(),
        ErrorCode::Overloaded => "send it again in a moment".into(),
        ErrorCode::PermissionDenied => "[capabilities] in the module's module.toml grants it".into(),
        ErrorCode::BadRequest
        | ErrorCode::UnknownType
        | ErrorCode::UnknownCommand
        | ErrorCode::ModuleError
        | ErrorCode::Cancelled
        | ErrorCode::FrameTooLarge
        | ErrorCode::ProtocolError
        | ErrorCode::NotFound
        | ErrorCode::Conflict
        | ErrorCode::Internal => return None,
    })
}

/// The failure as the JSON object that takes the place of an answer in a pipe.
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
    fn a_crash_is_told_with_its_evidence() {
        let expected = "\
research-log: the module crashed while it handled the request
  code       module_crashed
  exit       SIGSEGV
  delivery   started: it may have been done, wholly or in part
  stderr     | about to write
             | \\u{1b}[31mbad pointer
  hint       `bulkhead crashes research-log` shows what the module was doing; a module that knows keys is sent a request with a --key again";
        assert_eq!(explain("research-log", &crash()), expected);
    }

    #[test]
    fn a_modules_own_code_is_shown() {
        let mut failure = Failure::new(ErrorCode::ModuleError, "no ink");
        failure.module_code = Some("out_of_ink".into());
        assert_eq!(explain("printer", &failure), "printer: no ink\n  code       out_of_ink");
    }

    #[test]
    fn a_failed_line_of_a_pipe_is_one_object() {
        let expected = r#"{"status":"error","error":"the module crashed while it handled the request","code":"module_crashed","delivery":"started","retryable":true,"exit":{"signal":"SIGSEGV"},"stderr":["about to write","\u001b[31mbad pointer"],"line":17}"#;
        assert_eq!(as_json(&crash(), 17).as_str(), expected);
    }
}
