//! The page about a crash, made from its record. What a member lacks is left out: the host may be of another version.

use bulkhead_protocol::{Exit, Json, escape};
use serde::Deserialize;

/// How many of the last lines are shown.
const LINES_MAX: usize = 30;

/// How many characters of a message are shown. The record has it whole.
const MESSAGE_CHARS_MAX: usize = 2000;

/// The record, as `crashes` answers it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    id: Option<String>,
    pub(crate) instance: Option<String>,
    reason: Option<String>,
    exit: Option<Json>,
    uptime_ms: Option<u64>,
    stderr: Vec<String>,
    in_flight: Vec<InFlight>,
    file: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InFlight {
    #[serde(rename = "type")]
    kind: String,
    payload: Option<Json>,
    delivery: Option<String>,
}

/// A line of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// What happened.
    Title(String),
    /// A line that the module printed.
    Printed(String),
    Detail(String),
    /// What to type.
    Command(String),
}

/// The page. `prefix` is how a command of this host begins, as `bulkhead --socket PATH`.
pub(crate) fn page(record: &Record, prefix: &str) -> Vec<Line> {
    let mut lines = vec![Line::Title(title(record))];
    let first = record.stderr.len().saturating_sub(LINES_MAX);
    if first > 0 {
        lines.push(Line::Detail(format!("{first} earlier lines are in the record")));
    }
    lines.extend(record.stderr[first..].iter().map(|line| Line::Printed(escape(line).into_owned())));
    for InFlight { kind, payload, delivery } in &record.in_flight {
        let payload = payload.as_ref().map(Json::as_str).filter(|payload| *payload != "null").unwrap_or_default();
        let delivery = delivery.as_ref().map(|delivery| format!(" ({delivery})")).unwrap_or_default();
        let text = format!("in flight{delivery}: {kind} {payload}");
        lines.push(Line::Detail(shortened(escape(text.trim_end()).as_ref())));
    }
    if let Some(file) = &record.file {
        lines.push(Line::Detail(format!("record: {}", escape(file))));
    }
    if let (Some(id), false) = (id(record), record.in_flight.is_empty()) {
        lines.push(Line::Command(format!("{prefix} replay {id}")));
    }
    lines
}

/// What is shown of a page after the last one of the module: in a crash loop the same lines come again and again.
pub(crate) fn after(last: &[Line], page: &[Line]) -> Vec<Line> {
    let printed =
        |page: &[Line]| -> Vec<Line> { page.iter().filter(|line| matches!(line, Line::Printed(_))).cloned().collect() };
    let lines = printed(page);
    if lines.len() < 2 || lines != printed(last) {
        return page.to_vec();
    }
    let mut shown: Vec<Line> = page.iter().filter(|line| !matches!(line, Line::Printed(_))).cloned().collect();
    shown.insert(1, Line::Detail(format!("the same {} lines as at its last crash", lines.len())));
    shown
}

fn title(record: &Record) -> String {
    let exit = record.exit.as_ref().and_then(|exit| exit.read::<Exit>().ok()).map(|exit| exit.to_string());
    let reason = record.reason.clone().filter(|reason| !reason.is_empty());
    let how = match (reason, exit) {
        (Some(reason), Some(exit)) if !reason.contains(&exit) => format!("{reason} ({exit})"),
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => "its record does not say how".into(),
    };
    let up = record.uptime_ms.map(|ms| format!(", {} after its start", seconds(ms))).unwrap_or_default();
    format!("crashed: {}{up}", escape(&how))
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// The id that `bulkhead crashes` shows; that of an older host is the name of the file.
fn id(record: &Record) -> Option<&str> {
    let of_file = || record.file.as_deref()?.rsplit('/').next()?.strip_suffix(".json");
    let is_plain = |id: &&str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    record.id.as_deref().or_else(of_file).filter(is_plain)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(json: &str) -> Vec<Line> {
        page(&Json::parse(json).unwrap().read().unwrap(), "bulkhead --socket /s")
    }

    #[test]
    fn the_page_has_how_it_ended_what_it_printed_the_message_and_how_to_play_it_again() {
        let json = r#"{"module":"m","instance":"m#3","reason":"killed by SIGSEGV","exit":{"signal":"SIGSEGV"},
            "uptime_ms":5230,"stderr":["one","two\u001b[2J"],
            "in_flight":[{"type":"command","payload":{"name":"segv"},"delivery":"started"}],
            "file":"/s/crashes/m-20261130T010203.004Z-000000000005.json"}"#;
        assert_eq!(
            page_of(json),
            [
                Line::Title("crashed: killed by SIGSEGV, 5.2 s after its start".into()),
                Line::Printed("one".into()),
                Line::Printed("two\\u{1b}[2J".into()),
                Line::Detail("in flight (started): command {\"name\":\"segv\"}".into()),
                Line::Detail("record: /s/crashes/m-20261130T010203.004Z-000000000005.json".into()),
                Line::Command("bulkhead --socket /s replay m-20261130T010203.004Z-000000000005".into()),
            ]
        );
    }

    #[test]
    fn a_record_without_members_is_a_page_and_one_without_a_message_has_nothing_to_replay() {
        assert_eq!(page_of("{}"), [Line::Title("crashed: its record does not say how".into())]);
        let page = page_of(r#"{"reason":"ended with code 1","file":"/s/m-1.json"}"#);
        assert!(!page.iter().any(|line| matches!(line, Line::Command(_))), "{page:?}");
    }

    #[test]
    fn an_id_that_a_shell_would_read_otherwise_is_not_printed_as_part_of_a_command() {
        let page = page_of(r#"{"id":"a; rm b","in_flight":[{"type":"ping"}]}"#);
        assert!(!page.iter().any(|line| matches!(line, Line::Command(_))), "{page:?}");
    }

    #[test]
    fn lines_that_were_shown_at_the_last_crash_are_not_shown_again() {
        let record = |line: &str| page_of(&serde_json::json!({ "reason": "r", "stderr": ["one", line] }).to_string());
        let (first, other) = (record("two"), record("three"));
        assert_eq!(after(&[], &first), first);
        assert_eq!(after(&first, &other), other);
        let expected = ["crashed: r", "the same 2 lines as at its last crash"];
        assert_eq!(after(&first, &first), [Line::Title(expected[0].into()), Line::Detail(expected[1].into())]);
    }

    #[test]
    fn long_records_are_shortened() {
        let lines: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let payload = "x".repeat(10_000);
        let json = serde_json::json!({ "stderr": lines, "in_flight": [{ "type": "query", "payload": payload }] });
        let page = page_of(&json.to_string());
        assert_eq!(page[1], Line::Detail("70 earlier lines are in the record".into()));
        assert_eq!(page[2], Line::Printed("70".into()));
        let Line::Detail(message) = &page[LINES_MAX + 2] else { panic!("{page:?}") };
        assert!(message.chars().count() < MESSAGE_CHARS_MAX + 30, "{message}");
    }
}
