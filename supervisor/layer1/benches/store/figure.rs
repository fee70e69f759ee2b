//! What is measured, and how it is printed.

use super::processor::Processor;
use std::time::Duration;

/// How often something was done in a second, the median and the 99th percentile of how long it took, and
/// the processor's time for each.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    rate: f64,
    p50: Duration,
    p99: Duration,
    done: usize,
    processor: Processor,
}

impl Figure {
    pub(crate) fn of(mut times: Vec<Duration>, done: usize, all: Duration) -> Figure {
        times.sort();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        let (p50, p99) = (at(0.5), at(0.99));
        Figure { rate: done as f64 / all.as_secs_f64(), p50, p99, done, processor: Processor::default() }
    }

    /// The same, with what the processor did for it.
    pub(crate) fn with(self, processor: Processor) -> Figure {
        Figure { processor, ..self }
    }
}

/// The rounds of each figure, in the order in which they were named first.
#[derive(Default)]
pub(crate) struct Rows(Vec<(&'static str, Vec<Figure>)>);

impl Rows {
    pub(crate) fn add(&mut self, name: &'static str, figure: Figure) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(figure),
            None => self.0.push((name, vec![figure])),
        }
    }

    pub(crate) fn print(&self) {
        for (name, rounds) in &self.0 {
            let rate = middle(rounds.iter().map(|round| round.rate));
            let p50 = Duration::from_secs_f64(middle(rounds.iter().map(|round| round.p50.as_secs_f64())));
            let p99 = Duration::from_secs_f64(middle(rounds.iter().map(|round| round.p99.as_secs_f64())));
            let each = |part: fn(&Processor) -> Duration| {
                middle(rounds.iter().map(|round| part(&round.processor).as_secs_f64() * 1e6 / round.done as f64))
            };
            let (caller, store) = (each(|processor| processor.caller), each(|processor| processor.store));
            println!(
                "  {name:<48} {rate:>8.0} a second   p50 {p50:>9.1?}   p99 {p99:>9.1?}   processor {caller:>5.1} + {store:>5.1} µs each"
            );
        }
    }

    /// Prints how many times as fast one is as the other, round by round.
    pub(crate) fn compare(&self, one: &str, other: &str) {
        let rates = |name: &str| -> Vec<f64> {
            let found = self.0.iter().find(|(known, _)| *known == name);
            found.expect("it was measured").1.iter().map(|round| round.rate).collect()
        };
        let ratios: Vec<f64> = rates(one).iter().zip(rates(other)).map(|(one, other)| one / other).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        let middle = middle(ratios.into_iter());
        println!("  {one}: {middle:.2} times as many as {other} ({least:.2} to {most:.2})");
    }
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A generator that gives the same numbers in each run (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
