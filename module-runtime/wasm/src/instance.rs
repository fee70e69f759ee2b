//! One instance of a module and the calls into it. This file reads the bytes of its answers; the answer rules say what
//! they mean, and [`crate::guest`] decides what follows a trap.

mod state;

pub(crate) use state::{Inner, Owes, State};

use crate::arguments::Options;
use crate::budget::Budget;
use crate::exports::Exports;
use crate::limits::Limit;
use crate::load::Loaded;
use crate::memory::{self, Fault};
use crate::stop::{self, Stopped, Violation};
use crate::wasi;
use bulkhead_child::answer::{self, Answer};
use bulkhead_child::{Error, log};
use bulkhead_protocol::RequestType;
use std::sync::Arc;
use wasmtime::{AsContextMut, Store};

/// Most bytes that one call of WASI may make the runtime copy for the module.
const WASI_COPY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A module that was created and can be sent messages.
pub(crate) struct Instance {
    store: Store<State>,
    exports: Exports,
    module: u32,
    health: Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// It reported that its state is in doubt: it is only entered for what must be done before answers leave.
    InDoubt,
    /// A call ended early. Its memory is in doubt, and it is never entered again.
    Stopped,
}

/// What instances are made from, as often as needed.
pub(crate) struct Recipe {
    pub(crate) loaded: Loaded,
    pub(crate) options: Options,
    pub(crate) budget: Option<Arc<Budget>>,
    pub(crate) data_folder: String,
    pub(crate) frame_bytes_max: usize,
}

impl Recipe {
    /// Makes an instance: memory, start function, `_initialize`, `create_module`.
    pub(crate) fn make(&self) -> Result<Instance, Error> {
        let Recipe { loaded, options, budget, data_folder, frame_bytes_max } = self;
        let wasi = match wasi::is_imported(&loaded.module) {
            true => Some(wasi::context(&options.grants, data_folder).map_err(Error::failed)?),
            false => None,
        };
        let state = State::new(options.memory_limit, budget.clone(), wasi, *frame_bytes_max);
        let mut store = Store::new(&loaded.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(options.memory_limit.unwrap_or(usize::MAX).min(WASI_COPY_BYTES_MAX));
        if let Some(limit) = options.cpu_time_limit {
            store.epoch_deadline_callback(move |_| Err(Limit::CpuTime { limit }.into()));
        }
        let made = enter(&mut store, "its start", |store| {
            let instance = loaded.linker.instantiate(&mut *store, &loaded.module)?;
            let exports = Exports::of(store, &instance)?;
            store.data_mut().exports = Some(exports.clone());
            Ok(exports)
        });
        let exports = made.map_err(|stopped| stopped.error)?;
        if let Some(initialize) = exports.initialize.clone() {
            enter(&mut store, "_initialize", |store| initialize.call(store, ())).map_err(|stopped| stopped.error)?;
        }
        let created = enter(&mut store, "create_module", |store| exports.create_module.call(store, ()));
        match created.map_err(|stopped| stopped.error)? {
            0 => Err(Error::failed("the module could not be made: create_module answered a null pointer")),
            module => {
                store.data_mut().module = Some(module);
                Ok(Instance { store, exports, module, health: Health::Good })
            }
        }
    }
}

impl Instance {
    /// Sends one message and reads its answer.
    pub(crate) fn message(&mut self, kind: &RequestType, payload: &str) -> Result<Answer, Stopped> {
        let answered = self.answer(kind, payload)?;
        // An event is not answered, so that nothing waits.
        if self.has_barrier() && *kind != RequestType::Event {
            self.store.data_mut().owes = Owes::Answers;
        }
        Ok(match answered {
            Ok(bytes) => answer::read(kind, bytes.as_deref(), self.store.data().string_bytes_max),
            Err(error) => Answer { result: Err(error), panicked: false },
        })
    }

    /// The bytes that the module answers to a message; `None` is a null pointer. The inner error is of a message that
    /// could not be passed in, or of an answer that cannot be passed on.
    pub(crate) fn answer(
        &mut self,
        kind: &RequestType,
        payload: &str,
    ) -> Result<Result<Option<Vec<u8>>, Error>, Stopped> {
        let (module, name) = (self.module, kind.name());
        self.enter(&format!("handle_message ({name})"), |store, exports| {
            let Some(kind) = give(&mut *store, exports, name)? else { return Ok(Err(no_memory(payload))) };
            let Some(handed) = give(&mut *store, exports, payload)? else {
                exports.free_string.call(&mut *store, kind)?;
                return Ok(Err(no_memory(payload)));
            };
            let answer = exports.handle_message.call(&mut *store, (module, kind, handed))?;
            let taken = take(store, exports, answer, "the answer")?;
            exports.free_string.call(&mut *store, kind)?;
            exports.free_string.call(&mut *store, handed)?;
            Ok(taken)
        })
    }

    /// What the module reports about itself, if anything.
    pub(crate) fn metadata(&mut self) -> Result<Option<Vec<u8>>, Stopped> {
        let Some(function) = self.exports.get_module_metadata.clone() else { return Ok(None) };
        let taken = self.enter("get_module_metadata", |store, exports| {
            let answer = function.call(&mut *store, ())?;
            take(store, exports, answer, "its metadata")
        })?;
        Ok(taken.unwrap_or_else(|error| {
            log!(warn, "the module's metadata is ignored: {error}");
            None
        }))
    }

    /// Whether there is something to be done before answers leave.
    pub(crate) fn has_barrier(&self) -> bool {
        self.exports.before_answers.is_some()
    }

    /// Lets the module do its work before answers leave.
    pub(crate) fn before_answers(&mut self) -> Result<(), Error> {
        if self.health == Health::Stopped {
            return match self.owes_answers() {
                true => {
                    Err(Error::failed("the module was stopped before it had done what its earlier answers wait for"))
                }
                // Only the answer that it was stopped leaves.
                false => Ok(()),
            };
        }
        let module = self.module;
        self.enter("before_answers", |store, exports| before_answers(store, exports, module))
            .map_err(|stopped| stopped.error)?
    }

    /// Whether it gave answers that may not leave before it has done something.
    pub(crate) fn owes_answers(&self) -> bool {
        self.store.data().owes == Owes::Answers
    }

    /// Sends the module no more messages, because it reported that its state is in doubt.
    pub(crate) fn abandon(&mut self) {
        self.health = Health::InDoubt;
    }

    /// Ends the module, unless its state is in doubt.
    pub(crate) fn destroy(&mut self) {
        if self.health != Health::Good {
            return;
        }
        let module = self.module;
        let ended = self.enter("destroy_module", |store, exports| exports.destroy_module.call(store, module));
        if let Err(stopped) = ended {
            log!(warn, "the module was not ended well: {}", stopped.error);
        }
    }

    fn enter<R>(
        &mut self,
        doing: &str,
        call: impl FnOnce(&mut Store<State>, &Exports) -> wasmtime::Result<R>,
    ) -> Result<R, Stopped> {
        let exports = &self.exports;
        let result = enter(&mut self.store, doing, |store| call(store, exports));
        if result.is_err() {
            self.health = Health::Stopped;
        }
        result
    }
}

/// Calls into the module within the budget of one message.
fn enter<R>(
    store: &mut Store<State>,
    doing: &str,
    call: impl FnOnce(&mut Store<State>) -> wasmtime::Result<R>,
) -> Result<R, Stopped> {
    let _runtime = store.data().wasi.is_some().then(wasi::enter);
    let budget = store.data().budget.clone();
    store.data_mut().panic = None;
    if let Some(budget) = &budget {
        store.set_epoch_deadline(1);
        budget.begin();
    }
    let result = call(store);
    if let Some(budget) = &budget {
        budget.finish();
    }
    result.map_err(|error| stop::stopped(doing, &error, store.data_mut().panic.take()))
}

/// Copies a string into the module's memory; `None` when the module has no room for it.
pub(crate) fn give(
    mut store: impl AsContextMut<Data = State>,
    exports: &Exports,
    text: &str,
) -> wasmtime::Result<Option<u32>> {
    let Some(length) = u32::try_from(text.len()).ok().and_then(|length| length.checked_add(1)) else {
        return Ok(None);
    };
    let pointer = exports.alloc_string.call(&mut store, length)?;
    if pointer == 0 {
        return Ok(None);
    }
    let memory = exports.memory.data_mut(&mut store);
    let place = memory::range(memory, pointer, length)
        .map_err(|fault| Violation(format!("alloc_string({length}) answered {fault}")))?;
    let (place, end) = memory[place].split_at_mut(text.len());
    place.copy_from_slice(text.as_bytes());
    end.fill(0);
    Ok(Some(pointer))
}

/// Copies a string out of the module's memory and frees it; `None` is a null pointer. The inner error is of a string
/// that cannot be passed on.
fn take(
    store: &mut Store<State>,
    exports: &Exports,
    pointer: u32,
    what: &str,
) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
    let most = store.data().string_bytes_max;
    let taken = match memory::string(exports.memory.data(&*store), pointer, most) {
        Ok(bytes) => Ok(Some(bytes.to_vec())),
        Err(Fault::Null) => return Ok(Ok(None)),
        Err(fault) if fault.is_wild() => return Err(Violation(format!("it gave as {what} {fault}")).into()),
        Err(fault) => Err(Error::frame_too_large(format!("the module gave as {what} {fault}"))),
    };
    exports.free_string.call(store, pointer)?;
    Ok(taken)
}

/// Calls `before_answers`, also in a module that waits in a function of the host.
pub(crate) fn before_answers(
    mut store: impl AsContextMut<Data = State>,
    exports: &Exports,
    module: u32,
) -> wasmtime::Result<Result<(), Error>> {
    let Some(function) = &exports.before_answers else { return Ok(Ok(())) };
    let pointer = function.call(&mut store, module)?;
    let most = store.as_context().data().string_bytes_max;
    let failed = match memory::string(exports.memory.data(&store), pointer, most) {
        Err(Fault::Null) => {
            store.as_context_mut().data_mut().owes = Owes::Nothing;
            return Ok(Ok(()));
        }
        Ok(reason) => answer::read_barrier(reason),
        Err(fault) => Error::failed(format!("before_answers answered {fault}")),
    };
    // The process ends, so the string is not freed.
    Ok(Err(failed))
}

fn no_memory(payload: &str) -> Error {
    let bytes = payload.len();
    Error::failed(format!(
        "the module has no memory for a payload of {bytes} bytes: alloc_string answered a null pointer"
    ))
}
