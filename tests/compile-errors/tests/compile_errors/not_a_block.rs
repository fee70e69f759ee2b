#![allow(unused_variables)]

use bulkhead_module::module;

#[module]
struct Stock;

fn main() {}
