//! Finds the program that a command means, and reports why it can't be run before a start is tried. It is never run
//! here.

use crate::document::{describe, quote};
use crate::environment::Environment;
use crate::files;
use crate::setting::check_no_nul;
use crate::trust::{Use, check_trust};
use nix::unistd::{AccessFlags, eaccess};
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// How many first bytes of a file show what it is; Linux reads as much of a `#!` line.
const HEAD_BYTES: u64 = 256;

/// The absolute path of the program that `word` means: with a '/' a path relative to `folder`, otherwise a name in one
/// of the folders of `$PATH`.
pub(crate) fn find(word: &str, folder: &Path, environment: &Environment) -> Result<PathBuf, String> {
    check_no_nul(word)?;
    let search = environment.variable("PATH");
    let path = if word.contains('/') {
        let path = folder.join(word);
        std::path::absolute(&path).unwrap_or(path)
    } else {
        look_up(word, search).ok_or_else(|| {
            let hint = if files::metadata(&folder.join(word)).is_ok() {
                format!("the file beside the manifest is written \"./{word}\"")
            } else {
                "a program of the module's own is written with a '/', like \"bin/program\"".into()
            };
            format!("found no program {} in $PATH; {hint}", quote(word))
        })?
    };
    match check(&path, search) {
        Ok(()) => Ok(path),
        Err(reason) => Err(format!("{}: {reason}", environment.shown(&path).display())),
    }
}

/// The first executable file of this name. Relative folders in `PATH` are ignored: what they mean depends on where the
/// host was started.
fn look_up(name: &str, search: Option<&OsStr>) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(search?).filter(|folder| folder.is_absolute()).collect();
    folders.into_iter().map(|folder| folder.join(name)).find(|path| files::is_file(path) && executable(path))
}

fn executable(path: &Path) -> bool {
    eaccess(path, AccessFlags::X_OK).is_ok()
}

/// Whether the file at `path` can be run.
fn check(path: &Path, search: Option<&OsStr>) -> Result<(), String> {
    let metadata = files::metadata(path).map_err(|error| describe(&error))?;
    if metadata.is_dir() {
        return Err("expected a program, found a folder".into());
    }
    if !metadata.is_file() {
        return Err("expected a program, found something that is no file".into());
    }
    if !executable(path) {
        return Err("expected a program, found a file that is not executable; chmod +x it".into());
    }
    // A program may be executable without being readable; then only the kernel can know.
    let Ok(head) = files::head(path, HEAD_BYTES) else { return Ok(()) };
    match head.strip_prefix(b"#!") {
        Some(rest) => check_script(rest.split(|byte| *byte == b'\n').next().unwrap_or_default(), search),
        None if head.is_empty() => Err("expected a program, found an empty file".into()),
        None if !head.contains(&0) && std::str::from_utf8(&head[..head.len().min(16)]).is_ok() => {
            Err("expected a program, found text without a \"#!\" line that names its interpreter".into())
        }
        None => Ok(()),
    }
}

/// Checks that no other user can change what runs the program, if it is a script.
pub(crate) fn check_interpreter(path: &Path, trusted: &[u32]) -> Result<(), String> {
    let Ok(head) = files::head(path, HEAD_BYTES) else { return Ok(()) };
    let line = head.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next());
    let Some(interpreter) = line.and_then(interpreter_of) else { return Ok(()) };
    check_trust(interpreter, Use::Shared, trusted)
        .map_err(|reason| format!("{}: is a script whose interpreter may not be used: {reason}", path.display()))
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The interpreter that the first line of a script names, without its `#!`.
fn interpreter_of(line: &[u8]) -> Option<&Path> {
    words(line).next().map(|word| Path::new(OsStr::from_bytes(word)))
}

/// Checks the interpreter in the first line of a script, without its `#!`.
fn check_script(line: &[u8], search: Option<&OsStr>) -> Result<(), String> {
    if line.ends_with(b"\r") {
        return Err("its \"#!\" line ends in a carriage return; save the script with Unix line ends".into());
    }
    let Some(interpreter) = interpreter_of(line) else {
        return Err("its \"#!\" line names no interpreter".into());
    };
    if !files::is_file(interpreter) {
        return Err(format!("is a script whose interpreter {} is not there", quote(&interpreter.to_string_lossy())));
    }
    if !executable(interpreter) {
        let interpreter = interpreter.to_string_lossy();
        return Err(format!("is a script whose interpreter {} is not executable", quote(&interpreter)));
    }
    if interpreter.file_name() != Some(OsStr::new("env")) {
        return Ok(());
    }
    // `env NAME` and `env -S NAME …` look the interpreter up; other forms are left to env itself.
    let name = words(line).skip(1).find(|word| *word != b"-S").map(|word| OsString::from(OsStr::from_bytes(word)));
    let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.is_empty() || name.starts_with('-') || name.contains(['=', '/']) || look_up(&name, search).is_some() {
        return Ok(());
    }
    Err(format!("is a script whose interpreter {} is not in $PATH", quote(&name)))
}
