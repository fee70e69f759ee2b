//! One run from its beginning to its end. What is sent when is decided by `ledger`, and what is judged by `verdict`.

use super::cli::Cli;
use super::control::Control;
use super::disturb::Disturber;
use super::ledger::{Ledger, Refusal, Terms, Twice};
use super::observe::{self, Observed};
use super::processes;
use super::report::{Judged, Report};
use super::schedule::Schedule;
use super::verdict::Verdict;
use crate::called::{Called, Keying, Run};
use crate::link::{Link, Signals, Wake};
use crate::problem::{Problem, signalled};
use bulkhead_client::ClientError;
use bulkhead_command_line::arguments;
use bulkhead_config::HostConfig;
use bulkhead_protocol::{Failure, Status};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// The longest wait at once. A wait that is far longer shows that this program did not run.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// So much longer than it should have been.
const GAP_MIN: Duration = Duration::from_millis(500);

/// How long the effects may take to be listed.
const OBSERVE_MAX: Duration = Duration::from_secs(60);

/// Makes a run.
///
/// # Errors
/// When it cannot begin, or the daemon went away.
pub(super) fn run(cli: &Cli) -> Result<u8, Problem> {
    cli.check()?;
    let args = arguments::read(&cli.args)?;
    let socket = HostConfig::socket_for(None)?;
    let signals = Signals::block()?;
    let mut control = Control::connect(&socket, &cli.name)?;
    let ready = control.wait_until_ready(cli.timeout);
    ready.map_err(|reason| Problem::not_ready(&cli.name, &reason))?;
    let twice = cli.twice(control.is_idempotent(&cli.command)?);
    let keying = if twice == Twice::Keyed { Keying::Keyed } else { Keying::Plain };
    let called = Called::new(&cli.name, &cli.command, &args, keying, cli.timeout, Run::new()?);
    let observed = cli.observed();
    if observed != Observed::Nothing && !called.has_ids() {
        return Err(Problem::usage("the arguments: expected {id} in them, so that an effect can be found, found none"));
    }
    processes::check_permission(&mut control)?;
    let since = control.newest()?;
    let seed = match cli.seed {
        Some(seed) => seed,
        None => getrandom::u32().map(u64::from).map_err(|error| Problem::failed(format!("no seed: {error}")))?,
    };
    let mut link = Link::open(&socket, signals)?;
    let mut ledger = Ledger::new(terms(cli, twice));
    let begun = Instant::now();
    let schedule = Schedule::new(seed, &cli.acts(), cli.duration);
    let mut disturber = Disturber::start(schedule, Control::connect(&socket, &cli.name)?, begun)?;

    let mut driver = Driver { link: &mut link, ledger: &mut ledger, called: &called, begun };
    let mut signal = None;
    let made = driver.drive(Some(cli.duration));
    disturber.end();
    let ended = made.and_then(|interrupted| {
        signal = interrupted;
        driver.ledger.close(begun.elapsed());
        match driver.drive(None)? {
            // The second one.
            Some(again) => Err(Stop::Signal(again)),
            None => Ok(()),
        }
    });
    let disturbed = disturber.join();
    let (judged, problem) = match ended {
        Ok(()) => {
            match observe::effects(&mut control, &observed, &since, called.run(), ledger.calls().len(), OBSERVE_MAX) {
                Ok(effects) => (Judged::of(Verdict::of(&ledger, effects.as_ref()), effects.as_ref()), None),
                Err(problem) => (Judged::of(Verdict::of(&ledger, None), None), Some(problem)),
            }
        }
        Err(Stop::Signal(signal)) => return Ok(signalled(signal)),
        Err(Stop::Daemon(problem)) => {
            ledger.handle_disconnect(begun.elapsed());
            (Judged::of(Verdict::of(&ledger, None), None), Some(problem))
        }
    };
    let report = Report { cli, seed, twice, called: &called, disturbed: &disturbed, judged: &judged, problem, signal };
    report.print();
    Ok(report.exit_code())
}

fn terms(cli: &Cli, twice: Twice) -> Terms {
    Terms {
        in_flight: usize::try_from(cli.in_flight).expect("it is bounded"),
        gap: Duration::from_secs(1) / u32::try_from(cli.rate).expect("it is bounded"),
        deadline: cli.timeout,
        grace: cli.grace,
        twice,
    }
}

/// Why calls are not made any more.
enum Stop {
    /// A signal came for the second time.
    Signal(Signal),
    /// The daemon went away.
    Daemon(Problem),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Stop {
        Stop::Daemon(error.into())
    }
}

/// What makes the calls.
struct Driver<'a> {
    link: &'a mut Link,
    ledger: &'a mut Ledger,
    called: &'a Called,
    begun: Instant,
}

impl Driver<'_> {
    /// Makes calls until the moment `until`, or else until all are settled. A signal ends it, too.
    fn drive(&mut self, until: Option<Duration>) -> Result<Option<Signal>, Stop> {
        loop {
            while let Some(number) = self.ledger.next(self.begun.elapsed()) {
                let id = self.link.queue(&self.called.request(number))?;
                self.ledger.handle_sent(number, id, self.begun.elapsed());
            }
            let now = self.begun.elapsed();
            if self.ledger.is_settled() || until.is_some_and(|until| until <= now) || self.is_full(until) {
                return Ok(None);
            }
            let next = self.ledger.poll_timeout().into_iter().chain(until).chain([now + WAIT_MAX]).min();
            let next = next.expect("there is one");
            let woken = self.link.next(self.begun + next)?;
            self.notice_gap(next);
            match woken {
                Wake::Answer(response) => {
                    let Some(id) = response.id else { continue };
                    let answer = match response.status {
                        Status::Progress(_) => continue,
                        Status::Success(_) => Ok(()),
                        Status::Error(failure) => Err(refusal(&failure)),
                    };
                    self.ledger.handle_answer(id, self.begun.elapsed(), answer);
                }
                Wake::Time => self.ledger.handle_timeout(self.begun.elapsed()),
                Wake::Signal(signal) => return Ok(Some(signal)),
            }
        }
    }

    /// Whether no new calls can be made before `until`.
    fn is_full(&self, until: Option<Duration>) -> bool {
        until.is_some() && self.ledger.is_full()
    }

    /// A wait that was far too long delays no answer: this program did not run.
    fn notice_gap(&mut self, planned: Duration) {
        let beyond = self.begun.elapsed().saturating_sub(planned);
        if beyond > GAP_MIN {
            self.ledger.handle_gap(beyond);
        }
    }
}

fn refusal(failure: &Failure) -> Refusal {
    Refusal { code: failure.code, delivery: failure.delivery, retryable: failure.retryable }
}
