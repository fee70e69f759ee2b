//! What was found of each rule. A rule may be looked at several times: it fails when it fails once.

use crate::rules::Rule;
use std::collections::BTreeMap;

/// Failures of one rule that are reported; more of them say nothing new.
const FAULTS_MAX: usize = 10;

/// Longest text of a part of a failure.
const TEXT_MAX: usize = 400;

/// What was found of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was checked, and holds.
    Kept,
    /// It does not hold.
    Failed(Vec<Fault>),
    /// It was not checked, for this reason.
    NotApplicable(String),
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What was sent or done.
    pub(crate) sent: String,
    pub(crate) expected: String,
    pub(crate) found: String,
}

/// All verdicts.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    found: BTreeMap<Rule, Verdict>,
    /// Sentences that belong to no rule.
    pub(crate) remarks: Vec<String>,
}

impl Verdicts {
    /// The rule held once.
    pub(crate) fn keep(&mut self, rule: Rule) {
        let verdict = self.found.entry(rule).or_insert(Verdict::Kept);
        if matches!(verdict, Verdict::NotApplicable(_)) {
            *verdict = Verdict::Kept;
        }
    }

    /// The rule did not hold.
    pub(crate) fn fail(&mut self, rule: Rule, sent: &str, expected: &str, found: &str) {
        let fault = Fault { sent: cut(sent), expected: cut(expected), found: cut(found) };
        match self.found.entry(rule).or_insert(Verdict::Kept) {
            Verdict::Failed(faults) if faults.len() < FAULTS_MAX && !faults.contains(&fault) => faults.push(fault),
            Verdict::Failed(_) => {}
            verdict => *verdict = Verdict::Failed(vec![fault]),
        }
    }

    /// The rule holds if this is so.
    pub(crate) fn judge(&mut self, rule: Rule, holds: Holds, sent: &str, expected: &str, found: &str) {
        match holds {
            Holds::Yes => self.keep(rule),
            Holds::No => self.fail(rule, sent, expected, found),
        }
    }

    /// The rule cannot be checked, unless it was.
    pub(crate) fn leave_out(&mut self, rule: Rule, reason: &str) {
        self.found.entry(rule).or_insert_with(|| Verdict::NotApplicable(reason.to_owned()));
    }

    /// Each rule with what was found.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Rule, Verdict)> {
        Rule::ALL.iter().map(|&rule| {
            let verdict = self.found.get(&rule).cloned();
            (rule, verdict.unwrap_or_else(|| Verdict::NotApplicable("the check did not get so far".to_owned())))
        })
    }

    /// Whether the rule has failed.
    pub(crate) fn has_failed(&self, rule: Rule) -> bool {
        matches!(self.found.get(&rule), Some(Verdict::Failed(_)))
    }

    /// How many rules have failed.
    pub(crate) fn failures(&self) -> usize {
        Rule::ALL.iter().filter(|rule| self.has_failed(**rule)).count()
    }
}

/// Whether a rule holds, for [`Verdicts::judge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    No,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Holds {
        if holds { Holds::Yes } else { Holds::No }
    }
}

/// The text for a report: of a bounded length.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_outweighs_everything_and_a_look_outweighs_none() {
        let mut verdicts = Verdicts::default();
        let of = |verdicts: &Verdicts, rule| verdicts.all().find(|(found, _)| *found == rule).unwrap().1;
        assert!(matches!(of(&verdicts, Rule::Order), Verdict::NotApplicable(_)));
        verdicts.leave_out(Rule::Order, "it declares concurrent");
        verdicts.keep(Rule::Order);
        assert_eq!(of(&verdicts, Rule::Order), Verdict::Kept);
        verdicts.fail(Rule::Order, "1", "2", "3");
        verdicts.keep(Rule::Order);
        verdicts.leave_out(Rule::Order, "later");
        for _ in 0..20 {
            verdicts.fail(Rule::Order, "1", "2", &"é".repeat(5000));
        }
        let Verdict::Failed(faults) = of(&verdicts, Rule::Order) else { panic!("it failed") };
        assert_eq!((faults.len(), faults[1].found.chars().count(), verdicts.failures()), (2, 401, 1));
    }
}
