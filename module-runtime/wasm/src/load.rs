//! From a file to a module that fits the border, compiled or from the cache. All that can be wrong with a file is
//! reported here, before any of its code runs.

use crate::arguments::Options;
use crate::cache::{Cache, Key};
use crate::instance::State;
use crate::{exports, imports};
use bulkhead_child::log;
use bulkhead_protocol::StartPhase;
use std::io::Read;
use std::path::Path;
use wasmtime::{Engine, Linker, Module};

/// Longest file that is read.
const WASM_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A module that is ready to be instantiated, as often as needed.
pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) module: Module,
    pub(crate) linker: Linker<State>,
}

/// Reads, compiles and checks the module, and reports when the compiler begins and is done. The error is a sentence
/// that names the file.
pub(crate) fn load(options: &Options, report: &mut dyn FnMut(StartPhase)) -> Result<Loaded, String> {
    let engine = crate::engine::engine(options)?;
    let path = options.module.display();
    let wasm = read(&options.module).map_err(|problem| format!("cannot load {path}: {problem}"))?;
    let cache = options.cache.as_deref().and_then(Cache::open);
    let ready = compiled(&engine, cache.as_ref(), &wasm, report).and_then(|module| {
        exports::check(&module)?;
        let linker = imports::linker(&engine, &module)?;
        Ok((module, linker))
    });
    let (module, linker) = ready.map_err(|problem| format!("cannot load {path}: {problem}"))?;
    Ok(Loaded { engine, module, linker })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let mut wasm = Vec::with_capacity(usize::try_from(length.min(WASM_BYTES_MAX)).unwrap_or(0));
    file.take(WASM_BYTES_MAX + 1).read_to_end(&mut wasm).map_err(|error| error.to_string())?;
    if wasm.len() as u64 > WASM_BYTES_MAX {
        return Err(format!("it is longer than {WASM_BYTES_MAX} bytes"));
    }
    Ok(wasm)
}

/// Gets the module from the cache, or compiles and stores it.
fn compiled(
    engine: &Engine,
    cache: Option<&Cache>,
    wasm: &[u8],
    report: &mut dyn FnMut(StartPhase),
) -> Result<Module, String> {
    sniff(wasm)?;
    let found = cache.map(|cache| (cache, Key::of(engine, wasm)));
    if let Some((cache, key)) = &found
        && let Some(module) = cache.find(engine, key)
    {
        return Ok(module);
    }
    report(StartPhase::Compiling);
    let module = match found {
        None => compile(engine, wasm),
        Some((cache, key)) => compile_once(engine, cache, &key, wasm),
    };
    report(StartPhase::Compiled);
    module
}

/// Compiles a module and keeps it, unless another process does so just now: then its work is waited for.
fn compile_once(engine: &Engine, cache: &Cache, key: &Key, wasm: &[u8]) -> Result<Module, String> {
    // Its lock ends with this process, and so does the wait of the others.
    let _alone = cache.lock(key);
    if let Some(module) = cache.find(engine, key) {
        return Ok(module);
    }
    log!(info, "compiling {} bytes of WebAssembly, which a next start finds done", wasm.len());
    let module = compile(engine, wasm)?;
    cache.store(key, &module);
    Ok(module)
}

/// Compiles a module.
pub(crate) fn compile(engine: &Engine, wasm: &[u8]) -> Result<Module, String> {
    sniff(wasm)?;
    Module::from_binary(engine, wasm).map_err(|error| {
        let is_valid = Module::validate(engine, wasm).is_ok();
        refusal(is_valid, &reason(&error))
    })
}

/// Why there is no compiled module: the file is at fault, or a restriction of this process.
fn refusal(is_valid: bool, reason: &str) -> String {
    // Only the text of the engine's error shows what the kernel refused. A test makes the kernel refuse it.
    match (is_valid, reason.contains("make memory executable")) {
        (false, _) => format!("it is no valid WebAssembly: {reason}"),
        (true, true) => format!(
            "this process may not make memory executable, and compiled WebAssembly is run from such memory: {reason}; \
             where systemd starts the daemon, set MemoryDenyWriteExecute=no in its unit"
        ),
        (true, false) => format!("it is valid WebAssembly, and cannot be compiled here: {reason}"),
    }
}

/// The chain of causes as one line.
fn reason(error: &wasmtime::Error) -> String {
    let parts: Vec<String> = error.chain().map(|cause| cause.to_string().trim().replace('\n', " ")).collect();
    parts.join(": ")
}

/// Reports what a file is that is no module at all.
fn sniff(wasm: &[u8]) -> Result<(), String> {
    match wasm {
        [] => Err("it is empty".into()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, 0, 1, 0, ..] => {
            Err("it is a WebAssembly component, expected a core module (for clang and rustc, wasm32-wasip1)".into())
        }
        [0, b'a', b's', b'm', a, b, c, d, ..] => {
            let version = u32::from_le_bytes([*a, *b, *c, *d]);
            Err(format!("it is WebAssembly of version {version}, expected version 1"))
        }
        short if b"\0asm\x01\0\0\0".starts_with(short) => Err("it ends within the first eight bytes".into()),
        [b'(', ..] => Err("it is WebAssembly as text, expected the binary format (wat2wasm makes it)".into()),
        _ => Err("it is no WebAssembly: it does not begin with \\0asm".into()),
    }
}

#[cfg(test)]
mod tests;
