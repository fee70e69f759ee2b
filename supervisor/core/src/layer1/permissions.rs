//! Which entities a module may touch. Nothing is granted that its manifest does not say.

use crate::{core::Core, routing::refused, run::RunId};
use bulkhead_protocol::{
    ErrorCode, Failure, Pattern,
    layer1::{Action, Need},
};

/// What a manifest grants of the store: patterns of the types of entities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entities {
    /// `entity_read`.
    pub read: Vec<Pattern>,
    /// `entity_create`.
    pub create: Vec<Pattern>,
    /// `entity_write`.
    pub write: Vec<Pattern>,
    /// `entity_delete`.
    pub delete: Vec<Pattern>,
}

impl Entities {
    /// The patterns for an action, their name in the manifest, and the verb for a sentence.
    fn of(&self, action: Action) -> (&[Pattern], &'static str, &'static str) {
        match action {
            Action::Read => (&self.read, "entity_read", "read"),
            Action::Create => (&self.create, "entity_create", "create"),
            Action::Write => (&self.write, "entity_write", "update"),
            Action::Delete => (&self.delete, "entity_delete", "delete"),
        }
    }
}

impl Core {
    /// Whether a module's process may do all of this.
    pub(crate) fn check_needs(&self, run: RunId, needs: &[Need]) -> Result<(), Failure> {
        let Some(run) = self.runs.get(&run) else {
            return Err(refused(ErrorCode::PermissionDenied, "the process is not known any more"));
        };
        for need in needs {
            let entity = need.entity.as_str();
            let (granted, line, verb) = run.spec.entities.of(need.action);
            if !granted.iter().any(|pattern| pattern.matches(entity)) {
                let reason = format!(
                    "{} may not {verb} entities of type {entity}: its manifest would need {line} = [\"{entity}\"] under [capabilities]",
                    run.spec.name
                );
                return Err(refused(ErrorCode::PermissionDenied, reason));
            }
        }
        Ok(())
    }
}
