//! Long messages, there and back: one caller with one request in flight, to a bare module that sends
//! the arguments back as they came. Both ways are counted.
//!
//! Beside it a relay that keeps frames whole, as the host must, and one that copies bytes as they come, which is the
//! minimum of any process between the two programs.

use super::Rows;
use crate::caller::Caller;
use crate::figures::{grouped, heading, median, row};
use crate::parts::{self, COPY, ECHO, RELAY_EPOLL};
use crate::programs::Programs;
use crate::targets::Target;
use crate::world::{Relay, World};
use crate::{Failed, frames};
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use std::time::Instant;

/// The arguments' bytes. The longest frame has room for the message around them as well.
const SIZES: [(&str, usize); 4] = [
    ("1 KiB", 1 << 10),
    ("64 KiB", 64 << 10),
    ("1 MiB", 1 << 20),
    ("16 MiB less 1 KiB", FRAME_BYTES_MAX_DEFAULT - (1 << 10)),
];

/// The bytes of one round of one size, both ways.
const BYTES_PER_ROUND: usize = 64 << 20;

/// The most calls of one round, for the small ones.
const CALLS_MAX: usize = 2000;

const ROUNDS: usize = 5;

const ROUTES: [&str; 3] = ["copy of bytes", "relay of whole frames", "host"];

/// One size and shape: megabytes a second by route and round.
#[derive(Clone, Debug)]
struct Measured {
    size: &'static str,
    shape: &'static str,
    rates: [Vec<f64>; 3],
}

/// All sizes and shapes.
#[derive(Clone, Debug)]
pub struct Payloads(Vec<Measured>);

/// Measures all of it.
///
/// # Errors
/// When what comes back is not what was sent.
pub fn measure(programs: &Programs) -> Result<Payloads, Failed> {
    let world = World::start(programs)?;
    let mut copy = Relay::start(COPY, parts::part(ECHO)?)?;
    let mut relay = Relay::start(RELAY_EPOLL, parts::part(ECHO)?)?;
    let mut callers = [&mut copy.caller, &mut relay.caller, &mut world.caller()?];
    let mut all = Vec::new();
    for (size, bytes) in SIZES {
        for (shape, args) in [("one text", frames::args_of(bytes)), ("ordinary JSON", frames::ordinary_json(bytes))] {
            let mut request = frames::command_with("echo", "mirror", &args);
            let mut measured = Measured { size, shape, rates: Default::default() };
            for round in 0..=ROUNDS {
                for (caller, rates) in callers.iter_mut().zip(&mut measured.rates) {
                    let rate = megabytes_a_second(caller, &mut request, bytes)?;
                    if round > 0 {
                        rates.push(rate);
                    }
                }
            }
            all.push(measured);
        }
    }
    Ok(Payloads(all))
}

fn megabytes_a_second(caller: &mut Caller, request: &mut [u8], bytes: usize) -> Result<f64, Failed> {
    let calls = (BYTES_PER_ROUND / (2 * bytes)).clamp(1, CALLS_MAX);
    let began = Instant::now();
    for _ in 0..calls {
        let back = caller.call_in_place(request)?;
        if !(bytes..bytes + 200).contains(&back) {
            return Err(format!("expected {bytes} bytes back and a few around them, found {back}").into());
        }
    }
    Ok((2 * bytes * calls) as f64 / 1e6 / began.elapsed().as_secs_f64())
}

impl Measured {
    fn rates(&self) -> [f64; 3] {
        [0, 1, 2].map(|at| median(self.rates[at].iter().copied()))
    }
}

impl Rows for Payloads {
    fn print(&self) {
        heading(
            "Long messages there and back, MB/s of both ways; one caller, one in flight, a bare module; all cores",
            &["host/relay", "host/copy", ROUTES[2], "relay", "copy"],
        );
        for measured in &self.0 {
            let [copy, relay, host] = measured.rates();
            let ratios = [host / relay, host / copy].map(|ratio| format!("{ratio:.2}"));
            let columns: Vec<String> = ratios.into_iter().chain([host, relay, copy].map(grouped)).collect();
            row(&format!("{}, {}", measured.size, measured.shape), &columns);
        }
    }

    fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for measured in self.0.iter().filter(|measured| measured.size == "1 MiB") {
            let [copy, relay, host] = measured.rates();
            let row = |beside: &str| format!("1 MiB, {}, MB/s beside a {beside}", measured.shape);
            targets.push(Target::at_least(row(ROUTES[1]), 0.5, "× relay", host / relay));
            targets.push(Target::at_least(row(ROUTES[0]), 0.5, "× copy", host / copy));
        }
        targets
    }
}
