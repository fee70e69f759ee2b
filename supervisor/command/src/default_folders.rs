//! The folder of modules that `run` uses when nothing names one: it is made if it is missing. The configuration decides
//! where it is.

use bulkhead_config::{HostConfig, Loaded, Origin, Problem, Problems};
use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Makes the default folder of modules, if that is the one in use, and reports that. Without it the host runs with no
/// modules.
pub(crate) fn make_for(loaded: &Loaded) {
    for folder in defaults(&loaded.host).filter(|folder| !folder.exists()) {
        match make(folder) {
            Ok(made) => {
                made.iter().for_each(|path| tracing::info!("made the folder {}", path.display()));
            }
            Err(error) => tracing::warn!(
                "there is no folder of modules: {} cannot be made: {error}; make it, or name another with --modules DIR or \
                 host.modules",
                folder.display()
            ),
        }
    }
}

/// Refuses a configuration without the default folder of modules, where that was there before: its modules would all
/// seem to be gone.
///
/// # Errors
/// When it is not there any more.
pub(crate) fn check_again(loaded: Loaded, were_there: &[PathBuf]) -> Result<Loaded, Problems> {
    let is_gone = |folder: &&Path| were_there.iter().any(|it| it == folder) && !folder.exists();
    if let Some(folder) = defaults(&loaded.host).find(is_gone) {
        let message = format!("{}: expected the folder of modules, which was there before", folder.display());
        return Err(Problem { file: None, position: None, message }.into());
    }
    Ok(loaded)
}

/// The default folders that exist.
pub(crate) fn there(loaded: &Loaded) -> Vec<PathBuf> {
    defaults(&loaded.host).filter(|folder| folder.exists()).map(Path::to_owned).collect()
}

fn defaults(host: &HostConfig) -> impl Iterator<Item = &Path> {
    let is_default = host.origins.of("host.modules") == Origin::Default;
    host.modules.iter().filter(move |_| is_default).map(PathBuf::as_path)
}

/// Makes a folder and those on the way to it, and returns all that were made, the outermost first. No other user may
/// write to them, and where the folder is a user's own no other may look into them.
fn make(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut missing: Vec<PathBuf> =
        folder.ancestors().take_while(|path| path.symlink_metadata().is_err()).map(Path::to_owned).collect();
    missing.reverse();
    let mode = if nix::unistd::geteuid().is_root() { 0o755 } else { 0o700 };
    DirBuilder::new().recursive(true).mode(mode).create(folder)?;
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn all_that_is_missing_is_made_closed_to_the_writing_of_others_and_reported() {
        let root = std::env::temp_dir().join(format!("bulkhead-default-folders-{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let folder = root.join("share/bulkhead/modules");
        let made = make(&folder).unwrap();
        assert_eq!(made, [root.join("share"), root.join("share/bulkhead"), folder.clone()]);
        for path in &made {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o022, 0, "{}", path.display());
        }
        assert_eq!(make(&folder).unwrap(), Vec::<PathBuf>::new());
        fs::write(root.join("file"), "").unwrap();
        make(&root.join("file/modules")).unwrap_err();
        fs::remove_dir_all(&root).unwrap();
    }
}
