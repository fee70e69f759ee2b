//! Ctrl-C and its like. The first asks for the end; a second one ends the program at once, also while the loop waits for
//! a module that does not stop, or for a terminal that takes nothing.

use crate::input::{Input, Inputs};
use std::io;
use std::thread;
use tokio::signal::unix::{SignalKind, signal};

/// Listens, on a thread of its own.
///
/// # Errors
/// When signals cannot be listened to.
pub(crate) fn listen(inputs: Inputs) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let guard = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut resized = signal(SignalKind::window_change())?;
    drop(guard);
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            let mut has_come = false;
            loop {
                let kind = tokio::select! {
                    _ = terminate.recv() => SignalKind::terminate(),
                    _ = interrupt.recv() => SignalKind::interrupt(),
                    _ = hang_up.recv() => SignalKind::hangup(),
                    _ = resized.recv() => {
                        // The size is looked at when the loop has time; a full channel has a later look in it.
                        let _ = inputs.try_send(Input::Resized);
                        continue;
                    }
                };
                // The guardian kills the modules when this process is gone, and the next program removes the folder.
                if std::mem::replace(&mut has_come, true) {
                    crate::terminal::restore();
                    std::process::exit(128 + kind.as_raw_value());
                }
                let inputs = inputs.clone();
                // The loop may be full of other inputs; a second signal is heard in any case.
                thread::spawn(move || inputs.send(Input::Signal));
            }
        });
    })?;
    Ok(())
}
