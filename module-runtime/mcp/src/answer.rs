//! What the result of a tool means for the caller of a command. Pure.

use crate::tools::Returns;
use bulkhead_child::Error;
use bulkhead_protocol::{ErrorCode, Failure, Json};
use rmcp::model::{ErrorCode as RpcCode, ErrorData};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A result of `tools/call`, as far as it is looked into.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallResult<'a> {
    #[serde(borrow, default)]
    result_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    structured_content: Option<&'a RawValue>,
    #[serde(default)]
    is_error: Option<bool>,
}

/// What of a result is passed on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    content: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<&'a Json>,
}

/// The data of the success, or the failure.
///
/// # Errors
/// The failure that the caller gets.
pub(crate) fn of_result(tool: &str, returns: Returns, text: &Json) -> Result<Json, Failure> {
    let result: CallResult<'_> = text.read().map_err(|error| {
        failed(format!("the result of the tool {tool:?} is none that MCP knows: {error}"), text.clone())
    })?;
    match result.result_type.as_deref() {
        None | Some("complete") => {}
        Some(other) => {
            let sentence = format!(
                "the tool {tool:?} asks for more before it answers ({other:?}), which a caller of a command cannot give"
            );
            return Err(failed(sentence, text.clone()));
        }
    }
    let part = |text: &RawValue| Json::of_checked(text.get());
    let contents = result.content.map_or_else(|| Json::of_checked("[]"), part);
    let structured = result.structured_content.map(part);
    let whole = Json::of(&Whole { content: &contents, structured_content: structured.as_ref() });
    if result.is_error == Some(true) {
        let sentence = texts(&contents).unwrap_or_else(|| format!("the tool {tool:?} failed and does not say why"));
        return Err(failed(sentence, whole));
    }
    match (returns, structured) {
        (Returns::Structured, Some(structured)) => Ok(structured),
        (Returns::Structured, None) => {
            let sentence = format!("expected structuredContent of the tool {tool:?}, as it has an outputSchema");
            Err(failed(format!("{sentence}; found none"), whole))
        }
        (Returns::Contents, _) => Ok(whole),
    }
}

/// The failure of a call that the server answered with an error of JSON-RPC.
pub(crate) fn of_error(error: &ErrorData) -> Failure {
    let code = match error.code {
        RpcCode::INVALID_PARAMS | RpcCode::INVALID_REQUEST => ErrorCode::BadRequest,
        RpcCode::METHOD_NOT_FOUND => ErrorCode::UnknownCommand,
        _ => ErrorCode::ModuleError,
    };
    let sentence = match error.message.trim() {
        "" => format!("the MCP server answered with the error {} and does not say why", error.code.0),
        message => message.to_owned(),
    };
    Error::with_code(code, sentence).with_data(Json::of(error)).into_failure()
}

fn failed(sentence: String, data: Json) -> Failure {
    Error::failed(sentence).with_data(data).into_failure()
}

/// The texts among contents; `None` if there are none.
fn texts(contents: &Json) -> Option<String> {
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow, default)]
        text: Option<Cow<'a, str>>,
    }
    let contents: Vec<Content<'_>> = contents.read().ok()?;
    let texts: Vec<&str> = contents.iter().filter_map(|content| content.text.as_deref()).map(str::trim).collect();
    let text = texts.join("\n");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(returns: Returns, text: &str) -> Result<String, (String, String)> {
        let found = of_result("t", returns, &Json::parse(text).unwrap());
        let data = |failure: Failure| failure.data.expect("it has data").as_str().to_owned();
        found.map(|data| data.as_str().to_owned()).map_err(|failure| (failure.error.clone(), data(failure)))
    }

    #[test]
    fn a_tool_with_an_output_schema_answers_with_its_structured_content_and_any_other_with_contents() {
        let text = r#"{"content":[{"type":"text","text":"7"}],"structuredContent":{"z":7,"a":1.0},"isError":false,"_meta":{}}"#;
        assert_eq!(result(Returns::Structured, text), Ok(r#"{"z":7,"a":1.0}"#.into()));
        let expected = r#"{"content":[{"type":"text","text":"7"}],"structuredContent":{"z":7,"a":1.0}}"#;
        assert_eq!(result(Returns::Contents, text), Ok(expected.into()));
        assert_eq!(result(Returns::Contents, "{}"), Ok(r#"{"content":[]}"#.into()));
    }

    #[test]
    fn a_tool_that_breaks_its_own_output_schema_fails() {
        let (sentence, data) = result(Returns::Structured, r#"{"content":[]}"#).unwrap_err();
        assert_eq!(sentence, "expected structuredContent of the tool \"t\", as it has an outputSchema; found none");
        assert_eq!(data, r#"{"content":[]}"#);
    }

    #[test]
    fn an_error_of_a_tool_has_its_texts() {
        let text = r#"{"content":[{"type":"text","text":"no such file"},{"type":"image"},{"type":"text","text":"a"}],"isError":true}"#;
        let (sentence, _) = result(Returns::Structured, text).unwrap_err();
        assert_eq!(sentence, "no such file\na");
        let (sentence, _) = result(Returns::Contents, r#"{"content":[],"isError":true}"#).unwrap_err();
        assert_eq!(sentence, "the tool \"t\" failed and does not say why");
    }

    #[test]
    fn a_result_of_another_form_fails_with_its_text() {
        let (sentence, data) = result(Returns::Contents, r#"{"isError":"yes"}"#).unwrap_err();
        assert!(sentence.starts_with("the result of the tool \"t\" is none that MCP knows: "), "{sentence}");
        assert_eq!(data, r#"{"isError":"yes"}"#);
        let (sentence, _) = result(Returns::Contents, r#"{"resultType":"input_required"}"#).unwrap_err();
        assert!(sentence.contains("asks for more before it answers (\"input_required\")"), "{sentence}");
    }

    #[test]
    fn errors_of_json_rpc_have_codes_of_the_wire() {
        for (code, expected) in
            [(-32602, ErrorCode::BadRequest), (-32601, ErrorCode::UnknownCommand), (-32000, ErrorCode::ModuleError)]
        {
            let failure = of_error(&ErrorData::new(RpcCode(code), "why", None));
            assert_eq!((failure.code, failure.error.as_str()), (expected, "why"));
        }
        let failure = of_error(&ErrorData::new(RpcCode(5), "", None));
        assert_eq!(failure.error, "the MCP server answered with the error 5 and does not say why");
    }
}
