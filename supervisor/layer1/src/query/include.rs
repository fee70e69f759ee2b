//! What is included with an entity: for each include, the entities that refer to it, by id.
//!
//! As many are put in as the include's limit and the answer's length allow. Where there are more, the
//! entity has a member `more` with the names of those includes; a query of their own has the rest.

use super::{
    answer::{COLUMNS, Fit, entity},
    compile::Piece,
    select::{Answering, QueryError},
};
use bulkhead_protocol::layer1::{Condition, Filter, Include, Path, Value};
use rusqlite::{params_from_iter, types::Value as Sql};

/// Appends `,"included":{…}` and, if need be, `,"more":[…]` for the entity `id`, and says whether there was
/// room for everything that the limits allow.
pub(super) fn include(
    includes: &[Include],
    id: &str,
    from: &Answering<'_>,
    room: usize,
    out: &mut String,
) -> Result<Fit, QueryError> {
    /// Bytes that the names of includes are counted with twice: in `included` and in `more`.
    const NAME_BYTES: usize = 16;
    let names: usize = includes.iter().map(|include| 2 * (json(&include.name).len() + NAME_BYTES)).sum();
    let mut room = room.saturating_sub(names + 64);
    let mut more = Vec::new();
    let mut fit = Fit::Fits;
    out.push_str(",\"included\":{");
    for (index, include) in includes.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        out.push_str(&json(&include.name));
        out.push_str(":[");
        match one(include, id, from, &mut room, out)? {
            Part::All => {}
            Part::UpToLimit => more.push(json(&include.name)),
            Part::UpToRoom => {
                more.push(json(&include.name));
                fit = Fit::Full;
            }
        }
        out.push(']');
    }
    out.push('}');
    if !more.is_empty() {
        out.push_str(&format!(",\"more\":[{}]", more.join(",")));
    }
    Ok(fit)
}

/// How many of the entities that refer to one were put in.
enum Part {
    All,
    UpToLimit,
    UpToRoom,
}

/// Appends the entities of one include.
fn one(
    include: &Include,
    id: &str,
    from: &Answering<'_>,
    room: &mut usize,
    out: &mut String,
) -> Result<Part, QueryError> {
    let refers = Condition::Equal(Value::Text(id.to_owned()));
    let filters = [Filter { path: Path::Member(include.field.clone()), conditions: vec![refers] }];
    let compiler = from.compiler(&include.entity, &filters, &[]);
    let mut piece = Piece::default();
    for (index, source) in from.sources().iter().enumerate() {
        piece.push(if index > 0 { " UNION ALL " } else { "" });
        piece.push(&format!("SELECT {COLUMNS}")).append(&compiler.body(*source));
    }
    piece.push(&compiler.order_by(0)).push(" LIMIT ").bind(Sql::Integer(i64::from(include.limit) + 1));
    let mut statement = from.connection.prepare_cached(&piece.sql)?;
    let mut rows = statement.query(params_from_iter(piece.values))?;
    let mut taken = 0;
    while let Some(row) = rows.next()? {
        let text = entity(include.entity.as_str(), row)?;
        if taken == include.limit {
            return Ok(Part::UpToLimit);
        }
        if text.len() + 2 > *room {
            return Ok(Part::UpToRoom);
        }
        from.note(&include.entity, row)?;
        *room -= text.len() + 2;
        out.push_str(if taken > 0 { "," } else { "" });
        out.push_str(&text);
        out.push('}');
        taken += 1;
    }
    Ok(Part::All)
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be written as JSON")
}
