//! WASI preview 1, for modules that import it: no arguments, an empty standard input, output into the log, and of files
//! and variables only what the manifest grants. There is no network.

use crate::arguments::{Access, DataFolder, Folder, Grants};
use std::sync::OnceLock;
use tokio::runtime::{EnterGuard, Runtime};
use wasmtime::Module;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// The name under which it is imported.
pub(crate) const WASI: &str = "wasi_snapshot_preview1";

/// Where the module sees its data folder.
pub(crate) const DATA: &str = "/data";

/// Most bytes that one call of `random_get` gives; more is a trap. The runtime holds them meanwhile.
const RANDOM_BYTES_MAX: u64 = 1024 * 1024;

/// Whether the module imports it.
pub(crate) fn is_imported(module: &Module) -> bool {
    module.imports().any(|import| import.module() == WASI)
}

/// What the module sees. The error names the grant that cannot be given.
pub(crate) fn context(grants: &Grants, data_folder: &str) -> Result<WasiP1Ctx, String> {
    let mut builder = WasiCtxBuilder::new();
    // The thread has nothing else to do, and its processor time is what is counted.
    builder.allow_blocking_current_thread(true);
    // Standard output may be the channel to the host: here it goes to the log, as for every module.
    builder.stdout(std::io::stderr()).stderr(std::io::stderr());
    builder.max_random_size(RANDOM_BYTES_MAX);
    for (name, value) in &grants.environment {
        builder.env(name, value);
    }
    let data = match grants.data {
        DataFolder::Shown => Some(Folder { path: data_folder.into(), guest: DATA.into(), access: Access::Write }),
        DataFolder::Hidden => None,
    };
    for folder in data.iter().chain(&grants.folders) {
        let permissions = match folder.access {
            Access::Read => FsPerms::ReadOnly,
            Access::Write => FsPerms::ReadWrite,
        };
        builder.preopened_dir(&folder.path, &folder.guest, permissions).map_err(|error| {
            let (path, guest) = (folder.path.display(), &folder.guest);
            format!("cannot open the folder {path}, which the module may see as {guest}: {error:#}")
        })?;
    }
    Ok(builder.build_p1())
}

/// Puts the calling thread into the runtime in which WASI waits, for as long as the guard lives. It is started once and
/// has one thread: by default WASI would start one for each processor.
pub(crate) fn enter() -> EnterGuard<'static> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).max_blocking_threads(1).enable_all();
            builder.build().expect("one thread and one epoll descriptor can be had")
        })
        .enter()
}

#[cfg(test)]
mod tests;
