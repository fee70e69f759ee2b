//! What a line says: a message of the host written as one, and an answer read from one. Which
//! message an answer is for is not known here.

use bulkhead_child::{Error, answer};
use bulkhead_protocol::{Json, Request, RequestType};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How much of a line that is no answer is quoted, in characters.
const QUOTE_CHARACTERS_MAX: usize = 200;

/// What a line of the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In: the arguments of a command, the payload of a query or mutation, `{"event","data"}` of an
    /// event. Out: the answer's data.
    Args,
    /// In: `{"type","payload"}`. Out: an answer as a library gives it, by the [rules](answer::read)
    /// that hold for those, so that it can be an error.
    Message,
}

impl Form {
    /// The form with this name on the command line.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn from_name(name: &str) -> Result<Form, String> {
        match name {
            "args" => Ok(Form::Args),
            "message" => Ok(Form::Message),
            other => Err(format!("expected args or message after --line, found '{other}'")),
        }
    }
}

/// What a line from the program came to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The answer to its message.
    Whole(Result<Json, Error>),
    /// It begins a value that it does not end, so that the next line is the rest of it: from here on
    /// lines and messages do not match. The beginning of it is quoted.
    Unfinished(String),
}

/// Appends the line for a request, with its end.
///
/// # Errors
/// When its payload has not the form that its type asks for; nothing is appended then.
pub(crate) fn write(form: Form, request: &Request, line: &mut Vec<u8>) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Command<'a> {
        #[serde(rename = "name")]
        _name: std::borrow::Cow<'a, str>,
        #[serde(borrow)]
        args: Option<&'a RawValue>,
    }
    let payload = match (form, &request.kind) {
        (Form::Args, RequestType::Command) => {
            let command: Command<'_> = request.payload.read().map_err(|error| {
                Error::bad_request(format!("the payload of this command has another form: {error}"))
            })?;
            command.args.map_or("{}", RawValue::get)
        }
        _ => request.payload.as_str(),
    };
    match form {
        Form::Args => append_compact(payload, line),
        Form::Message => {
            line.extend_from_slice(b"{\"type\":\"");
            // One of four names: the types that get here need no escaping.
            line.extend_from_slice(request.kind.name().as_bytes());
            line.extend_from_slice(b"\",\"payload\":");
            append_compact(payload, line);
            line.push(b'}');
        }
    }
    line.push(b'\n');
    Ok(())
}

/// Appends a JSON value as one line: as it came, unless it has line ends as white space; then
/// without any. Numbers, escapes and the order of members stay as they are.
fn append_compact(json: &str, line: &mut Vec<u8>) {
    if !json.bytes().any(|byte| matches!(byte, b'\n' | b'\r')) {
        line.extend_from_slice(json.as_bytes());
        return;
    }
    let (mut in_text, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' if !in_text => continue,
            b'"' if !escaped => in_text = !in_text,
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
        line.push(byte);
    }
}

/// Reads the program's answer to a request of this type. It may have white space around it, line
/// ends too where a whole output is one answer.
pub(crate) fn read(form: Form, kind: &RequestType, line: &[u8], frame_bytes_max: usize) -> Answer {
    let data = match read_json(line) {
        Ok(data) => data,
        Err(answer) => return answer,
    };
    Answer::Whole(match form {
        Form::Args if *kind == RequestType::Event => Ok(Json::null()),
        Form::Args => Ok(data),
        Form::Message => answer::read(kind, Some(data.as_str().as_bytes()), frame_bytes_max).result,
    })
}

fn read_json(line: &[u8]) -> Result<Json, Answer> {
    let fail = |sentence: String| Answer::Whole(Err(Error::failed(sentence)));
    let text = std::str::from_utf8(line).map_err(|error| {
        let at = error.valid_up_to();
        let found = quote(&String::from_utf8_lossy(line));
        fail(format!("the filter's answer is not UTF-8: found the byte 0x{:02x} at offset {at} of {found}", line[at]))
    })?;
    if text.trim_ascii().is_empty() {
        return Err(fail("the filter answered with an empty line, expected JSON".to_owned()));
    }
    Json::parse(text).map_err(|error| {
        let found = quote(text);
        if error.is_eof() {
            return Answer::Unfinished(found);
        }
        fail(format!("the filter's answer is not one JSON value: {found}"))
    })
}

/// The beginning of a text, as a text in JSON would be written.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(form: Form, kind: &str, payload: &str) -> String {
        let request = Request::new(1, RequestType::from_name(kind), Json::parse(payload).unwrap());
        let mut line = Vec::new();
        write(form, &request, &mut line).unwrap();
        String::from_utf8(line).unwrap()
    }

    fn whole(form: Form, kind: &str, line: &[u8]) -> Result<String, String> {
        match read(form, &RequestType::from_name(kind), line, 65536) {
            Answer::Whole(result) => {
                result.map(|data| data.as_str().to_owned()).map_err(|error| format!("{}: {error}", error.code()))
            }
            Answer::Unfinished(found) => Err(format!("unfinished: {found}")),
        }
    }

    #[test]
    fn what_the_line_is_depends_on_form_and_type() {
        let command = r#"{"name":"greet","args":{"b":1.0,"a":2}}"#;
        assert_eq!(line(Form::Args, "command", command), "{\"b\":1.0,\"a\":2}\n");
        assert_eq!(line(Form::Args, "command", r#"{"name":"greet"}"#), "{}\n");
        assert_eq!(line(Form::Args, "command", r#"{"name":"greet","args":null}"#), "{}\n");
        assert_eq!(line(Form::Args, "query", "[1, 2]"), "[1, 2]\n");
        assert_eq!(line(Form::Args, "event", r#"{"event":"a","data":1}"#), "{\"event\":\"a\",\"data\":1}\n");
        let message = "{\"type\":\"command\",\"payload\":{\"name\":\"greet\",\"args\":{\"b\":1.0,\"a\":2}}}\n";
        assert_eq!(line(Form::Message, "command", command), message);
        assert_eq!(line(Form::Message, "mutation", "null"), "{\"type\":\"mutation\",\"payload\":null}\n");
    }

    #[test]
    fn a_command_without_a_name_is_not_sent() {
        let request = Request::new(1, RequestType::Command, Json::parse("[1]").unwrap());
        let mut line = Vec::new();
        assert!(write(Form::Args, &request, &mut line).is_err());
        assert!(line.is_empty());
    }

    #[test]
    fn white_space_goes_and_nothing_else_does() {
        let pretty = "{\n  \"a b\\\" \\n\\\\\" : [ 1.50 , 1e+2,\r\n\t12345678901234567890123 ],\n \"\u{e9} \u{2028}\": \" x \"\n}";
        let compact = "{\"a b\\\" \\n\\\\\":[1.50,1e+2,12345678901234567890123],\"\u{e9} \u{2028}\":\" x \"}\n";
        assert_eq!(line(Form::Args, "query", pretty), compact);
    }

    #[test]
    fn compacting_is_what_reading_and_writing_would_come_to() {
        proptest::proptest!(|(text in r#"[a-z"\\ \n\t\r\[\]{}:,0-9]{0,40}"#, depth in 0..4usize)| {
            let value = (0..depth).fold(serde_json::json!(text), |value, _| serde_json::json!({ &text: [value, 1] }));
            let pretty = serde_json::to_string_pretty(&value).unwrap() + "\n";
            let mut line = Vec::new();
            append_compact(&pretty, &mut line);
            proptest::prop_assert_eq!(String::from_utf8(line).unwrap(), serde_json::to_string(&value).unwrap());
        });
    }

    #[test]
    fn an_answer_is_data_or_an_error_by_its_form() {
        assert_eq!(whole(Form::Args, "command", b" {\"status\":\"error\"} \r").unwrap(), r#"{"status":"error"}"#);
        assert_eq!(whole(Form::Args, "event", b"17").unwrap(), "null");
        assert_eq!(whole(Form::Message, "command", br#"{"status":"success","data":[1]}"#).unwrap(), "[1]");
        let failed = whole(Form::Message, "event", br#"{"status":"error","error":"no ink","code":"not_found"}"#);
        assert_eq!(failed.unwrap_err(), "not_found: no ink");
    }

    #[test]
    fn a_line_that_is_no_answer_is_quoted() {
        let long = "x".repeat(300);
        for (line, expected) in [
            (&b"oops \"a\""[..], r#"module_error: the filter's answer is not one JSON value: "oops \"a\"""#),
            (b"", "module_error: the filter answered with an empty line, expected JSON"),
            (b"1 2", r#"module_error: the filter's answer is not one JSON value: "1 2""#),
            (b"\"\xff\"", "module_error: the filter's answer is not UTF-8: found the byte 0xff at offset 1 of"),
            (b"{", "unfinished: \"{\""),
            (long.as_bytes(), &format!("not one JSON value: \"{}\"…", "x".repeat(200))),
        ] {
            for (form, kind) in [(Form::Args, "command"), (Form::Message, "command"), (Form::Args, "event")] {
                let error = whole(form, kind, line).unwrap_err();
                assert!(error.contains(expected), "{error}");
            }
        }
    }
}
