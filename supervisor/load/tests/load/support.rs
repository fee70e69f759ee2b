//! What the tests share: worlds with modules, and the programs.

use bulkhead_tests::{World, hear_signals};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

/// A module that is killed all the time is started again at once, and none of that counts as a crash loop.
pub(crate) const UNDAUNTED: &str = r#"
[restart]
at_once_after = "0s"
delay_initial = "1ms"
delay_max = "1ms"
reset_after = "0s"
breaker_failures = 1000
breaker_window = "1s"
"#;

/// A world whose host restarts as often as it has to.
pub(crate) fn world() -> World {
    let mut world = World::new();
    world.host_file("[restarts]\nper_second = 1000\nburst = 10000\n");
    world
}

/// A started world with `misbehave`, whose manifest goes on like this.
pub(crate) fn with_misbehave(rest: &str) -> World {
    let mut world = world();
    world.module("misbehave", "misbehave", rest).start();
    world.client().wait_ready("misbehave");
    world
}

/// A started world with the module `ledger`, which keeps its list in `memory` or in a `file`.
pub(crate) fn with_ledger(place: &str) -> World {
    let mut world = world();
    let command = format!("command = [\"python3\", \"ledger.py\", \"{place}\"]");
    world.manifest("ledger", &format!("name = \"ledger\"\nversion = \"1\"\n{command}\n{UNDAUNTED}"));
    let path = world.path("modules/ledger/ledger.py");
    fs::write(&path, include_str!("ledger.py")).expect("the world can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it was just made");
    world.start();
    world.client().wait_ready("ledger");
    world
}

/// `bulkhead bench`.
pub(crate) fn bench(world: &World, words: &[&str]) -> Command {
    command(world, env!("CARGO_BIN_EXE_bulkhead-bench"), words)
}

/// `bulkhead chaos`.
pub(crate) fn chaos(world: &World, words: &[&str]) -> Command {
    command(world, env!("CARGO_BIN_EXE_bulkhead-chaos"), words)
}

fn command(world: &World, program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).env("BULKHEAD_SOCKET", world.socket()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    hear_signals(&mut command);
    command
}

/// What a program ended with.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) errors: String,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Ended {
        let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
        Ended { code: output.status.code(), out: text(output.stdout), errors: text(output.stderr) }
    }

    /// The report that was printed with `--json`.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs a program to its end.
pub(crate) fn ended(mut command: Command) -> Ended {
    Ended::of(command.output().expect("the program can be started"))
}
