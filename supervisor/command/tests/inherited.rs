//! What the command is started with: streams that another process has made non-blocking, that are closed, and
//! signals that are ignored or blocked.

mod support;

use bulkhead_protocol::{ErrorCode, Failure, RequestType, Status};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use support::{DEADLINE, Folder, Host, Running, args_of, bulkhead, program, run};

/// A pipe of which one end is non-blocking, which the process at the other end does not know.
struct Nonblocking {
    reader: OwnedFd,
    writer: OwnedFd,
}

fn is_nonblocking(end: &OwnedFd) -> bool {
    OFlag::from_bits_truncate(fcntl(end, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK)
}

fn set_nonblocking(end: &OwnedFd) {
    fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
}

impl Nonblocking {
    /// Reading does not wait.
    fn input() -> Nonblocking {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        set_nonblocking(&reader);
        Nonblocking { reader, writer }
    }

    /// Writing does not wait.
    fn output() -> Nonblocking {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
        set_nonblocking(&writer);
        Nonblocking { reader, writer }
    }
}

/// All that comes out of a pipe, each time a little.
fn slowly(reader: OwnedFd) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut reader, mut all, mut buffer) = (File::from(reader), Vec::new(), [0; 1000]);
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => return all,
                count => all.extend_from_slice(&buffer[..count]),
            }
            thread::yield_now();
        }
    })
}

/// Runs the command with its standard output non-blocking, and checks that it is so afterwards.
fn into_nonblocking(mut command: Command, input: &[u8]) -> (Option<i32>, Vec<u8>) {
    let pipe = Nonblocking::output();
    let kept = pipe.writer.try_clone().unwrap();
    command.stdin(Stdio::piped()).stdout(Stdio::from(pipe.writer)).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    drop(command);
    let mut stdin = running.0.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = thread::spawn(move || drop(stdin.write_all(&input)));
    let reading = slowly(pipe.reader);
    let done = running.done();
    assert!(is_nonblocking(&kept), "the flag is left as it was");
    drop(kept);
    feeding.join().unwrap();
    (done.code, reading.join().unwrap())
}

#[test]
fn nothing_is_lost_where_standard_output_is_non_blocking() {
    let host = Host::echo();
    let long = format!("\"{}\"", "x".repeat(1_000_000));
    let mut call = bulkhead(&host.socket());
    call.args(["call", "log", "add", "-"]);
    let (code, out) = into_nonblocking(call, long.as_bytes());
    assert!((code, out) == (Some(0), format!("{long}\n").into_bytes()), "call");

    let lines: String = (0..20_000).map(|number| format!("\"{number:0100}\"\n")).collect();
    let mut pipe = bulkhead(&host.socket());
    pipe.args(["pipe", "log", "--command", "add"]);
    let (code, out) = into_nonblocking(pipe, lines.as_bytes());
    assert!((code, out) == (Some(0), lines.into_bytes()), "pipe");

    let follow = Host::answering(|client, request| {
        for number in 0..5000 {
            client.progress(request, &format!("{{\"stream\":\"stdout\",\"line\":\"{number:0100}\"}}"));
        }
        client.success(request, "null");
    });
    let mut logs = bulkhead(&follow.socket());
    logs.args(["logs", "log"]);
    let (code, out) = into_nonblocking(logs, b"");
    assert_eq!((code, out.iter().filter(|byte| **byte == b'\n').count()), (Some(0), 5000), "logs");

    let mut help = bulkhead(Path::new("/nowhere"));
    help.args(["completions", "bash"]);
    let whole = run(bulkhead_with(&["completions", "bash"]), b"").out;
    let (code, out) = into_nonblocking(help, b"");
    assert!((code, out) == (Some(0), whole.into_bytes()), "completions");
}

fn bulkhead_with(args: &[&str]) -> Command {
    let mut command = bulkhead(Path::new("/nowhere"));
    command.args(args);
    command
}

/// A store with entities of 100 kB together.
fn filled(folder: &Folder) {
    let lines: String = (0..1000)
        .map(|number| {
            format!(
                "{{\"entity\":\"A\",\"id\":\"01981f6e-2c1a-7e3b-9f00-{number:012}\",\"version\":1,\"created_at\":\"2026-11-22T10:00:00.000000Z\",\
                 \"updated_at\":\"2026-11-22T10:00:00.000000Z\",\"owner\":\"\",\"data\":{{\"t\":\"{}\"}}}}\n",
                "x".repeat(200)
            )
        })
        .collect();
    let all = format!("{{\"bulkhead\":\"layer1\",\"format\":1,\"entities\":1000}}\n{lines}");
    let state = folder.0.to_str().unwrap();
    run(bulkhead_with(&["layer1", "import", "-", "--state", state]), all.as_bytes())
        .expect(0, "created 1,000, replaced 0, kept 0\n");
}

#[test]
fn an_export_is_whole_where_standard_output_is_non_blocking_and_an_import_where_its_input_is() {
    let folder = Folder::new();
    filled(&folder);
    let state = folder.0.to_str().unwrap();
    let (code, out) = into_nonblocking(bulkhead_with(&["layer1", "export", "--state", state]), b"");
    assert_eq!((code, out.iter().filter(|byte| **byte == b'\n').count()), (Some(0), 1001));

    let pipe = Nonblocking::input();
    let mut command = bulkhead_with(&["layer1", "import", "-", "--state", state]);
    command.stdin(Stdio::from(pipe.reader)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    drop(command);
    let mut writer = File::from(pipe.writer);
    for piece in out.chunks(10_000) {
        writer.write_all(piece).unwrap();
        thread::yield_now();
    }
    drop(writer);
    running.done().expect(0, "created 0, replaced 0, kept 1,000\n");
}

#[test]
fn input_is_waited_for_where_standard_input_is_non_blocking() {
    let host = Host::echo();
    for args in [&["call", "log", "add", "-"] as &[&str], &["pipe", "log", "--command", "add"]] {
        let pipe = Nonblocking::input();
        let kept = pipe.reader.try_clone().unwrap();
        let mut command = bulkhead(&host.socket());
        command.args(args).stdin(Stdio::from(pipe.reader)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running(command.spawn().unwrap());
        drop(command);
        let mut writer = File::from(pipe.writer);
        for piece in ["{\"a\":", "1", "}", "\n"] {
            // In between there is nothing to read.
            thread::yield_now();
            writer.write_all(piece.as_bytes()).unwrap();
        }
        drop(writer);
        running.done().expect(0, "{\"a\":1}\n");
        assert!(is_nonblocking(&kept), "the flag is left as it was");
    }
}

#[test]
fn every_fault_is_printed_where_standard_error_is_non_blocking() {
    let host = Host::failing(ErrorCode::UnknownModule);
    let pipe = Nonblocking::output();
    let names: Vec<String> = (0..2000).map(|number| format!("module-{number}")).collect();
    let mut command = bulkhead(&host.socket());
    command.arg("stop").args(&names).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(pipe.writer));
    let mut running = Running(command.spawn().unwrap());
    drop(command);
    let text = String::from_utf8(slowly(pipe.reader).join().unwrap()).unwrap();
    assert_eq!(running.done().code, Some(4));
    for name in &names {
        assert!(text.contains(&format!("bulkhead: {name}: it did not work\n")), "{name} is missing");
    }
}

#[test]
fn a_pipe_that_blocks_goes_on_blocking_for_all_that_share_it() {
    let host = Host::echo();
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
    let kept = writer.try_clone().unwrap();
    let mut command = bulkhead(&host.socket());
    command.args(["pipe", "log", "--command", "add"]).stdin(Stdio::piped()).stdout(Stdio::from(writer));
    command.stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    drop(command);
    let mut stdin = running.0.stdin.take().unwrap();
    let feeding = thread::spawn(move || stdin.write_all("1\n".repeat(100_000).as_bytes()));
    let mut first = [0; 2];
    let mut reader = File::from(reader);
    reader.read_exact(&mut first).unwrap();
    assert!(!is_nonblocking(&kept), "while it runs");
    let reading = slowly(reader.into());
    assert_eq!(running.done().code, Some(0));
    assert!(!is_nonblocking(&kept), "and afterwards");
    drop(kept);
    feeding.join().unwrap().unwrap();
    assert_eq!(reading.join().unwrap().len(), 2 * 100_000 - 2);
}

/// Runs the command by a shell, which does first what the script says.
fn by_shell(script: &str, host: &Host, args: &[&str]) -> Command {
    let mut command = program("sh");
    command.arg("-c").arg(format!("{script}; exec \"$@\"")).arg("sh").arg(env!("CARGO_BIN_EXE_bulkhead"));
    command.arg("--socket").arg(host.socket()).args(args).env_remove("BULKHEAD_SOCKET");
    command
}

#[test]
fn a_stream_that_is_closed_is_never_taken_from_what_is_opened_next() {
    // The socket would be the first to get the number of a stream that is closed.
    let host = Host::echo();
    for closed in ["exec <&-", "exec >&-", "exec 2>&-", "exec <&- >&- 2>&-"] {
        for args in [&["call", "log", "add", "1"] as &[&str], &["call", "log", "add", "{"], &["nonsense"]] {
            let mut command = by_shell(closed, &host, args);
            let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            let expected = if args[args.len() - 1] == "1" { 0 } else { 2 };
            assert_eq!(status.code(), Some(expected), "{closed}: {args:?}");
        }
    }
    let seen = host.seen();
    assert_eq!(seen.len(), 4, "nothing but requests came through the socket");
    assert!(seen.iter().all(|request| request.kind == RequestType::Command));
    // Nor is a message written into a file that is made.
    let folder = Folder::new();
    filled(&folder);
    let file = folder.0.join("export");
    let args = ["layer1", "export", file.to_str().unwrap(), "--state", folder.0.to_str().unwrap()];
    assert_eq!(by_shell("exec <&- >&- 2>&-", &host, &args).status().unwrap().code(), Some(0));
    let exported = std::fs::read_to_string(&file).unwrap();
    assert!(exported.lines().count() == 1001 && exported.lines().all(|line| line.starts_with('{')));
}

#[test]
fn a_signal_that_was_ignored_from_the_beginning_is_not_heard() {
    for (name, signal) in [("INT", nix::sys::signal::SIGINT), ("TERM", nix::sys::signal::SIGTERM)] {
        for ignored in [true, false] {
            let (sender, asked) = mpsc::channel();
            let (go_on, may_answer) = mpsc::channel();
            let may_answer = std::sync::Mutex::new(may_answer);
            let host = Host::start(move |client| {
                let request = client.request().unwrap();
                sender.send(()).unwrap();
                may_answer.lock().unwrap().recv_timeout(DEADLINE).unwrap();
                client.respond(request.id, Status::Success(args_of(&request)));
                client.flush();
                client.request();
            });
            let script = if ignored { format!("trap '' {name}") } else { "true".into() };
            let mut command = by_shell(&script, &host, &["call", "log", "slow", "1"]);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut call = Running(command.spawn().unwrap());
            asked.recv_timeout(DEADLINE).unwrap();
            call.signal(signal);
            go_on.send(()).unwrap();
            let done = call.done();
            let expected = if ignored { 0 } else { 128 + signal as i32 };
            assert_eq!((done.code, done.out.as_str()), (Some(expected), "1\n"), "{name} {ignored}: {done:#?}");
        }
    }
}

#[test]
fn a_signal_that_was_blocked_from_the_beginning_ends_the_command() {
    let (sender, asked) = mpsc::channel();
    let host = Host::start(move |client| {
        client.request().unwrap();
        sender.send(()).unwrap();
        client.request();
    });
    let mut command = Command::new("env");
    command.args(["--block-signal=TERM", env!("CARGO_BIN_EXE_bulkhead"), "--socket"]).arg(host.socket());
    command.args(["events"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut events = Running(command.spawn().unwrap());
    asked.recv_timeout(DEADLINE).unwrap();
    events.signal(nix::sys::signal::SIGTERM);
    assert_eq!(events.done().code, None, "it was ended by the signal");
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_leaves_no_part_of_a_file() {
    let folder = Folder::new();
    filled(&folder);
    let host = Host::answering(|client, request| client.fail(request, Failure::new(ErrorCode::Internal, "no")));
    let file = folder.0.join("export");
    let args = ["layer1", "export", file.to_str().unwrap(), "--state", folder.0.to_str().unwrap()];
    let done = run(by_shell("ulimit -f 128", &host, &args), b"");
    done.expect(1, "").says("File too large");
    let left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["layer1"]);
}
