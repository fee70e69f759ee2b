//! `cargo demo`: real input goes through a pipe into the research log, while a neighbour, the log and the daemon
//! crash. It uses the command as a person would, checks what it shows, and leaves nothing behind.

#![forbid(unsafe_code)]

mod input;
mod screen;
mod stage;

use input::Input;
use screen::Screen;
use serde_json::{Value, json};
use stage::{Failed, Process, Stage, expect};
use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdout, ExitCode},
};

const LOG: &str = "research-log";
const NEIGHBOUR: &str = "misbehave";

fn main() -> ExitCode {
    match play(Screen::of_stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("demo: {failed}");
            ExitCode::FAILURE
        }
    }
}

fn play(screen: Screen) -> Result<(), Failed> {
    let input = input::read()?;
    open(screen, &input);
    let mut stage = Stage::build(screen)?;

    screen.act("A daemon with two modules");
    stage.start_daemon()?;
    stage.show(&["status"])?;

    screen.act("1. A module dies of a real SIGSEGV");
    let neighbour = crash_neighbour(screen, &stage)?;

    screen.act("2. The research log is killed in mid-stream");
    let log = crash_log(screen, &stage, &input)?;

    screen.act("3. kill -9 of the daemon itself");
    crash_daemon(screen, &mut stage, &input)?;

    screen.act("The end");
    stage.stop_daemon()?;
    stage.expect_no_process_left()?;
    screen.say("The daemon stopped on SIGTERM.");
    stage.remove()?;
    close(screen, &input, &neighbour, &log);
    Ok(())
}

fn open(screen: Screen, input: &Input) {
    screen.act("Bulkhead: three crashes, and what survives them");
    screen.say("This demo starts a daemon with two modules in a temporary folder. Then");
    screen.item("1.", "a module dies of a real SIGSEGV, with messages waiting after the one that killed it;");
    let what = &input.what;
    screen.item("2.", &format!("another is killed with SIGKILL while it takes in {what};"));
    screen.item("3.", "the daemon itself is killed with SIGKILL.");
    screen.say("Each time the demo checks what the callers got and that nothing is lost. It fails if that is not so.");
    println!();
    screen.say(
        "First the programs are built: some minutes the first time, seconds later. The rest takes less than a minute.",
    );
}

/// What a crash and a restart have changed for one module.
struct Restarted {
    before: Process,
    after: Process,
}

impl Restarted {
    /// Waits for the next process and compares it with the last one.
    fn of(stage: &Stage, module: &str, before: Process) -> Result<Restarted, Failed> {
        stage.wait_ready(module)?;
        let after = stage.process(module)?;
        expect(after.pid != before.pid && after.restarts == before.restarts + 1, || {
            format!("expected {module} to be restarted once with another process, found {before:?} and then {after:?}")
        })?;
        Ok(Restarted { before, after })
    }

    fn reported(&self) -> String {
        let Restarted { before, after } = self;
        format!("pid {} -> {}, RESTARTS {} -> {}", before.pid, after.pid, before.restarts, after.restarts)
    }
}

/// Lets the neighbour crash with two messages after the one that kills it.
fn crash_neighbour(screen: Screen, stage: &Stage) -> Result<Restarted, Failed> {
    let (before, log) = (stage.process(NEIGHBOUR)?, stage.process(LOG)?);
    let lines = [r#"{"name":"segfault"}"#, r#"{"name":"echo","args":"second"}"#, r#"{"name":"echo","args":"third"}"#];
    screen.say("Three messages are sent ahead. The first one makes the process crash.");
    screen.command(&format!("bulkhead pipe {NEIGHBOUR}"));
    let reported = stage.pipe_through(NEIGHBOUR, &lines)?;
    for (line, answer) in lines.iter().zip(&reported) {
        let value: Value = serde_json::from_str(answer).map_err(|error| format!("no JSON from the pipe: {error}"))?;
        let text = |member: &str| value[member].as_str().unwrap_or_default();
        match value.get("code") {
            Some(_) => screen.bad(&format!(
                "{line} was answered: {} (code {}, delivery {})",
                text("error"),
                text("code"),
                text("delivery")
            )),
            None => screen.good(&format!("{line} was answered: {answer}")),
        }
    }
    expect(
        reported.len() == 3
            && reported[0].contains("SIGSEGV")
            && reported[1] == r#""second""#
            && reported[2] == r#""third""#,
        || format!("expected the first to fail and the others to succeed, found {reported:?}"),
    )?;
    screen.say("The other two had not begun, so the next process got them.");
    let restarted = Restarted::of(stage, NEIGHBOUR, before)?;
    stage.show(&["status"])?;
    screen.good(&format!("{NEIGHBOUR}: {}", restarted.reported()));
    let unmoved = stage.process(LOG)?;
    expect(unmoved == log, || format!("expected {LOG} to be as it was, found {log:?} and then {unmoved:?}"))?;
    screen.good(&format!("{LOG}: pid {} as before, RESTARTS {}", log.pid, log.restarts));
    Ok(restarted)
}

/// Pipes the input into the log and kills it in the middle.
fn crash_log(screen: Screen, stage: &Stage, input: &Input) -> Result<Restarted, Failed> {
    let entries = &input.entries;
    stage.json(&["call", LOG, "create_log", r#"{"title":"the input of the demo"}"#])?;
    let before = stage.process(LOG)?;
    screen.say(&format!(
        "{} lines go in, each with a key, so that it can be sent again and happens once.",
        entries.len()
    ));
    screen.command(&format!("bulkhead pipe {LOG} --command add_entry --key-prefix demo"));
    let answered = feed_and_kill(screen, stage, entries, before.pid)?;
    let failed = answered.iter().filter(|answer| answer.get("code").is_some()).count();
    expect(answered.len() == entries.len() && failed == 0, || {
        format!(
            "expected one success for each of {} lines, found {} answers, {failed} of them errors",
            entries.len(),
            answered.len()
        )
    })?;
    screen.good(&format!(
        "{} lines went in, {} answers came out, none of them an error",
        entries.len(),
        answered.len()
    ));
    let last_exit = stage.json(&["status", LOG, "--json"])?["last_exit"].clone();
    expect(last_exit == "SIGKILL", || format!("expected the log to have died of SIGKILL, found {last_exit}"))?;
    check_log(screen, stage, entries)?;
    let restarted = Restarted::of(stage, LOG, before)?;
    stage.show(&["status"])?;
    screen.good(&format!("{LOG}: {}", restarted.reported()));
    screen.say("Of each crash there is a report:");
    stage.show(&["crashes"])?;
    Ok(restarted)
}

fn crash_daemon(screen: Screen, stage: &mut Stage, input: &Input) -> Result<(), Failed> {
    let killed = stage.kill_daemon()?;
    screen.bad(&format!("process {killed}, the daemon, was killed with SIGKILL"));
    stage.expect_no_process_left()?;
    screen.good("no process of any module is left");
    stage.start_daemon()?;
    screen.say("A new daemon runs on the same folder. It counts RESTARTS from 0.");
    check_log(screen, stage, &input.entries)?;
    let summary = stage.json(&["call", LOG, "analyze_activity", "{}"])?;
    screen.say(&format!("The log by type: {}", summary["by_type"]));
    stage.show(&["status"])
}

fn close(screen: Screen, input: &Input, neighbour: &Restarted, log: &Restarted) {
    screen.act("What was just proven");
    let count = input.entries.len();
    screen.good(&format!("Each of {} requests got exactly one answer, over two crashes.", count + 3));
    screen.good(&format!("A crash stays in its process. {NEIGHBOUR}: {}.", neighbour.reported()));
    screen.good(&format!("A module is restarted in the middle of its work. {LOG}: {}.", log.reported()));
    screen.good(&format!("All {count} entries are there once, also after the daemon's end by SIGKILL."));
    screen.good("No process is left, and the temporary folder is removed.");
    screen.act("Type next");
    screen.command("cargo xtask install");
    screen.say("builds Bulkhead for use, installs it with sample modules, and says what to type then.");
    screen.say("To write a module of your own, read docs/writing-a-module.md.");
}

/// Pipes every entry into the log, kills the log after the first answer, and returns the answers.
fn feed_and_kill(screen: Screen, stage: &Stage, entries: &[Value], pid: i64) -> Result<Vec<Value>, Failed> {
    let mut pipe = stage.pipe(&["pipe", LOG, "--command", "add_entry", "--key-prefix", "demo"])?;
    let mut input = pipe.stdin.take().expect("it was asked for");
    let mut output = BufReader::new(pipe.stdout.take().expect("it was asked for"));
    let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    // The first answer proves that the stream is in progress.
    let mut answers = vec![read_line(&mut output)?.ok_or("the pipe ended before its first answer")?];
    stage.signal("KILL", pid)?;
    screen.bad(&format!("after the first answer, process {pid} of the log was killed with SIGKILL"));
    while let Some(answer) = read_line(&mut output)? {
        answers.push(answer);
    }
    let written = writer.join().map_err(|_| "the thread that writes into the pipe panicked")?;
    written.map_err(|error| format!("cannot write into the pipe: {error}"))?;
    let status = pipe.wait().map_err(|error| format!("cannot wait for the pipe: {error}"))?;
    expect(status.success(), || format!("the pipe ended with {status}"))?;
    Ok(answers)
}

fn read_line(output: &mut BufReader<ChildStdout>) -> Result<Option<Value>, Failed> {
    let mut line = String::new();
    match output.read_line(&mut line) {
        Ok(0) => Ok(None),
        Ok(_) => {
            serde_json::from_str(&line).map(Some).map_err(|error| format!("no JSON from the pipe: {error}").into())
        }
        Err(error) => Err(format!("cannot read from the pipe: {error}").into()),
    }
}

/// Reads the log back and compares it with the input, entry by entry.
fn check_log(screen: Screen, stage: &Stage, entries: &[Value]) -> Result<(), Failed> {
    let mut found = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut args = json!({ "limit": 500, "order": "oldest" });
        if !after.is_null() {
            args["after"] = after;
        }
        let page = stage.json(&["call", LOG, "query_logs", &args.to_string()])?;
        found.extend(page["entries"].as_array().cloned().unwrap_or_default());
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    let texts = |entries: &[Value]| -> Vec<String> {
        entries.iter().map(|entry| entry["text"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (mut expected, mut found) = (texts(entries), texts(&found));
    expected.sort();
    found.sort();
    expect(expected == found, || {
        format!("expected the {} entries that went in, found {}", expected.len(), found.len())
    })?;
    screen.good(&format!("the log holds exactly the {} entries that went in: none lost, none twice", found.len()));
    Ok(())
}
