//! A stockroom that forgets: the first step of the module author's guide.

use bulkhead_module::{Context, Description, Error, Init, Json, Module, arguments, json};
use serde::Deserialize;
use std::collections::BTreeMap;

struct Stock {
    counts: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Add {
    item: String,
    count: u64,
}

#[derive(Deserialize)]
struct Count {
    item: String,
}

impl Module for Stock {
    fn describe() -> Description {
        Description::new("stock", "0.1.0")
            .command("add", "puts {\"count\"} pieces of {\"item\"} on the shelf")
            .idempotent("count", "how many pieces of {\"item\"} there are")
    }

    fn init(_: &Init) -> Result<Self, Error> {
        Ok(Stock { counts: BTreeMap::new() })
    }

    fn command(&mut self, _: &mut Context<'_>, name: &str, args: &Json) -> Result<Json, Error> {
        match name {
            "add" => {
                let Add { item, count } = arguments(args)?;
                let shelf = self.counts.entry(item).or_default();
                *shelf = shelf.checked_add(count).ok_or_else(|| Error::conflict("the shelf is full"))?;
                Ok(json!({ "count": *shelf }))
            }
            "count" => {
                let Count { item } = arguments(args)?;
                match self.counts.get(&item) {
                    Some(count) => Ok(json!({ "count": count })),
                    None => Err(Error::not_found(format!("there is no item {item:?}"))),
                }
            }
            other => Err(Error::unknown_command(other)),
        }
    }
}

bulkhead_module::main!(Stock);
