//! One test from its beginning to its end: the private folder, the host, the starts, and the end of all of it.

use crate::USAGE;
use crate::cli::Options;
use crate::ending::{self, End, Ending, Signals};
use crate::fakes::Fakes;
use crate::loading::{self, Plan};
use crate::start::{self, Starting};
use crate::streams::TestStreams;
use crate::test_side::{self, Own, ToHost, ToTest};
use bulkhead_command_line::{Fate, PrivateFolder};
use bulkhead_config::LogLevel;
use bulkhead_host::{Host, tracing_level, write_log_field};
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{ErrorCode, Failure};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::{AccessFlags, eaccess};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format;

/// The word of the folder's name.
const PURPOSE: &str = "test";

/// What is in memory on most systems.
const IN_MEMORY: &str = "/dev/shm";

/// How long the host may take to follow its own events.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a host until the test ends.
pub(crate) fn run(options: &Options) -> ExitCode {
    log_to_standard_error(options.log);
    let streams = match TestStreams::take() {
        Ok(streams) => streams,
        Err(fault) => {
            eprintln!("bulkhead test-host: {fault}");
            return ExitCode::from(USAGE);
        }
    };
    let TestStreams { from_test, to_test: stream } = streams;
    let (end, ends) = Ending::new();
    let watched = ending::watch_reader(&stream, &end);
    let reporter = Reporter { to_test: ToTest::new(stream, FRAME_BYTES_MAX_DEFAULT), is_quiet: options.quiet };
    if let Err(error) = watched {
        return reporter.give_up(Failure::new(ErrorCode::Internal, format!("cannot watch the test: {error}")));
    }
    // From here on no signal ends this process before its folder is removed.
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            return reporter.give_up(Failure::new(ErrorCode::Internal, format!("cannot listen to signals: {error}")));
        }
    };
    let folder = match PrivateFolder::new(&options.state.clone().unwrap_or_else(fastest), PURPOSE, Fate::Removed) {
        Ok(folder) => folder,
        Err(error) => {
            let sentence = format!("cannot make a private folder: {error}; --state DIR names another place");
            return reporter.give_up(Failure::new(ErrorCode::Internal, sentence));
        }
    };
    match loading::plan(options, folder.path()) {
        // The folder outlives the host.
        Ok(plan) => with_plan(plan, options, from_test, &reporter, (&end, ends, signals)),
        Err(fault) => {
            reporter.report(Failure::new(ErrorCode::BadRequest, fault));
            ExitCode::from(USAGE)
        }
    }
}

/// The host's own log. What it quotes of modules and of the test stays within one line, as in a daemon's.
fn log_to_standard_error(level: LogLevel) {
    let fields = format::debug_fn(|writer, field, value| write_log_field(writer, field.name(), value));
    tracing_subscriber::fmt()
        .with_max_level(tracing_level(level))
        .with_writer(io::stderr)
        .fmt_fields(fields.delimited(" "))
        .init();
}

/// Where files are fastest.
fn fastest() -> PathBuf {
    let is_in_memory = statfs(IN_MEMORY).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC);
    let is_writable = || eaccess(IN_MEMORY, AccessFlags::W_OK).is_ok();
    if is_in_memory && is_writable() { IN_MEMORY.into() } else { std::env::temp_dir() }
}

fn with_plan(
    plan: Plan,
    options: &Options,
    from_test: std::fs::File,
    reporter: &Reporter,
    (end, ends, signals): (&Ending, UnboundedReceiver<End>, Signals),
) -> ExitCode {
    match begin(plan, options, from_test, reporter, end) {
        Ok(host) => {
            let reason = signals.wait(end, ends, &host.handle());
            // Nothing of a module is left when this returns.
            host.stop();
            match reason {
                End::TestGone | End::Signal => ExitCode::SUCCESS,
                End::Reported => ExitCode::FAILURE,
                End::BadTest(code, sentence) => {
                    reporter.give_up(Failure::new(code, format!("the test sent no message: {sentence}")))
                }
                End::Failed(sentence) => reporter.give_up(Failure::new(ErrorCode::Internal, sentence)),
                End::HostGone => reporter
                    .give_up(Failure::new(ErrorCode::Internal, "the host ended by itself; --log info says more")),
            }
        }
        Err(failure) => reporter.give_up(failure),
    }
}

/// Starts the host and everything that serves the test.
fn begin(
    plan: Plan,
    options: &Options,
    from_test: std::fs::File,
    reporter: &Reporter,
    end: &Ending,
) -> Result<Host, Failure> {
    let Plan { loaded, under_test, fakes: planned } = plan;
    let failed = |error: io::Error| Failure::new(ErrorCode::Internal, format!("cannot begin: {error}"));
    let fakes = Fakes::default();
    for fake in &planned {
        fakes.listen(fake, &reporter.to_test, loaded.host.frame_bytes_max).map_err(|error| {
            let sentence =
                format!("--fake {}: {}: {error}; --state names a shorter path", fake.name, fake.socket.display());
            Failure::new(ErrorCode::Internal, sentence)
        })?;
    }
    let all: Vec<String> = loaded.modules.iter().map(|module| module.name.to_string()).collect();
    let hello = serde_json::json!({
        "protocol": bulkhead_protocol::PROTOCOL_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "module": under_test,
        "modules": all,
        "fakes": planned.iter().map(|fake| &fake.name).collect::<Vec<_>>(),
        "frame_bytes_max": loaded.host.frame_bytes_max,
        "state_dir": loaded.host.state_dir,
        "started": !options.no_start,
    });
    let to_start: Vec<String> = all.into_iter().filter(|name| !options.no_start || *name != under_test).collect();

    let host_options = bulkhead_host::Options { listen: options.listen.is_some(), ..Default::default() };
    let host = Host::start(loaded.host, loaded.modules, host_options)
        .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
    let stream = connection(&host).map_err(failed)?;
    let (from_host, to_host) = (stream.try_clone().map_err(failed)?, ToHost::new(stream));
    to_host.follow().map_err(failed)?;
    let ((following, follows), (barrier, passed)) = (mpsc::channel(), mpsc::channel());
    let (to_test, own_end, own) = (reporter.to_test.clone(), end.clone(), Own { following, barrier });
    spawn("from host", move || test_side::carry_from_host(from_host, &to_test, &own, &own_end)).map_err(failed)?;
    follows.recv_timeout(FOLLOW_TIMEOUT).map_err(|_| {
        Failure::new(ErrorCode::Internal, format!("the host has not followed its events within {FOLLOW_TIMEOUT:?}"))
    })?;

    let starting = match to_start.is_empty() {
        true => None,
        false => {
            let client = host.client().map_err(failed)?;
            let begun = Starting::begin(client, &to_start);
            Some(begun.map_err(|sentence| Failure::new(ErrorCode::Internal, sentence))?)
        }
    };
    let (starter, own_end, own_to_host) = (reporter.clone(), end.clone(), to_host.clone());
    spawn("starts", move || match starting.map_or(Ok(()), Starting::wait) {
        Ok(()) => {
            // What the host has announced of the starts comes first. A host or a test that is gone is noticed elsewhere.
            if own_to_host.ask_for_barrier().is_ok() && passed.recv().is_ok() {
                let _ = starter.to_test.event("test_host.ready", &hello);
            }
        }
        // Nothing becomes ready while the host is stopping.
        Err(_) if own_end.is_over() => {}
        Err(failure) => {
            starter.report(failure);
            own_end.report(End::Reported);
        }
    })
    .map_err(failed)?;
    let (to_test, own_end) = (reporter.to_test.clone(), end.clone());
    spawn("from test", move || test_side::carry_from_test(from_test, &to_host, &to_test, &fakes, &own_end))
        .map_err(failed)?;
    Ok(host)
}

/// A connection as a stream of bytes.
fn connection(host: &Host) -> io::Result<UnixStream> {
    let client = host.client()?;
    Ok(client.as_fd().try_clone_to_owned()?.into())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// Says why it ends, to the test and to the person who runs it.
#[derive(Clone)]
struct Reporter {
    to_test: ToTest,
    is_quiet: bool,
}

impl Reporter {
    fn report(&self, failure: Failure) {
        if !self.is_quiet {
            eprintln!("bulkhead test-host: {}", start::for_people(&failure));
        }
        self.to_test.send_final_failure(failure);
    }

    fn give_up(&self, failure: Failure) -> ExitCode {
        self.report(failure);
        ExitCode::FAILURE
    }
}
