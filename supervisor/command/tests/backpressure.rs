//! How the command handles a reader that stands still, a stop of its own, and a host that closes a connection on which
//! nothing is in flight: none of them is a deadline that passed.

mod support;

use bulkhead_protocol::{Delivery, ErrorCode, Failure, Json, RequestType, Status};
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use support::{Connection, DEADLINE, Host, Running, args_of, bulkhead};

/// A host that answers each command with its arguments, and a count of those that came.
fn counting() -> (Host, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let host = Host::answering(move |client, request| {
        counted.fetch_add(1, Ordering::SeqCst);
        client.respond(request.id, Status::Success(args_of(request)));
    });
    (host, count)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within {DEADLINE:?}");
        std::thread::yield_now();
    }
}

/// 20,000 lines, more than any pipe holds.
fn many_lines() -> String {
    (0..20_000).map(|number| format!("{{\"n\":{number},\"p\":\"{}\"}}\n", "x".repeat(100))).collect()
}

fn feed(running: &mut Running, input: String) {
    let mut stdin = running.0.stdin.take().unwrap();
    std::thread::spawn(move || stdin.write_all(input.as_bytes()));
}

#[test]
fn lines_are_sent_and_answers_are_taken_while_the_reader_stands_still() {
    let (host, count) = counting();
    let mut pipe = host.spawn(&["pipe", "log", "--command", "add", "--timeout", "1"]);
    feed(&mut pipe, many_lines());
    // Nothing was read of what comes out, and a pipe holds a fraction of it.
    until("all lines are answered", || count.load(Ordering::SeqCst) == 20_000);
    let done = pipe.done();
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    assert!(done.out == many_lines(), "every line comes out as it went in");
}

#[test]
fn a_socket_and_a_terminal_that_stand_still_are_no_different_from_a_pipe() {
    let input: String = (0..3000).map(|number| format!("\"{number:0100}\"\n")).collect();
    let (host, count) = counting();
    let run = |stdout: Stdio| {
        let mut command = bulkhead(&host.socket());
        command.args(["pipe", "log", "--command", "add"]).stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
        let mut pipe = Running(command.spawn().unwrap());
        drop(command);
        feed(&mut pipe, input.clone());
        pipe
    };
    let (theirs, ours) = UnixStream::pair().unwrap();
    let mut pipe = run(Stdio::from(OwnedFd::from(theirs)));
    until("all lines are answered", || count.load(Ordering::SeqCst) == 3000);
    let mut out = String::new();
    BufReader::new(ours).read_to_string(&mut out).unwrap();
    assert!(out == input, "all came through the socket");
    assert_eq!(pipe.done().code, Some(0));

    let pair = nix::pty::openpty(None, None).unwrap();
    let mut pipe = run(Stdio::from(pair.slave));
    until("all lines are answered", || count.load(Ordering::SeqCst) == 6000);
    let lines = BufReader::new(std::fs::File::from(pair.master)).lines().map_while(Result::ok);
    let lines: Vec<String> = lines.collect();
    assert!(lines.join("\n") + "\n" == input, "all came through the terminal: {} lines", lines.len());
    assert_eq!(pipe.done().code, Some(0));
}

#[test]
fn no_more_large_answers_are_asked_for_than_may_wait_for_a_reader_that_stands_still() {
    let (sender, quiet) = mpsc::channel();
    let host = Host::start(move |client| {
        let answer = Json::of(&"x".repeat(2_000_000));
        let mut asked = 0;
        client.stream.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
        // The first pause is due to backpressure, as nothing is read.
        while let Some(request) = client.request() {
            asked += 1;
            client.respond(request.id, Status::Success(answer.clone()));
        }
        sender.send(asked).unwrap();
        client.stream.set_read_timeout(None).unwrap();
        while let Some(request) = client.request() {
            client.respond(request.id, Status::Success(answer.clone()));
        }
    });
    let mut pipe = host.spawn(&["pipe", "log", "--command", "add", "--in-flight", "1024"]);
    let lines: String = (1..=60).map(|number| format!("{number}\n")).collect();
    feed(&mut pipe, lines);
    let asked = quiet.recv_timeout(DEADLINE).unwrap();
    assert!((30..=36).contains(&asked), "64 MiB of answers of 2 MB are asked for and taken, found {asked}");
    let done = pipe.done();
    assert_eq!((done.code, done.out.lines().count(), done.err.as_str()), (Some(0), 60, ""));
    assert!(done.out.lines().all(|line| line.len() == 2_000_002));
}

#[test]
fn a_reader_that_stands_still_and_goes_away_ends_the_pipe() {
    let (host, count) = counting();
    let mut pipe = host.spawn(&["pipe", "log", "--command", "add"]);
    feed(&mut pipe, many_lines());
    until("all lines are answered", || count.load(Ordering::SeqCst) == 20_000);
    drop(pipe.0.stdout.take());
    pipe.done().expect(0, "");
}

#[test]
fn what_arrived_while_the_command_was_stopped_counts() {
    let (sender, asked) = mpsc::channel();
    let (go_on, may_answer) = mpsc::channel();
    let may_answer = Mutex::new(may_answer);
    let host = Host::start(move |client| {
        let request = client.request().unwrap();
        sender.send(()).unwrap();
        may_answer.lock().unwrap().recv_timeout(DEADLINE).unwrap();
        client.success(&request, "\"here\"");
        client.request();
    });
    let args: [&[&str]; 3] = [
        &["call", "log", "add", "1", "--timeout", "1ms"],
        &["pipe", "log", "--command", "add", "--timeout", "1ms"],
        &["stop", "log", "--timeout", "1ms"],
    ];
    let stop = |args: &&[&str]| {
        let mut running = host.spawn(args);
        running.0.stdin.as_mut().unwrap().write_all(b"1\n").unwrap();
        asked.recv_timeout(DEADLINE).unwrap();
        running.signal(Signal::SIGSTOP);
        go_on.send(()).unwrap();
        running
    };
    let mut stopped: Vec<Running> = args.iter().map(stop).collect();
    // Longer than the deadline and the grace after it: the test needs this time to pass.
    let (_never, paused) = mpsc::channel::<()>();
    assert!(paused.recv_timeout(Duration::from_millis(4500)).is_err());
    for (running, args) in stopped.iter_mut().zip(args) {
        running.signal(Signal::SIGCONT);
        let done = running.done();
        done.expect(0, if args[0] == "stop" { "log: done\n" } else { "\"here\"\n" });
    }
}

#[test]
fn progress_that_is_not_read_keeps_neither_a_signal_nor_the_answer_away() {
    let (sender, cancelled) = mpsc::channel();
    let host = Host::start(move |client| {
        let request = client.request().unwrap();
        let data = Json::of(&"x".repeat(10_000));
        for _ in 0..100 {
            client.respond(request.id, Status::Progress(data.clone()));
        }
        client.flush();
        let cancel = client.request().unwrap();
        assert_eq!(cancel.kind, RequestType::Cancel);
        client.success(&cancel, "null");
        client.fail(&request, Failure::new(ErrorCode::Cancelled, "it was cancelled"));
        client.flush();
        sender.send(()).unwrap();
    });
    let mut call = host.spawn(&["call", "log", "slow", "--full"]);
    let mut stdout = BufReader::new(call.0.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    call.signal(Signal::SIGINT);
    cancelled.recv_timeout(DEADLINE).unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!((first + &rest).lines().count(), 101, "each progress, and the answer");
    let done = call.done();
    assert_eq!(done.code, Some(130), "{done:#?}");
}

/// Runs `start`, `stop` and the like with a host that answers by `answer`, and reads nothing before all is sent.
fn unread(args: &[&str], answer: impl Fn(&mut Connection) + Send + Sync + 'static) -> Vec<String> {
    let (sender, all_sent) = mpsc::channel();
    let host = Host::start(move |client| {
        answer(client);
        client.flush();
        sender.send(()).unwrap();
        client.request();
    });
    let mut running = host.spawn(args);
    // A pipe and a socket hold a fraction of it.
    all_sent.recv_timeout(DEADLINE).unwrap();
    let done = running.done();
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    done.out.lines().map(str::to_owned).collect()
}

#[test]
fn what_became_of_many_modules_is_taken_while_the_reader_stands_still() {
    const MODULES: usize = 2000;
    let notice = "x".repeat(500);
    let reached = format!(r#"{{"state":"ready","remarks":["{notice}"]}}"#);
    let check = |lines: Vec<String>| {
        assert_eq!(lines.iter().filter(|line| line.ends_with(": ready")).count(), MODULES);
        assert_eq!(lines.iter().filter(|line| line.trim() == notice).count(), MODULES);
    };
    let data = reached.clone();
    check(unread(&["restart", "--all"], move |client| {
        let request = client.request().unwrap();
        for number in 0..MODULES {
            let one = format!(r#"{{"name":"m{number}","answer":{{"status":"success","data":{data}}}}}"#);
            client.respond(request.id, Status::Progress(Json::parse(&one).unwrap()));
        }
        client.success(&request, &format!(r#"{{"modules":{MODULES},"failed":0}}"#));
    }));
    let names: Vec<String> = (0..MODULES).map(|number| format!("m{number}")).collect();
    let args: Vec<&str> = std::iter::once("stop").chain(names.iter().map(String::as_str)).collect();
    check(unread(&args, move |client| {
        for _ in 0..MODULES {
            let request = client.request().unwrap();
            client.success(&request, &reached);
        }
    }));
}

#[test]
fn a_pipe_whose_input_pauses_outlives_that_the_host_closes_its_idle_connection() {
    let (sender, closed) = mpsc::channel();
    let host = Host::start(move |client| {
        let request = client.request().unwrap();
        client.respond(request.id, Status::Success(args_of(&request)));
        let failure = Failure::new(ErrorCode::Overloaded, "idle").delivery(Delivery::NotStarted);
        client.respond(None, failure.into());
        client.flush();
        client.stream.shutdown(std::net::Shutdown::Both).unwrap();
        sender.send(()).unwrap();
    });
    let mut pipe = host.spawn(&["pipe", "log", "--command", "add"]);
    let mut stdin = pipe.0.stdin.take().unwrap();
    for number in 1..=5 {
        writeln!(stdin, "{number}").unwrap();
        assert_eq!(pipe.line(), number.to_string());
        closed.recv_timeout(DEADLINE).unwrap();
    }
    drop(stdin);
    let done = pipe.done();
    done.expect(0, "");
    assert_eq!(done.err, "");
}

#[test]
fn a_host_that_cuts_the_pipe_off_is_quoted() {
    let host = Host::start(|client| {
        for _ in 0..2 {
            client.request().unwrap();
        }
        client.respond(None, Failure::new(ErrorCode::Overloaded, "too much is left unread").into());
    });
    let done = host.run_with(&["pipe", "log", "--command", "add"], b"1\n2\n");
    assert_eq!((done.code, done.out.lines().count()), (Some(125), 2), "{done:#?}");
    let missing = "there is no answer: the host refused this connection: too much is left unread";
    assert!(done.out.lines().all(|line| line.contains(missing)), "{done:#?}");
    done.says("lines 1 to 2 were under way").says("too much is left unread");
}
