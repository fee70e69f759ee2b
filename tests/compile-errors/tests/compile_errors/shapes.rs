#![allow(unused_variables)]

use bulkhead_module::{Json, module};

#[derive(Default)]
struct Stock;

#[module]
impl Stock {
    #[init]
    fn start(&self) -> Stock {
        Stock
    }

    #[query]
    fn query(&self) {}

    #[event("stock.low")]
    fn low(&self, event: u64, data: Json) {}

    #[shutdown]
    fn stop(&self, why: Json) {}

    #[example(args = {})]
    fn no_command(&self) {}
}

fn main() {}
