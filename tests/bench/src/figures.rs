//! From measurements to figures: percentiles, medians, a table.

use std::fmt::Display;
use std::time::Duration;

/// The latencies of one round.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds one.
    pub fn push(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// Adds those of another round.
    pub fn add(&mut self, other: Latencies) {
        self.0.extend(other.0);
    }

    /// The latency that this share of all do not exceed, in microseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() as f64 * share) as usize;
        sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |at| at.as_secs_f64() * 1e6)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many there were each second.
    pub fn rate(&self) -> f64 {
        self.0.len() as f64 / self.0.iter().sum::<Duration>().as_secs_f64()
    }
}

/// The middle one of several rounds.
pub fn median(rounds: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = rounds.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints the title of a part of the table and the names of its columns.
pub fn heading(title: &str, columns: &[&str]) {
    println!("\n{title}");
    row("", columns);
}

/// Prints one row.
pub fn row(name: &str, columns: &[impl Display]) {
    print!("  {name:<46}");
    for column in columns {
        print!("{column:>12}");
    }
    println!();
}

/// A number with a comma after every third digit.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let mut latencies = Latencies::default();
        for micros in (1..=100).rev() {
            latencies.push(Duration::from_micros(micros));
        }
        assert_eq!((latencies.percentile(0.5).round(), latencies.percentile(0.99).round()), (51.0, 100.0));
        assert_eq!(latencies.rate().round(), 19_802.0);
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!([7.0, 1000.0, 1_234_567.0].map(grouped), ["7", "1,000", "1,234,567"]);
    }
}
