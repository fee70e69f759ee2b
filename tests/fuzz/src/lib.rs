//! Fuzz tests of the readers of foreign bytes. Each target is a plain function that takes bytes and panics when
//! something is wrong.
//!
//! `cargo test -p bulkhead-fuzz` runs them with the corpus and with what proptest makes of it; `cargo xtask fuzz` runs
//! for a given time, guided by coverage. A target deliberately does not choose its inputs.

#![forbid(unsafe_code)]

pub mod corpus;
mod files;
mod frames;
mod json;
mod layer1;
mod messages;
pub mod mutation;

/// One reader of foreign bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also that of its folder in `corpus/`.
    pub name: &'static str,
    /// What it checks, for people.
    pub holds: &'static str,
    /// Folders in the repository with more initial inputs: the files with this ending.
    pub seeds: &'static [(&'static str, &'static str)],
    /// Tries one input.
    ///
    /// # Panics
    /// When a check fails.
    pub run: fn(&[u8]),
}

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "json",
        holds: "each reader of JSON takes what serde_json takes, and finds the same members and elements",
        seeds: &[("protocol/tests/bad", "json")],
        run: json::run,
    },
    Target {
        name: "json-in-pieces",
        holds: "a text that comes in pieces is what it is as a whole; the first four bytes say where it is cut",
        seeds: &[("protocol/tests/bad", "json")],
        run: json::run_in_pieces,
    },
    Target {
        name: "messages",
        holds: "a message is read as serde_json reads it, alike when it is long, and written so that it is read again",
        seeds: &[("protocol/tests/bad", "json")],
        run: messages::run,
    },
    Target {
        name: "frames",
        holds: "a stream has the same frames and messages, or the same fault, wherever it is cut",
        seeds: &[("protocol/tests/bad", "bin"), ("protocol/tests/golden", "bin")],
        run: frames::run,
    },
    Target {
        name: "layer1",
        holds: "a query and a mutation are read or refused in one line, and what they store is read as it is written",
        seeds: &[],
        run: layer1::run,
    },
    Target {
        name: "module-toml",
        holds: "a manifest is read, or each fault names the file and is one line",
        seeds: &[("supervisor/config/tests/bad", "toml"), ("modules", "toml")],
        run: files::run_module,
    },
    Target {
        name: "bulkhead-toml",
        holds: "a host's file is read, or each fault names the file and is one line",
        seeds: &[("supervisor/config/tests/bad", "toml"), ("docs/examples", "toml")],
        run: files::run_host,
    },
];
