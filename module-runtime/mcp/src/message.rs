//! What a line of the server's standard output is. Decided from its text alone.

use bulkhead_child::log::Level;
use bulkhead_protocol::Json;
use rmcp::model::{ErrorCode, ErrorData, JsonRpcError, NumberOrString, ServerJsonRpcMessage};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// How much of a line is quoted in the log, in bytes.
const QUOTE_BYTES_MAX: usize = 500;

/// The longest line of the log that is made of a message, in bytes. The host cuts longer ones.
const LOG_BYTES_MAX: usize = 16 * 1024;

/// What a line is.
#[derive(Debug)]
pub(crate) enum Line {
    /// Empty, or a notification that means nothing here.
    Nothing,
    /// A message for the MCP client; for a success also its number and its result as they were written.
    Message(Box<ServerJsonRpcMessage>, Option<(i64, Json)>),
    /// Progress of the call with this token.
    Progress(i64, Json),
    /// A line for the log.
    Log(Level, String),
    /// No message of MCP: a banner, a `print` that was left in. A part of it, for the log.
    Banner(String),
}

/// A message of JSON-RPC, as far as it is looked into here.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
}

/// Reads a line without its end.
pub(crate) fn read(line: &[u8]) -> Line {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.trim_ascii().is_empty() {
        return Line::Nothing;
    }
    let Some(envelope) = serde_json::from_slice::<Envelope<'_>>(line).ok().filter(|found| found.jsonrpc == "2.0")
    else {
        return Line::Banner(quote(&String::from_utf8_lossy(line)));
    };
    match envelope.method.as_deref() {
        Some("notifications/progress") => envelope.params.and_then(progress).unwrap_or(Line::Nothing),
        Some("notifications/message") => envelope.params.and_then(log_line).unwrap_or(Line::Nothing),
        _ => message(line, &envelope),
    }
}

fn message(line: &[u8], envelope: &Envelope<'_>) -> Line {
    match serde_json::from_slice::<ServerJsonRpcMessage>(line) {
        Ok(message) => {
            let result = envelope.result.map(|result| Json::of_checked(result.get()));
            let number = envelope.id.filter(|_| envelope.method.is_none()).and_then(number);
            Line::Message(Box::new(message), number.zip(result))
        }
        Err(error) => match (&envelope.method, envelope.id.and_then(number)) {
            // Its caller waits.
            (None, Some(number)) => {
                let sentence = format!("the server's answer is none that MCP knows: {error}");
                let error = ErrorData::new(ErrorCode::INTERNAL_ERROR, sentence, None);
                let error = JsonRpcError::new(Some(NumberOrString::Number(number)), error);
                Line::Message(Box::new(ServerJsonRpcMessage::Error(error)), None)
            }
            (Some(_), None) => Line::Nothing,
            (None, None) | (Some(_), Some(_)) => Line::Banner(quote(&String::from_utf8_lossy(line))),
        },
    }
}

/// The number of a request or of a token: each that is sent from here is an integer, which some servers write as text.
fn number(id: &RawValue) -> Option<i64> {
    id.get().trim_matches('"').parse().ok()
}

fn progress(params: &RawValue) -> Option<Line> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        #[serde(borrow)]
        progress_token: &'a RawValue,
        #[serde(borrow)]
        progress: &'a RawValue,
        #[serde(borrow, default)]
        total: Option<&'a RawValue>,
        #[serde(borrow, default)]
        message: Option<&'a RawValue>,
    }
    let Params { progress_token, progress, total, message } = serde_json::from_str(params.get()).ok()?;
    let members = [("progress", Some(progress)), ("total", total), ("message", message)];
    let members = members.map(|(name, value)| value.map(|value| (name, Json::of_checked(value.get()))));
    let members: Vec<(&str, &Json)> = members.iter().flatten().map(|(name, value)| (*name, value)).collect();
    Some(Line::Progress(number(progress_token)?, Json::object(&members)))
}

fn log_line(params: &RawValue) -> Option<Line> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, default)]
        level: Cow<'a, str>,
        #[serde(borrow, default)]
        logger: Option<Cow<'a, str>>,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let Params { level, logger, data } = serde_json::from_str(params.get()).ok()?;
    let level = match &*level {
        "debug" => Level::Debug,
        "warning" => Level::Warn,
        "error" | "critical" | "alert" | "emergency" => Level::Error,
        // "info", "notice", and what a later version may have.
        _ => Level::Info,
    };
    let text = serde_json::from_str::<String>(data.get()).unwrap_or_else(|_| data.get().to_owned());
    let text = logger.map(|logger| format!("{logger}: {text}")).unwrap_or(text);
    Some(Line::Log(level, cut(&text, LOG_BYTES_MAX)))
}

/// The beginning of a text, in quotation marks.
fn quote(text: &str) -> String {
    format!("{:?}", cut(text, QUOTE_BYTES_MAX))
}

fn cut(text: &str, bytes_max: usize) -> String {
    match text.floor_char_boundary(bytes_max) {
        end if end < text.len() => format!("{}… ({} bytes in all)", &text[..end], text.len()),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_of(line: &str) -> (String, Option<(i64, Json)>) {
        match read(line.as_bytes()) {
            Line::Message(message, result) => (serde_json::to_string(&message).unwrap(), result),
            other => panic!("expected a message, found {other:?}"),
        }
    }

    #[test]
    fn a_result_is_kept_as_it_was_written() {
        let (_, result) = message_of(r#"{"jsonrpc":"2.0","id":7,"result":{"z":12345678901234567890123,"content":[]}}"#);
        let (number, result) = result.unwrap();
        assert_eq!((number, result.as_str()), (7, r#"{"z":12345678901234567890123,"content":[]}"#));
        let (_, result) = message_of(r#"{"jsonrpc":"2.0","id":"7","result":{"content":[]}}"#);
        assert_eq!(result.unwrap().0, 7);
    }

    #[test]
    fn what_is_no_message_is_quoted_with_a_limit() {
        for line in ["Server running on stdio", "{\"hello\":1}", "7", "[]", "{\"jsonrpc\":\"1.0\",\"id\":1}"] {
            assert!(matches!(read(line.as_bytes()), Line::Banner(_)), "{line}");
        }
        assert!(matches!(read(b"\xff\xfe\0"), Line::Banner(_)));
        let Line::Banner(quoted) = read("ä".repeat(10_000).as_bytes()) else { panic!("it is a banner") };
        assert!(quoted.len() < 600 && quoted.contains("(20000 bytes in all)"), "{quoted}");
        for line in ["", "\r", "  "] {
            assert!(matches!(read(line.as_bytes()), Line::Nothing), "{line:?}");
        }
    }

    #[test]
    fn progress_keeps_its_numbers_and_loses_its_token() {
        let line = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"total":1.0,"progressToken":3,"progress":0.50,"message":"half"}}"#;
        let Line::Progress(3, data) = read(line.as_bytes()) else { panic!("it is progress") };
        assert_eq!(data.as_str(), r#"{"progress":0.50,"total":1.0,"message":"half"}"#);
        let line = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}"#;
        assert!(matches!(read(line.as_bytes()), Line::Nothing));
    }

    #[test]
    fn a_log_message_has_its_level_and_its_logger() {
        for (level, expected) in [
            ("debug", Level::Debug),
            ("notice", Level::Info),
            ("warning", Level::Warn),
            ("emergency", Level::Error),
            ("shout", Level::Info),
        ] {
            let line = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"{level}","logger":"db","data":{{"n":1}}}}}}"#
            );
            let Line::Log(found, text) = read(line.as_bytes()) else { panic!("it is for the log") };
            assert_eq!((found, text.as_str()), (expected, r#"db: {"n":1}"#));
        }
        let line = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"a\nb"}}"#;
        assert!(matches!(read(line.as_bytes()), Line::Log(Level::Info, text) if text == "a\nb"));
    }

    #[test]
    fn an_answer_that_is_none_fails_the_request_with_its_number() {
        let (message, result) = message_of(r#"{"jsonrpc":"2.0","id":7,"error":"broken"}"#);
        assert!(message.contains(r#""id":7"#) && message.contains("none that MCP knows"), "{message}");
        assert!(result.is_none());
    }

    #[test]
    fn an_unknown_notification_means_nothing() {
        for method in ["notifications/new", "window/logMessage"] {
            let line = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{}}}}"#);
            assert!(matches!(read(line.as_bytes()), Line::Nothing | Line::Message(..)), "{method}");
        }
    }
}
