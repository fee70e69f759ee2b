//! Filters, search and order as SQL. What a caller sent becomes bound values; the text of a statement is
//! made of the constants in this file, of declared paths, and of the names of declared tables.

use crate::{
    declarations::{Declarations, column_expression, expression, literal},
    functions::encode,
    stored_id,
};
use bulkhead_protocol::layer1::{
    Column, Comparison, Condition, Direction, Ending, EntityName, Filter, Order, Path, Search, Term, Value,
};
use rusqlite::types::Value as Sql;

/// A piece of SQL with the values for its question marks, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Piece {
    pub(super) sql: String,
    pub(super) values: Vec<Sql>,
}

impl Piece {
    pub(super) fn new(sql: impl Into<String>) -> Piece {
        Piece { sql: sql.into(), values: Vec::new() }
    }

    pub(super) fn push(&mut self, sql: &str) -> &mut Piece {
        self.sql.push_str(sql);
        self
    }

    pub(super) fn bind(&mut self, value: Sql) -> &mut Piece {
        self.sql.push('?');
        self.values.push(value);
        self
    }

    pub(super) fn append(&mut self, other: &Piece) -> &mut Piece {
        self.sql.push_str(&other.sql);
        self.values.extend_from_slice(&other.values);
        self
    }
}

/// Where entities are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The database as it is committed.
    Committed,
    /// The database, but for the entities that are in the overlay.
    Beneath,
    /// The entities that the unit has changed and not deleted.
    Overlay,
}

/// What every statement of one query needs to know.
pub(super) struct Compiler<'a> {
    pub(super) declarations: &'a Declarations,
    pub(super) entity: &'a EntityName,
    pub(super) filters: &'a [Filter],
    pub(super) search: Option<&'a Search>,
    pub(super) order: &'a [Order],
}

impl Compiler<'_> {
    /// `FROM … WHERE …` with everything that must hold.
    pub(super) fn body(&self, source: Source) -> Piece {
        let mut piece = match source {
            Source::Overlay => Piece::new(" FROM temp.overlay AS e WHERE e.gone = 0 AND e.entity = "),
            Source::Committed | Source::Beneath => self.committed(),
        };
        match source {
            // A partial index is used only where the statement has its own condition.
            Source::Committed | Source::Beneath if self.chosen_index().is_some() => {
                piece.push(&literal(self.entity.as_str()));
            }
            _ => {
                piece.bind(Sql::Text(self.entity.as_str().into()));
            }
        }
        if source == Source::Beneath {
            piece.push(" AND NOT EXISTS (SELECT 1 FROM temp.overlay AS o WHERE o.entity = e.entity AND o.id = e.id)");
        }
        for filter in self.filters {
            for condition in &filter.conditions {
                piece.push(" AND ");
                self.condition(&filter.path, condition, &mut piece);
            }
        }
        if let (Some(search), Some(table)) = (self.search, self.declarations.search(self.entity)) {
            let schema = if source == Source::Overlay { "temp" } else { "main" };
            let name = &table.name;
            piece.push(&format!(" AND e.rowid IN (SELECT rowid FROM {schema}.{name} WHERE {name} MATCH "));
            piece.bind(Sql::Text(match_expression(search))).push(")");
        }
        piece
    }

    fn committed(&self) -> Piece {
        match self.chosen_index() {
            Some(index) => Piece::new(format!(" FROM main.entities AS e INDEXED BY {index} WHERE e.entity = ")),
            None => Piece::new(" FROM main.entities AS e WHERE e.entity = "),
        }
    }

    /// The declared index that is to be used: for a path that must have one value, else one of several,
    /// else values in a range, else for the first path of the order. A search is narrower than a range.
    fn chosen_index(&self) -> Option<String> {
        let rank = |filter: &Filter| {
            let ranks = filter.conditions.iter().filter_map(|condition| match condition {
                Condition::Equal(_) => Some(0),
                Condition::In(_) => Some(1),
                Condition::Compare(..) if self.search.is_none() => Some(2),
                _ => None,
            });
            ranks.min()
        };
        // One by id needs no other index.
        let by_id = |filter: &Filter| filter.path.to_string() == "$id" && rank(filter).is_some_and(|rank| rank < 2);
        if self.filters.iter().any(by_id) {
            return None;
        }
        let ranked = self
            .filters
            .iter()
            .filter_map(|filter| Some((rank(filter)?, self.declarations.index(self.entity, &filter.path)?)));
        let filtered = ranked.min_by_key(|(rank, _)| *rank).map(|(_, index)| index);
        let ordered = || self.order.first().and_then(|order| self.declarations.index(self.entity, &order.by));
        filtered.or_else(|| if self.search.is_none() { ordered() } else { None })
    }

    /// The part of an entity that a path means, as an expression.
    pub(super) fn path(&self, path: &Path, piece: &mut Piece) {
        match path {
            Path::Column(column) => drop(piece.push(&column_expression("e.", *column))),
            Path::Member(_) if self.declarations.index(self.entity, path).is_some() => {
                piece.push(&expression("e.", path));
            }
            Path::Member(member) => {
                piece.push("layer1_value(e.data, ").bind(Sql::Text(member.to_string())).push(")");
            }
        }
    }

    fn condition(&self, path: &Path, condition: &Condition, piece: &mut Piece) {
        match condition {
            Condition::Equal(Value::Null) => {
                self.path(path, piece);
                piece.push(" IS NULL");
            }
            Condition::Equal(value) => {
                self.path(path, piece);
                piece.push(" = ").bind(encoded(path, value));
            }
            Condition::NotEqual(value) => {
                self.path(path, piece);
                piece.push(" IS NOT ").bind(encoded(path, value));
            }
            Condition::Compare(comparison, value) => self.compare(path, *comparison, value, piece),
            Condition::In(values) => self.is_in(path, values, piece),
            Condition::Contains(value) => {
                piece.push("layer1_contains(e.data, ").bind(Sql::Text(member_text(path))).push(", ");
                piece.bind(encode(value.clone())).push(")");
            }
            Condition::Exists => drop(piece.push("layer1_has(e.data, ").bind(Sql::Text(member_text(path))).push(")")),
            Condition::Missing => {
                piece.push("NOT layer1_has(e.data, ").bind(Sql::Text(member_text(path))).push(")");
            }
        }
    }

    /// A comparison holds only among values of one kind, which are neighbours in SQLite's order: the
    /// least text is '', the least blob is x''.
    fn compare(&self, path: &Path, comparison: Comparison, value: &Value, piece: &mut Piece) {
        if let (Path::Column(Column::Id), Value::Text(text)) = (path, value) {
            let (operator, bound) = stored_id::bound(comparison, text);
            self.path(path, piece);
            piece.push(&format!(" {operator} ")).bind(bound);
            return;
        }
        let (operator, bound) = match (comparison, value) {
            (Comparison::Less, Value::Text(_)) => ("<", Some(">= ''")),
            (Comparison::LessOrEqual, Value::Text(_)) => ("<=", Some(">= ''")),
            (Comparison::Greater, Value::Text(_)) => (">", Some("< x''")),
            (Comparison::GreaterOrEqual, Value::Text(_)) => (">=", Some("< x''")),
            (Comparison::Less, _) => ("<", None),
            (Comparison::LessOrEqual, _) => ("<=", None),
            (Comparison::Greater, _) => (">", Some("< ''")),
            (Comparison::GreaterOrEqual, _) => (">=", Some("< ''")),
        };
        self.path(path, piece);
        piece.push(&format!(" {operator} ")).bind(encode(value.clone()));
        if let Some(bound) = bound {
            piece.push(" AND ");
            self.path(path, piece);
            piece.push(&format!(" {bound}"));
        }
    }

    fn is_in(&self, path: &Path, values: &[Value], piece: &mut Piece) {
        let null = values.contains(&Value::Null);
        piece.push("(");
        self.path(path, piece);
        piece.push(" IN (");
        for (index, value) in values.iter().filter(|value| **value != Value::Null).enumerate() {
            piece.push(if index > 0 { ", " } else { "" }).bind(encoded(path, value));
        }
        piece.push(")");
        if null {
            piece.push(" OR ");
            self.path(path, piece);
            piece.push(" IS NULL");
        }
        piece.push(")");
    }

    /// The columns of the order, each with a comma before it.
    pub(super) fn order_columns(&self) -> Piece {
        let mut piece = Piece::default();
        for order in self.order {
            piece.push(", ");
            self.path(&order.by, &mut piece);
        }
        piece
    }

    /// `ORDER BY` by the number of the column; those of the order begin with `first`, the id is the first.
    pub(super) fn order_by(&self, first: usize) -> String {
        let mut terms: Vec<String> = self
            .order
            .iter()
            .enumerate()
            .map(|(index, order)| format!("{}{}", first + index, direction(order.direction)))
            .collect();
        terms.push(format!("1{}", direction(self.last_direction())));
        format!(" ORDER BY {}", terms.join(", "))
    }

    /// The direction of the ids of entities that are alike.
    pub(super) fn last_direction(&self) -> Direction {
        self.order.last().map_or(Direction::Ascending, |order| order.direction)
    }
}

/// A value as the tables have it at this path, for equality.
fn encoded(path: &Path, value: &Value) -> Sql {
    match (path, value) {
        (Path::Column(Column::Id), Value::Text(text)) => stored_id::of_text(text),
        _ => encode(value.clone()),
    }
}

fn member_text(path: &Path) -> String {
    path.to_string()
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => "",
        Direction::Descending => " DESC",
    }
}

/// The search in the language of FTS5: every term a quoted text, so that nothing in it has a meaning.
fn match_expression(search: &Search) -> String {
    let term = |term: &Term| {
        // FTS5 reads its expression up to the first NUL; to a tokenizer it is white space anyway.
        let text = term.text.replace('\0', " ").replace('"', "\"\"");
        format!("\"{text}\"{}", if term.ending == Ending::Any { " *" } else { "" })
    };
    let wanted: Vec<String> = search.wanted.iter().map(term).collect();
    let unwanted: Vec<String> = search.unwanted.iter().map(term).collect();
    match unwanted.is_empty() {
        true => wanted.join(" AND "),
        false => format!("({}) NOT ({})", wanted.join(" AND "), unwanted.join(" OR ")),
    }
}
