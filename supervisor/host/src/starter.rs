//! The start of a module's process for a program that has no host for it, such as one that speaks the wire with it
//! itself: what is ordered is what a host would order. Nothing is started here.

use crate::{
    launch,
    runtimes::{RuntimeError, Runtimes},
};
use bulkhead_config::ModuleConfig;
use bulkhead_protocol::guardian::Spawn;
use std::path::{Path, PathBuf};

/// What a host knows of starts before it has any module.
#[derive(Clone, Debug)]
pub struct Starter(Runtimes);

/// What of a host a process sees.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The folder of compiled WebAssembly.
    pub wasm_cache: PathBuf,
    /// The folder of the module's own.
    pub data_dir: PathBuf,
    /// What is in the environment of each process, by which it is found.
    pub tree: String,
}

impl Starter {
    /// Finds the programs that run modules, where a host would ([`Options::runtime`](crate::Options::runtime)).
    ///
    /// # Errors
    /// When one is missing that `module` needs, or another user could change it.
    pub fn find(
        runtime: Option<PathBuf>,
        trusted_users: &[u32],
        module: &ModuleConfig,
    ) -> Result<Starter, RuntimeError> {
        let runtimes = Runtimes::find(runtime, trusted_users)?;
        runtimes.check(std::slice::from_ref(module))?;
        Ok(Starter(runtimes))
    }

    /// The program that is the guardian when its argument is `guardian`.
    pub fn guardian(&self) -> &Path {
        &self.0.runtime
    }

    /// The order for the guardian that starts a process of `module`.
    pub fn order(&self, module: &ModuleConfig, run: u64, surroundings: &Surroundings) -> Spawn {
        let Surroundings { wasm_cache, data_dir, tree } = surroundings;
        launch::spawn(module, &self.0, run, wasm_cache, data_dir.clone(), tree)
    }
}
