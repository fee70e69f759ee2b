#![allow(unused_variables)]

use bulkhead_module::module;

struct Stock<T>(T);

#[module]
impl<T> Stock<T> {}

fn main() {}
