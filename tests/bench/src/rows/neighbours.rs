//! No cliff: what a call to a quiet module costs while another module or its caller does what harms all others. The
//! quiet calls are made one after another, for as long in each case.
//!
//! Two cores have to be shared by the quiet caller, the host, the quiet module and the trouble, so a part of the cost
//! is due to that alone. The cost of the same trouble with two bare relays that share only the processor is printed
//! beside it.

use super::Rows;
use crate::caller::Caller;
use crate::figures::{Latencies, grouped, heading, median, row};
use crate::parts::{self, DEAF, ECHO, FAIL, RELAY_EPOLL};
use crate::programs::Programs;
use crate::targets::Target;
use crate::world::{Module, Relay, World};
use crate::{Failed, bare, frames};
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;

/// How long the quiet calls are made in each case of each round.
const EACH: Duration = Duration::from_secs(2);

/// Requests to the module that does not read: together more than the host lets wait for it.
const DEAF_REQUEST_BYTES: usize = 256 * 1024;
const DEAF_REQUESTS: usize = 300;

/// A case and its quiet calls by round.
#[derive(Clone, Debug)]
struct Case {
    name: &'static str,
    trouble: Trouble,
    base: usize,
    rounds: Vec<Latencies>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    RelayAlone,
    RelayFlooded,
    None,
    Calls,
    Events,
    Crashes,
    LongMessages,
    NeverReads,
}

const CASES: [(&str, Trouble, usize); 8] = [
    ("relay: nothing else", Trouble::RelayAlone, 0),
    ("relay: another relay carries 64 calls in flight", Trouble::RelayFlooded, 0),
    ("host: nothing else", Trouble::None, 2),
    ("host: 64 calls in flight to another module", Trouble::Calls, 2),
    ("host: 64 events in flight to another module", Trouble::Events, 2),
    ("host: another module crashes at every start", Trouble::Crashes, 2),
    ("host: 16 MiB to another module and back", Trouble::LongMessages, 2),
    ("host: another module never reads, its queue full", Trouble::NeverReads, 2),
];

/// All cases.
#[derive(Clone, Debug)]
pub struct Neighbours(Vec<Case>);

/// Measures all of it.
///
/// # Errors
/// When a quiet call is not answered with success.
pub fn measure(programs: &Programs) -> Result<Neighbours, Failed> {
    let part = |name: &str| -> Result<Vec<String>, Failed> {
        let part = parts::part(name)?;
        Ok([part.get_program()].into_iter().chain(part.get_args()).map(|word| word.display().to_string()).collect())
    };
    let echo = bare::echo_words()?;
    let modules = [
        Module::new("quiet", &echo)?,
        Module::new("noisy", &echo)?,
        Module::new("listener", &echo)?.allow("event_subscribe = [\"Noise.*\"]"),
        Module::new("deaf", &part(DEAF)?)?,
        Module::new("failing", &part(FAIL)?)?.with("autostart = false"),
    ];
    let world = World::with_modules(programs, &modules)?;
    let mut quiet = world.caller()?;
    let request = frames::command("quiet", "echo");
    quiet.call(&request)?;
    let mut relay = Relay::start(RELAY_EPOLL, parts::part(ECHO)?)?;
    let mut cases: Vec<Case> = CASES
        .iter()
        .map(|(name, trouble, base)| Case { name, trouble: *trouble, base: *base, rounds: Vec::new() })
        .collect();
    for _ in 0..ROUNDS {
        for case in &mut cases {
            let caller = if matches!(case.trouble, Trouble::RelayAlone | Trouble::RelayFlooded) {
                &mut relay.caller
            } else {
                &mut quiet
            };
            case.rounds.push(beside(&world, case.trouble, || latencies_for(caller, &request, EACH))?);
        }
    }
    Ok(Neighbours(cases))
}

fn latencies_for(caller: &mut Caller, request: &[u8], time: Duration) -> Result<Latencies, Failed> {
    let mut latencies = Latencies::default();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let began = Instant::now();
        caller.call(request)?;
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

/// Measures while a thread makes trouble.
fn beside<T>(world: &World, trouble: Trouble, measure: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let maker = scope.spawn(|| make(world, trouble, &enough).map_err(|error| error.to_string()));
        // The trouble takes a moment to begin.
        std::thread::sleep(Duration::from_millis(100));
        let measured = measure();
        enough.store(true, Ordering::Relaxed);
        maker.join().expect("the trouble does not panic")?;
        measured
    })
}

fn make(world: &World, trouble: Trouble, enough: &AtomicBool) -> Result<(), Failed> {
    let continues = || !enough.load(Ordering::Relaxed);
    let flood = |caller: &mut Caller, request: &[u8]| -> Result<(), Failed> {
        while continues() {
            caller.calls(request, 1000, 64)?;
        }
        Ok(())
    };
    match trouble {
        Trouble::RelayAlone | Trouble::None => Ok(()),
        Trouble::RelayFlooded => {
            let mut relay = Relay::start(RELAY_EPOLL, parts::part(ECHO)?)?;
            flood(&mut relay.caller, &frames::command("echo", "echo"))
        }
        Trouble::Calls => flood(&mut world.caller()?, &frames::command("noisy", "echo")),
        Trouble::Events => flood(&mut world.caller()?, &frames::event("Noise.made")),
        Trouble::Crashes => {
            let mut caller = world.caller()?;
            // Its start is never done, so its answer is not waited for.
            caller.push(&frames::command_with("supervisor", "start", r#"{"name":"failing"}"#));
            caller.send()?;
            while continues() {
                std::thread::sleep(Duration::from_millis(10));
            }
            let mut caller = world.caller()?;
            caller.call(&frames::command_with("supervisor", "stop", r#"{"name":"failing"}"#))
        }
        Trouble::LongMessages => {
            let args = frames::ordinary_json(FRAME_BYTES_MAX_DEFAULT - 1024);
            let mut request = frames::command_with("noisy", "mirror", &args);
            let mut caller = world.caller()?;
            while continues() {
                caller.call_in_place(&mut request)?;
            }
            Ok(())
        }
        Trouble::NeverReads => {
            let request = frames::command_with("deaf", "echo", &frames::args_of(DEAF_REQUEST_BYTES));
            let mut caller = world.caller()?;
            for sent in 0.. {
                if !continues() {
                    break;
                }
                caller.push(&request);
                caller.send()?;
                // From here on each is refused, since the queue is full.
                if sent >= DEAF_REQUESTS {
                    caller.answer()?;
                }
            }
            Ok(())
        }
    }
}

impl Rows for Neighbours {
    fn print(&self) {
        heading(
            "A quiet module's call, one in flight, payload of 128 bytes, while something else happens; all cores",
            &["ratio p50", "p50 µs", "p99 µs", "longest µs", "calls"],
        );
        let at = |case: &Case, share| median(case.rounds.iter().map(|round| round.percentile(share)));
        for case in &self.0 {
            let p50 = at(case, 0.5);
            let longest = case.rounds.iter().map(|round| round.percentile(1.0)).fold(0.0, f64::max);
            let calls: usize = case.rounds.iter().map(Latencies::count).sum();
            row(
                case.name,
                &[
                    format!("{:.2}", p50 / at(&self.0[case.base], 0.5)),
                    format!("{p50:.1}"),
                    format!("{:.1}", at(case, 0.99)),
                    grouped(longest),
                    grouped(calls as f64),
                ],
            );
        }
    }

    fn targets(&self) -> Vec<Target> {
        Vec::new()
    }
}
