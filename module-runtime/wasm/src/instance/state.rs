//! What belongs to an instance beside its own memory, for the functions that it calls. It only keeps data; the code
//! that uses it decides what follows.

use crate::budget::Budget;
use crate::exports::Exports;
use crate::limits::MemoryLimit;
use std::sync::Arc;
use wasmtime_wasi::p1::WasiP1Ctx;

/// What belongs to an instance beside its own memory.
pub(crate) struct State {
    pub(crate) memory: MemoryLimit,
    pub(crate) budget: Option<Arc<Budget>>,
    pub(crate) wasi: Option<WasiP1Ctx>,
    /// Set when the instance is made: a start function runs before.
    pub(crate) exports: Option<Exports>,
    /// What `create_module` answered.
    pub(crate) module: Option<u32>,
    /// Why the module is about to trap, in its own words.
    pub(crate) panic: Option<String>,
    /// Whether a call within a call ended early: the outer one must end as well.
    pub(crate) inner: Inner,
    /// Whether a message was answered after the last `before_answers`, so that its answer may wait.
    pub(crate) owes: Owes,
    /// Longest string that crosses the border.
    pub(crate) string_bytes_max: usize,
}

/// What a module that defines `before_answers` has to do yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owes {
    Nothing,
    /// What must be done before the answers leave that it gave.
    Answers,
}

/// How the calls went that were made while the module waited in a function of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inner {
    Good,
    Stopped,
}

impl State {
    /// For the check of an instance that is never made.
    pub(crate) fn nothing() -> State {
        State::new(None, None, None, 0)
    }

    pub(super) fn new(
        memory_limit: Option<usize>,
        budget: Option<Arc<Budget>>,
        wasi: Option<WasiP1Ctx>,
        string_bytes_max: usize,
    ) -> State {
        let memory = MemoryLimit::new(memory_limit);
        State {
            memory,
            budget,
            wasi,
            exports: None,
            module: None,
            panic: None,
            inner: Inner::Good,
            owes: Owes::Nothing,
            string_bytes_max,
        }
    }
}
