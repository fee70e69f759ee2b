//! A sample on a stage: a world with modules that are all made of it, ready, and a client.

use crate::samples::{Ability, Answer, Sample};
use bulkhead_client::command_payload;
use bulkhead_protocol::{Failure, Json, Request, RequestType, Status};
use bulkhead_tests::{Caller, World, slowness, timeout};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The name of the module that a case tests.
pub(crate) const SUBJECT: &str = "subject";

/// All restarts are at once, also after many.
pub(crate) const RESTARTS: &str = "[restart]\ndelay_initial = \"1ms\"\ndelay_max = \"5ms\"\nbreaker_failures = 1000\n";

/// A world with a sample in it.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) client: Caller,
    sample: &'static Sample,
}

impl Stage {
    /// The sample as the one module; `rest` is the manifest after the keys that make it this sample.
    pub(crate) fn of(sample: &'static Sample, rest: &str) -> Stage {
        Stage::with(sample, "", &[(SUBJECT, rest)])
    }

    /// The sample as several modules, in a host with this file.
    pub(crate) fn with(sample: &'static Sample, host_file: &str, modules: &[(&str, &str)]) -> Stage {
        let mut world = World::new();
        world.host_file(host_file);
        for (name, rest) in modules {
            sample.install(&world, name, rest);
        }
        Stage::start(world, sample, modules)
    }

    /// Starts a world in which the sample is installed as these modules.
    pub(crate) fn start(mut world: World, sample: &'static Sample, modules: &[(&str, &str)]) -> Stage {
        let (is_compiled, cache) = (sample.kind == "wasm", world.state().join("cache/wasm"));
        if is_compiled {
            copy_missing(compiled(), &cache);
        }
        let mut client = world.start().client();
        for (name, rest) in modules {
            if !rest.contains("autostart = false") {
                client.wait_ready(name);
            }
        }
        if is_compiled {
            copy_missing(&cache, compiled());
        }
        Stage { world, client, sample }
    }

    /// Whether the sample can do this.
    pub(crate) fn can(&self, ability: Ability) -> bool {
        (self.sample.cannot)(ability).is_none()
    }

    /// Sends the command that every sample answers, and returns the count where it counts.
    pub(crate) fn probe(&mut self) -> Option<u64> {
        let id = self.send_probe();
        let answer = self.client.answer(id);
        self.check_probe(&answer.unwrap_or_else(|failure| panic!("the probe is not answered: {failure:?}")))
    }

    /// As [`Stage::probe`], of a process that has had no probe before.
    pub(crate) fn probe_a_fresh_one(&mut self) {
        if let Some(count) = self.probe() {
            assert_eq!(count, 1, "a new process begins anew");
        }
    }

    pub(crate) fn send_probe(&mut self) -> u64 {
        self.sample.send_probe(&mut self.client)
    }

    pub(crate) fn check_probe(&self, answer: &Value) -> Option<u64> {
        self.sample.check_probe(answer)
    }

    /// Calls a command of the specimen.
    pub(crate) fn call(&mut self, name: &str, args: Value) -> Value {
        let shown = args.clone();
        let answer = self.client.call(SUBJECT, name, args);
        answer.unwrap_or_else(|failure| panic!("{name} {shown}: {failure:?}"))
    }

    /// Calls a command that is to fail.
    pub(crate) fn fail(&mut self, name: &str, args: Value) -> Box<Failure> {
        match self.client.call(SUBJECT, name, args) {
            Ok(data) => panic!("expected that {name} fails, found {data}"),
            Err(failure) => failure,
        }
    }

    /// Sends arguments as this text, and returns the text that comes back.
    pub(crate) fn echo(&mut self, text: &str) -> Result<String, Box<Failure>> {
        let request = Request::new(None, RequestType::Command, command_payload("echo", text)).to(SUBJECT);
        self.text(&request)
    }

    /// Sends a request, and returns the text of the data that comes back.
    pub(crate) fn text(&mut self, request: &Request) -> Result<String, Box<Failure>> {
        let response = self.client.request(request, Some(timeout())).expect("a request is answered");
        match response.status {
            Status::Success(data) => Ok(data.as_str().to_owned()),
            Status::Error(failure) => Err(failure),
            Status::Progress(_) => unreachable!("a request ends with a success or an error"),
        }
    }

    /// A request of this type for the subject.
    pub(crate) fn request(kind: RequestType, payload: Json) -> Request {
        Request::new(None, kind, payload).to(SUBJECT)
    }

    pub(crate) fn pid(&mut self) -> i64 {
        self.client.pid(SUBJECT)
    }

    /// Waits until another process than `pid` is ready.
    pub(crate) fn wait_for_another_than(&mut self, pid: i64) {
        self.client.until_status(SUBJECT, "another process is ready", |status| {
            status["state"] == "ready" && status["pid"].is_i64() && status["pid"] != pid
        });
    }

    /// Waits until the subject has this many requests.
    pub(crate) fn until_it_has(&mut self, in_flight: u64) {
        self.client.until_status(SUBJECT, "it has its requests", |status| status["in_flight"] == in_flight);
    }

    /// The process ids of this world, sorted.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self.world.processes().iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        pids
    }

    /// Ends the world well, with a subject that has sent no answer without a request.
    pub(crate) fn finish(mut self) {
        assert_eq!(self.client.status(SUBJECT)["strange_answers"], 0);
        self.world.stop();
    }

    /// As [`Stage::finish`], of a subject that never failed.
    pub(crate) fn finish_unharmed(mut self) {
        let status = self.client.status(SUBJECT);
        assert_eq!((&status["restarts"], &status["last_exit"]), (&json!(0), &Value::Null), "{status:#}");
        self.finish();
    }
}

impl Sample {
    pub(crate) fn send_probe(&self, client: &mut Caller) -> u64 {
        let args = serde_json::from_str(self.probe.args).expect("the table has JSON");
        client.send_command(SUBJECT, self.probe.command, args)
    }

    pub(crate) fn check_probe(&self, answer: &Value) -> Option<u64> {
        match self.probe.answer {
            Answer::Count => {
                let count = answer["count"].as_u64();
                Some(count.unwrap_or_else(|| panic!("expected a count, found {answer}")))
            }
            Answer::Has(member) => {
                assert!(answer.get(member).is_some(), "expected {member:?}, found {answer}");
                None
            }
        }
    }
}

/// The compiled code of all tests' hosts. Compiling the same module for each case would take most of the time.
/// Each host has a copy: its state directory is its own, and a link in it is refused.
/// Files older than a day are removed: each build of the runtime has its own.
fn compiled() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance/compiled");
        fs::create_dir_all(&folder).expect("the folders of a test can be written");
        for entry in fs::read_dir(&folder).expect("it was just made").flatten() {
            let age = entry.metadata().and_then(|file| file.modified()).ok().and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age > Duration::from_hours(24)) {
                let _ = fs::remove_file(entry.path());
            }
        }
        folder
    });
    &FOLDER
}

/// Copies each file that is not there yet, whole or not at all.
fn copy_missing(from: &Path, to: &Path) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    for folder in [from, to] {
        fs::create_dir_all(folder).expect("the folders of a test can be written");
    }
    for entry in fs::read_dir(from).expect("it was just made") {
        let entry = entry.expect("the folders of a test can be read");
        let target = to.join(entry.file_name());
        let is_unfinished = entry.file_name().as_bytes().starts_with(b".");
        if is_unfinished || target.exists() {
            continue;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unfinished = to.with_file_name(format!("{}-{number}.unfinished", std::process::id()));
        if fs::copy(entry.path(), &unfinished).is_ok() {
            fs::rename(&unfinished, &target).expect("it is in the same file system");
        }
    }
}

/// So many milliseconds as a duration of a manifest, longer where the timeout factor says so.
pub(crate) fn ms(milliseconds: u32) -> String {
    format!("\"{}ms\"", milliseconds * slowness())
}
