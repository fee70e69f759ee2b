//! The daemon over a file system that does not answer while a file is there, which `$BULKHEAD_TEST_GATE` names: no
//! operation of the host on files is done until that is removed. It takes the arguments of `bulkhead run`.

#![forbid(unsafe_code)]

use bulkhead_config::{Environment, Flags, HostConfig};
use bulkhead_host::{Gate, Host, Options};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

fn main() -> ExitCode {
    let (flags, environment) = flags();
    let closed = PathBuf::from(std::env::var_os("BULKHEAD_TEST_GATE").expect("a test names its gate"));
    let gate: Gate = Arc::new(move |_| {
        while closed.exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let loaded = HostConfig::load_in(flags.clone(), &environment).unwrap_or_else(|problems| panic!("{problems}"));
    let reloader = Box::new(move || HostConfig::load_in(flags.clone(), &environment));
    let options = Options { runtime: None, listen: true, reloader: Some(reloader) };
    match Host::run_daemon_with_gate(gate, loaded, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn flags() -> (Flags, Environment) {
    let (mut flags, mut environment) = (Flags::default(), Environment::from_process());
    let mut words = std::env::args_os().skip(2).peekable();
    while let Some(user) = words.next_if(|word| word.to_string_lossy().starts_with("--trust-user=")) {
        let number = user.to_str().and_then(|text| text.split_once('=')?.1.parse().ok());
        environment.trusted_users.push(number.expect("a test gives a number"));
    }
    while let (Some(flag), Some(value)) = (words.next(), words.next()) {
        match flag.to_str() {
            Some("--modules") => flags.modules.push(value.into()),
            Some("--state") => flags.state = Some(value.into()),
            Some("--socket") => flags.socket = Some(value.into()),
            other => panic!("expected a flag of a test's host, found {other:?}"),
        }
    }
    (flags, environment)
}
