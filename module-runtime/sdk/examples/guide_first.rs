//! A stockroom that forgets: the first step of the module author's guide.

use bulkhead_module::{Error, module};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Default)]
struct Stock {
    counts: BTreeMap<String, u64>,
}

#[derive(Serialize, JsonSchema)]
struct Counted {
    count: u64,
}

/// Counts what is on its shelves.
#[module(name = "stock", version = "0.1.0")]
impl Stock {
    /// Puts pieces of an item on the shelf.
    #[command]
    fn add(&mut self, item: String, count: u64) -> Result<Counted, Error> {
        let shelf = self.counts.entry(item).or_default();
        *shelf = shelf.checked_add(count).ok_or_else(|| Error::conflict("the shelf is full"))?;
        Ok(Counted { count: *shelf })
    }

    /// How many pieces of an item there are.
    #[command(idempotent)]
    fn count(&self, item: &str) -> Result<Counted, Error> {
        match self.counts.get(item) {
            Some(count) => Ok(Counted { count: *count }),
            None => Err(Error::not_found(format!("there is no item {item:?}"))),
        }
    }
}

bulkhead_module::main!(Stock);
