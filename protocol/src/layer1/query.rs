//! The payload of a `query` to `layer1`.

use super::{
    Action, EntityId, EntityName, Fault, Filter, Include, Need, Order, Search,
    fields::Fields,
    filter::read_filters,
    include::read_includes,
    limits::{CURSOR_BYTES_MAX, LIMIT_DEFAULT, LIMIT_MAX, QUERY_BYTES_MAX},
    need::distinct,
    order::read_order,
};
use crate::{HeldBytes, Json};
use bulkhead_json::{Kind, Raw};

/// What a query asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The type of the entities.
    pub entity: EntityName,
    /// Which of them.
    pub selection: Selection,
    /// What is to be included with them.
    pub include: Vec<Include>,
    /// What all of that takes in memory. It is counted when the query is read, since a list of values may
    /// be long, and is needed wherever the query waits.
    held: usize,
}

impl HeldBytes for Query {
    fn held_bytes(&self) -> usize {
        self.held
    }
}

/// Which entities of a type a query is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Selection {
    /// The one with this id, which must be there.
    One(EntityId),
    /// All for which something holds, page by page.
    Many(Box<Many>),
}

/// A page of all the entities for which something holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Many {
    /// What must hold.
    pub filters: Vec<Filter>,
    /// What they must have in their texts.
    pub search: Option<Search>,
    /// In which order.
    pub order: Vec<Order>,
    /// How many at most; 0 only where they are counted.
    pub limit: u32,
    /// After which position in the order: the `next` of an earlier answer.
    pub after: Option<String>,
    /// Whether to say how many there are in all.
    pub count: Count,
}

/// Whether a query says how many entities there are in all, whatever its limit and cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// It does not.
    #[default]
    No,
    /// It does.
    Yes,
}

const MEMBERS: &[&str] = &["entity", "id", "filters", "search", "order", "include", "limit", "after", "count"];

impl Query {
    /// The id, if the query is for one entity and nothing with it.
    pub fn one_alone(&self) -> Option<EntityId> {
        match self.selection {
            Selection::One(id) if self.include.is_empty() => Some(id),
            Selection::One(_) | Selection::Many(_) => None,
        }
    }

    /// Reads the payload of a query.
    ///
    /// # Errors
    /// With the path inside the payload.
    pub fn read(payload: &Json) -> Result<Query, Fault> {
        let raw = Raw::from(payload);
        if raw.as_str().len() > QUERY_BYTES_MAX {
            let found = raw.as_str().len();
            return Err(Fault::new(format!("a query has at most {QUERY_BYTES_MAX} bytes, found {found}")));
        }
        let fields = Fields::read(raw, "a query", MEMBERS)?;
        let entity = fields.read_required("entity", EntityName::read)?;
        let include = fields.read_optional("include", read_includes)?.unwrap_or_default();
        let Some(id) = fields.read_optional("id", EntityId::read)? else {
            return Ok(Query::new(entity, Selection::Many(Box::new(read_many(&fields)?)), include));
        };
        for beside in ["filters", "search", "order", "limit", "after", "count"] {
            if fields.optional(beside).is_some() {
                let reason = format!("expected \"id\" alone or {beside:?} without it, found both");
                return Err(Fault::new(reason));
            }
        }
        Ok(Query::new(entity, Selection::One(id), include))
    }

    fn new(entity: EntityName, selection: Selection, include: Vec<Include>) -> Query {
        let held = entity.held_bytes() + selection.held_bytes() + include.held_bytes();
        Query { entity, selection, include, held }
    }

    /// What the query touches.
    pub fn needs(&self) -> Vec<Need> {
        let entities = std::iter::once(&self.entity).chain(self.include.iter().map(|include| &include.entity));
        distinct(entities.map(|entity| Need { entity: entity.clone(), action: Action::Read }))
    }
}

fn read_many(fields: &Fields<'_>) -> Result<Many, Fault> {
    let count = fields.read_optional("count", |raw| match raw.as_str() {
        "true" => Ok(Count::Yes),
        "false" => Ok(Count::No),
        _ => Err(Fault::new(format!("expected true or false, found {}", raw.quote()))),
    })?;
    let count = count.unwrap_or_default();
    let lowest = if count == Count::Yes { 0 } else { 1 };
    Ok(Many {
        filters: fields.read_optional("filters", read_filters)?.unwrap_or_default(),
        search: fields.read_optional("search", Search::read)?,
        order: fields.read_optional("order", read_order)?.unwrap_or_default(),
        limit: fields.read_optional("limit", |raw| read_limit(raw, lowest))?.unwrap_or(LIMIT_DEFAULT),
        after: fields.read_optional("after", |raw| match raw.text() {
            Some(text) if text.len() <= CURSOR_BYTES_MAX => Ok(text.into_owned()),
            _ => Err(Fault::new(format!("expected the \"next\" of an earlier answer, found {}", raw.quote()))),
        })?,
        count,
    })
}

pub(super) fn read_limit(raw: Raw<'_>, lowest: u32) -> Result<u32, Fault> {
    let number = if raw.kind() == Kind::Number { raw.as_str().parse().ok() } else { None };
    number
        .filter(|limit| (lowest..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| Fault::new(format!("expected an integer from {lowest} to {LIMIT_MAX}, found {}", raw.quote())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Query, Fault> {
        Query::read(&Json::parse(text).unwrap())
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn a_query_is_for_one_or_for_many() {
        let one = read(r#"{"entity":"Log","id":"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f"}"#).unwrap();
        assert!(matches!(one.selection, Selection::One(_)));
        let many = read(r#"{"entity":"Log","filters":null,"include":[{"entity":"Note","field":"log"}]}"#).unwrap();
        let Selection::Many(page) = &many.selection else { panic!("it names no id") };
        assert_eq!((page.limit, page.count), (LIMIT_DEFAULT, Count::No));
        let needs: Vec<_> = many.needs().into_iter().map(|need| (need.entity.to_string(), need.action)).collect();
        assert_eq!(needs, [("Log".to_owned(), Action::Read), ("Note".to_owned(), Action::Read)]);
    }

    #[test]
    fn faults_name_their_path_and_what_was_expected() {
        assert_eq!(refused("7"), "expected a query, an object, found 7");
        assert_eq!(refused("{}"), r#"expected the member "entity", found none"#);
        assert_eq!(refused(r#"{"entity":7}"#), "at entity: expected an entity type, a text, found 7");
        assert_eq!(
            refused(r#"{"entity":"A","filter":{}}"#),
            r#"a query has no member "filter"; did you mean "filters"?"#
        );
        assert_eq!(
            refused(r#"{"entity":"A","filters":{"when":{"gte":null}}}"#),
            "at filters.when.gte: expected a number or a text, found null"
        );
        assert_eq!(refused(r#"{"entity":"A","entity":"B"}"#), "at entity: the object has this member twice");
        for bad in ["0", "1001", "1.0", "-1", "\"5\"", "1e2"] {
            assert_eq!(
                refused(&format!(r#"{{"entity":"A","limit":{bad}}}"#)),
                format!("at limit: expected an integer from 1 to 1000, found {bad}")
            );
        }
        assert!(read(r#"{"entity":"A","limit":0,"count":true}"#).is_ok());
        assert!(
            refused(r#"{"entity":"A","id":"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f","limit":1}"#).ends_with("found both")
        );
        assert_eq!(
            refused(r#"{"entity":"A","include":[{"entity":"B"}]}"#),
            r#"at include.0: expected the member "field", found none"#
        );
        assert!(refused(r#"{"entity":"A","search":"--"}"#).starts_with("at search: expected at least one word"));
        assert!(refused(r#"{"entity":"A","after":5}"#).starts_with("at after: expected the \"next\""));
    }
}
