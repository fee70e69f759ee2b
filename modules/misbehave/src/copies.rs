//! Copies of this process that return from the handler in which they were made: a fork without exec. One of the files
//! with unsafe code, as a fork needs it.

use crate::module::Misbehave;
use bulkhead_module::{Context, Error, Json, arguments, json};
use nix::unistd::{ForkResult, fork};
use serde::Deserialize;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// What a copy does before it returns.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Does {
    #[default]
    Nothing,
    Asks,
    Emits,
    Progresses,
    Panics,
}

/// Forks, and both return; `beside_threads`, while others of this process hold the lock of standard error and use the
/// allocator. Answers with the number of the process.
pub(crate) fn fork_and_return(_: &mut Misbehave, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        #[serde(default)]
        does: Does,
        #[serde(default)]
        beside_threads: bool,
    }
    let Args { does, beside_threads } = arguments(args)?;
    if beside_threads {
        let until = Instant::now() + Duration::from_millis(20);
        for _ in 0..3 {
            std::thread::spawn(move || {
                while Instant::now() < until {
                    let lines = "\n".repeat(8);
                    let _ = io::stderr().write_all(lines.as_bytes());
                }
            });
        }
    }
    // SAFETY: nothing is assumed of the copy: this tests what becomes of a copy that goes on.
    match unsafe { fork() }.map_err(io::Error::from)? {
        ForkResult::Parent { .. } => {}
        ForkResult::Child => match does {
            Does::Nothing => {}
            Does::Asks => drop(ctx.call("supervisor", "status", json!({}))),
            Does::Emits => drop(ctx.emit("misbehave.copied", json!(1))),
            Does::Progresses => drop(ctx.progress(json!(1))),
            Does::Panics => panic!("the copy panics"),
        },
    }
    Ok(json!({ "pid": std::process::id() }))
}
