#![allow(unused_variables)]

use bulkhead_module::module;

struct Stock(u64);

#[module]
impl Stock {
    #[command]
    fn count(&self) -> u64 {
        self.0
    }
}

fn main() {}
