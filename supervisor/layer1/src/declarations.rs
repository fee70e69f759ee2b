//! The indexes and searches that are declared: made when they are new, dropped when they are no longer
//! declared, and looked up when a query is compiled. Only what is in these tables ever becomes part of the
//! text of a statement.

use crate::{
    functions::words,
    limits::SEARCH_PATHS_MAX,
    open::{OpenError, open_reader},
    settings::{Index, Searched, Settings},
};
use bulkhead_json::Raw;
use bulkhead_protocol::layer1::{Column, EntityName, MemberPath, Path};
use rusqlite::{Connection, Transaction, params, params_from_iter};
use std::collections::{HashMap, HashSet};

/// What is declared, with the numbers that the tables and indexes have in their names.
#[derive(Debug, Default)]
pub(crate) struct Declarations {
    indexes: HashMap<EntityName, HashMap<Path, i64>>,
    searches: HashMap<EntityName, SearchTable>,
}

/// The full-text index of one type of entity.
#[derive(Clone, Debug)]
pub(crate) struct SearchTable {
    /// Its name, like `search_3`.
    pub(crate) name: String,
    /// The members whose words it has, one column each.
    pub(crate) paths: Vec<MemberPath>,
}

impl Declarations {
    /// The name of the index on this path, if there is one.
    pub(crate) fn index(&self, entity: &EntityName, path: &Path) -> Option<String> {
        self.indexes.get(entity)?.get(path).map(|number| format!("index_{number}"))
    }

    /// The full-text index of this type of entity, if there is one.
    pub(crate) fn search(&self, entity: &EntityName) -> Option<&SearchTable> {
        self.searches.get(entity)
    }

    /// Brings the database to what is declared.
    pub(crate) fn establish(connection: &mut Connection, settings: &Settings) -> Result<Declarations, OpenError> {
        let fail = |error| OpenError::of_sqlite(&settings.path, error);
        let mut types = HashSet::new();
        if let Some(twice) = settings.searches.iter().find(|search| !types.insert(&search.entity)) {
            let reason = format!("the search of {} is declared twice; put its paths into one", twice.entity);
            return Err(OpenError::Declaration { path: settings.path.clone(), reason });
        }
        let declared = settings.searches.iter().flat_map(|search| &search.paths).map(ToString::to_string);
        let mut declared = declared.chain(settings.indexes.iter().map(|index| index.path.to_string()));
        // A path becomes a part of a statement, which ends at a NUL.
        if let Some(path) = declared.find(|path| path.contains('\0')) {
            let reason = format!("the path {path:?} has a NUL character");
            return Err(OpenError::Declaration { path: settings.path.clone(), reason });
        }
        if let Some(search) =
            settings.searches.iter().find(|search| !(1..=SEARCH_PATHS_MAX).contains(&search.paths.len()))
        {
            let found = search.paths.len();
            let reason = format!("the search of {} has 1 to {SEARCH_PATHS_MAX} paths, found {found}", search.entity);
            return Err(OpenError::Declaration { path: settings.path.clone(), reason });
        }
        let transaction = connection.transaction().map_err(fail)?;
        let indexes = establish_indexes(&transaction, &settings.indexes).map_err(fail)?;
        let searches = establish_searches(&transaction, &settings.searches).map_err(fail)?;
        transaction.commit().map_err(fail)?;
        Ok(Declarations { indexes, searches })
    }
}

/// What is declared in the database at `path`.
pub(crate) fn declared_in(path: &std::path::Path) -> Result<(Vec<Index>, Vec<Searched>), OpenError> {
    let fail = |error| OpenError::of_sqlite(path, error);
    let connection = open_reader(path).map_err(fail)?;
    let pairs = |sql: &str| -> rusqlite::Result<Vec<(String, String)>> {
        connection.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let unreadable = |text: &str| OpenError::Damaged {
        path: path.to_owned(),
        found: format!("it has the declaration {text:?}, which is none"),
    };
    let mut indexes = Vec::new();
    for (entity, text) in pairs("SELECT entity, path FROM indexes").map_err(fail)? {
        let (Ok(entity), Ok(path)) = (EntityName::new(&entity), Path::new(&text)) else {
            return Err(unreadable(&text));
        };
        indexes.push(Index { entity, path });
    }
    let mut searches = Vec::new();
    for (entity, text) in pairs("SELECT entity, paths FROM searches").map_err(fail)? {
        let texts: Vec<String> = serde_json::from_str(&text).map_err(|_| unreadable(&text))?;
        let paths = texts.iter().map(|path| MemberPath::new(path)).collect::<Result<Vec<_>, _>>();
        let (Ok(entity), Ok(paths)) = (EntityName::new(&entity), paths) else { return Err(unreadable(&text)) };
        searches.push(Searched { entity, paths });
    }
    Ok((indexes, searches))
}

fn establish_indexes(
    transaction: &Transaction<'_>,
    wanted: &[Index],
) -> rusqlite::Result<HashMap<EntityName, HashMap<Path, i64>>> {
    let mut found = HashMap::new();
    let mut statement = transaction.prepare("SELECT number, entity, path FROM indexes")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)))?;
    for row in rows {
        let (number, entity, path): (i64, _, _) = row?;
        found.insert((entity, path), number);
    }
    let wanted: HashSet<&Index> = wanted.iter().collect();
    let mut indexes: HashMap<EntityName, HashMap<Path, i64>> = HashMap::new();
    for index in wanted {
        // The ids of a type are always indexed.
        if index.path == Path::Column(Column::Id) {
            continue;
        }
        let names = (index.entity.as_str().to_owned(), index.path.to_string());
        let number = match found.remove(&names) {
            Some(number) => number,
            None => {
                transaction.execute("INSERT INTO indexes (entity, path) VALUES (?1, ?2)", [&names.0, &names.1])?;
                let number = transaction.last_insert_rowid();
                transaction.execute_batch(&format!(
                    "CREATE INDEX index_{number} ON entities ({}, id) WHERE entity = {}",
                    expression("", &index.path),
                    literal(&names.0)
                ))?;
                number
            }
        };
        indexes.entry(index.entity.clone()).or_default().insert(index.path.clone(), number);
    }
    for number in found.into_values() {
        transaction.execute_batch(&format!("DROP INDEX IF EXISTS index_{number}"))?;
        transaction.execute("DELETE FROM indexes WHERE number = ?1", [number])?;
    }
    Ok(indexes)
}

fn establish_searches(
    transaction: &Transaction<'_>,
    wanted: &[Searched],
) -> rusqlite::Result<HashMap<EntityName, SearchTable>> {
    let mut found = HashMap::new();
    let mut statement = transaction.prepare("SELECT number, entity, paths FROM searches")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)))?;
    for row in rows {
        let (number, entity, paths): (i64, _, _) = row?;
        found.insert((entity, paths), number);
    }
    let mut kept = Vec::new();
    let mut missing = Vec::new();
    for search in wanted {
        let paths: Vec<String> = search.paths.iter().map(ToString::to_string).collect();
        let paths = serde_json::to_string(&paths).expect("texts can be written as JSON");
        match found.remove(&(search.entity.as_str().to_owned(), paths.clone())) {
            Some(number) => kept.push((search, number)),
            None => missing.push((search, paths)),
        }
    }
    for number in found.into_values() {
        transaction.execute_batch(&format!("DROP TABLE IF EXISTS search_{number}"))?;
        transaction.execute("DELETE FROM searches WHERE number = ?1", [number])?;
    }
    for (search, paths) in missing {
        transaction
            .execute("INSERT INTO searches (entity, paths) VALUES (?1, ?2)", [search.entity.as_str(), &paths])?;
        let number = transaction.last_insert_rowid();
        let table = table(search, number);
        create_search(transaction, "", &table)?;
        fill_search(transaction, &search.entity, &table)?;
        kept.push((search, number));
    }
    Ok(kept.into_iter().map(|(search, number)| (search.entity.clone(), table(search, number))).collect())
}

fn table(search: &Searched, number: i64) -> SearchTable {
    SearchTable { name: format!("search_{number}"), paths: search.paths.clone() }
}

/// Makes the full-text table, in the schema that `prefix` names. It keeps no copy of the texts.
pub(crate) fn create_search(connection: &Connection, prefix: &str, table: &SearchTable) -> rusqlite::Result<()> {
    let columns: Vec<String> = (0..table.paths.len()).map(|column| format!("c{column}")).collect();
    connection.execute_batch(&format!(
        "CREATE VIRTUAL TABLE {prefix}{} USING fts5 ({}, content='', contentless_delete=1, tokenize=\"unicode61 remove_diacritics 2\")",
        table.name,
        columns.join(", ")
    ))
}

fn fill_search(connection: &Connection, entity: &EntityName, table: &SearchTable) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT rowid, data FROM entities WHERE entity = ?1")?;
    let mut rows = statement.query([entity.as_str()])?;
    while let Some(row) = rows.next()? {
        insert_words(connection, "", table, row.get(0)?, row.get_ref(1)?.as_str()?)?;
    }
    Ok(())
}

/// Puts the words of one entity into the full-text table.
pub(crate) fn insert_words(
    connection: &Connection,
    prefix: &str,
    table: &SearchTable,
    rowid: i64,
    data: &str,
) -> rusqlite::Result<()> {
    let places = ", ?".repeat(table.paths.len());
    let columns: Vec<String> = (0..table.paths.len()).map(|column| format!(", c{column}")).collect();
    let sql = format!("INSERT INTO {prefix}{} (rowid{}) VALUES (?{places})", table.name, columns.concat());
    let raw = Raw::new(data);
    let values = std::iter::once(rusqlite::types::Value::Integer(rowid))
        .chain(table.paths.iter().map(|path| rusqlite::types::Value::Text(words(raw, path))));
    connection.prepare_cached(&sql)?.execute(params_from_iter(values)).map(|_| ())
}

/// Takes the words of one entity out of the full-text table.
pub(crate) fn remove_words(
    connection: &Connection,
    prefix: &str,
    table: &SearchTable,
    rowid: i64,
) -> rusqlite::Result<()> {
    let sql = format!("DELETE FROM {prefix}{} WHERE rowid = ?1", table.name);
    connection.prepare_cached(&sql)?.execute(params![rowid]).map(|_| ())
}

/// A declared path as an expression, letter by letter the same in the index and in the query. `table` is
/// the name of the table with its dot, or nothing.
pub(crate) fn expression(table: &str, path: &Path) -> String {
    match path {
        Path::Column(column) => column_expression(table, *column),
        Path::Member(path) => format!("layer1_value({table}data, {})", literal(&path.to_string())),
    }
}

/// The column that holds what the store itself knows.
pub(crate) fn column_expression(table: &str, column: Column) -> String {
    let name = column.name().strip_prefix('$').expect("a column's name begins with a dollar sign");
    format!("{table}{name}")
}

/// A text from a declaration as a literal of SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
