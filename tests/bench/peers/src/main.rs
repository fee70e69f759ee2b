//! Peers of the host that are Rust libraries: each as a server that echoes 128 bytes and as a caller of it, in two
//! processes with a Unix socket between them. The benchmark starts both, and sends the caller line by line what to
//! measure ([`rounds`]).
//!
//! There is no relay and no supervision here: the caller talks to the server itself, and both end
//! when the benchmark closes their standard input or the connection.
//!
//! Each has one thread: with several they are slower, since there is one connection.
//!
//! `bulkhead-bench-peers PEER serve` with the listening socket as standard input;
//! `bulkhead-bench-peers PEER call SOCKET`.

mod grpc;
mod rounds;
mod rpc;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use tokio::runtime::Builder;

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
    let runtime = Builder::new_current_thread().enable_all().build()?;
    match *words {
        ["tonic", "serve"] => runtime.block_on(grpc::serve(listener()?)),
        ["tonic", "call", socket] => rounds::follow(&runtime, &runtime.block_on(grpc::connect(socket))?),
        [peer, "serve"] => runtime.block_on(rpc::serve(peer.parse()?, listener()?)),
        [peer, "call", socket] => rounds::follow(&runtime, &runtime.block_on(rpc::connect(peer.parse()?, socket))?),
        _ => Err("expected PEER serve, or PEER call SOCKET".into()),
    }
}

/// The socket that the benchmark listens on for its peer, so that a caller never connects too early.
fn listener() -> Result<UnixListener, Failed> {
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The text that is sent.
fn text() -> String {
    "x".repeat(TEXT_BYTES)
}
