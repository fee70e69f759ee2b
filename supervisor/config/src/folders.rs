//! What is in a folder of modules: the folders that have a manifest, and what is ignored, since it has none. The
//! manifests are not read.

use crate::document::describe;
use crate::environment::{Environment, problem};
use crate::files;
use crate::manifest::MANIFEST;
use crate::suggestions::nearest;
use crate::trust::{Use, check_trust};
use crate::{PassedOver, Problem};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// How many entries are reported one by one; more are counted in one line.
const PASSED_OVER_MAX: usize = 32;

/// What is in a folder of modules, each in the order of its names.
#[derive(Default)]
pub(crate) struct Entries {
    pub(crate) modules: Vec<PathBuf>,
    pub(crate) passed_over: Vec<PassedOver>,
}

/// Looks into a folder of modules: itself is one when it has a manifest, otherwise each folder in it that has one.
pub(crate) fn in_folder(folder: &Path, environment: &Environment) -> Result<Entries, Problem> {
    let shown = environment.shown(folder);
    let fail = |message: String| problem(format!("{}: {message}", shown.display()));
    if !files::is_dir(folder) {
        let found = files::metadata(folder).map_or_else(|error| describe(&error), |_| "found a file".into());
        return Err(fail(format!("expected a folder of modules: {found}")));
    }
    check_trust(folder, Use::Content, &environment.trusted_users).map_err(|error| fail(error.to_string()))?;
    if files::is_there(&folder.join(MANIFEST)) {
        return Ok(Entries { modules: vec![folder.to_path_buf()], passed_over: Vec::new() });
    }
    let mut paths = Vec::new();
    for entry in files::folder(folder).map_err(|error| fail(describe(&error)))? {
        paths.push(entry.map_err(|error| fail(describe(&error)))?.path());
    }
    paths.sort();
    let mut entries = Entries::default();
    let mut files = Vec::new();
    let mut left_out = 0;
    for path in paths {
        let (reason, is_closed, is_folder) = match what_is(&path) {
            Entry::Module => {
                entries.modules.push(path);
                continue;
            }
            Entry::File => {
                files.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
                ("it is no folder".to_owned(), false, false)
            }
            Entry::Hidden => ("it is hidden".to_owned(), false, false),
            Entry::Without(hint) => (format!("it has no {MANIFEST}{hint}"), false, true),
            Entry::Closed(reason) => (reason, true, true),
        };
        // What may be a module is always named.
        if is_closed || entries.passed_over.len() < PASSED_OVER_MAX {
            let shown = environment.shown(&path);
            entries.passed_over.push(PassedOver { path, shown, reason, is_closed, is_folder });
        } else {
            left_out += 1;
        }
    }
    let misspelt = files.iter().find(|name| nearest(name, [MANIFEST]).is_some());
    if let (true, Some(name)) = (entries.modules.is_empty(), misspelt) {
        return Err(fail(format!("expected {MANIFEST:?} or folders that have it, found {name:?}")));
    }
    if left_out > 0 {
        let reason = format!("{left_out} more entries without {MANIFEST}");
        let (path, is_closed, is_folder) = (folder.to_owned(), false, false);
        entries.passed_over.push(PassedOver { path, shown, reason, is_closed, is_folder });
    }
    Ok(entries)
}

/// One entry of a folder of modules.
enum Entry {
    Module,
    File,
    Hidden,
    /// A folder without a manifest, and what may be meant instead.
    Without(String),
    /// A folder that this user may not look into, and why.
    Closed(String),
}

fn what_is(path: &Path) -> Entry {
    if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
        return Entry::Hidden;
    }
    if !files::is_dir(path) {
        return Entry::File;
    }
    match files::metadata_of_link(&path.join(MANIFEST)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Entry::Without(misspelt_in(path)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Entry::Closed(describe(&error)),
        // Other faults are reported when it is read.
        Ok(_) | Err(_) => Entry::Module,
    }
}

/// What looks like a misspelt manifest in a folder that has none.
fn misspelt_in(folder: &Path) -> String {
    let names = files::folder(folder).into_iter().flatten().take(1000);
    let names: Vec<String> =
        names.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    match names.iter().find(|name| nearest(name, [MANIFEST]).is_some()) {
        Some(name) => format!("; rename {name:?} if it is meant"),
        None => String::new(),
    }
}
