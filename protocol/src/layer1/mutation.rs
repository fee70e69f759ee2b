//! The payload of a `mutation` to `layer1`.

use super::{
    Action, Data, EntityId, EntityName, Fault, Need, fault::Inside, fields::Fields, limits::OPERATIONS_MAX,
    need::distinct,
};
use crate::Json;
use bulkhead_json::{Kind, Raw};

/// What a mutation does: everything, or nothing of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    /// One after the other.
    pub operations: Vec<Operation>,
    /// How it was written, which is how it is answered.
    pub form: Form,
}

/// How a mutation was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As one operation.
    Single,
    /// As a list.
    List,
}

/// One change of one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The type of the entity.
    pub entity: EntityName,
    /// What happens to it.
    pub change: Change,
}

/// What happens to an entity.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is created.
    Create {
        /// Its id, if the caller wants one of its own.
        id: Option<EntityId>,
        /// What it holds.
        data: Data,
    },
    /// It is changed.
    Update {
        /// Which one.
        id: EntityId,
        /// A merge patch (RFC 7396).
        patch: Data,
        /// The version that it must have.
        expected: Option<u64>,
    },
    /// It is deleted.
    Delete {
        /// Which one.
        id: EntityId,
        /// The version that it must have.
        expected: Option<u64>,
    },
}

const MEMBERS: &[&str] = &["entity", "operation", "id", "data", "expected_version"];
const MEMBERS_OF_ALL: &[&str] = &["operations", "entity", "operation", "id", "data", "expected_version"];

impl Mutation {
    /// Whether it only creates entities under ids that the store makes, and so builds on nothing that is stored.
    pub fn creates_only_new(&self) -> bool {
        self.operations.iter().all(|one| matches!(one.change, Change::Create { id: None, .. }))
    }

    /// Reads the payload of a mutation.
    ///
    /// # Errors
    /// With the path inside the payload.
    pub fn read(payload: &Json) -> Result<Mutation, Fault> {
        let raw = Raw::from(payload);
        let list = raw.members().find(|(name, _)| name.as_str() == "\"operations\"");
        if list.is_none() {
            let fields = Fields::read(raw, "a mutation", MEMBERS_OF_ALL)?;
            return Ok(Mutation { operations: vec![read_operation(&fields)?], form: Form::Single });
        }
        let fields = Fields::read(raw, "a mutation with a list", &["operations"])?;
        let operations = fields.read_required("operations", |raw| {
            if raw.kind() != Kind::List {
                return Err(Fault::new(format!("expected a list of operations, found {}", raw.quote())));
            }
            let found = raw.elements().take(OPERATIONS_MAX + 1).count();
            if found == 0 || found > OPERATIONS_MAX {
                let found = raw.elements().count();
                return Err(Fault::new(format!("expected 1 to {OPERATIONS_MAX} operations, found {found}")));
            }
            let read = |raw| read_operation(&Fields::read(raw, "an operation", MEMBERS)?);
            raw.elements().enumerate().map(|(index, raw)| read(raw).inside(index)).collect()
        })?;
        Ok(Mutation { operations, form: Form::List })
    }

    /// What the mutation touches.
    pub fn needs(&self) -> Vec<Need> {
        distinct(self.operations.iter().map(|operation| Need {
            entity: operation.entity.clone(),
            action: match operation.change {
                Change::Create { .. } => Action::Create,
                Change::Update { .. } => Action::Write,
                Change::Delete { .. } => Action::Delete,
            },
        }))
    }
}

fn read_operation(fields: &Fields<'_>) -> Result<Operation, Fault> {
    let entity = fields.read_required("entity", EntityName::read)?;
    let operation = fields.read_required("operation", |raw| match raw.text() {
        Some(text) if matches!(&*text, "create" | "update" | "delete") => Ok(text.into_owned()),
        _ => Err(Fault::new(format!("expected \"create\", \"update\" or \"delete\", found {}", raw.quote()))),
    })?;
    let expected = fields.read_optional("expected_version", read_version)?;
    let change = match operation.as_str() {
        "create" => {
            if expected.is_some() {
                let reason = "expected no version of what is to be created, found one";
                return Err(Fault::new(reason).inside("expected_version"));
            }
            let id = fields.read_optional("id", EntityId::read)?;
            Change::Create { id, data: fields.read_required("data", Data::new)? }
        }
        "update" => {
            let id = fields.read_required("id", EntityId::read)?;
            Change::Update { id, patch: fields.read_required("data", Data::new)?, expected }
        }
        _ => {
            if fields.optional("data").is_some() {
                return Err(Fault::new("expected no data of what is to be deleted, found some").inside("data"));
            }
            Change::Delete { id: fields.read_required("id", EntityId::read)?, expected }
        }
    };
    Ok(Operation { entity, change })
}

fn read_version(raw: Raw<'_>) -> Result<u64, Fault> {
    let version: Option<u64> = if raw.kind() == Kind::Number { raw.as_str().parse().ok() } else { None };
    version
        .filter(|version| *version >= 1)
        .ok_or_else(|| Fault::new(format!("expected a version, an integer from 1, found {}", raw.quote())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";

    fn read(text: &str) -> Result<Mutation, Fault> {
        Mutation::read(&Json::parse(&text.replace("ID", ID)).unwrap())
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn a_mutation_is_one_operation_or_a_list() {
        let single = read(r#"{"entity":"A","operation":"create","data":{ "n": 1.0 }}"#).unwrap();
        assert_eq!(single.form, Form::Single);
        let Change::Create { id: None, data } = &single.operations[0].change else { panic!("it creates") };
        assert_eq!(data.as_str(), r#"{"n":1.0}"#);
        let list = r#"{"operations":[{"entity":"A","operation":"update","id":"ID","data":{},"expected_version":3},
            {"entity":"B","operation":"delete","id":"ID"},{"entity":"A","operation":"create","id":"ID","data":{}}]}"#;
        let needs: Vec<_> =
            read(list).unwrap().needs().into_iter().map(|need| (need.entity.to_string(), need.action)).collect();
        let expected = [("A", Action::Create), ("A", Action::Write), ("B", Action::Delete)];
        assert_eq!(needs, expected.map(|(entity, action)| (entity.to_owned(), action)));
    }

    #[test]
    fn faults_name_their_path_and_what_was_expected() {
        assert_eq!(
            refused(r#"{"entity":"A","operation":"upsert"}"#),
            r#"at operation: expected "create", "update" or "delete", found "upsert""#
        );
        assert_eq!(refused(r#"{"entity":"A","operation":"create"}"#), r#"expected the member "data", found none"#);
        assert_eq!(
            refused(r#"{"entity":"A","operation":"create","data":[]}"#),
            "at data: expected an object, found []"
        );
        assert_eq!(
            refused(r#"{"operations":[{"entity":"A","operation":"create","data":{"a":{"b":1,"b":2}}}]}"#),
            "at operations.0.data.a.b: the object has this member twice"
        );
        assert_eq!(refused(r#"{"operations":[]}"#), "at operations: expected 1 to 1000 operations, found 0");
        assert_eq!(
            refused(r#"{"operations":[],"entity":"A"}"#),
            r#"a mutation with a list has no member "entity"; it may have operations"#
        );
        assert_eq!(refused(r#"{"operation":[]}"#), r#"expected the member "entity", found none"#);
        assert_eq!(
            refused(r#"{"entity":"A","operation":"update","id":"7","data":{}}"#),
            r#"at id: expected an id, a UUID of 36 characters, found "7""#
        );
        assert_eq!(
            refused(r#"{"entity":"A","operation":"update","data":{}}"#),
            r#"expected the member "id", found none"#
        );
        assert!(
            refused(r#"{"entity":"A","operation":"delete","id":"ID","expected_version":0}"#)
                .starts_with("at expected_version: expected a version")
        );
        assert!(
            refused(r#"{"entity":"A","operation":"delete","id":"ID","data":{}}"#)
                .starts_with("at data: expected no data")
        );
        assert!(
            refused(r#"{"entity":"A","operation":"create","data":{},"expected_version":1}"#)
                .starts_with("at expected_version")
        );
        assert_eq!(
            refused(r#"{"entity":"A","operations":7}"#).split(';').next(),
            Some(r#"a mutation with a list has no member "entity""#)
        );
        let many = vec![r#"{"entity":"A","operation":"create","data":{}}"#; OPERATIONS_MAX + 1].join(",");
        assert_eq!(
            refused(&format!(r#"{{"operations":[{many}]}}"#)),
            "at operations: expected 1 to 1000 operations, found 1001"
        );
    }
}
