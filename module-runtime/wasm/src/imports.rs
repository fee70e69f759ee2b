//! What a module may import: the functions of the host, under the name `bulkhead`, and WASI if it imports that.
//! [`host`] and [`crate::wasi`] document what they do.

mod host;
mod strings;

use crate::exports;
use crate::instance::State;
use crate::wasi;
use host::HOST;
use wasmtime::{Engine, ExternType, Linker, Module, Store};

/// Everything that this module may import. The error names the imports that do not exist.
pub(crate) fn linker(engine: &Engine, module: &Module) -> Result<Linker<State>, String> {
    let mut linker = Linker::new(engine);
    let defined = host::define(&mut linker).and_then(|()| match wasi::is_imported(module) {
        true => wasmtime_wasi::p1::add_to_linker_sync(&mut linker, |state: &mut State| {
            state.wasi.as_mut().expect("a module that imports WASI has its context")
        }),
        false => Ok(()),
    });
    defined.map_err(|error| format!("its imports cannot be prepared: {error:#}"))?;
    check(&linker, module)?;
    Ok(linker)
}

fn check(linker: &Linker<State>, module: &Module) -> Result<(), String> {
    let mut store = Store::new(module.engine(), State::nothing());
    let mut problems = Vec::new();
    for import in module.imports() {
        let (from, name, wanted) = (import.module(), import.name(), exports::describe(&import.ty()));
        match linker.get(&mut store, from, name).map(|found| found.ty(&store)) {
            Err(_) => problems.push(format!("{from}.{name} {wanted}")),
            Ok(ExternType::Func(found)) if import.ty().func().is_some_and(|wanted| found.matches(wanted)) => {}
            Ok(found) => problems.push(format!("{from}.{name} {wanted}, which is {} here", exports::describe(&found))),
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!(
        "it imports what is not there: {}; a module can import the functions of {HOST} (see module.h) and of {}",
        problems.join("; "),
        wasi::WASI
    ))
}

#[cfg(test)]
mod tests;
