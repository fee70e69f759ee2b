//! A module as a program: what the serving loop of `bulkhead-child` asks for, answered by an `impl Module`. A shared
//! library answers the same at its border.

use crate::dispatch::dispatch;
use crate::{Context, Description, Error, Init, Json, Module, panics};
#[cfg(test)]
use bulkhead_child::Channel;
use bulkhead_child::{EXIT_PANICKED, Greeting, Guest, Host, Outcome};
use bulkhead_protocol::{OnPanic, RequestType};
use std::process::ExitCode;

/// Runs the module until the host says `shutdown` or is gone.
///
/// | exit code | meaning |
/// |---|---|
/// | 0 | shut down, or the host is gone |
/// | 1 | `init` or `shutdown` failed, or the channel broke |
/// | 2 | there is no host: a person started the program |
/// | 101 | a handler panicked |
/// | 125 | starting again would not help: another version of the wire, or `init` said so |
pub fn run<M: Module>() -> ExitCode {
    panics::install_hook();
    bulkhead_child::run(Program::<M>::new())
}

/// As [`run`], over a channel that is open already.
#[cfg(test)]
fn serve<M: Module>(channel: Channel) -> u8 {
    panics::install_hook();
    bulkhead_child::serve(Program::<M>::new(), channel)
}

struct Program<M> {
    description: Description,
    module: Option<M>,
    on_panic: OnPanic,
    has_panicked: bool,
}

impl<M: Module> Program<M> {
    fn new() -> Program<M> {
        Program { description: M::describe(), module: None, on_panic: OnPanic::Restart, has_panicked: false }
    }
}

impl<M: Module> Guest for Program<M> {
    fn name(&self) -> String {
        self.description.name.clone()
    }

    fn init(&mut self, init: &Init, _: &Json) -> Result<Greeting, Error> {
        self.on_panic = init.on_panic;
        let made = panics::catch(|| {
            let module = M::init(init)?;
            Ok((module.barrier(), module))
        });
        let (barrier, module) = made.unwrap_or_else(|panic| Err(Error::failed(panic)))?;
        self.module = Some(module);
        Ok(Greeting { ready: self.description.ready(), batch_answers: self.description.batches, barrier })
    }

    fn handle(&mut self, host: &mut dyn Host, kind: &RequestType, payload: &Json) -> Outcome {
        let Some(module) = &mut self.module else {
            return Outcome::Answer(Err(Error::bad_request("the module is not initialised")));
        };
        let mut ctx = Context { host };
        match panics::catch(|| dispatch(module, &self.description, &mut ctx, kind, payload)) {
            Ok(result) => Outcome::Answer(result),
            Err(panic) => {
                self.has_panicked = true;
                let result = Err(Error::failed(panic));
                match self.on_panic {
                    OnPanic::Restart => Outcome::Last(result, EXIT_PANICKED),
                    OnPanic::Continue => Outcome::Answer(result),
                }
            }
        }
    }
}

impl<M> Drop for Program<M> {
    fn drop(&mut self) {
        if self.has_panicked {
            // Its destructors would run on a state that is in doubt.
            std::mem::forget(self.module.take());
        }
    }
}

#[cfg(test)]
mod tests;
