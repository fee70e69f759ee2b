//! What is different on a terminal: colour, widths, the progress line. The terminal is a pair of pseudo-terminals whose
//! other end the test reads.

mod support;

use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use support::{DEADLINE, Folder, Host, Running, args_of, bulkhead};

/// A terminal of 60 columns: what a program writes to the second comes out at the first.
fn terminal() -> (File, OwnedFd) {
    terminal_of(24)
}

/// A terminal of 60 columns and so many rows.
fn terminal_of(rows: u16) -> (File, OwnedFd) {
    let size = Winsize { ws_row: rows, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
    let pair = openpty(&size, None).unwrap();
    (File::from(pair.master), pair.slave)
}

/// All that was written until every writer is gone.
fn all_of(mut screen: File) -> String {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
        // The end of a pseudo-terminal is an error, EIO.
        while let Ok(count @ 1..) = screen.read(&mut buffer) {
            text.extend_from_slice(&buffer[..count]);
        }
        let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
    });
    receiver.recv_timeout(DEADLINE).expect("the command lets go of the terminal")
}

fn status(no_color: &str, (screen, terminal): (File, OwnedFd)) -> String {
    let host = Host::answering(|client, request| {
        client.success(
            request,
            r#"{"modules":[{"name":"research-log","state":"ready","reason":"a reason that is long"}]}"#,
        );
    });
    let mut command = bulkhead(&host.socket());
    command.arg("status").env("NO_COLOR", no_color).stdin(Stdio::null()).stdout(terminal).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    // The command keeps its copy of the terminal's descriptor, which must be the last.
    drop(command);
    let text = all_of(screen);
    assert_eq!(running.done().code, Some(0));
    text
}

#[test]
fn a_table_is_coloured_and_as_wide_as_the_terminal() {
    let text = status("", terminal());
    assert!(text.contains("\x1b[32mready\x1b[0m"), "{text:?}");
    let plain = status("1", terminal());
    assert!(!plain.contains('\x1b'), "NO_COLOR is honoured: {plain:?}");
    assert!(plain.lines().all(|line| line.trim_end().chars().count() <= 60), "{plain:?}");
    assert!(plain.contains("\r\n    a reason that is long\r\n"), "the reason stands below its module: {plain:?}");
    assert!(plain.contains("not shown in 60 columns: PID, "), "{plain:?}");
}

#[test]
fn a_terminal_that_reports_no_rows_has_its_columns_all_the_same() {
    let text = status("1", terminal_of(0));
    assert!(text.lines().all(|line| line.trim_end().chars().count() <= 60), "{text:?}");
    assert!(text.contains("not shown in 60 columns: PID, "), "{text:?}");
}

#[test]
fn progress_is_shown_and_taken_away_again() {
    let host = Host::answering(|client, request| {
        client.progress(request, r#"{"done":1,"total":2}"#);
        client.success(request, "1");
    });
    let (screen, terminal) = terminal();
    let mut command = bulkhead(&host.socket());
    command.args(["call", "log", "add"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(terminal);
    let mut running = Running(command.spawn().unwrap());
    drop(command);
    let text = all_of(screen);
    running.done().expect(0, "1\n");
    assert_eq!(text, format!("\r\x1b[K[{}{}] 1 of 2\r\x1b[K", "#".repeat(15), " ".repeat(15)));
}

#[test]
fn a_pipe_shows_how_far_it_is_beside_its_data() {
    let host = Host::answering(|client, request| {
        let args = args_of(request);
        client.success(request, args.as_str());
    });
    let (mut screen, terminal) = terminal();
    let mut command = bulkhead(&host.socket());
    command.args(["pipe", "log", "--command", "add"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(terminal);
    let mut running = Running(command.spawn().unwrap());
    drop(command);
    writeln!(running.0.stdin.as_mut().unwrap(), "1").unwrap();
    assert_eq!(running.line(), "1");
    // The line appears by itself while the input is idle.
    let mut first = [0; 16];
    screen.read_exact(&mut first).unwrap();
    assert_eq!(String::from_utf8_lossy(&first), "\r\x1b[K1 done, 0 fa");
    running.done().expect(0, "");
    assert!(all_of(screen).ends_with("\r\x1b[K"), "the line is gone at the end");
}

#[test]
fn an_import_shows_a_bar_of_the_file_beside_its_result() {
    const FILE: &str = "{\"bulkhead\":\"layer1\",\"format\":1}\n{}\n";
    let host = Host::answering(|client, request| client.success(request, r#"{"created":1,"replaced":0,"kept":0}"#));
    let folder = Folder::new();
    let file = folder.0.join("data.jsonl");
    std::fs::write(&file, FILE).unwrap();
    let (screen, terminal) = terminal();
    let mut command = bulkhead(&host.socket());
    command.args(["layer1", "import"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(terminal);
    let mut running = Running(command.spawn().unwrap());
    drop(command);
    let text = all_of(screen);
    running.done().expect(0, "created 1, replaced 0, kept 0\n");
    let bar = "#".repeat(30);
    assert_eq!(text, format!("\r\x1b[K[{bar}] {} B of {0} B\r\x1b[K", FILE.len()));
}
