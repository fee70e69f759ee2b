//! `run`: the only file of the command that uses the daemon's crate.

use crate::{
    config, default_folders,
    exit::{Exit, Halt},
    own_log::{OwnLog, Queue},
};
use bulkhead_config::{Environment, Flags, HostConfig, Loaded, LogLevel, Paths};
use bulkhead_host::{Host, Options, take_over_process, tracing_level, write_log_field};
use std::io::IsTerminal;
use tracing_subscriber::{field::MakeExt, fmt::format};

/// Runs the daemon until it is stopped.
///
/// # Errors
/// When it cannot start, with the reason.
pub(crate) fn run((flags, environment): (Flags, Environment)) -> Result<Exit, Halt> {
    take_over_process();
    let said = (flags, Environment { paths: Paths::Absolute, ..environment });
    let Some(loaded) = config::load(&said) else { return Ok(Exit::Usage) };
    let log = OwnLog::start().map_err(|error| Halt::System { what: "cannot write to standard error", error })?;
    log_to(log.queue(), loaded.host.log_level);
    default_folders::make_for(&loaded);
    say_what_runs(&loaded);
    // Paths of the command line are relative to the folder in which the daemon was started, also when that is gone.
    let (flags, started_in) = said;
    let were_there = default_folders::there(&loaded);
    let reloader = move || {
        let loaded = HostConfig::load_in(flags.clone(), &started_in)?;
        default_folders::check_again(loaded, &were_there)
    };
    let options = Options { runtime: None, listen: true, reloader: Some(Box::new(reloader)) };
    match Host::run_daemon(loaded, options) {
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            // Not in the way of other commands: the reader may have stopped reading.
            log.queue().line(&format!("bulkhead: {error}"));
            Ok(Exit::Failed)
        }
    }
}

/// Events go to the queue. What they quote of modules, clients and files stays within one line.
fn log_to(queue: Queue, level: LogLevel) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_max_level(tracing_level(level))
        .with_writer(queue)
        .with_ansi(colour)
        .with_target(false)
        .fmt_fields(
            format::debug_fn(|writer, field, value| write_log_field(writer, field.name(), value)).delimited(" "),
        )
        // The library's own reports of this kind go to standard error directly, which may block or panic.
        .log_internal_errors(false)
        .init();
}

fn say_what_runs(loaded: &Loaded) {
    let host = &loaded.host;
    tracing::info!("control socket {}, state directory {}", host.socket.display(), host.state_dir.display());
    if !host.trusted_users.is_empty() {
        let users: Vec<String> = host.trusted_users.iter().map(u32::to_string).collect();
        tracing::info!("files of users {} are trusted as root's are, since --trust-user says so", users.join(", "));
    }
    match &host.file {
        Some(file) => tracing::info!("the host's file is {}", file.display()),
        None => tracing::info!("there is no host's file: all its settings are the defaults"),
    }
    let folders: Vec<String> = host.modules.iter().map(|folder| folder.display().to_string()).collect();
    match (&*folders, loaded.modules.is_empty() && loaded.faulty.is_empty()) {
        (_, false) => tracing::info!("modules in {}", folders.join(", ")),
        ([], true) => tracing::warn!("there are no modules: name their folders with --modules DIR or host.modules"),
        (_, true) => tracing::warn!(
            "there are no modules in {}: put a folder with a module.toml there, then `bulkhead reload --all`",
            folders.join(", ")
        ),
    }
}
