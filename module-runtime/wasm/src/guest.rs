//! The module as the serving loop sees it: loaded when `init` came, so that each failure is an answer; and what follows
//! when a call ends early, by the manifest's policy.

use crate::arguments::{DataFolder, OnLimit, Options};
use crate::budget::Budget;
use crate::instance::{Instance, Recipe};
use crate::load::{self, Loaded};
use crate::scoped_host;
use crate::stop::{Ending, Stopped};
use crate::wasi;
use bulkhead_child::{
    Barrier, EXIT_LIMIT, EXIT_PANICKED, EXIT_TRAP, Error, Greeting, Guest, Host, Outcome, answer, border, log,
};
use bulkhead_protocol::init::OnPanic;
use bulkhead_protocol::{Init, Json, RequestType, StartProgress};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

/// One WebAssembly module.
pub(crate) struct WasmGuest {
    options: Options,
    /// The module once it is compiled, until it runs.
    loaded: Option<Loaded>,
    running: Option<Running>,
}

/// The instance, shared with what is done before answers leave; none only while a fresh one is made.
type Shared = Rc<RefCell<Option<Instance>>>;

struct Running {
    recipe: Recipe,
    instance: Shared,
    /// The payload of `init` as the module sees it: every instance gets the same.
    init: String,
    on_panic: OnPanic,
}

impl WasmGuest {
    /// The module that the command line names. Nothing is loaded yet.
    pub(crate) fn new(options: Options) -> WasmGuest {
        WasmGuest { options, loaded: None, running: None }
    }

    fn recipe(&mut self, init: &Init) -> Result<Recipe, Error> {
        let options = self.options.clone();
        let loaded = self.loaded.take().ok_or_else(|| Error::failed("the module was not loaded"))?;
        let budget = options.cpu_time_limit.map(|limit| Budget::new(loaded.engine.clone(), limit)).transpose()?;
        Ok(Recipe {
            loaded,
            options,
            budget: budget.map(Arc::new),
            data_folder: init.data_dir.clone(),
            frame_bytes_max: init.limits.frame_bytes_max,
        })
    }
}

impl Guest for WasmGuest {
    fn name(&self) -> String {
        let stem = self.options.module.file_stem();
        stem.map_or_else(|| "module-runtime-wasm".into(), |stem| stem.to_string_lossy().into_owned())
    }

    fn prepare(&mut self, host: &mut dyn Host, _: &Init) -> Result<(), Error> {
        let mut report = |phase| {
            // A host that is gone is noticed at the next read.
            let _ = host.progress(&Json::of(&StartProgress { phase }));
        };
        let loaded = load::load(&self.options, &mut report);
        self.loaded = Some(loaded.map_err(|problem| Error::failed(problem).permanent())?);
        Ok(())
    }

    fn init(&mut self, init: &Init, payload: &Json) -> Result<Greeting, Error> {
        let recipe = self.recipe(init)?;
        let payload = payload_of_init(payload, self.options.grants.data)?;
        // What fails before the first message fails each time.
        let mut instance = recipe.make().map_err(Error::permanent)?;
        let metadata = instance.metadata().map_err(|stopped| stopped.error.permanent())?;
        let answer = instance.answer(&RequestType::Init, &payload).map_err(|stopped| stopped.error)??;
        let module = if init.module.is_empty() { self.name() } else { init.module.clone() };
        let readiness = answer::read_greeting(&module, answer.as_deref(), metadata.as_deref(), recipe.frame_bytes_max)?;
        for warning in &readiness.warnings {
            log!(warn, "{warning}");
        }
        let has_barrier = instance.has_barrier();
        let instance = Rc::new(RefCell::new(Some(instance)));
        let barrier = has_barrier.then(|| barrier(Rc::clone(&instance)));
        self.running = Some(Running { recipe, instance, init: payload, on_panic: init.on_panic });
        Ok(Greeting { ready: readiness.ready, batch_answers: readiness.batch_answers, barrier })
    }

    fn handle(&mut self, host: &mut dyn Host, kind: &RequestType, payload: &Json) -> Outcome {
        let Some(running) = &mut self.running else {
            return Outcome::Answer(Err(Error::failed("the module was not initialised")));
        };
        if let Err(error) = border::check_key(host) {
            return Outcome::Answer(Err(error));
        }
        let mut shared = running.instance.borrow_mut();
        let Some(instance) = shared.as_mut() else {
            return Outcome::Answer(Err(Error::failed("the module has no instance")));
        };
        match scoped_host::scoped_host(host, || instance.message(kind, payload.as_str())) {
            Ok(answer) if answer.panicked && running.on_panic == OnPanic::Restart => {
                instance.abandon();
                Outcome::Last(answer.result, EXIT_PANICKED)
            }
            Ok(answer) => Outcome::Answer(answer.result),
            Err(stopped) => {
                drop(shared);
                running.stopped(kind, stopped)
            }
        }
    }
}

impl Running {
    /// What follows when a message ended early: the process ends, or a fresh instance goes on.
    fn stopped(&mut self, kind: &RequestType, Stopped { error, ending, frames }: Stopped) -> Outcome {
        let (code, continues) = match ending {
            Ending::Exit(code) => (code, false),
            Ending::Limit => (EXIT_LIMIT, self.recipe.options.on_limit == OnLimit::Continue),
            Ending::Trap => (EXIT_TRAP, self.on_panic == OnPanic::Continue),
        };
        log!(error, "{error}");
        let lines: String = frames.iter().map(|frame| format!("  {frame}\n")).collect();
        // A closed log is ignored.
        let _ = std::io::stderr().write_all(lines.as_bytes());
        // Answers that were given earlier may be lost with it. The process ends without sending them, but with this
        // answer, so that the host repeats the unanswered requests, and attributes the end to the right one.
        let is_owed = self.instance.borrow().as_ref().is_some_and(Instance::owes_answers);
        if !continues || is_owed || *kind == RequestType::Shutdown {
            return Outcome::Last(Err(error), code);
        }
        // The old one is dropped first: its memory and the fresh one's together would be too much.
        *self.instance.borrow_mut() = None;
        match self.fresh() {
            Ok(instance) => {
                *self.instance.borrow_mut() = Some(instance);
                Outcome::Answer(Err(error))
            }
            Err(problem) => {
                log!(error, "a fresh instance could not be made after that: {problem}");
                Outcome::Last(Err(error), code)
            }
        }
    }

    fn fresh(&self) -> Result<Instance, Error> {
        let mut instance = self.recipe.make()?;
        let answer = instance.answer(&RequestType::Init, &self.init).map_err(|stopped| stopped.error)??;
        answer::read_greeting("", answer.as_deref(), None, self.recipe.frame_bytes_max)?;
        Ok(instance)
    }
}

impl Drop for WasmGuest {
    fn drop(&mut self) {
        if let Some(running) = &self.running
            && let Ok(mut shared) = running.instance.try_borrow_mut()
            && let Some(instance) = shared.as_mut()
        {
            instance.destroy();
        }
    }
}

/// What is done before answers leave: mostly between two messages, but also while the module waits in a function of the
/// host, when it is reached through that function's scope.
fn barrier(instance: Shared) -> Barrier {
    Box::new(move || match instance.try_borrow_mut() {
        Ok(mut shared) => shared.as_mut().map_or(Ok(()), Instance::before_answers),
        Err(_) => scoped_host::with_inside(|inside| inside.before_answers())
            .unwrap_or_else(|| Err(Error::failed("the module is busy and cannot be asked before answers leave"))),
    })
}

/// The payload of `init` for the module: with its data folder as it sees it, if it does.
fn payload_of_init(payload: &Json, data: DataFolder) -> Result<String, Error> {
    let mut members: BTreeMap<String, Json> = payload.read()?;
    let seen = match data {
        DataFolder::Shown => wasi::DATA,
        DataFolder::Hidden => "",
    };
    members.insert("data_dir".into(), Json::of(seen));
    Ok(Json::of(&members).as_str().to_owned())
}

#[cfg(test)]
mod tests;
