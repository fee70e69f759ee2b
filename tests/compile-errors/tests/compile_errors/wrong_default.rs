#![allow(unused_variables)]

use bulkhead_module::module;

#[derive(Default)]
struct Stock;

#[module]
impl Stock {
    #[command]
    fn count(&self, #[default("one")] count: u64, #[default(1.5)] other: u8) {}
}

fn main() {}
