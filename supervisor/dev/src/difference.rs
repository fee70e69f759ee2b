//! What has changed between two answers, line by line.

use bulkhead_protocol::escape_json;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// How many lines around a difference are shown.
const CONTEXT_LINES: usize = 2;

/// How many lines are shown of one answer or difference.
const LINES_MAX: usize = 200;

/// A longer answer is not compared line by line.
const COMPARED_BYTES_MAX: usize = 1024 * 1024;

/// A line that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Same(String),
    Added(String),
    Removed(String),
    /// About the lines, and none of them.
    Note(String),
}

/// An answer as it is compared: JSON over several lines.
pub(crate) fn pretty(json: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.to_owned()));
    let text = serde_json::to_string_pretty(&value).unwrap_or_else(|_| json.to_owned());
    escape_json(&text).into_owned()
}

/// What there is to show of an answer after the last one, if there was one.
pub(crate) fn shown(last: Option<&str>, text: &str) -> Vec<Line> {
    match last {
        None => limited(text.lines().map(|line| Line::Same(line.to_owned())).collect()),
        Some(last) if last == text => vec![Line::Note("the same answer".into())],
        Some(last) if last.len().max(text.len()) > COMPARED_BYTES_MAX => {
            vec![Line::Note(format!("another answer, {} bytes after {} bytes", text.len(), last.len()))]
        }
        Some(last) => limited(compared(last, text)),
    }
}

fn compared(last: &str, text: &str) -> Vec<Line> {
    let diff = TextDiff::from_lines(last, text);
    let mut lines = Vec::new();
    for (number, group) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if number > 0 {
            lines.push(Line::Note("…".into()));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n').to_owned();
            lines.push(match change.tag() {
                ChangeTag::Equal => Line::Same(line),
                ChangeTag::Delete => Line::Removed(line),
                ChangeTag::Insert => Line::Added(line),
            });
        }
    }
    lines
}

fn limited(mut lines: Vec<Line>) -> Vec<Line> {
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(Line::Note(format!("{more} more lines")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(lines: Vec<Line>) -> Vec<String> {
        let mark = |line| match line {
            Line::Same(text) => format!(" {text}"),
            Line::Added(text) => format!("+{text}"),
            Line::Removed(text) => format!("-{text}"),
            Line::Note(text) => format!("~{text}"),
        };
        lines.into_iter().map(mark).collect()
    }

    #[test]
    fn the_first_answer_is_shown_whole_and_a_later_one_by_its_difference() {
        let first = pretty(r#"{"a":1,"b":[1,2],"text":"x"}"#);
        assert_eq!(marked(shown(None, &first))[0..2], [" {", "   \"a\": 1,"]);
        assert_eq!(marked(shown(Some(&first), &first)), ["~the same answer"]);
        let second = pretty(r#"{"a":2,"b":[1,2],"text":"x"}"#);
        let expected = [" {", "-  \"a\": 1,", "+  \"a\": 2,", "   \"b\": [", "     1,"];
        assert_eq!(marked(shown(Some(&first), &second)), expected);
    }

    #[test]
    fn an_answer_of_any_length_is_a_bounded_number_of_lines() {
        let long: Vec<u32> = (0..100_000).collect();
        let text = pretty(&serde_json::to_string(&long).unwrap());
        let lines = marked(shown(None, &text));
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert_eq!(lines[LINES_MAX], "~99802 more lines");
        let huge = "x".repeat(COMPARED_BYTES_MAX + 1);
        assert_eq!(marked(shown(Some(&huge), "y")), [format!("~another answer, 1 bytes after {} bytes", huge.len())]);
    }

    #[test]
    fn what_controls_a_terminal_is_written_out() {
        assert_eq!(pretty(r#""a\u009bb""#), r#""a\u009bb""#);
    }
}
