//! `cargo demo`: the history of this very repository goes through a pipe into the research log, while
//! a neighbour and the log itself crash. It uses the command as a person would, checks what it shows,
//! and leaves nothing behind.

#![forbid(unsafe_code)]

mod history;
mod stage;

use serde_json::{Value, json};
use stage::{Failed, Stage, expect};
use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdout, ExitCode},
};

fn main() -> ExitCode {
    match play() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("demo: {failed}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> Result<(), Failed> {
    let entries = history::entries()?;
    let mut stage = Stage::build()?;

    act("a daemon, two modules");
    stage.start_daemon()?;
    stage.show(&["status"])?;

    act("a neighbour dies of a real SIGSEGV");
    let lines = [r#"{"name":"segfault"}"#, r#"{"name":"echo","args":"second"}"#, r#"{"name":"echo","args":"third"}"#];
    say("three messages are sent ahead; the first one is deadly");
    let told = stage.pipe_through("misbehave", &lines)?;
    for (line, answer) in lines.iter().zip(&told) {
        let answer: Value = serde_json::from_str(answer).map_err(|error| format!("no JSON from the pipe: {error}"))?;
        match answer.get("code") {
            Some(code) => say(&format!(
                "{line}\n      was told: {} ({}, delivery {})",
                answer["error"].as_str().unwrap_or_default(),
                code.as_str().unwrap_or_default(),
                answer["delivery"].as_str().unwrap_or_default()
            )),
            None => say(&format!("{line}\n      was told: {answer}")),
        }
    }
    expect(
        told.len() == 3 && told[0].contains("SIGSEGV") && told[1] == r#""second""# && told[2] == r#""third""#,
        || format!("expected the first to fail and the others to succeed, found {told:?}"),
    )?;

    act("the research log takes the history of this repository, and dies in mid-stream");
    stage.json(&["call", "research-log", "create_log", r#"{"title":"the history of a repository"}"#])?;
    let answered = feed_and_kill(&stage, &entries)?;
    let failed = answered.iter().filter(|answer| answer.get("code").is_some()).count();
    say(&format!("{} lines went in, {} answers came out, {failed} of them errors", entries.len(), answered.len()));
    expect(answered.len() == entries.len() && failed == 0, || "expected one success for each line".into())?;
    let last_exit = stage.json(&["status", "research-log", "--json"])?["last_exit"].clone();
    expect(last_exit == "SIGKILL", || format!("expected the log to have died of SIGKILL, found {last_exit}"))?;
    check_log(&stage, &entries)?;
    stage.show(&["crashes"])?;

    act("kill -9 of the daemon itself");
    stage.kill_daemon()?;
    stage.expect_nobody_left()?;
    say("no process of any module is left");
    stage.start_daemon()?;
    say("started again on the same state");
    check_log(&stage, &entries)?;
    let summary = stage.json(&["call", "research-log", "analyze_activity", "{}"])?;
    say(&format!("the log by type: {}", summary["by_type"]));
    stage.show(&["status"])?;

    act("the end");
    stage.stop_daemon()?;
    stage.expect_nobody_left()?;
    say("the daemon stopped on SIGTERM; no process is left, and the temporary folder is removed");
    Ok(())
}

/// Pipes every entry into the log, kills the log after the first answer, and returns the answers.
fn feed_and_kill(stage: &Stage, entries: &[Value]) -> Result<Vec<Value>, Failed> {
    // A key makes a line safe to send again: the host does the work of one key once.
    let mut pipe = stage.pipe(&["pipe", "research-log", "--command", "add_entry", "--key-prefix", "history"])?;
    let mut input = pipe.stdin.take().expect("it was asked for");
    let mut output = BufReader::new(pipe.stdout.take().expect("it was asked for"));
    let pid = stage.json(&["status", "research-log", "--json"])?["pid"].as_i64().ok_or("the log has no process id")?;
    let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    // The first answer proves that the stream is under way.
    let mut answers = vec![read_line(&mut output)?.ok_or("the pipe ended before its first answer")?];
    stage.signal("KILL", pid)?;
    say(&format!("after the first answer, process {pid} of the log was killed with SIGKILL"));
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

/// Reads the log back and compares it with what went in, entry by entry.
fn check_log(stage: &Stage, entries: &[Value]) -> Result<(), Failed> {
    let mut found = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut args = json!({ "limit": 500, "order": "oldest" });
        if !after.is_null() {
            args["after"] = after;
        }
        let page = stage.json(&["call", "research-log", "query_logs", &args.to_string()])?;
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
    say(&format!("the log holds exactly the {} entries that went in: none lost, none twice", found.len()));
    Ok(())
}

fn act(title: &str) {
    println!("\n── {title}");
}

fn say(line: &str) {
    println!("   {line}");
}
