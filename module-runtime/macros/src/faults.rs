//! What is wrong with a block, each fault at its place; all of them are shown at once.

use syn::Error;

/// Faults that were found so far.
#[derive(Default)]
pub(crate) struct Faults(Option<Error>);

impl Faults {
    /// Notes a fault.
    pub(crate) fn add(&mut self, fault: Error) {
        match &mut self.0 {
            Some(first) => first.combine(fault),
            none @ None => *none = Some(fault),
        }
    }

    /// What was read, unless that failed.
    pub(crate) fn note<T>(&mut self, read: syn::Result<T>) -> Option<T> {
        read.map_err(|fault| self.add(fault)).ok()
    }

    /// All of them, if there are any.
    pub(crate) fn all(self) -> Option<Error> {
        self.0
    }
}
