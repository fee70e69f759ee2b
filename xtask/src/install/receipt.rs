//! The list of what was installed, in the form of `sha256sum`: it records which files belong to an installation, and
//! shows whether one was changed since. A path has more than one line while it is being replaced, so that an
//! installation that was interrupted is known, too. Folders that were made are comments, which `sha256sum` ignores.

use anyhow::{Context, Result, anyhow};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(content: &[u8]) -> Digest {
        Digest(Sha256::digest(content).into())
    }

    /// The digest of all that was hashed.
    pub(crate) fn finish(hash: Sha256) -> Digest {
        Digest(hash.finalize().into())
    }

    fn parse(text: &str) -> Option<Digest> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Digest(bytes))
    }
}

/// The files and folders of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) files: BTreeMap<PathBuf, BTreeSet<Digest>>,
    pub(crate) folders: BTreeSet<PathBuf>,
}

const HEAD: &str = "# What `cargo xtask install` has put here; `cargo xtask uninstall` removes it.";
const FOLDER: &str = "# folder ";

impl Receipt {
    /// Reads the list; without one, nothing was installed.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub(crate) fn read(path: &Path) -> Result<Receipt> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Receipt::default()),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Receipt::parse(&text).map_err(|line| {
            let path = path.display();
            anyhow!(
                "{path}: line {line}: expected a checksum, two spaces and an absolute path; this is the list of what \
                 was installed: restore it, or remove it and the installed files"
            )
        })
    }

    /// `Err` has the number of the line that is none of this list.
    fn parse(text: &str) -> Result<Receipt, usize> {
        let mut receipt = Receipt::default();
        for (at, line) in text.lines().enumerate() {
            if let Some(folder) = line.strip_prefix(FOLDER) {
                receipt.folders.insert(folder.into());
            } else if !line.starts_with('#') {
                let (digest, path) = line.split_once("  ").ok_or(at + 1)?;
                let digest = Digest::parse(digest).ok_or(at + 1)?;
                let path = Path::new(path);
                if !path.is_absolute() {
                    return Err(at + 1);
                }
                receipt.files.entry(path.to_owned()).or_default().insert(digest);
            }
        }
        Ok(receipt)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for folder in &self.folders {
            let _ = writeln!(text, "{FOLDER}{}", folder.display());
        }
        for (path, digests) in &self.files {
            for Digest(bytes) in digests {
                bytes.iter().for_each(|byte| {
                    let _ = write!(text, "{byte:02x}");
                });
                let _ = writeln!(text, "  {}", path.display());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut receipt = Receipt::default();
        let digests = [Digest::of(b"old"), Digest::of(b"new")];
        receipt.files.insert("/opt/b/bin/bulkhead".into(), digests.into());
        receipt.files.insert("/opt/b/a name  with blanks".into(), [Digest::of(b"")].into());
        receipt.folders.insert("/opt/b/bin".into());
        assert_eq!(Receipt::parse(&receipt.text()), Ok(receipt));
    }

    #[test]
    fn the_form_is_that_of_sha256sum() {
        let receipt =
            Receipt { files: [("/a".into(), [Digest::of(b"abc")].into())].into(), folders: BTreeSet::default() };
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  /a\n";
        assert_eq!(receipt.text(), format!("{HEAD}\n{abc}"));
    }

    #[test]
    fn what_is_no_such_list_is_refused_with_its_line() {
        let good = Receipt { files: [("/a".into(), [Digest::of(b"abc")].into())].into(), ..Receipt::default() }.text();
        for bad in ["hello", "abc  /a", &format!("{}  a", "0".repeat(64)), &format!("{}  /a", "ä".repeat(32))] {
            assert_eq!(Receipt::parse(&format!("{good}{bad}\n")), Err(3), "{bad}");
        }
    }
}
