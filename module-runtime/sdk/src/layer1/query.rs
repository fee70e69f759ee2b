//! A query, put together. The host decides whether it is valid.

use crate::Json;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// A query to Layer 1: entities of one type for which every condition holds.
///
/// ```
/// # use bulkhead_module::layer1::Query;
/// let query = Query::of("Book")
///     .eq("author.name", "Ada")
///     .gte("year", 1843)
///     .lt("year", 1852)
///     .contains("tags", "engine")
///     .order("-year")
///     .limit(20);
/// assert_eq!(
///     query.payload().as_str(),
///     r#"{"entity":"Book","filters":{"author.name":{"eq":"Ada"},"year":{"gte":1843,"lt":1852},"tags":{"contains":"engine"}},"order":["-year"],"limit":20}"#
/// );
/// ```
///
/// A path leads to a member: names, or positions in lists, separated by dots. `$id`, `$version`, `$created_at` and
/// `$updated_at` are the store's own members of an entity.
#[derive(Clone, Debug, Serialize)]
pub struct Query {
    entity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Filters::is_empty")]
    filters: Filters,
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    order: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<Include>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<bool>,
}

#[derive(Clone, Debug, Serialize)]
struct Include {
    entity: String,
    field: String,
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

macro_rules! conditions {
    ($( $(#[$doc:meta])* $name:ident = $operator:literal; )*) => {
        $( $(#[$doc])* pub fn $name(self, path: &str, value: impl Serialize) -> Query { self.filter(path, $operator, &value) } )*
    };
}

impl Query {
    /// All entities of this type.
    pub fn of(entity: impl Into<String>) -> Query {
        Query {
            entity: entity.into(),
            id: None,
            filters: Filters::default(),
            search: None,
            order: Vec::new(),
            include: Vec::new(),
            limit: None,
            after: None,
            count: None,
        }
    }

    /// The one with this id; that there is none is an error, `not_found`. It goes with
    /// [`Query::include`] and nothing else.
    pub fn one(entity: impl Into<String>, id: impl Into<String>) -> Query {
        Query { id: Some(id.into()), ..Query::of(entity) }
    }

    conditions! {
        /// The value at `path` is this one. A missing value equals `null`.
        eq = "eq";
        /// The value at `path` is not this one, or there is none.
        ne = "ne";
        /// The value at `path` is a number or a text, as this one is, and greater.
        gt = "gt";
        /// The value at `path` is a number or a text, as this one is, and not less.
        gte = "gte";
        /// The value at `path` is a number or a text, as this one is, and less.
        lt = "lt";
        /// The value at `path` is a number or a text, as this one is, and not greater.
        lte = "lte";
        /// At `path` is a text with this text in it, or a list with this value in it.
        contains = "contains";
    }

    /// The value at `path` is one of these, at most 1,000.
    pub fn is_in<T: Serialize>(self, path: &str, values: impl IntoIterator<Item = T>) -> Query {
        let values: Vec<T> = values.into_iter().collect();
        self.filter(path, "in", &values)
    }

    /// There is something at `path`, be it `null`.
    pub fn exists(self, path: &str) -> Query {
        self.filter(path, "exists", &true)
    }

    /// There is nothing at `path`.
    pub fn missing(self, path: &str) -> Query {
        self.filter(path, "exists", &false)
    }

    /// The words that must be there, in the members that a manifest declares as searched:
    /// `two words`, `"side by side"`, `begin*`, `-without`.
    pub fn search(mut self, words: impl Into<String>) -> Query {
        self.search = Some(words.into());
        self
    }

    /// By the value at `path`, the least first; `-path` has the greatest first. Equal values are ordered by the next
    /// order, and finally by id, which is the order of creation.
    pub fn order(mut self, path: impl Into<String>) -> Query {
        self.order.push(path.into());
        self
    }

    /// How many entities a page has at most: 1 to 1,000, and 100 by default; 0 with [`Query::count`] only.
    /// [`crate::Context::entities`] goes on after a page, [`crate::Context::find`] does not.
    pub fn limit(mut self, limit: u32) -> Query {
        self.limit = Some(limit);
        self
    }

    /// After this position: the [`next`](super::Page::next) of an earlier page of the same query.
    pub fn after(mut self, cursor: impl Into<String>) -> Query {
        self.after = Some(cursor.into());
        self
    }

    /// Puts the entities of another type into the answer, with each entity those that hold its id at
    /// the path `field`.
    ///
    /// ```
    /// # use bulkhead_module::layer1::Query;
    /// let query = Query::of("Author").include("Book", "author");
    /// # assert_eq!(query.payload().as_str(), r#"{"entity":"Author","include":[{"entity":"Book","field":"author"}]}"#);
    /// ```
    pub fn include(mut self, entity: impl Into<String>, field: impl Into<String>) -> Query {
        self.include.push(Include { entity: entity.into(), field: field.into(), name: None, limit: None });
        self
    }

    /// As [`Query::include`], under a name of its own and with at most `limit` for each entity.
    pub fn include_as(
        mut self,
        name: impl Into<String>,
        entity: impl Into<String>,
        field: impl Into<String>,
        limit: u32,
    ) -> Query {
        let (entity, field) = (entity.into(), field.into());
        self.include.push(Include { entity, field, name: Some(name.into()), limit: Some(limit) });
        self
    }

    /// Also how many there are in all, regardless of limit and position.
    pub fn count(mut self) -> Query {
        self.count = Some(true);
        self
    }

    /// The payload.
    pub fn payload(&self) -> Json {
        Json::of(self)
    }

    fn filter(mut self, path: &str, operator: &'static str, value: &impl Serialize) -> Query {
        let condition = (operator, Json::of(value));
        match self.filters.0.iter_mut().find(|(found, _)| found == path) {
            Some((_, conditions)) => conditions.push(condition),
            None => self.filters.0.push((path.to_owned(), vec![condition])),
        }
        self
    }
}

/// Paths and what must hold there, in the order in which they were named. One operator twice at one path is written
/// twice, which the host refuses: neither is silently dropped.
#[derive(Clone, Debug, Default)]
struct Filters(Vec<(String, Vec<(&'static str, Json)>)>);

impl Filters {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Filters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (path, conditions) in &self.0 {
            map.serialize_entry(path, &Conditions(conditions))?;
        }
        map.end()
    }
}

struct Conditions<'a>(&'a [(&'static str, Json)]);

impl Serialize for Conditions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (operator, value) in self.0 {
            map.serialize_entry(operator, value)?;
        }
        map.end()
    }
}
