//! Includes: entities that refer to those of the answer, put into it.

use super::{
    EntityName, Fault, MemberPath, Path,
    fault::Inside,
    fields::Fields,
    limits::{INCLUDES_MAX, LIMIT_DEFAULT},
    query::read_limit,
};
use bulkhead_json::{Kind, Raw};

/// Entities of one type that name, at a path, the id of an entity of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// The type of the entities to include.
    pub entity: EntityName,
    /// Where they hold the id of the entity that they refer to.
    pub field: MemberPath,
    /// What they are called in the answer; the entity type, unless the query says otherwise.
    pub name: String,
    /// How many at most for each entity of the answer.
    pub limit: u32,
}

pub(super) fn read_includes(raw: Raw<'_>) -> Result<Vec<Include>, Fault> {
    if raw.kind() == Kind::Object {
        return Ok(vec![read_one(raw)?]);
    }
    if raw.kind() != Kind::List {
        return Err(Fault::new(format!("expected a list of {{\"entity\",\"field\"}}, found {}", raw.quote())));
    }
    let mut includes: Vec<Include> = Vec::new();
    for (index, element) in raw.elements().enumerate() {
        if index == INCLUDES_MAX {
            return Err(Fault::new(format!("a query has at most {INCLUDES_MAX} includes, found more")));
        }
        let one = read_one(element).inside(index)?;
        if includes.iter().any(|other| other.name == one.name) {
            let reason = format!("another include is called {:?} already; give this one a name with \"as\"", one.name);
            return Err(Fault::new(reason).inside(index));
        }
        includes.push(one);
    }
    Ok(includes)
}

fn read_one(raw: Raw<'_>) -> Result<Include, Fault> {
    let fields = Fields::read(raw, "an include", &["entity", "field", "as", "limit"])?;
    let entity = fields.read_required("entity", EntityName::read)?;
    let field = fields.read_required("field", |raw| match Path::read(raw)? {
        Path::Member(path) => Ok(path),
        Path::Column(column) => Err(Fault::new(format!("expected the path of a member, found {:?}", column.name()))),
    })?;
    let name = fields.read_optional("as", |raw| match raw.text() {
        Some(text) if (1..=64).contains(&text.len()) => Ok(text.into_owned()),
        _ => Err(Fault::new(format!("expected a name of 1 to 64 bytes, found {}", raw.quote()))),
    })?;
    let limit = fields.read_optional("limit", |raw| read_limit(raw, 1))?.unwrap_or(LIMIT_DEFAULT);
    Ok(Include { name: name.unwrap_or_else(|| entity.as_str().to_owned()), entity, field, limit })
}
