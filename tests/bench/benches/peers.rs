//! What a call of 128 bytes costs through the host, beside the same call through what people know, in
//! one run and one table: rounds take turns, and the medians of the rounds are printed. What each row
//! is and what it leaves out is said in `src/peers`; none but the host looks after who answers.
//!
//! `cargo bench -p bulkhead-bench --bench peers`

use bulkhead_bench::figures::{Latencies, grouped, heading, median, row};
use bulkhead_bench::peers::{ALL, Able, Peer, Place, Route, Setting};
use bulkhead_bench::{Failed, cores, parts};

const ROUNDS: usize = 5;
const CALLS_ALONE: usize = 10_000;
const WINDOW: usize = 64;

/// How many calls in flight show how fast a peer is, and for how long it is then measured a round: the
/// slowest makes a fiftieth of the calls that the fastest makes in that time.
const CALLS_TO_WARM_UP: usize = 20_000;
const SECONDS_AHEAD: f64 = 0.7;

/// The figures of one row, where there are any.
#[derive(Clone, Debug, Default)]
struct Figures {
    alone: Vec<Latencies>,
    ahead: Vec<f64>,
}

impl Figures {
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
    let mut setting = Setting::build()?;
    let (here, missing): (Vec<Peer>, Vec<Peer>) = ALL.into_iter().partition(|peer| peer.missing(&setting).is_none());
    let mut figures = vec![Figures::default(); here.len()];
    let pinned = cores::one();
    setting.place = Place::OneCore;
    alone(&setting, &here, &mut figures)?;
    let place = match &pinned {
        Some((core, _)) => format!("all on core {core}"),
        None => "not pinned, as the system does not allow it".to_owned(),
    };
    drop(pinned);
    setting.place = Place::AllCores;
    ahead(&setting, &here, &mut figures)?;
    print(&here, &figures, &place);
    for peer in missing {
        println!("  skipped: {}: {}", peer.name, peer.missing(&setting).unwrap_or_default());
    }
    Ok(())
}

/// All peers at once, each of them idle while another is measured.
fn start(setting: &Setting, peers: &[Peer]) -> Result<Vec<Box<dyn Route>>, Failed> {
    peers.iter().map(|peer| peer.start(setting).map_err(|error| format!("{}: {error}", peer.name).into())).collect()
}

/// One call in flight.
fn alone(setting: &Setting, peers: &[Peer], figures: &mut [Figures]) -> Result<(), Failed> {
    let mut routes = start(setting, peers)?;
    for round in 0..=ROUNDS {
        for ((route, peer), figures) in routes.iter_mut().zip(peers).zip(&mut *figures) {
            let latencies = route.alone(CALLS_ALONE).map_err(|error| format!("{}: {error}", peer.name))?;
            // The first round only warms up.
            if round > 0 {
                figures.alone.push(latencies);
            }
        }
    }
    Ok(())
}

/// A window of calls in flight. Each peer gets the same time.
fn ahead(setting: &Setting, peers: &[Peer], figures: &mut [Figures]) -> Result<(), Failed> {
    let (peers, figures): (Vec<Peer>, Vec<&mut Figures>) =
        peers.iter().zip(figures).filter(|(peer, _)| peer.able == Able::AloneAndAhead).unzip();
    let mut routes = start(setting, &peers)?;
    let mut rates = vec![None; routes.len()];
    let mut figures = figures;
    for _ in 0..=ROUNDS {
        for (at, route) in routes.iter_mut().enumerate() {
            let calls = rates[at].map_or(CALLS_TO_WARM_UP, |rate: f64| (rate * SECONDS_AHEAD) as usize).max(WINDOW);
            let took = route.ahead(calls, WINDOW).map_err(|error| format!("{}: {error}", peers[at].name))?;
            let rate = calls as f64 / took.as_secs_f64();
            // The first round only warms up, and says how many calls the next ones are.
            if rates[at].replace(rate).is_some() {
                figures[at].ahead.push(rate);
            }
        }
    }
    Ok(())
}

fn print(peers: &[Peer], figures: &[Figures], place: &str) {
    heading(
        &format!(
            "A call by one caller, 128 bytes there and back; one in flight: {place}; {WINDOW} in flight: all cores"
        ),
        &["p50 ratio", "64: ratio", "p50 µs", "p99 µs", "calls/s", "64: calls/s"],
    );
    let base = &figures[0];
    for (peer, figures) in peers.iter().zip(figures) {
        let p50 = figures.micros(0.5);
        let ahead = |figure: String| if peer.able == Able::Alone { "-".to_owned() } else { figure };
        row(
            peer.name,
            &[
                format!("{:.2}", p50 / base.micros(0.5)),
                ahead(format!("{:.3}", figures.rate_ahead() / base.rate_ahead())),
                format!("{p50:.1}"),
                format!("{:.1}", figures.micros(0.99)),
                grouped(median(figures.alone.iter().map(Latencies::rate))),
                ahead(grouped(figures.rate_ahead())),
            ],
        );
    }
}
