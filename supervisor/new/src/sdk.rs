//! Where the SDKs and the schemas are: in the installation that this program belongs to, or in the checkout that it was
//! built in. It reads nothing of them.

use anyhow::{Context, Result};
use std::env;
use std::path::{Path, PathBuf};

/// The SDKs of one installation or checkout; none if there is neither.
#[derive(Debug)]
pub(crate) struct Sdk {
    found: Option<Found>,
    /// Where an installation would have them.
    expected: PathBuf,
}

#[derive(Debug)]
enum Found {
    /// `share/bulkhead`.
    Installed(PathBuf),
    /// The root of the sources.
    Checkout(PathBuf),
}

/// Looks around this program.
pub(crate) fn find() -> Sdk {
    // A link to the program, such as one in ~/bin, does not lead to another installation.
    let own = env::current_exe().and_then(|path| path.canonicalize()).unwrap_or_default();
    let around = own.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    let share = around.join("share/bulkhead");
    let found = match share.join("sdk").is_dir() {
        true => Some(Found::Installed(share.clone())),
        false => own
            .ancestors()
            .find(|folder| folder.join("module-runtime/include/module.h").is_file())
            .map(|root| Found::Checkout(root.to_owned())),
    };
    Sdk { found, expected: share.join("sdk") }
}

impl Sdk {
    #[cfg(test)]
    pub(crate) fn none() -> Sdk {
        Sdk { found: None, expected: PathBuf::new() }
    }

    /// The package for Python, a folder `bulkhead`.
    pub(crate) fn python(&self) -> Result<PathBuf> {
        self.part("python/src/bulkhead", "module-runtime/python/src/bulkhead")
    }

    /// The package for TypeScript, with `package.json` and `dist`.
    pub(crate) fn typescript(&self) -> Result<PathBuf> {
        self.part("typescript", "module-runtime/typescript")
    }

    /// The crate for Rust.
    pub(crate) fn rust(&self) -> Result<PathBuf> {
        self.part("rust/module-runtime/sdk", "module-runtime/sdk")
    }

    /// The versions of other crates that the crate for Rust was tested with.
    pub(crate) fn rust_lock(&self) -> Result<PathBuf> {
        self.part("rust/Cargo.lock", "Cargo.lock")
    }

    /// The C border.
    pub(crate) fn header(&self) -> Result<PathBuf> {
        self.part("c/module.h", "module-runtime/include/module.h")
    }

    /// The schema of a manifest; editors do without it.
    pub(crate) fn schema(&self) -> Option<PathBuf> {
        let path = match self.found.as_ref()? {
            Found::Installed(share) => share.join("schemas/module.schema.json"),
            Found::Checkout(root) => root.join("docs/schemas/module.schema.json"),
        };
        path.is_file().then_some(path)
    }

    fn part(&self, installed: &str, checkout: &str) -> Result<PathBuf> {
        let path = match &self.found {
            Some(Found::Installed(share)) => Some(share.join("sdk").join(installed)),
            Some(Found::Checkout(root)) => Some(root.join(checkout)),
            None => None,
        };
        path.filter(|path| path.exists()).with_context(|| {
            let expected = self.expected.join(installed);
            format!("nothing was made: expected the SDK at {}, found none; install Bulkhead again", expected.display())
        })
    }
}
