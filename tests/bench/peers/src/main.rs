//! Peers of the host that are Rust libraries: each as a server that echoes 128 bytes and as a caller
//! of it, in two processes with a Unix socket between them. The benchmark starts both, and says to
//! the caller line by line what to measure ([`rounds`]).
//!
//! There is no relay and no supervision here: the caller talks to the server itself, and both end
//! when the benchmark closes their standard input or the connection.
//!
//! `bulkhead-bench-peers PEER serve RUNTIME` with the listening socket as standard input;
//! `bulkhead-bench-peers PEER call RUNTIME SOCKET`.

mod grpc;
mod rounds;
mod rpc;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};

/// What stops a peer.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What is sent, and what comes back.
const TEXT_BYTES: usize = 128;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bulkhead-bench-peers {}: {error}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), Failed> {
    match *words {
        ["tonic", "serve", threads] => runtime(threads)?.block_on(grpc::serve(listener()?)),
        ["tonic", "call", threads, socket] => {
            let runtime = runtime(threads)?;
            let caller = runtime.block_on(grpc::connect(socket))?;
            rounds::follow(&runtime, &caller)
        }
        [peer, "serve", threads] => runtime(threads)?.block_on(rpc::serve(peer.parse()?, listener()?)),
        [peer, "call", threads, socket] => {
            let runtime = runtime(threads)?;
            let caller = runtime.block_on(rpc::connect(peer.parse()?, socket))?;
            rounds::follow(&runtime, &caller)
        }
        _ => Err("expected PEER serve RUNTIME, or PEER call RUNTIME SOCKET".into()),
    }
}

fn runtime(threads: &str) -> Result<Runtime, Failed> {
    let mut builder = match threads {
        "current-thread" => Builder::new_current_thread(),
        "multi-thread" => Builder::new_multi_thread(),
        other => return Err(format!("expected current-thread or multi-thread, found {other:?}").into()),
    };
    Ok(builder.enable_all().build()?)
}

/// The socket that the benchmark listens on for its peer, so that a caller never comes too early.
fn listener() -> Result<UnixListener, Failed> {
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The text that is sent.
fn text() -> String {
    "x".repeat(TEXT_BYTES)
}
