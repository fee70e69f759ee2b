//! The module that is checked: its manifest, how its processes are started, and the folders of the check's own, which
//! are removed at the end.

use crate::interrupt::Interrupt;
use anyhow::{Context, Result};
use bulkhead_command_line::{Fate, PrivateFolder};
use bulkhead_config::{Environment, ModuleConfig, Problems, RestartPolicy};
use bulkhead_host::{Starter, Surroundings};
use bulkhead_protocol::guardian::Spawn;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The word of the folder's name.
const PURPOSE: &str = "check";

/// The module.
#[derive(Debug)]
pub(crate) struct Subject {
    /// As a host of the check runs it: one process at a time, started again at once.
    pub(crate) config: ModuleConfig,
    pub(crate) starter: Starter,
    /// The folder of the check.
    folder: PrivateFolder,
    pub(crate) trusted_users: Vec<u32>,
    pub(crate) interrupt: Interrupt,
}

/// Reads the manifest, and says what of it is not followed here.
pub(crate) fn manifest(folder: &Path, trusted_users: &[u32]) -> Result<(ModuleConfig, Vec<String>), Problems> {
    let environment = Environment { trusted_users: trusted_users.to_vec(), ..Environment::from_process() };
    let mut config = ModuleConfig::load_in(folder, &environment)?;
    let mut remarks = Vec::new();
    if !config.requires.is_empty() {
        let names: Vec<&str> = config.requires.iter().map(|name| name.as_str()).collect();
        remarks.push(format!("{} is required and not there: commands that call it fail", names.join(", ")));
        config.requires.clear();
    }
    (config.instances, config.spares, config.autostart) = (1, 0, false);
    // Kills are part of the check, so they must not be taken for a crash loop.
    let restart = &mut config.restart;
    restart.policy = RestartPolicy::OnFailure;
    restart.delay_initial = Duration::from_millis(1);
    restart.delay_max = Duration::from_millis(10);
    (restart.breaker_failures, restart.give_up) = (1000, None);
    Ok((config, remarks))
}

impl Subject {
    /// Prepares the check of a module.
    pub(crate) fn new(config: ModuleConfig, trusted_users: &[u32], interrupt: &Interrupt) -> Result<Subject> {
        let starter = Starter::find(None, trusted_users, &config)?;
        let parent = std::env::temp_dir();
        let folder = PrivateFolder::new(&parent, PURPOSE, Fate::Removed)
            .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
        let (trusted_users, interrupt) = (trusted_users.to_vec(), interrupt.clone());
        let subject = Subject { config, starter, folder, trusted_users, interrupt };
        // With the folder of data, which the guardian makes only below one that is there.
        private_folder(&subject.path("data"))?;
        private_folder(&subject.path("wasm"))?;
        Ok(subject)
    }

    /// The order to start a process, as a host would give it.
    pub(crate) fn order(&self, run: u64) -> Spawn {
        let surroundings = Surroundings {
            wasm_cache: self.path("wasm"),
            data_dir: self.data_dir(),
            tree: format!("check-{}", std::process::id()),
        };
        self.starter.order(&self.config, run, &surroundings)
    }

    /// A path in the folder of the check.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of the module's own.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data").join(self.config.name.as_str())
    }
}

fn private_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path).with_context(|| format!("cannot make the folder {}", path.display()))
}
