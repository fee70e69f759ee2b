//! `module-runtime native`: a shared library with the functions of `module.h` as a module. It is loaded only after
//! `init` came, so that a load failure is the answer to it.
//!
//! What is unsafe is in four files: `border.rs` calls the library, `table.rs` is called by it,
//! `exceptions.rs` is where exceptions end, and `crash_handler.rs` reports when it ends the process.

mod border;
mod crash_handler;
mod exceptions;
mod load_failure;
mod table;

use border::{Instance, Library};
use bulkhead_child::border::check_key;
use bulkhead_child::{EXIT_PANICKED, Error, Greeting, Guest, Host, Outcome, answer, log};
use bulkhead_protocol::init::OnPanic;
use bulkhead_protocol::{Init, Json, RequestType};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

/// Serves the library to its end. The table of exit codes is at [`bulkhead_child::run`].
pub(crate) fn main(library: PathBuf) -> ExitCode {
    // An argument of a process has no NUL in it; one is for the process's life.
    let name: &'static CStr = match CString::new(library.clone().into_os_string().into_vec()) {
        Ok(name) => Box::leak(name.into_boxed_c_str()),
        Err(_) => return ExitCode::from(bulkhead_child::EXIT_USAGE),
    };
    crash_handler::install();
    let code =
        bulkhead_child::run(Native { library, name, instance: None, frame_bytes_max: 0, on_panic: OnPanic::default() });
    crash_handler::ending(name);
    code
}

/// A library, from before it is loaded to the end of the process.
struct Native {
    library: PathBuf,
    name: &'static CStr,
    instance: Option<Rc<Instance>>,
    frame_bytes_max: usize,
    on_panic: OnPanic,
}

impl Guest for Native {
    fn name(&self) -> String {
        format!("module-runtime native {}", self.library.display())
    }

    fn init(&mut self, init: &Init, payload: &Json) -> Result<Greeting, Error> {
        self.frame_bytes_max = init.limits.frame_bytes_max;
        self.on_panic = init.on_panic;

        let library = Library::open(&self.library, self.name)?;
        library.set_host(&table::TABLE);
        let instance = Rc::new(library.create().ok_or_else(|| load_failure::null_module(&self.library))?);
        self.instance = Some(Rc::clone(&instance));
        let metadata = instance.metadata(<[u8]>::to_vec);
        let readiness = instance.handle(c"init", &to_c(payload)?, |said| {
            answer::read_greeting(&init.module, said, metadata.as_deref(), self.frame_bytes_max)
        })?;
        for warning in readiness.warnings {
            log!(warn, "{warning}");
        }
        let barrier = instance.has_barrier().then(|| -> bulkhead_child::Barrier {
            Box::new(move || {
                instance.before_answers(|said| said.map_or(Ok(()), |said| Err(answer::read_barrier(said))))
            })
        });
        Ok(Greeting { ready: readiness.ready, batch_answers: readiness.batch_answers, barrier })
    }

    fn handle(&mut self, host: &mut dyn Host, kind: &RequestType, payload: &Json) -> Outcome {
        let instance = Rc::clone(self.instance.as_ref().expect("what is handled comes after init"));
        let (name, payload) = match type_name(kind).and_then(|name| Ok((name, to_c(payload)?))) {
            Ok(both) => both,
            Err(error) => return Outcome::Answer(Err(error)),
        };
        if let Err(error) = check_key(host) {
            return Outcome::Answer(Err(error));
        }
        let frame_bytes_max = self.frame_bytes_max;
        let said =
            table::scoped(host, || instance.handle(name, &payload, |said| answer::read(kind, said, frame_bytes_max)));
        if said.panicked && self.on_panic == OnPanic::Restart {
            instance.abandon();
            return Outcome::Last(said.result, EXIT_PANICKED);
        }
        Outcome::Answer(said.result)
    }
}

impl Drop for Native {
    /// After the last answer, or when the host is gone.
    fn drop(&mut self) {
        if let Some(instance) = &self.instance {
            instance.destroy();
        }
    }
}

/// The name of a type that the library handles.
fn type_name(kind: &RequestType) -> Result<&'static CStr, Error> {
    match kind {
        RequestType::Command => Ok(c"command"),
        RequestType::Query => Ok(c"query"),
        RequestType::Mutation => Ok(c"mutation"),
        RequestType::Event => Ok(c"event"),
        RequestType::Shutdown => Ok(c"shutdown"),
        other => Err(Error::unknown_type(format!("this module does not know requests of type {:?}", other.name()))),
    }
}

fn to_c(payload: &Json) -> Result<CString, Error> {
    CString::new(payload.as_str()).map_err(|_| Error::bad_request("the payload has a NUL in it"))
}
