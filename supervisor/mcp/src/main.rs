//! The program `bulkhead-mcp`, which `bulkhead mcp` runs: an MCP server whose tools are the described commands of modules.
//! It is a client of the daemon; it runs no module, and sends nothing again. Standard output carries MCP and nothing
//! else.

#![forbid(unsafe_code)]

mod catalogue;
mod cli;
mod daemon;
mod facade;
mod follow;
mod names;
mod resources;
mod result;

use crate::catalogue::Shown;
use crate::cli::Cli;
use crate::daemon::{Daemon, Scope};
use crate::facade::Facade;
use bulkhead_command_line::answer;
use bulkhead_config::HostConfig;
use bulkhead_protocol::ModuleName;
use clap::{CommandFactory, Parser};
use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use std::process::ExitCode;
use tracing_subscriber::filter::LevelFilter;

const EXIT_NO_MCP: u8 = 1;
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    if let Some(code) = answer(Cli::command(), std::env::args_os()) {
        return code;
    }
    let cli = Cli::parse();
    let facade = match facade(&cli) {
        Ok(facade) => facade,
        Err(fault) => {
            eprintln!("bulkhead mcp: {fault}");
            return EXIT_USAGE.into();
        }
    };
    // What the library has to say, such as that a message was too long.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(LevelFilter::ERROR).init();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bulkhead mcp: cannot wait for the client and the daemon: {error}");
            return EXIT_NO_MCP.into();
        }
    };
    let code = match runtime.block_on(serve(facade)) {
        Ok(()) => 0,
        Err(fault) => {
            eprintln!("bulkhead mcp: {fault}");
            EXIT_NO_MCP
        }
    };
    // A read of standard input cannot be taken back, and the end of the program is not to wait for it.
    std::process::exit(code.into());
}

fn facade(cli: &Cli) -> Result<Facade, String> {
    for module in &cli.modules {
        ModuleName::new(module).map_err(|error| format!("--module: {error}"))?;
    }
    let socket = HostConfig::socket_for(cli.socket.as_deref()).map_err(|problems| problems.to_string())?;
    let shown = if cli.read_only { Shown::Reads } else { Shown::All };
    let scope = Scope { modules: cli.modules.clone(), shown };
    Ok(Facade::new(Daemon::new(socket), scope, cli.timeout))
}

/// Serves until the client closes standard input.
async fn serve(facade: Facade) -> Result<(), String> {
    tokio::spawn(follow::follow(facade.clone()));
    let service = match facade.clone().serve(rmcp::transport::stdio()).await {
        Ok(service) => service,
        // A client that is gone before it has asked for anything.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(format!("what came is no MCP: {error}")),
    };
    tokio::spawn(facade.report_changes(service.peer().clone()));
    service.waiting().await.map(drop).map_err(|error| format!("the MCP server ended: {error}"))
}
