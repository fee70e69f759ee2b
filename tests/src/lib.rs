//! What the end-to-end tests need: a [`World`] with folders of modules and a real host, clients of it, and a search in
//! /proc for what is left. Every wait has a deadline, and nothing that a world started outlives it. It knows no module
//! by more than its program's name.

mod caller;
mod host;
mod processes;
mod running;
mod wall_clock;
mod world;

pub use caller::{Answer, Caller};
pub use host::{Ended, Host, hear_signals};
pub use processes::{Survivor, is_alive, kill, marked, stat, wait_until_gone};
pub use running::{Done, Running};
pub use wall_clock::WallClock;
pub use world::World;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long an event that must come is waited for. Long, as the machine may be busy; a test that passes never waits for
/// so long.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// [`TIMEOUT`] times `$BULKHEAD_TEST_TIMEOUT_FACTOR`: where every module runs under a memory checker, everything takes
/// longer.
pub fn timeout() -> Duration {
    TIMEOUT * slowness()
}

/// How many times longer than usual everything takes here, by `$BULKHEAD_TEST_TIMEOUT_FACTOR`.
///
/// # Panics
/// When the variable has something else than a whole number of at least 1.
pub fn slowness() -> u32 {
    let Ok(text) = std::env::var("BULKHEAD_TEST_TIMEOUT_FACTOR") else { return 1 };
    let number = text.parse().ok().filter(|number| *number > 0);
    number.unwrap_or_else(|| panic!("expected a whole number in $BULKHEAD_TEST_TIMEOUT_FACTOR, found {text:?}"))
}

/// What a manifest of `research-log` grants, as its own does.
pub const RESEARCH_LOG: &str = r#"
[capabilities]
entity_read = ["ResearchBook", "ResearchLog", "ResearchEntry"]
entity_create = ["ResearchBook", "ResearchLog", "ResearchEntry"]
entity_write = ["ResearchBook"]
event_subscribe = ["research_session.*"]
event_emit = ["research_log.*"]
[layer1.index]
ResearchLog = ["title", "session"]
ResearchEntry = ["log", "researcher"]
[layer1.search]
ResearchEntry = ["text"]
"#;

/// Polls until `look` finds something.
///
/// This is for conditions without an event, like another process's end; the sleep only spares the processor.
///
/// # Panics
/// When nothing is found for too long.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + timeout();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {:?} for this in vain: {what}", timeout());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A program or a shared library of this workspace, as it was built beside the running test.
///
/// # Panics
/// When it was not built.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own program");
    let path = test.ancestors().skip(1).map(|folder| folder.join(name)).find(|path| path.is_file());
    path.unwrap_or_else(|| panic!("expected {name} near {}; `cargo test --workspace` builds it", test.display()))
}

/// The owners of the programs of this workspace and of the folders on the way to them, without root and the user of the
/// test: the hosts of tests run what is in the checkout, and have to trust these users.
///
/// # Panics
/// When a test does not know its own program.
pub fn owners_of_checkout() -> Vec<u32> {
    let test = std::env::current_exe().expect("a test knows its own program");
    let owner = |path: &Path| std::fs::metadata(path).expect("the way to a running program is there").uid();
    let own = [0, nix::unistd::geteuid().as_raw()];
    let mut owners: Vec<u32> = test.ancestors().map(owner).filter(|owner| !own.contains(owner)).collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// Copies a program to a path that another user can reach.
///
/// Another process does it: a descriptor of this one that is open for writing may be inherited by a process that
/// another thread starts meanwhile, and a file that is open for writing cannot be run.
///
/// # Panics
/// When it cannot be copied.
pub fn copy_program(name: &str, target: &Path) {
    let copied = Command::new("cp").arg(program(name)).arg(target).status();
    assert!(copied.is_ok_and(|status| status.success()), "cannot copy {name} to {}", target.display());
    world::close_to_others(target);
}

/// Whether this process is root's; tests with another user are only possible then.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// An ordinary user without anything of its own: `nobody`.
pub const NOBODY: u32 = 65534;
