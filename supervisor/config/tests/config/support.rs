//! A folder of files that is removed with its value, and the environment of a host in it.

use bulkhead_config::{Environment, Flags, HostConfig, Loaded, Paths, Problems};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// A manifest that uses many keys; the host-file cases tune it.
pub(crate) const RESEARCH_LOG: &str = r#"[module]
name = "research-log"
version = "0.1.0"
command = ["bin/research-log"]

[restart]
delay_initial = "200ms"

[capabilities]
event_subscribe = ["research_session.*"]
event_emit = ["research_log.*"]
call = ["test-minimal"]

[config]
default_template = "standard"
"#;

/// A program that can be run.
pub(crate) const SCRIPT: &str = "#!/bin/sh\nexit 0\n";

/// The owners of the folders on the way to the test's folders, without root and the user of the test.
pub(crate) fn owners_of_checkout() -> Vec<u32> {
    let own = [0, fs::metadata("/proc/self").unwrap().uid()];
    let owners = Path::new(env!("CARGO_TARGET_TMPDIR")).ancestors().map(|folder| fs::metadata(folder).unwrap().uid());
    owners.filter(|owner| !own.contains(owner)).collect()
}

pub(crate) struct Tree(PathBuf);

impl Tree {
    pub(crate) fn new() -> Tree {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("config-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Tree(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and the folders that it needs.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Tree {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Writes a file that may be run.
    pub(crate) fn program(&self, name: &str, content: impl AsRef<[u8]>) -> &Tree {
        self.write(name, content);
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Writes `modules/research-log`, which has no fault.
    pub(crate) fn research_log(&self) -> &Tree {
        self.write("modules/research-log/module.toml", RESEARCH_LOG);
        self.program("modules/research-log/bin/research-log", SCRIPT)
    }

    pub(crate) fn environment(&self) -> Environment {
        let variables = [("PATH", "/usr/bin:/bin"), ("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/run/user/1000")];
        Environment {
            root: false,
            current_dir: Some(self.0.clone()),
            variables: variables.map(|(name, value)| (name.into(), value.into())).into(),
            trusted_users: owners_of_checkout(),
            paths: Paths::Short,
        }
    }

    /// Loads the modules of `modules` without a host's file; modules with faults are refused.
    pub(crate) fn load_modules(&self) -> Result<Loaded, Problems> {
        self.load_what_is_right().and_then(Loaded::whole)
    }

    /// Loads the modules of `modules` that have no fault.
    pub(crate) fn load_what_is_right(&self) -> Result<Loaded, Problems> {
        let flags = Flags { modules: vec!["modules".into()], ..Flags::default() };
        HostConfig::load_in(flags, &self.environment())
    }

    /// Loads what `bulkhead.toml` names; modules with faults are refused.
    pub(crate) fn load_host(&self) -> Result<Loaded, Problems> {
        let flags = Flags { config: Some("bulkhead.toml".into()), ..Flags::default() };
        HostConfig::load_in(flags, &self.environment()).and_then(Loaded::whole)
    }

    /// What is wrong with the modules of `modules`.
    pub(crate) fn problems(&self) -> String {
        self.load_modules().expect_err("something is wrong").to_string()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
