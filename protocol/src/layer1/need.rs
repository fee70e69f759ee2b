//! What a payload touches, for the permission checks.

use super::EntityName;

/// One thing that a payload does to one type of entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Need {
    /// The type of entity.
    pub entity: EntityName,
    /// What is done to it.
    pub action: Action,
}

/// What can be done to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// It is read.
    Read,
    /// It is created.
    Create,
    /// It is updated.
    Write,
    /// It is deleted.
    Delete,
}

/// Each need once, sorted.
pub(super) fn distinct(needs: impl IntoIterator<Item = Need>) -> Vec<Need> {
    let mut needs: Vec<Need> = needs.into_iter().collect();
    needs.sort();
    needs.dedup();
    needs
}
