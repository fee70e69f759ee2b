//! `cargo xtask uninstall`: removes what `install` has put below a prefix, and nothing else.

use crate::install::{Found, Places, Receipt, User, lock, look, remove_empty};
use crate::running;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Remove what `install` has installed
///
/// Files that you changed are kept and named. The data of modules and the settings of the daemon stay.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where it was installed [default: ~/.local, or /usr/local for root]
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
}

/// # Errors
/// When nothing was installed there, or a file cannot be removed.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let places = Places::find(arguments.prefix.as_deref(), &User::of_process())?;
    let prefix = places.prefix.display();
    if !places.receipt().exists() {
        bail!("nothing was installed below {prefix}: expected the list {}", places.receipt().display());
    }
    let _lock = lock(&places.prefix)?;
    // The path of its running program is unknown once that is removed.
    let running = running::of_program(&places.programs().join("bulkhead"));
    let mut receipt = Receipt::read(&places.receipt())?;
    let mut removed = 0;
    let mut kept = BTreeMap::new();
    for (path, digests) in std::mem::take(&mut receipt.files) {
        match look(&path) {
            Found::Nothing => {}
            Found::File(digest) if digests.contains(&digest) => {
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
                removed += 1;
            }
            Found::File(_) | Found::Other => {
                println!("kept {}: it was changed since it was installed", path.display());
                kept.insert(path, digests);
            }
        }
    }
    receipt.files = kept;
    let list = places.receipt();
    if receipt.files.is_empty() {
        fs::remove_file(&list).with_context(|| format!("cannot remove {}", list.display()))?;
    } else {
        // The next installation has to know that these are its own and were changed.
        fs::write(&list, receipt.text()).with_context(|| format!("cannot write {}", list.display()))?;
    }
    remove_empty(&mut receipt.folders);
    println!("Removed {removed} files below {prefix}. The data of modules and the daemon's settings are untouched.");
    for daemon in running {
        println!(
            "A daemon of this installation still runs (process {}), although its programs are gone. Stop it with: {}",
            daemon.pid,
            daemon.stop()
        );
    }
    Ok(())
}
