//! `bulkhead bench`: how many calls of a command are answered in a second, and how long one takes.

mod cli;
mod report;
mod round;
mod tally;

use self::cli::Cli;
use self::report::{Ended, Report};
use self::round::Round;
use crate::called::{Called, Run};
use crate::link::{Link, Signals, Wake};
use crate::problem::{DONE, FAILED, Problem, UNREACHABLE, signalled};
use bulkhead_client::ClientError;
use bulkhead_command_line::{answer, arguments};
use bulkhead_config::HostConfig;
use bulkhead_protocol::Status;
use clap::{CommandFactory, Parser};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The longest wait at once: no round needs to look at the clock more often while nothing comes.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The program `bulkhead-bench`.
pub fn main() -> ExitCode {
    if let Some(code) = answer(Cli::command(), std::env::args_os()) {
        return code;
    }
    match run(&Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            eprintln!("bulkhead bench: {problem}");
            ExitCode::from(problem.code)
        }
    }
}

fn run(cli: &Cli) -> Result<u8, Problem> {
    let args = arguments::read(&cli.args)?;
    let socket = HostConfig::socket_for(None)?;
    let signals = Signals::block()?;
    let mut link = Link::open(&socket, signals)?;
    let called = Called::new(&cli.name, &cli.command, &args, cli.keying(), cli.timeout, Run::new()?);
    let mut report = Report::new(cli);
    report.begin();
    let mut ended = Ended::Done;
    let mut numbers = 0..;
    for &in_flight in &cli.in_flight {
        let begun = Instant::now();
        let mut round = Round::new(cli.plan(in_flight), Duration::ZERO);
        ended = measure(&mut link, &called, &mut numbers, &mut round, begun);
        report.add(round.result());
        if !matches!(ended, Ended::Done) {
            break;
        }
    }
    report.end(&ended);
    Ok(match &ended {
        Ended::Done if report.has_errors() => FAILED,
        Ended::Done => DONE,
        Ended::Interrupted(signal) => signalled(*signal),
        Ended::Refused(problem) => problem.code,
        Ended::Disconnected(_) => UNREACHABLE,
    })
}

/// Keeps calls in flight until the round is over, or cannot go on.
fn measure(
    link: &mut Link,
    called: &Called,
    numbers: &mut impl Iterator<Item = u64>,
    round: &mut Round,
    begun: Instant,
) -> Ended {
    let disconnected = |error: ClientError| Ended::Disconnected(Problem::from(error));
    loop {
        while round.may_send(begun.elapsed()) {
            let number = numbers.next().expect("there is always another number");
            match link.queue(&called.request(number)) {
                Ok(id) => round.handle_sent(id, begun.elapsed()),
                Err(error @ ClientError::TooLarge(_)) => return Ended::Refused(error.into()),
                Err(error) => return disconnected(error),
            }
        }
        if round.is_over() {
            return Ended::Done;
        }
        let now = begun.elapsed();
        let until = round.poll_timeout().map_or(now + WAIT_MAX, |until| until.min(now + WAIT_MAX));
        match link.next(begun + until) {
            Ok(Wake::Answer(response)) => {
                let Some(id) = response.id else { continue };
                let refusal = match response.status {
                    Status::Progress(_) => continue,
                    Status::Success(_) => round.handle_answer(id, begun.elapsed(), Ok(())),
                    Status::Error(failure) => round.handle_answer(id, begun.elapsed(), Err(&failure)),
                };
                if let Some(failure) = refusal {
                    return Ended::Refused(Problem::of_failure(called.module(), &failure));
                }
            }
            Ok(Wake::Time) => {}
            Ok(Wake::Signal(signal)) => return Ended::Interrupted(signal),
            Err(error) => return disconnected(error),
        }
    }
}
