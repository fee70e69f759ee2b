//! One line at the bottom of the terminal that says how far something is, and leaves no trace.

use crate::amount::count;
use crate::output::printable;
use bulkhead_protocol::Json;
use serde::Deserialize;
use std::io::{self, IsTerminal, Write};

/// The line; silent where nobody would see it.
pub(crate) struct ProgressLine {
    shown: bool,
    visible: bool,
    width: usize,
}

const BAR_WIDTH: usize = 30;

impl ProgressLine {
    /// A line on standard error, if that is a terminal.
    pub(crate) fn on_stderr() -> ProgressLine {
        ProgressLine::new(io::stderr().is_terminal())
    }

    /// As [`ProgressLine::on_stderr`], when the data goes elsewhere than to the terminal.
    pub(crate) fn beside_data() -> ProgressLine {
        ProgressLine::new(crate::output::may_show_progress())
    }

    fn new(visible: bool) -> ProgressLine {
        let width = visible.then(|| terminal_size::terminal_size_of(io::stderr())).flatten();
        ProgressLine { shown: false, visible, width: width.map_or(80, |(width, _)| usize::from(width.0)) }
    }

    /// Whether anything would be seen.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible
    }

    /// Shows `text` in the place of what was there.
    pub(crate) fn show(&mut self, text: &str) {
        if self.visible {
            let cut: String = text.chars().take(self.width.saturating_sub(1)).collect();
            let _ = write!(io::stderr().lock(), "\r\x1b[K{cut}");
            self.shown = true;
        }
    }

    /// Shows the data of a progress: a bar where it says how much of how much is done.
    pub(crate) fn show_data(&mut self, data: &Json) {
        if self.visible {
            self.show(&describe(data));
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}

fn describe(data: &Json) -> String {
    #[derive(Deserialize)]
    struct Done {
        done: u64,
        total: u64,
    }
    match data.read::<Done>() {
        Ok(Done { done, total }) if total > 0 => {
            let filled = usize::try_from(done.min(total).saturating_mul(BAR_WIDTH as u64) / total).unwrap_or(BAR_WIDTH);
            format!("[{}{}] {} of {}", "#".repeat(filled), " ".repeat(BAR_WIDTH - filled), count(done), count(total))
        }
        _ => printable(data.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_a_bar_and_the_rest_is_shown_as_it_is() {
        let bar = describe(&Json::parse(r#"{"done":1500,"total":3000}"#).unwrap());
        assert_eq!(bar, format!("[{}{}] 1,500 of 3,000", "#".repeat(15), " ".repeat(15)));
        assert_eq!(describe(&Json::parse(r#"{"done":9,"total":3}"#).unwrap()), format!("[{}] 9 of 3", "#".repeat(30)));
        assert_eq!(describe(&Json::parse(r#"{"step":"two"}"#).unwrap()), r#"{"step":"two"}"#);
    }
}
