//! The order of an answer. Values of different kinds are ordered as [`super::Value`] says; entities that
//! are alike in everything that the query orders by are ordered by their id, in the direction of the
//! last path. A query without an order is ordered by id, which for ids that the store made is the order
//! in which the entities were created.

use super::{Fault, Path, fault::Inside, fields::Fields, limits::ORDER_MAX};
use bulkhead_json::{Kind, Raw};

/// One path to order by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The part of the entity.
    pub by: Path,
    /// Which way.
    pub direction: Direction,
}

/// Which way an order goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Least first; entities without a value come first.
    #[default]
    Ascending,
    /// Greatest first; entities without a value come last.
    Descending,
}

pub(super) fn read_order(raw: Raw<'_>) -> Result<Vec<Order>, Fault> {
    if raw.kind() != Kind::List {
        return Ok(vec![read_one(raw)?]);
    }
    let mut order: Vec<Order> = Vec::new();
    for (index, element) in raw.elements().enumerate() {
        if index == ORDER_MAX {
            return Err(Fault::new(format!("a query orders by at most {ORDER_MAX} paths, found more")));
        }
        let one = read_one(element).inside(index)?;
        if order.iter().any(|other| other.by == one.by) {
            return Err(Fault::new(format!("the query orders by {} already", one.by)).inside(index));
        }
        order.push(one);
    }
    Ok(order)
}

fn read_one(raw: Raw<'_>) -> Result<Order, Fault> {
    if let Some(text) = raw.text() {
        let (path, direction) = match text.strip_prefix('-') {
            Some(path) => (path, Direction::Descending),
            None => (&*text, Direction::Ascending),
        };
        return Ok(Order { by: Path::new(path)?, direction });
    }
    if raw.kind() != Kind::Object {
        return Err(Fault::new(format!(
            "expected \"PATH\", \"-PATH\", {{\"by\",\"direction\"}} or a list of these, found {}",
            raw.quote()
        )));
    }
    let fields = Fields::read(raw, "an order", &["by", "direction"])?;
    let direction = fields.read_optional("direction", |raw| match raw.text().as_deref() {
        Some("asc") => Ok(Direction::Ascending),
        Some("desc") => Ok(Direction::Descending),
        _ => Err(Fault::new(format!("expected \"asc\" or \"desc\", found {}", raw.quote()))),
    })?;
    Ok(Order { by: fields.read_required("by", Path::read)?, direction: direction.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_path_or_a_list_of_paths() {
        let order = read_order(Raw::new(r#"["-when",{"by":"-x"},{"by":"$id","direction":"desc"}]"#)).unwrap();
        let written: Vec<_> = order.iter().map(|order| (order.by.to_string(), order.direction)).collect();
        let expected = [("when", Direction::Descending), ("-x", Direction::Ascending), ("$id", Direction::Descending)];
        assert_eq!(written, expected.map(|(path, direction)| (path.to_owned(), direction)));
        assert_eq!(read_order(Raw::new(r#""a""#)).unwrap().len(), 1);
    }

    #[test]
    fn faults_name_their_path() {
        let refused = |text: &str| read_order(Raw::new(text)).unwrap_err().to_string();
        assert_eq!(
            refused(r#"["a",{"by":"b","direction":"down"}]"#),
            r#"at 1.direction: expected "asc" or "desc", found "down""#
        );
        assert_eq!(refused(r#"["a",{"direction":"asc"}]"#), r#"at 1: expected the member "by", found none"#);
        assert_eq!(refused(r#"["a","-a"]"#), "at 1: the query orders by a already");
        assert!(refused("7").starts_with("expected \"PATH\""));
    }
}
