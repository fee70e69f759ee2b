//! `cargo xtask asan`: the unit tests of the crates with `unsafe`, under AddressSanitizer.
//!
//! Only what is in these crates is instrumented, by a wrapper around rustc: their dependencies forbid `unsafe` or are
//! not ours, and come from existing builds. The C border under the conformance suite is valgrind's.

use crate::cargo::{cargo, finish, root};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Run the unit tests of the crates with `unsafe` under AddressSanitizer
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// More arguments of the tests, such as the name of one
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<std::ffi::OsString>,
}

/// The packages with `unsafe` that reach a user, each with the name of its crate.
const PACKAGES: [(&str, &str); 7] = [
    ("bulkhead-json", "bulkhead_json"),
    ("bulkhead-child", "bulkhead_child"),
    ("bulkhead-module", "bulkhead_module"),
    ("bulkhead-launcher", "module_runtime"),
    ("bulkhead-host", "bulkhead_host"),
    ("bulkhead-wasm", "module_runtime_wasm"),
    ("bulkhead-mcp-runtime", "module_runtime_mcp"),
];

/// # Errors
/// When a test fails, or the sanitizer finds something.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let mut command = cargo(&["test", "--locked", "--lib", "--bins", "--no-fail-fast"]);
    // They are here for the features of shared dependencies: after the tests of the workspace, none is compiled anew.
    for package in ["bulkhead-client-async", "bulkhead-load", "bulkhead-mcp"] {
        command.args(["--package", package]);
    }
    command.args(PACKAGES.iter().flat_map(|(package, _)| ["--package", package]));
    command.env("RUSTC_WORKSPACE_WRAPPER", wrapper()?);
    // A module that panicked is forgotten on purpose. valgrind finds leaks over the C border.
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    finish(command.arg("--").args(arguments.words))
}

/// Writes the wrapper, always to the same path: cargo builds anew what was built by another one.
fn wrapper() -> Result<PathBuf> {
    let path = root().join("target/asan/rustc");
    let crates: Vec<&str> = PACKAGES.iter().map(|(_, name)| *name).collect();
    // Sanitizers are not stable yet; the variable is set for these crates only, as others are built anew for it.
    let text = format!(
        "#!/bin/sh\ncase $3 in\n{}) RUSTC_BOOTSTRAP=1 exec \"$@\" -Zsanitizer=address ;;\n*) exec \"$@\" ;;\nesac\n",
        crates.join("|")
    );
    let folder = path.parent().expect("it is below target");
    let written = || {
        fs::create_dir_all(folder)?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
    };
    written().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
