//! One line at the bottom of the terminal that shows progress, and is removed at the end.

use crate::amount::{count, size};
use crate::columns::shortened;
use crate::output::printable;
use crate::streams::Stderr;
use crate::style::width_of;
use bulkhead_protocol::Json;
use serde::Deserialize;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The line; silent where no person would see it.
pub(crate) struct ProgressLine {
    shown: bool,
    visible: bool,
    width: usize,
    /// When an amount was shown last.
    amount_shown: Option<Instant>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Entities of the data store.
    Entities,
    /// Pages of a database.
    Pages,
    /// Bytes of a file.
    Bytes,
}

const BAR_WIDTH: usize = 30;

/// How often an amount changes on the screen, however often it changes.
const AMOUNT_INTERVAL: Duration = Duration::from_millis(100);

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
        let width = visible.then(|| width_of(io::stderr())).flatten().unwrap_or(80);
        ProgressLine { shown: false, visible, width, amount_shown: None }
    }

    /// Whether anything would be seen.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible
    }

    /// Shows `text` instead of the previous text.
    pub(crate) fn show(&mut self, text: &str) {
        if self.visible {
            let cut = shortened(text, self.width.saturating_sub(1));
            // A terminal that stands still must not hold up the operation itself.
            Stderr::show(&format!("\r\x1b[K{cut}"));
            self.shown = true;
        }
    }

    /// Shows the data of a progress: a bar where it has the amount done and the total.
    pub(crate) fn show_data(&mut self, data: &Json) {
        if self.visible {
            self.show(&describe(data));
        }
    }

    /// Shows how much is done, as a bar where the total is known; not more often than a person can read.
    pub(crate) fn show_amount(&mut self, done: u64, total: Option<u64>, unit: Unit) {
        if self.visible && self.amount_shown.is_none_or(|shown| shown.elapsed() >= AMOUNT_INTERVAL) {
            self.amount_shown = Some(Instant::now());
            self.show(&amount(done, total, unit));
        }
    }

    /// Removes the line.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = Stderr.write_all(b"\r\x1b[K");
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
        Ok(Done { done, total }) if total > 0 => format!("{} {} of {}", bar(done, total), count(done), count(total)),
        _ => printable(data.as_str()),
    }
}

fn amount(done: u64, total: Option<u64>, unit: Unit) -> String {
    let (number, unit): (fn(u64) -> String, &str) = match unit {
        Unit::Entities => (count, " entities"),
        Unit::Pages => (count, " pages"),
        Unit::Bytes => (size, ""),
    };
    match total.filter(|total| *total > 0) {
        Some(total) => format!("{} {} of {}{unit}", bar(done, total), number(done), number(total)),
        None => format!("{}{unit}", number(done)),
    }
}

fn bar(done: u64, total: u64) -> String {
    let filled = usize::try_from(done.min(total).saturating_mul(BAR_WIDTH as u64) / total).unwrap_or(BAR_WIDTH);
    format!("[{}{}]", "#".repeat(filled), " ".repeat(BAR_WIDTH - filled))
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

    #[test]
    fn an_amount_is_a_bar_where_the_whole_is_known() {
        let half = format!("[{}{}] 1.0 MiB of 2.0 MiB", "#".repeat(15), " ".repeat(15));
        assert_eq!(amount(1 << 20, Some(2 << 20), Unit::Bytes), half);
        assert_eq!(amount(1500, None, Unit::Entities), "1,500 entities");
        assert_eq!(amount(0, Some(0), Unit::Pages), "0 pages");
    }
}
