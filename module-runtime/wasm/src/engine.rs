//! How WebAssembly is compiled and run: all settings of wasmtime, in one file.

use crate::arguments::Options;
use std::time::Duration;
use wasmtime::{Config, Engine, WasmBacktraceDetails};

/// Most stack of the module's own calls. Beyond it is a trap, and not the end of the thread's stack.
const WASM_STACK_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(WASM_STACK_BYTES_MAX * 4 <= crate::STACK_BYTES, "the runtime runs on the same stack");

/// Makes the engine for one module. It starts no thread and compiles nothing.
pub(crate) fn engine(options: &Options) -> Result<Engine, String> {
    Engine::new(&config(options.cpu_time_limit))
        .map_err(|error| format!("this machine cannot run WebAssembly as this program compiles it: {error:#}"))
}

fn config(cpu_time_limit: Option<Duration>) -> Config {
    let mut config = Config::new();
    config.max_wasm_stack(WASM_STACK_BYTES_MAX);
    // The check costs some percent of speed, and nothing moves the epoch without a limit.
    config.epoch_interruption(cpu_time_limit.is_some());
    // File and line in a backtrace, where the module was built with them.
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    // The border has 32-bit pointers.
    config.wasm_memory64(false);
    config
}
