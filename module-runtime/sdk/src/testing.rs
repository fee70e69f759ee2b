//! For tests of modules: [`Harness`] drives an implementation without a process and a host,
//! [`Program`] drives a built program or shared library without a host. Neither is a host: nothing is restarted.
//! [`TestHost`] runs a built module under the real host.

mod harness;
mod peer;
mod program;
mod scratch;
mod store;
mod test_host;

pub use harness::{Asked, Harness};
pub use peer::{Peer, StreamEnd};
pub use program::{Form, Program, ProgramBuilder};
pub use scratch::Scratch;
pub use store::Store;
pub use test_host::{Asked as AskedOfFake, Call, TestHost, TestHostBuilder};

pub use bulkhead_protocol::{Message, Request, RequestType, Response, Status};

use bulkhead_protocol::init::{Capabilities, Limits};
use bulkhead_protocol::{Init, Json, PROTOCOL_VERSION};
use std::path::Path;
use std::time::Duration;

/// How long a test waits for anything before it fails.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An `init` as a host with its default limits would send it.
pub fn init(module: &str, config: Json, data_dir: &Path) -> Init {
    Init {
        protocol: PROTOCOL_VERSION,
        module: module.to_owned(),
        instance: format!("{module}#1"),
        config,
        limits: Limits { frame_bytes_max: 16 * 1024 * 1024, window: 64, requests_max: 1024 },
        capabilities: Capabilities {
            event_subscribe: vec!["*".into()],
            event_emit: vec!["*".into()],
            ..Capabilities::default()
        },
        data_dir: data_dir.to_string_lossy().into_owned(),
        on_panic: bulkhead_protocol::OnPanic::Restart,
    }
}
