//! `cargo xtask install`: builds everything that a user needs, and puts it below a prefix. Existing files that are not
//! this installation's stay as they are, and are named.

mod content;
mod files;
mod next;
mod places;
mod plan;
mod receipt;
mod report;
mod sdk;

pub(crate) use files::look;
pub(crate) use places::{Places, User};
pub(crate) use plan::Found;
pub(crate) use receipt::Receipt;

use crate::cargo::{self, Programs};
use anyhow::{Context, Result, bail, ensure};
use content::{Item, Kind};
use files::Staged;
use nix::unistd::{AccessFlags, access};
use plan::{Action, Plan, Reason};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Build and install the programs, manual pages, completions, SDKs and sample modules
///
/// Running programs are replaced, too: a daemon goes on with its own until it is started again. A second run
/// upgrades. A manifest that you changed is kept, and a file that another installation left is not touched.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to install [default: ~/.local, or /usr/local for root]
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// The profile to build: release, dev, or one of yours
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
    /// Install a `bulkhead` without shared libraries, which starts sooner
    #[arg(long = "static", conflicts_with_all = ["profile", "programs"])]
    static_command: bool,
    /// Build nothing and install the programs in this folder, such as target/release
    #[arg(long, value_name = "DIR", conflicts_with = "profile")]
    programs: Option<PathBuf>,
    /// Install no sample modules, and remove those of an earlier run that you did not change
    #[arg(long)]
    without_samples: bool,
    /// Build, say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// # Errors
/// When something cannot be built, read or written, or another installation's program is in the way.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let user = User::of_process();
    let places = Places::find(arguments.prefix.as_deref(), &user)?;
    check_before_build(&places)?;
    let programs = match &arguments.programs {
        Some(folder) => content::programs_in(folder)?,
        None => build(&arguments.profile, arguments.static_command)?,
    };
    let (items, left_out) = content::content(&places, &programs, !arguments.without_samples)?;
    let plan = match arguments.dry_run {
        true => decide(&items, &Receipt::read(&places.receipt())?)?,
        false => install(&places, &items)?,
    };
    report::print(&places, &items, &plan, &left_out, arguments.dry_run);
    if !arguments.dry_run {
        let upgraded = items
            .iter()
            .zip(&plan.actions)
            .any(|(item, action)| item.kind == Kind::Program && *action == Action::Replace);
        next::print(&places, &user, upgraded, !arguments.without_samples);
    }
    Ok(())
}

fn build(profile: &str, static_command: bool) -> Result<Programs> {
    println!("Building the {profile} profile. The first time this takes some minutes, later it takes seconds.");
    let mut programs = cargo::build(profile, &content::PACKAGES)?;
    if static_command {
        programs.extend(cargo::build_static()?);
    }
    Ok(programs)
}

/// Finds what would stop the installation before minutes are spent on building.
fn check_before_build(places: &Places) -> Result<()> {
    for folder in [places.prefix.clone(), places.programs(), places.modules.clone()] {
        check_writable(&folder)?;
    }
    let receipt = Receipt::read(&places.receipt())?;
    let in_the_way = content::PROGRAMS.iter().filter_map(|name| {
        let path = places.programs().join(name);
        plan::in_the_way(look(&path), receipt.files.get(&path)).map(|why| (path, why))
    });
    refuse_programs(&in_the_way.collect::<Vec<_>>())
}

fn check_writable(folder: &Path) -> Result<()> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    access(there, AccessFlags::W_OK | AccessFlags::X_OK).with_context(|| {
        format!(
            "cannot write to {}; choose another folder with --prefix, or install as root: \
             sudo env \"PATH=$PATH\" cargo xtask install",
            there.display()
        )
    })
}

/// `bulkhead` and `module-runtime` belong together, so that one of them alone is not installed.
fn refuse_programs(in_the_way: &[(PathBuf, Reason)]) -> Result<()> {
    let lines: Vec<String> =
        in_the_way.iter().map(|(path, why)| format!("\n  {}: {}", path.display(), why.reason())).collect();
    ensure!(
        lines.is_empty(),
        "nothing was installed, since these files are in the way; move or remove them, then run this again{}",
        lines.concat()
    );
    Ok(())
}

fn decide(items: &[Item], receipt: &Receipt) -> Result<Plan> {
    let digests = items.iter().map(|item| files::digest(&item.content)).collect::<Result<Vec<_>>>()?;
    let plan = plan::plan(items, &digests, receipt, look);
    let kept = items.iter().zip(&plan.actions).filter_map(|(item, action)| match action {
        Action::Keep(why) if item.kind == Kind::Program => Some((item.path.clone(), *why)),
        _ => None,
    });
    refuse_programs(&kept.collect::<Vec<_>>())?;
    Ok(plan)
}

/// All new files are written beside their final paths before the first of them is moved there. The list of installed
/// files is written before that, with the old and the new content, so that an interrupted installation can be run
/// again.
fn install(places: &Places, items: &[Item]) -> Result<Plan> {
    let mut staged = Staged::default();
    staged.make_folder(&places.prefix, 0o755)?;
    let _lock = lock(&places.prefix)?;
    let mut receipt = Receipt::read(&places.receipt())?;
    let plan = decide(items, &receipt)?;
    items.iter().try_for_each(|item| files::remove_leftover(&item.path))?;
    let of_modules = if places.modules_are_private { 0o700 } else { 0o755 };
    staged.make_folder(&places.modules, of_modules)?;
    staged.make_folder(places.receipt().parent().expect("it is a file below the prefix"), 0o755)?;
    for (item, action) in items.iter().zip(&plan.actions) {
        if matches!(action, Action::Add | Action::Replace) {
            staged.write(&item.content, &item.path, item.mode)?;
        }
    }
    receipt.folders.extend(staged.folders().iter().cloned());
    let both = plan.files.iter().chain(&receipt.files);
    let mut begun = Receipt { folders: receipt.folders.clone(), ..Receipt::default() };
    both.for_each(|(path, digests)| begun.files.entry(path.clone()).or_default().extend(digests));
    files::replace(&places.receipt(), &begun.text())?;
    staged.commit()?;
    for path in &plan.removals {
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    receipt.files = plan.files.clone();
    if !plan.removals.is_empty() {
        remove_empty(&mut receipt.folders);
    }
    files::replace(&places.receipt(), &receipt.text())?;
    Ok(plan)
}

/// Two installations to one prefix would undo each other's files.
///
/// # Errors
/// When another one is in progress.
pub(crate) fn lock(prefix: &Path) -> Result<File> {
    let folder = File::open(prefix).with_context(|| prefix.display().to_string())?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => {
            bail!("another installation to {} is under way; run this again when it is done", prefix.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", prefix.display())),
    }
}

/// Removes the folders of the list that are empty, inner ones first; removed ones leave the list. What Python compiled
/// of files that are gone does not keep a folder.
pub(crate) fn remove_empty(folders: &mut std::collections::BTreeSet<PathBuf>) {
    let inner_first: Vec<PathBuf> = folders.iter().rev().cloned().collect();
    for folder in inner_first {
        let mut names = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        if let (Some(only), None) = (names.next(), names.next())
            && only == "__pycache__"
        {
            // One that cannot be removed keeps its folder, as any other file does.
            let _ = fs::remove_dir_all(folder.join(only));
        }
        match fs::remove_dir(&folder) {
            Ok(()) => folders.remove(&folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => folders.remove(&folder),
            Err(_) => false,
        };
    }
}
