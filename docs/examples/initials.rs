//! The module `initials`: the first letters of a name.

use bulkhead_module::module;
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Default)]
struct Initials;

#[derive(Serialize, JsonSchema)]
struct Answer {
    initials: String,
}

#[module]
impl Initials {
    /// The first letter of each word of a name.
    #[command(idempotent)]
    fn of(&self, name: &str) -> Answer {
        // Two spaces have an empty word between them.
        let words = name.split(' ');
        Answer { initials: words.map(|word| word.chars().next().unwrap()).collect() }
    }
}

bulkhead_module::main!(Initials);
