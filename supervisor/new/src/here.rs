//! `--here`: a manifest for a program that is there already.

use crate::language::Kind;
use crate::manifest::{self, Runs};
use crate::place;
use crate::sdk::Sdk;
use anyhow::{Context, Result, bail};
use bulkhead_config::ModuleConfig;
use bulkhead_protocol::ModuleName;
use std::env;
use std::fs;
use std::path::PathBuf;

/// Writes the manifest, and returns the folder. What the host would refuse is not left there, unless `unchecked` says
/// so.
///
/// # Errors
/// When there is a manifest, or the host would refuse this one.
pub(crate) fn make(name: &ModuleName, kind: Kind, command: &[String], sdk: &Sdk, unchecked: bool) -> Result<PathBuf> {
    let folder = env::current_dir().context("nothing was made: the current folder is gone")?;
    let path = folder.join("module.toml");
    place::write_new(&path, &manifest::text(name.as_str(), kind, &Runs::Command(command), "", sdk))?;
    if !unchecked && let Err(problems) = ModuleConfig::load(&folder) {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        let problems: Vec<String> = problems.iter().map(|problem| problem.message.clone()).collect();
        bail!("nothing was made: the host would refuse it: {}; --no-check writes it anyway", problems.join("; "));
    }
    Ok(folder)
}
