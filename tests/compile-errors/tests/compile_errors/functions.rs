#![allow(unused_variables)]

use bulkhead_module::{Json, module};

#[derive(Default)]
struct Stock;

#[module]
impl Stock {
    #[command]
    async fn later(&self) {}

    #[command]
    unsafe fn at_risk(&self) {}

    #[command]
    fn of_any<T>(&self, count: T) {}

    #[command]
    fn away(self) {}

    #[command]
    #[query]
    fn both(&self, payload: Json) {}
}

fn main() {}
