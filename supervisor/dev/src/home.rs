//! The host that the modules run under: a private one inside this program, which ends with it however it ends, or the
//! daemon that is joined.

use crate::cli::Cli;
use crate::debugged::Wrapper;
use crate::input::Failed;
use crate::project::Project;
use bulkhead_client::Client;
use bulkhead_command_line::{Fate, PrivateFolder, shell_word};
use bulkhead_config::{Declared, Environment, Flags, HostConfig, Loaded, LogLevel, ModuleConfig, ModuleKind, Problems};
use bulkhead_host::{Host, Options, tracing_level};
use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

/// What makes a runtime print where it was when it crashed. A module that sets them itself is left as it is.
const BACKTRACES: [(&str, &str); 2] = [("RUST_BACKTRACE", "1"), ("PYTHONFAULTHANDLER", "1")];

/// The host. A private one is stopped when this is dropped, and then its folder is removed.
#[derive(Debug)]
pub(crate) enum Home {
    Private { host: Host, folder: PrivateFolder, socket: PathBuf },
    Joined { socket: PathBuf },
}

impl Home {
    /// Starts or finds the host.
    ///
    /// # Errors
    /// When it cannot be started, or no daemon can be joined.
    pub(crate) fn open(
        cli: &Cli,
        projects: &[Project],
        environment: &Environment,
        wrapper: Option<Wrapper>,
    ) -> Result<Home, Failed> {
        if cli.join {
            let socket = HostConfig::socket_for(cli.socket.as_deref());
            return Ok(Home::Joined { socket: socket.map_err(|problems| Failed::usage(problems.to_string()))? });
        }
        tracing_subscriber::fmt().with_max_level(tracing_level(LogLevel::Error)).with_writer(io::stderr).init();
        let fate = if cli.keep { Fate::Kept } else { Fate::Removed };
        let folder = PrivateFolder::new(&env::temp_dir(), "dev", fate)
            .map_err(|error| Failed::host(format!("cannot make a private folder: {error}")))?;
        let socket = folder.path().join("control.sock");
        let flags = Flags {
            config: None,
            modules: projects.iter().map(|project| project.folder.clone()).collect(),
            state: Some(folder.path().join("state")),
            socket: Some(socket.clone()),
        };
        let mut environment = environment.clone();
        // It is about another host.
        environment.variables.remove(OsStr::new("BULKHEAD_CONFIG"));
        let declared = declared(projects);
        let read = move || load(&flags, &environment, &declared, wrapper.as_ref());
        let loaded = read().map_err(|problems| Failed::usage(problems.to_string()))?;
        let options = Options { runtime: None, listen: true, reloader: Some(Box::new(read)) };
        // The modules come with the first reload of each, when they are built.
        let host = Host::start(loaded.host, Vec::new(), options).map_err(|error| Failed::host(error.to_string()))?;
        Ok(Home::Private { host, folder, socket })
    }

    /// A connection to it.
    ///
    /// # Errors
    /// When there is none to be had.
    pub(crate) fn client(&self) -> Result<Client, Failed> {
        match self {
            Home::Private { host, .. } => {
                host.client().map_err(|error| Failed::host(format!("cannot connect to the host: {error}")))
            }
            Home::Joined { socket } => Client::connect(socket).map_err(|error| Failed::host(error.to_string())),
        }
    }

    /// How a command about this host begins.
    pub(crate) fn command(&self) -> String {
        let (Home::Private { socket, .. } | Home::Joined { socket }) = self;
        format!("bulkhead --socket {}", shell_word(&socket.to_string_lossy()))
    }
}

/// Reads the modules again, as a host does, for people who look for faults.
fn load(
    flags: &Flags,
    environment: &Environment,
    declared: &Declared,
    wrapper: Option<&Wrapper>,
) -> Result<Loaded, Problems> {
    let mut loaded = HostConfig::load_in(flags.clone(), environment)?;
    loaded.host.log_level = LogLevel::Error;
    loaded.host.layer1.declared = declared.clone();
    loaded.modules.iter_mut().for_each(show_backtraces);
    if let Some(wrapper) = wrapper {
        loaded.modules.iter_mut().try_for_each(|module| wrapper.apply(module)).map_err(Problems::of_program)?;
    }
    Ok(loaded)
}

fn show_backtraces(module: &mut ModuleConfig) {
    if matches!(module.kind, ModuleKind::Wasm { .. }) {
        return;
    }
    for (name, value) in BACKTRACES {
        if !module.inherit_env.iter().any(|inherited| inherited == name) {
            module.env.entry(name.into()).or_insert_with(|| value.into());
        }
    }
}

/// What all modules declare for the data store: the host makes it when it starts, and has no module then.
fn declared(projects: &[Project]) -> Declared {
    let mut all = Declared::default();
    for Project { declared, .. } in projects {
        for (entity, paths) in &declared.index {
            let known = all.index.entry(entity.clone()).or_default();
            let new: Vec<_> = paths.iter().filter(|path| !known.contains(path)).cloned().collect();
            known.extend(new);
        }
        all.search.extend(declared.search.clone());
    }
    all
}
