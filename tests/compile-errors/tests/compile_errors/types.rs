#![allow(unused_variables)]

use bulkhead_module::{Error, module};

#[derive(Default)]
struct Stock;

struct Unknown;

#[module]
impl Stock {
    #[command]
    fn takes(&self, unknown: Unknown) {}

    #[command]
    fn answers(&self) -> Unknown {
        Unknown
    }

    #[command]
    fn may_answer(&self) -> Result<Unknown, Error> {
        Ok(Unknown)
    }

    #[command]
    fn fails(&self) -> Result<u64, Unknown> {
        Err(Unknown)
    }

    #[event("stock.low")]
    fn low(&self) -> u64 {
        0
    }
}

fn main() {}
