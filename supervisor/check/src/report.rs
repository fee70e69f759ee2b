//! The report for people: a table, and beneath each failure what was sent, expected and found. Its forms for programs
//! are in files of their own.

mod json;
mod junit;

use crate::verdicts::{Verdict, Verdicts};
use bulkhead_protocol::escape;
use std::fmt::Write;
use std::time::Duration;

/// What the page of the rules is called.
const PAGE: &str = "PROTOCOL.md";

/// Everything that is reported.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// As it was named.
    pub(crate) folder: String,
    /// The module's name; empty when its manifest does not check.
    pub(crate) module: String,
    pub(crate) kind: String,
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) verdicts: Verdicts,
}

impl Report {
    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |words: String| {
            // What a module has said may not steer a terminal.
            text.push_str(&escape(&words));
            text.push('\n');
        };
        match self.module.is_empty() {
            true => line(self.folder.clone()),
            false => line(format!("{} ({}), seed {}", self.module, self.kind, self.seed)),
        }
        let width = crate::rules::Rule::ALL.iter().map(|rule| rule.says().len()).max().unwrap_or_default();
        for (rule, verdict) in self.verdicts.all() {
            let says = rule.says();
            match verdict {
                Verdict::Kept => line(format!("  ok      {says:width$}  {PAGE}#{}", rule.place())),
                Verdict::NotApplicable(reason) => {
                    line(format!("  -       {says:width$}  {PAGE}#{}", rule.place()));
                    line(format!("            not applicable: {reason}"));
                }
                Verdict::Failed(faults) => {
                    line(format!("  FAILED  {says:width$}  {PAGE}#{}", rule.place()));
                    for fault in faults {
                        line(format!("            sent      {}", fault.sent));
                        line(format!("            expected  {}", fault.expected));
                        line(format!("            found     {}", fault.found));
                    }
                }
            }
        }
        for remark in &self.verdicts.remarks {
            line(format!("  note: {remark}"));
        }
        let (failed, skipped, all) = self.counts();
        line(format!("{all} rules: {} ok, {failed} failed, {skipped} not applicable", all - failed - skipped));
        text
    }

    /// How many rules failed, how many do not apply, and how many there are.
    fn counts(&self) -> (usize, usize, usize) {
        let verdicts: Vec<Verdict> = self.verdicts.all().map(|(_, verdict)| verdict).collect();
        let skipped = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::NotApplicable(_))).count();
        (self.verdicts.failures(), skipped, verdicts.len())
    }
}

/// Writes formatted text to a string, which takes all of it.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes all text");
}
