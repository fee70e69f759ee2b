#![allow(unused_variables)]

use bulkhead_module::{Json, module};

#[derive(Default)]
struct Stock;

#[module]
impl Stock {
    #[command]
    fn count(&self) {}

    #[command(name = "count")]
    fn other(&self) {}

    #[query]
    fn one(&self, payload: Json) {}

    #[query]
    fn two(&self, payload: Json) {}

    #[event("stock.low")]
    fn low(&self) {}

    #[event("stock.low")]
    fn lower(&self) {}
}

fn main() {}
