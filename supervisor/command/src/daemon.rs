//! `run`: the one place where the command meets the daemon.

use crate::{
    config,
    exit::{Exit, Halt},
};
use bulkhead_config::{Flags, HostConfig, Loaded, LogLevel, Surroundings};
use bulkhead_supervisor::{Options, Supervisor, take_over_process};
use std::io::IsTerminal;

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// When it cannot start, with the reason.
pub(crate) fn run(flags: Flags) -> Result<Exit, Halt> {
    take_over_process();
    let Some(loaded) = config::load(flags.clone()) else { return Ok(Exit::Usage) };
    log_to_stderr(loaded.host.log_level);
    say_what_runs(&loaded);
    // The paths of the command line count from where the daemon was started, also when that is gone.
    let started_in = Surroundings::of_process();
    let reloader = move || HostConfig::load_in(flags.clone(), &started_in);
    let options = Options { runtime: None, listen: true, reloader: Some(Box::new(reloader)) };
    Supervisor::run_daemon(loaded, options).map_err(|error| Halt::Failed(error.to_string()))?;
    Ok(Exit::Done)
}

fn log_to_stderr(level: LogLevel) {
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        // A report of this kind goes to standard error too, and panics when nobody reads that any
        // more: the host must outlive whoever looked at its log.
        .log_internal_errors(false)
        .init();
}

fn say_what_runs(loaded: &Loaded) {
    let host = &loaded.host;
    tracing::info!("control socket {}, state directory {}", host.socket.display(), host.state_dir.display());
    if loaded.modules.is_empty() {
        tracing::warn!("there are no modules: name their folders with --modules DIR or host.modules");
    }
}
