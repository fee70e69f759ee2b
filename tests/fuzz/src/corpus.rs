//! The inputs to begin with: the files of a target in `corpus/`, which reach all code that any input was found to
//! reach, and files that other tests have. Which of them are worth keeping is decided elsewhere.

use crate::Target;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The longest input that is tried, in bytes. Longer ones take longer and reach no other code.
pub const INPUT_BYTES_MAX: usize = 16 * 1024;

/// The root of the checkout.
pub fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).expect("this package lies in a folder of a folder of the checkout")
}

/// The folder of a target's inputs.
pub fn folder(target: &Target) -> PathBuf {
    root().join("tests/fuzz/corpus").join(target.name)
}

/// All inputs of a target, always in the same order.
///
/// # Errors
/// When a folder or a file cannot be read.
pub fn read(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let mut paths = files(&folder(target), None)?;
    for (folder, ending) in target.seeds {
        paths.extend(files(&root().join(folder), Some(ending))?);
    }
    let mut inputs = paths.into_iter().map(fs::read).collect::<io::Result<Vec<_>>>()?;
    inputs.retain(|input| input.len() <= INPUT_BYTES_MAX);
    Ok(inputs)
}

/// The files in a folder and in those inside it, with this ending or any.
fn files(folder: &Path, ending: Option<&str>) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                open.push(path);
            } else if ending.is_none_or(|ending| path.extension().is_some_and(|found| found == ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
