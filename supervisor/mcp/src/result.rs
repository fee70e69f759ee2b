//! From what the host answers to what MCP has for it. Pure.

use crate::catalogue::{Returns, Target};
use bulkhead_protocol::{Delivery, Failure, Json};
use rmcp::model::{CallToolResult, ContentBlock, ProgressNotificationParam, ProgressToken};
use serde::Deserialize;
use serde_json::Value;

/// The longest message of a progress, in bytes.
const MESSAGE_BYTES_MAX: usize = 2000;

/// The result of a call that succeeded.
pub(crate) fn success(target: &Target, data: &Json) -> CallToolResult {
    let structured = match target.returns {
        Returns::Anything => None,
        Returns::Object => match data.read::<Value>() {
            Ok(object @ Value::Object(_)) => Some(object),
            _ => return lied(target, data),
        },
    };
    if let Some(result) = contents(target, data) {
        return result;
    }
    // A text is shown as what it says.
    let text = data.read::<String>().unwrap_or_else(|_| data.as_str().to_owned());
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = structured;
    result
}

/// What an MCP server that is a module answers with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Contents {
    content: Vec<ContentBlock>,
    structured_content: Option<Value>,
}

/// The answer of such a server, as it came from there.
fn contents(target: &Target, data: &Json) -> Option<CallToolResult> {
    if target.returns != Returns::Anything {
        return None;
    }
    let Contents { content, structured_content } = data.read().ok()?;
    let mut result = CallToolResult::success(content);
    result.structured_content = structured_content;
    Some(result)
}

/// Clients refuse a success without what its description promises.
fn lied(target: &Target, data: &Json) -> CallToolResult {
    let Target { module, command, .. } = target;
    let sentence = format!(
        "{module} has done {command} and answered with something else than the object that it describes: {}",
        data.as_str()
    );
    CallToolResult::error(vec![ContentBlock::text(sentence)])
}

/// The result of a call that failed: the sentence, how far it got, and the same for programs.
pub(crate) fn failure(target: &Target, failure: &Failure) -> CallToolResult {
    let code = failure.module_code.as_deref().unwrap_or(failure.code.name());
    let mut lines = vec![format!("{}: {} ({code})", target.module, failure.error)];
    lines.extend(failure.delivery.map(|delivery| verdict(delivery).to_owned()));
    lines.extend(failure.exit.as_ref().map(|exit| format!("Its process ended: {exit}.")));
    if !failure.stderr.is_empty() {
        lines.push("The last lines of its log:".to_owned());
        lines.extend(failure.stderr.iter().cloned());
    }
    // The contents of an MCP server that is a module are the sentence already.
    if let Some(data) = failure.data.as_ref().filter(|data| data.read::<Contents>().is_err()) {
        lines.push(format!("Details: {}", data.as_str()));
    }
    let mut result = CallToolResult::error(vec![ContentBlock::text(lines.join("\n"))]);
    // Where a tool has an outputSchema, some clients hold this member of an error to it as well.
    if target.returns == Returns::Anything {
        result.structured_content = Some(structured(failure));
    }
    result
}

fn structured(failure: &Failure) -> Value {
    let mut object = serde_json::json!({
        "error": failure.error, "code": failure.code.name(), "retryable": failure.retryable,
    });
    if let Some(delivery) = failure.delivery {
        object["delivery"] = serde_json::json!(delivery);
    }
    if let Some(code) = &failure.module_code {
        object["module_code"] = code.as_str().into();
    }
    if let Some(exit) = &failure.exit {
        object["exit"] = serde_json::json!(exit);
    }
    if let Some(Ok(data)) = failure.data.as_ref().map(Json::read::<Value>) {
        object["data"] = data;
    }
    object
}

/// How far a request got, for someone who decides whether to call again.
pub(crate) fn verdict(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::NotStarted => "It was not begun: calling again does nothing twice.",
        Delivery::Started => "It was begun: it may have been done, wholly or in part.",
        Delivery::Unknown => {
            "It is not known whether it was begun: it may have been done, wholly, in part or not at all."
        }
    }
}

/// The result of a call without an answer of the host.
pub(crate) fn unanswered(sentence: String, delivery: Delivery) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(format!("{sentence}\n{}", verdict(delivery)))])
}

/// The progress of a call. MCP wants a number that grows, so `number`, which counts them, stands for one that is missing.
pub(crate) fn progress(token: ProgressToken, data: &Json, number: u64) -> ProgressNotificationParam {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Known {
        progress: Option<f64>,
        done: Option<f64>,
        total: Option<f64>,
        message: Option<String>,
    }
    let known: Known = data.read().unwrap_or_default();
    let done = known.progress.or(known.done);
    let mut param = ProgressNotificationParam::new(token, done.unwrap_or(number as f64));
    param.total = known.total.filter(|_| done.is_some());
    param.message = Some(known.message.unwrap_or_else(|| {
        let text = data.as_str();
        text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
    }));
    param
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Takes;
    use bulkhead_protocol::ErrorCode;
    use rmcp::model::NumberOrString;

    fn target(returns: Returns) -> Target {
        Target { module: "shop".into(), command: "buy".into(), takes: Takes::Object, returns }
    }

    fn json(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    fn shown(result: &CallToolResult) -> Value {
        serde_json::json!(result)
    }

    #[test]
    fn a_success_is_its_data_as_text_and_structured_where_it_is_described() {
        let found = shown(&success(&target(Returns::Anything), &json(r#"{"n": 12345678901234567890123}"#)));
        assert_eq!(found["content"][0]["text"], r#"{"n": 12345678901234567890123}"#);
        assert_eq!((&found["isError"], found.get("structuredContent")), (&Value::Bool(false), None));
        let found = shown(&success(&target(Returns::Anything), &json(r#""a\nb""#)));
        assert_eq!(found["content"][0]["text"], "a\nb");
        let found = shown(&success(&target(Returns::Object), &json(r#"{"n":7}"#)));
        assert_eq!(found["structuredContent"], serde_json::json!({"n": 7}));
    }

    #[test]
    fn the_contents_of_an_mcp_server_come_as_they_are() {
        let data = r#"{"content":[{"type":"image","data":"AA==","mimeType":"image/png"}],"structuredContent":{"n":1}}"#;
        let found = shown(&success(&target(Returns::Anything), &json(data)));
        assert_eq!(found["content"][0]["type"], "image");
        assert_eq!(found["structuredContent"], serde_json::json!({"n": 1}));
        let found = shown(&success(&target(Returns::Anything), &json(r#"{"content":[],"other":1}"#)));
        assert_eq!(found["content"][0]["text"], r#"{"content":[],"other":1}"#);
    }

    #[test]
    fn a_success_that_is_not_what_was_described_is_shown_as_an_error() {
        let found = shown(&success(&target(Returns::Object), &json("[1]")));
        let expected = "shop has done buy and answered with something else than the object that it describes: [1]";
        assert_eq!((&found["content"][0]["text"], &found["isError"]), (&expected.into(), &true.into()));
    }

    #[test]
    fn a_failure_has_its_sentence_its_code_and_how_far_it_got() {
        let crashed = Failure::new(ErrorCode::ModuleCrashed, "shop crashed").delivery(Delivery::Unknown);
        let found = shown(&failure(&target(Returns::Anything), &crashed));
        let expected = "shop: shop crashed (module_crashed)\n\
            It is not known whether it was begun: it may have been done, wholly, in part or not at all.";
        assert_eq!(found["content"][0]["text"], expected);
        let expected = serde_json::json!({
            "error": "shop crashed", "code": "module_crashed", "retryable": true, "delivery": "unknown",
        });
        assert_eq!((&found["structuredContent"], &found["isError"]), (&expected, &true.into()));
        let mut own = Failure::new(ErrorCode::ModuleError, "no ink");
        own.module_code = Some("out_of_ink".into());
        own.data = Some(json(r#"{"left":0}"#));
        let found = shown(&failure(&target(Returns::Object), &own));
        assert_eq!(found["content"][0]["text"], "shop: no ink (out_of_ink)\nDetails: {\"left\":0}");
        assert_eq!(found.get("structuredContent"), None);
    }

    #[test]
    fn progress_has_the_numbers_that_are_known_and_counts_otherwise() {
        let token = || ProgressToken(NumberOrString::Number(3));
        let found = progress(token(), &json(r#"{"done":1,"total":2}"#), 9);
        assert_eq!((found.progress, found.total), (1.0, Some(2.0)));
        assert_eq!(found.message.as_deref(), Some(r#"{"done":1,"total":2}"#));
        let found = progress(token(), &json(r#"{"progress":0.5,"message":"half"}"#), 9);
        assert_eq!((found.progress, found.total, found.message.as_deref()), (0.5, None, Some("half")));
        let found = progress(token(), &json("\"reading\""), 9);
        assert_eq!((found.progress, found.message.as_deref()), (9.0, Some("\"reading\"")));
    }
}
