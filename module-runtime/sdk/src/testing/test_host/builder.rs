//! What a test says before its host starts, and how the program is found.

use super::fakes::{Answer, Asked, Fakes};
use super::link::Link;
use super::{TIMEOUT, TestHost};
use crate::{Error, Json};
use serde_json::Value;
use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to run, and how. It holds the arguments of `bulkhead test-host`, which `bulkhead test-host --help` lists.
pub struct TestHostBuilder {
    options: Vec<OsString>,
    module: Vec<OsString>,
    fakes: HashMap<String, Answer>,
    program: Option<PathBuf>,
}

impl TestHostBuilder {
    pub(super) fn new(module: Vec<OsString>) -> TestHostBuilder {
        TestHostBuilder { options: Vec::new(), module, fakes: HashMap::new(), program: None }
    }

    /// Members that replace those of the module's `[config]`, a JSON object.
    pub fn config(self, config: impl Into<Json>) -> TestHostBuilder {
        let config = config.into();
        self.option("config", config.as_str())
    }

    /// Another value for a key of the manifest, as in `bulkhead.toml`: `set("limits.deadline_default", "1s")`.
    pub fn set(self, key: &str, value: &str) -> TestHostBuilder {
        self.option("set", &format!("{key}={value}"))
    }

    /// Runs the module or the modules of this folder beside it.
    pub fn with(mut self, folder: impl AsRef<Path>) -> TestHostBuilder {
        self.options.extend(["--with".into(), folder.as_ref().into()]);
        self
    }

    /// A module of this name that the test answers, each request on a thread of its own.
    pub fn fake(
        mut self,
        name: &str,
        answer: impl Fn(&Asked) -> Result<Value, Error> + Send + Sync + 'static,
    ) -> TestHostBuilder {
        self.fakes.insert(name.to_owned(), Arc::new(answer));
        self.option("fake", name)
    }

    /// The name of a module that is a command; without it, it has the name of the command's file.
    pub fn name(self, name: &str) -> TestHostBuilder {
        self.option("name", name)
    }

    /// What a module that is a command may do, as in `[capabilities]`. Without it, it may do everything, and
    /// subscribes to nothing: `capability("event_subscribe", &["stock.*"])`.
    pub fn capability(self, key: &str, patterns: &[&str]) -> TestHostBuilder {
        self.option("capability", &format!("{key}={}", patterns.join(",")))
    }

    /// Does not start the module: the test does, by [`TestHost::start`], when it has created what the module wants.
    pub fn no_start(self) -> TestHostBuilder {
        self.flag("--no-start")
    }

    /// Restarts, stops and hangs take the time that they take in production.
    pub fn real_waits(self) -> TestHostBuilder {
        self.flag("--real-waits")
    }

    /// Another option of the program, as `option("log", "info")`.
    pub fn option(mut self, name: &str, value: &str) -> TestHostBuilder {
        self.options.push(format!("--{name}={value}").into());
        self
    }

    fn flag(mut self, name: &str) -> TestHostBuilder {
        self.options.push(name.into());
        self
    }

    /// The program `bulkhead`, or `bulkhead-test-host` itself, instead of what is found.
    pub fn program(mut self, path: impl Into<PathBuf>) -> TestHostBuilder {
        self.program = Some(path.into());
        self
    }

    /// Starts the host, and waits until the module is ready.
    ///
    /// # Errors
    /// When the program is not found, something of the test's has a fault, or the module does not start: with what it
    /// printed last.
    pub fn start(self) -> Result<TestHost, Error> {
        let program = match self.program {
            Some(program) => program,
            None => find()?,
        };
        let is_itself = program.file_name().is_some_and(|name| name == "bulkhead-test-host");
        let mut words: Vec<OsString> = if is_itself { Vec::new() } else { vec!["test-host".into()] };
        words.push("--quiet".into());
        words.extend(self.options);
        words.extend(self.module);
        let fakes = Arc::new(Fakes::new(self.fakes));
        let link = Link::start(&program, &words, &fakes)?;
        let hello = link.own_event("test_host.ready")?;
        let module = hello["module"].as_str().unwrap_or_default().to_owned();
        Ok(TestHost { link, fakes, module, timeout: TIMEOUT })
    }
}

/// What `$BULKHEAD_BIN` names, or the program of `$PATH`.
fn find() -> Result<PathBuf, Error> {
    if let Some(named) = env::var_os("BULKHEAD_BIN").filter(|named| !named.is_empty()) {
        return Ok(named.into());
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).map(|folder| folder.join("bulkhead")).find(|path| path.is_file()).ok_or_else(|| {
        Error::failed(
            "expected the command `bulkhead` in $BULKHEAD_BIN or in $PATH, found none; `cargo xtask install` in the \
             repository of Bulkhead installs it",
        )
    })
}
