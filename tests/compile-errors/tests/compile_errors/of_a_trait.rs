#![allow(unused_variables)]

use bulkhead_module::module;

#[derive(Default)]
struct Stock;

#[module]
impl Drop for Stock {
    fn drop(&mut self) {}
}

fn main() {}
