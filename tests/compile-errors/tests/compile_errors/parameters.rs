#![allow(unused_variables)]

use bulkhead_module::{Context, Json, module};

#[derive(Default)]
struct Stock;

#[module]
impl Stock {
    #[command]
    fn change(&self, count: &mut u64) {}

    #[command]
    fn without_a_name(&self, (a, b): (u64, u64)) {}

    #[command]
    fn unused(&self, _count: u64) {}

    #[command]
    fn late_context(&self, count: u64, ctx: &mut Context<'_>) {}

    #[command]
    fn default_of_an_option(&self, #[default(1)] count: Option<u64>) {}

    #[command]
    fn two_of_a_name(&self, count: u64, #[name("count")] other: u64) {}

    #[command]
    fn all_and_more(&self, #[arguments] all: Json, count: u64) {}

    #[query]
    fn named(&self, #[name("other")] payload: Json) {}
}

fn main() {}
