//! Runs one target under libFuzzer: the one that `BULKHEAD_FUZZ_TARGET` names. The target checks its rules, and
//! libFuzzer chooses the inputs.

#![no_main]

use bulkhead_fuzz::Target;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("BULKHEAD_FUZZ_TARGET").expect("BULKHEAD_FUZZ_TARGET names a target");
    Target::named(&name).expect("BULKHEAD_FUZZ_TARGET names one of bulkhead_fuzz::TARGETS")
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
