#![allow(unused_variables)]

use bulkhead_module::{Json, module};

#[derive(Default)]
struct Stock;

#[module(nmae = "stock")]
impl Stock {
    #[command(idempotnet)]
    fn count(&self) -> u64 {
        0
    }

    #[command(idempotent, idempotent)]
    fn twice(&self) {}

    #[query(idempotent)]
    fn query(&self, payload: Json) -> Json {
        payload
    }

    #[event]
    fn any(&self) {}

    #[event("stock.*.low")]
    fn low(&self) {}
}

// What uses a faulty module is no fault of its own.
bulkhead_module::main!(Stock);
