//! Names of modules: short, printable, safe as a file name and as an address.

use crate::limits::NAME_BYTES_MAX;
use std::{fmt, sync::Arc};

/// Addresses that are built in and that no module may take.
pub const RESERVED: &[&str] = &["supervisor", "layer1"];

/// The name of a module: 1 to 64 characters of `a-z`, `0-9`, `-` and `_`, beginning with a letter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleName(Arc<str>);

/// Why a text is no name of a module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no characters, or more than 64.
    #[error("a module's name has 1 to {NAME_BYTES_MAX} characters, found {0}")]
    Length(usize),
    /// It begins with something other than a letter.
    #[error("a module's name begins with a letter a-z, found {0:?}")]
    First(char),
    /// It has a character that is not allowed.
    #[error("a module's name is made of a-z, 0-9, '-' and '_', found {0:?}")]
    Character(char),
    /// It is the address of a part of the host.
    #[error("the name {0:?} is the host's own")]
    Reserved(String),
}

impl ModuleName {
    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    /// When a rule of the type is broken.
    pub fn new(text: &str) -> Result<ModuleName, NameError> {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(NameError::Length(text.chars().count()));
        }
        if let Some(found) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_')) {
            return Err(NameError::Character(found));
        }
        let first = text.chars().next().expect("the length was checked");
        if !first.is_ascii_lowercase() {
            return Err(NameError::First(first));
        }
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(ModuleName(text.into()))
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for ModuleName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "research-log", "x_1", &"a".repeat(64)] {
            assert_eq!(ModuleName::new(good).unwrap().as_str(), good);
        }
        assert_eq!(ModuleName::new(""), Err(NameError::Length(0)));
        assert_eq!(ModuleName::new(&"a".repeat(65)), Err(NameError::Length(65)));
        assert_eq!(ModuleName::new("Log"), Err(NameError::Character('L')));
        assert_eq!(ModuleName::new("../etc"), Err(NameError::Character('.')));
        assert_eq!(ModuleName::new("1st"), Err(NameError::First('1')));
        assert_eq!(ModuleName::new("layer1"), Err(NameError::Reserved("layer1".into())));
    }
}
