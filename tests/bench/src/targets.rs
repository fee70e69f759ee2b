//! The promised speeds, each as one row: what was measured, what it should be, and whether it is. The figures come from
//! the same functions that print the longer tables.

use std::fmt::Write;

/// How a figure is compared with its target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// The figure is to be this or less.
    AtMost(f64),
    /// The figure is to be this or more.
    AtLeast(f64),
}

/// One promise.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What is measured.
    pub row: String,
    /// What the figure counts, such as `× relay` or `KiB`.
    pub unit: &'static str,
    /// What it should be.
    pub goal: Goal,
    /// What it is; `None` where it could not be measured.
    pub measured: Option<f64>,
}

impl Target {
    /// A figure that is to be `goal` or less.
    pub fn at_most(row: impl Into<String>, goal: f64, unit: &'static str, measured: f64) -> Target {
        Target { row: row.into(), unit, goal: Goal::AtMost(goal), measured: measured.is_finite().then_some(measured) }
    }

    /// A figure that is to be `goal` or more.
    pub fn at_least(row: impl Into<String>, goal: f64, unit: &'static str, measured: f64) -> Target {
        Target { row: row.into(), unit, goal: Goal::AtLeast(goal), measured: measured.is_finite().then_some(measured) }
    }

    /// Whether the figure meets its target; `None` where there is none.
    pub fn is_met(&self) -> Option<bool> {
        self.measured.map(|measured| match self.goal {
            Goal::AtMost(most) => measured <= most,
            Goal::AtLeast(least) => measured >= least,
        })
    }
}

/// The table of all promises.
pub fn table(targets: &[Target]) -> String {
    let mut out = format!("  {:<62}{:>22}{:>14}  {}\n", "", "target", "measured", "met");
    for target in targets {
        let goal = match target.goal {
            Goal::AtMost(most) => format!("≤ {} {}", figure(most), target.unit),
            Goal::AtLeast(least) => format!("≥ {} {}", figure(least), target.unit),
        };
        let measured = target.measured.map_or("–".to_owned(), figure);
        let met = match target.is_met() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not measured",
        };
        writeln!(out, "  {:<62}{goal:>22}{measured:>14}  {met}", target.row).expect("a text takes everything");
    }
    out
}

/// Two digits after the point where they matter.
fn figure(number: f64) -> String {
    if number.abs() >= 1000.0 {
        crate::figures::grouped(number)
    } else if number == number.trunc() {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_held_against_its_target_in_the_right_direction() {
        assert_eq!(Target::at_most("a", 1.3, "×", 1.3).is_met(), Some(true));
        assert_eq!(Target::at_most("a", 1.3, "×", 1.31).is_met(), Some(false));
        assert_eq!(Target::at_least("a", 0.5, "×", 0.49).is_met(), Some(false));
        assert_eq!(Target::at_least("a", 0.5, "×", f64::NAN).is_met(), None);
    }

    #[test]
    fn the_table_says_of_each_target_whether_it_is_met() {
        let rows =
            [Target::at_least("rate", 400_000.0, "calls/s", 123_456.0), Target::at_most("p50", 1.3, "×", f64::NAN)];
        let table = table(&rows);
        let lines: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["rate", "≥", "400,000", "calls/s", "123,456", "NO"]);
        assert_eq!(lines[1], ["p50", "≤", "1.30", "×", "–", "not", "measured"]);
    }
}
