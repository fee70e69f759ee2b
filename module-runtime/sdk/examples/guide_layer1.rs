//! The stock of `docs/writing-a-module.md` with its shelves in the host's data store.

use bulkhead_module::layer1::{Entity, Query};
use bulkhead_module::{Context, Error, json, module};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Default)]
struct Stock;

#[derive(Serialize, Deserialize)]
struct Shelf {
    item: String,
    count: u64,
}

#[derive(Serialize, JsonSchema)]
struct Counted {
    count: u64,
}

#[derive(Serialize, JsonSchema)]
struct Items {
    items: Vec<String>,
}

/// Counts what is on its shelves.
#[module(name = "stock", version = "0.2.0")]
impl Stock {
    /// Puts pieces of an item on the shelf.
    #[command]
    fn add(ctx: &mut Context<'_>, item: String, count: u64) -> Result<Counted, Error> {
        let known = ctx.find::<Shelf>(&Query::of("Shelf").eq("item", &item).limit(1))?.entities.pop();
        let count = count + known.as_ref().map_or(0, |shelf| shelf.data.count);
        match known {
            Some(shelf) => ctx.update("Shelf", &shelf.id, &json!({ "count": count }))?,
            None => ctx.create("Shelf", &Shelf { item, count })?,
        };
        Ok(Counted { count })
    }

    /// The items of which there are less than five.
    #[command(idempotent)]
    fn low(ctx: &mut Context<'_>) -> Result<Items, Error> {
        let mut items = Vec::new();
        for shelf in ctx.entities::<Shelf>(Query::of("Shelf").lt("count", 5).order("item")) {
            let Entity { data, .. } = shelf?;
            items.push(data.item);
        }
        Ok(Items { items })
    }
}

bulkhead_module::main!(Stock);

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_module::testing::Harness;
    use bulkhead_module_testing::Layer1;

    #[test]
    fn what_is_added_is_on_the_shelf() {
        let layer1 = Layer1::new(&[("Shelf", "item")], &[]);
        let mut stock = Harness::<Stock>::start(json!({})).unwrap().with_store(layer1.clone());
        stock.command("add", json!({ "item": "bolt", "count": 3 })).unwrap();
        assert_eq!(stock.command("low", json!({})).unwrap()["items"][0], "bolt");
        assert_eq!(stock.command("add", json!({ "item": "bolt", "count": 4 })).unwrap()["count"], 7);
        let shelves = layer1.query(json!({ "entity": "Shelf" })).unwrap();
        assert_eq!(shelves["entities"][0]["version"], 2);
    }
}
