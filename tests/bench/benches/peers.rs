//! What a call of 128 bytes costs through the host, beside the same call through well-known programs, in one run and
//! one table: rounds alternate, and the medians of the rounds are printed. `src/peers` documents what each row is and
//! what it leaves out; only the host supervises the process that answers.
//!
//! `cargo bench -p bulkhead-bench --bench peers`

use bulkhead_bench::figures::{Latencies, grouped, heading, median, row};
use bulkhead_bench::peers::{ALL, Able, Peer, Route, Setting};
use bulkhead_bench::{Failed, cores, parts};

const ROUNDS: usize = 5;
const CALLS_ALONE: usize = 10_000;
const WINDOW: usize = 64;

/// How many calls in flight show how fast a peer is, and for how long it is then measured in a round: the slowest makes
/// a fiftieth of the calls that the fastest makes in that time.
const CALLS_TO_WARM_UP: usize = 20_000;
const SECONDS_AHEAD: f64 = 0.7;

/// One row and what was measured for it.
struct Row {
    peer: Peer,
    alone: Vec<Latencies>,
    ahead: Vec<f64>,
    failed: Option<String>,
}

impl Row {
    fn new(peer: Peer) -> Row {
        Row { peer, alone: Vec::new(), ahead: Vec::new(), failed: None }
    }

    /// Runs a step for this row; a failure ends this row and no other.
    fn attempt<T>(&mut self, what: impl FnOnce(&mut Row) -> Result<T, Failed>) -> Option<T> {
        what(self).map_err(|error| self.failed = Some(error.to_string())).ok()
    }

    fn micros(&self, share: f64) -> f64 {
        median(self.alone.iter().map(|round| round.percentile(share)))
    }

    fn rate_ahead(&self) -> f64 {
        median(self.ahead.iter().copied())
    }
}

fn main() -> Result<(), Failed> {
    parts::play_if_asked();
    if !std::env::args().any(|word| word == "--bench") {
        println!("skipped: this measures, and does so for `cargo bench -p bulkhead-bench --bench peers` only");
        return Ok(());
    }
    let setting = Setting::build()?;
    let (here, missing): (Vec<Peer>, Vec<Peer>) = ALL.into_iter().partition(|peer| peer.missing(&setting).is_none());
    let mut rows: Vec<Row> = here.into_iter().map(Row::new).collect();
    let pinned = cores::one();
    let place = match &pinned {
        Some((core, _)) => format!("all on core {core}"),
        None => "not pinned, as the system does not allow it".to_owned(),
    };
    alone(&setting, &mut rows);
    drop(pinned);
    ahead(&setting, &mut rows);
    print(&rows, &place);
    for peer in missing {
        println!("  skipped: {}: {}", peer.name, peer.missing(&setting).unwrap_or_default());
    }
    match rows.iter().filter(|row| row.failed.is_some()).count() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} rows failed", rows.len()).into()),
    }
}

/// One call in flight.
fn alone(setting: &Setting, rows: &mut [Row]) {
    measure_alternately(setting, rows.iter_mut().collect(), |route, row, round| {
        let latencies = route.alone(CALLS_ALONE)?;
        // The first round only warms up.
        if round > 0 {
            row.alone.push(latencies);
        }
        Ok(())
    });
}

/// A window of calls in flight. Each peer gets the same time.
fn ahead(setting: &Setting, rows: &mut [Row]) {
    let able = rows.iter_mut().filter(|row| row.failed.is_none() && row.peer.able == Able::AloneAndAhead);
    measure_alternately(setting, able.collect(), |route, row, round| {
        let calls = row.ahead.last().map_or(CALLS_TO_WARM_UP, |rate| (rate * SECONDS_AHEAD) as usize).max(WINDOW);
        let rate = calls as f64 / route.ahead(calls, WINDOW)?.as_secs_f64();
        // The first round only warms up, and decides the number of calls of the next.
        if round == 1 {
            row.ahead.clear();
        }
        row.ahead.push(rate);
        Ok(())
    });
}

/// Starts all, and measures them round by round, each of them idle while another is measured.
fn measure_alternately(
    setting: &Setting,
    mut rows: Vec<&mut Row>,
    measure: impl Fn(&mut dyn Route, &mut Row, usize) -> Result<(), Failed>,
) {
    let mut routes: Vec<Option<Box<dyn Route>>> =
        rows.iter_mut().map(|row| row.attempt(|row| row.peer.start(setting))).collect();
    for round in 0..=ROUNDS {
        for (row, slot) in rows.iter_mut().zip(&mut routes) {
            if let Some(route) = slot
                && row.attempt(|row| measure(&mut **route, row, round)).is_none()
            {
                *slot = None;
            }
        }
    }
}

fn print(rows: &[Row], place: &str) {
    heading(
        &format!(
            "A call by one caller, 128 bytes there and back; one in flight: {place}; {WINDOW} in flight: all cores"
        ),
        &["p50 ratio", "64: ratio", "p50 µs", "p99 µs", "calls/s", "64: calls/s"],
    );
    let base = &rows[0];
    for measured in rows {
        let name = measured.peer.name;
        if let Some(error) = &measured.failed {
            println!("  failed: {name}: {error}");
            continue;
        }
        let p50 = measured.micros(0.5);
        let ahead = |figure: String| if measured.peer.able == Able::Alone { "-".to_owned() } else { figure };
        row(
            name,
            &[
                format!("{:.2}", p50 / base.micros(0.5)),
                ahead(format!("{:.3}", measured.rate_ahead() / base.rate_ahead())),
                format!("{p50:.1}"),
                format!("{:.1}", measured.micros(0.99)),
                grouped(median(measured.alone.iter().map(Latencies::rate))),
                ahead(grouped(measured.rate_ahead())),
            ],
        );
    }
}
