//! A program with a host of its own inside: it starts a module, calls it, restarts it, calls it again,
//! and leaves no process running. Build what it needs, then run it:
//!
//! ```sh
//! cargo build -p bulkhead-launcher -p test-minimal
//! cargo run -p bulkhead-host --example embed
//! ```

#![allow(clippy::disallowed_methods, reason = "this is a program around a host, and may wait")]

use bulkhead_config::{HostConfig, ModuleConfig};
use bulkhead_host::{Host, Options};
use bulkhead_protocol::Json;
use std::error::Error;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// How long a call may take.
const TIMEOUT: Option<Duration> = Some(Duration::from_secs(10));

fn main() -> Result<(), Box<dyn Error>> {
    // The state directory belongs to one host at a time and outlives it: logs, crash reports, and
    // what the modules keep. No socket is opened unless `listen` says so.
    let state = std::env::temp_dir().join(format!("bulkhead-embed-{}", std::process::id()));
    let mut config = HostConfig::new(&state, state.join("control.sock"));

    // What it runs must belong to root, to this program's user or to one that is trusted. A checkout may be another's.
    let own = std::env::current_exe()?;
    let owners = own.ancestors().map(|path| Ok(std::fs::metadata(path)?.uid()));
    config.trusted_users = owners.collect::<std::io::Result<_>>()?;

    // A module without a manifest. Everything that `module.toml` can say is a field of this.
    let program = built("test-minimal")?;
    let module = ModuleConfig::process("counter", [program.display().to_string()])?;

    // Processes are started by `module-runtime`, which is looked for beside this program otherwise.
    let options = Options { runtime: Some(built("module-runtime")?), ..Options::default() };
    let host = Host::start(config, vec![module], options)?;

    // A client speaks the same messages as over a socket. A call waits until the module is ready.
    let mut client = host.client()?;
    for _ in 0..3 {
        println!("{}", client.call("counter", "ping", Json::null(), TIMEOUT)?.as_str());
    }

    // The host itself answers to the name `supervisor`.
    let restart = Json::parse(r#"{"name":"counter"}"#)?;
    println!("{}", client.call("supervisor", "restart", restart, TIMEOUT)?.as_str());
    println!("{}", client.call("counter", "ping", Json::null(), TIMEOUT)?.as_str());

    // Stopping returns when no process of any module is left; dropping the host does the same.
    host.stop();
    std::fs::remove_dir_all(state)?;
    Ok(())
}

/// A program of this workspace, in the folder above that of the example.
fn built(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let example = std::env::current_exe()?;
    let path = example.ancestors().skip(1).map(|folder| folder.join(name)).find(|path| path.is_file());
    path.ok_or_else(|| format!("expected {name} near {}; build it with cargo build", example.display()).into())
}
