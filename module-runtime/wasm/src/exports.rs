//! What a module must export: the border, as one table, and how a module is checked against it.

use crate::instance::State;
use wasmtime::{ExternType, FuncType, Instance, Memory, Module, Store, TypedFunc, ValType};

/// Whether a module may lack a function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needed {
    Always,
    /// It is called if it is there.
    IfThere,
}

/// The border. Pointers and sizes are `i32`.
const FUNCTIONS: [(&str, usize, usize, Needed); 8] = [
    ("create_module", 0, 1, Needed::Always),
    ("destroy_module", 1, 0, Needed::Always),
    ("handle_message", 3, 1, Needed::Always),
    ("free_string", 1, 0, Needed::Always),
    ("alloc_string", 1, 1, Needed::Always),
    ("get_module_metadata", 0, 1, Needed::IfThere),
    ("before_answers", 1, 1, Needed::IfThere),
    ("_initialize", 0, 0, Needed::IfThere),
];

/// The functions of one instance.
#[derive(Clone)]
pub(crate) struct Exports {
    pub(crate) memory: Memory,
    pub(crate) create_module: TypedFunc<(), u32>,
    pub(crate) destroy_module: TypedFunc<u32, ()>,
    pub(crate) handle_message: TypedFunc<(u32, u32, u32), u32>,
    pub(crate) free_string: TypedFunc<u32, ()>,
    pub(crate) alloc_string: TypedFunc<u32, u32>,
    pub(crate) get_module_metadata: Option<TypedFunc<(), u32>>,
    pub(crate) before_answers: Option<TypedFunc<u32, u32>>,
    pub(crate) initialize: Option<TypedFunc<(), ()>>,
}

impl Exports {
    /// The functions of an instance of a module that was checked against the border.
    pub(crate) fn of(store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Exports> {
        let memory = instance.get_memory(&mut *store, "memory");
        macro_rules! optional {
            ($name:literal) => {
                match instance.get_func(&mut *store, $name) {
                    Some(function) => Some(function.typed(&*store)?),
                    None => None,
                }
            };
        }
        Ok(Exports {
            memory: memory.ok_or_else(|| wasmtime::Error::msg("there is no memory"))?,
            create_module: instance.get_typed_func(&mut *store, "create_module")?,
            destroy_module: instance.get_typed_func(&mut *store, "destroy_module")?,
            handle_message: instance.get_typed_func(&mut *store, "handle_message")?,
            free_string: instance.get_typed_func(&mut *store, "free_string")?,
            alloc_string: instance.get_typed_func(&mut *store, "alloc_string")?,
            get_module_metadata: optional!("get_module_metadata"),
            before_answers: optional!("before_answers"),
            initialize: optional!("_initialize"),
        })
    }
}

/// Reports everything that a module lacks.
pub(crate) fn check(module: &Module) -> Result<(), String> {
    let mut problems = Vec::new();
    for (name, params, results, needed) in FUNCTIONS {
        let expected = FuncType::new(
            module.engine(),
            std::iter::repeat_n(ValType::I32, params),
            std::iter::repeat_n(ValType::I32, results),
        );
        match module.get_export(name) {
            Some(ExternType::Func(found)) if found.matches(&expected) => {}
            Some(found) => {
                problems.push(format!("{name} is {}, expected {}", describe(&found), signature(&expected)));
            }
            None if needed == Needed::Always => problems.push(format!("{name} {} is missing", signature(&expected))),
            None => {}
        }
    }
    match module.get_export("memory") {
        Some(ExternType::Memory(memory)) if !memory.is_shared() && !memory.is_64() => {}
        Some(found) => problems.push(format!("memory is {}, expected a 32-bit memory", describe(&found))),
        None => problems.push("memory is missing".to_owned()),
    }
    if problems.is_empty() {
        return Ok(());
    }
    let hint = match module.get_export("_start") {
        Some(_) => "; it has _start, as a program has: build it as a library (for clang, -mexec-model=reactor)",
        None => "",
    };
    Err(format!("the module's exports are not those of a module of Bulkhead: {}{hint}", problems.join("; ")))
}

/// What an import or an export is, for a person.
pub(crate) fn describe(kind: &ExternType) -> String {
    match kind {
        ExternType::Func(function) => signature(function),
        ExternType::Global(_) => "a global".into(),
        ExternType::Table(_) => "a table".into(),
        ExternType::Memory(memory) if memory.is_64() => "a 64-bit memory".into(),
        ExternType::Memory(memory) if memory.is_shared() => "a shared memory".into(),
        ExternType::Memory(_) => "a memory".into(),
        ExternType::Tag(_) => "a tag".into(),
    }
}

/// A signature, like `(i32, i32) -> i32`.
fn signature(function: &FuncType) -> String {
    let params: Vec<String> = function.params().map(|kind| kind.to_string()).collect();
    let results: Vec<String> = function.results().map(|kind| kind.to_string()).collect();
    match &results[..] {
        [] => format!("({})", params.join(", ")),
        [result] => format!("({}) -> {result}", params.join(", ")),
        _ => format!("({}) -> ({})", params.join(", "), results.join(", ")),
    }
}
