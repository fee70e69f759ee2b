//! Why a program could not be started, in a sentence for the person who has to fix it.
//!
//! Looking for the reason happens after the failure: what is read here may have changed since, so
//! it words the message and decides nothing else.

use crate::child::Stage;
use bulkhead_protocol::guardian::Fault;
use libc::c_int;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

/// Longest message in bytes: a program's name may be as long as a datagram.
const MESSAGE_BYTES_MAX: usize = 4096;

/// How much of a program the kernel looks at to find out what it is.
const HEAD_BYTES: u64 = 256;

/// A failed start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The reason, for people.
    pub(crate) message: String,
    /// What is at fault, and whether trying again helps.
    pub(crate) fault: Fault,
}

impl Failure {
    /// The order itself is invalid.
    pub(crate) fn permanent(message: String) -> Failure {
        Failure { message: cut(message), fault: Fault::Lasting }
    }

    /// The guardian lacks something just now: a descriptor, memory, a process number.
    pub(crate) fn lack(what: &str, error: &io::Error) -> Failure {
        Failure { message: cut(format!("{what}: {error}")), fault: Fault::Lack }
    }

    /// A step between fork and exec failed.
    pub(crate) fn in_child(stage: Stage, errno: c_int, spawn: &Started) -> Failure {
        let Started { program, cwd, .. } = spawn;
        let error = io::Error::from_raw_os_error(errno);
        let message = match stage {
            Stage::Session => format!("cannot prepare the process: {error}"),
            Stage::Descriptors => format!("cannot put the process's descriptors in place: {error}"),
            Stage::Limits => format!("cannot set the process's limits: {error}"),
            Stage::Data => format!("cannot create its data folder: {error}"),
            Stage::Directory => format!("working directory '{cwd}' cannot be entered: {}", reason(errno)),
            Stage::Exec => in_exec(errno, program),
        };
        let fault = match stage {
            Stage::Session | Stage::Descriptors | Stage::Limits => Fault::Lack,
            Stage::Data => Fault::OwnPart,
            // The module itself requires too much, whether the program is the host's or the module's.
            Stage::Exec if errno == libc::E2BIG => Fault::Lasting,
            Stage::Exec if errno == libc::ENOMEM && spawn.memory_is_limited => Fault::Passing,
            Stage::Exec if spawn.is_host_program => Fault::HostPart,
            Stage::Directory | Stage::Exec if is_lack(errno, spawn.memory_is_limited) => Fault::Lack,
            Stage::Directory | Stage::Exec if may_pass(errno) => Fault::Passing,
            Stage::Directory | Stage::Exec => Fault::Lasting,
        };
        Failure { message: cut(message), fault }
    }
}

/// What is remembered of an order to start a program, for the case that it fails.
pub(crate) struct Started {
    pub(crate) program: String,
    pub(crate) cwd: String,
    pub(crate) is_host_program: bool,
    pub(crate) memory_is_limited: bool,
}

impl Started {
    /// A program of a module's own, started where its module is.
    pub(crate) fn of_module(program: &str) -> Started {
        Started { program: program.to_owned(), cwd: String::new(), is_host_program: false, memory_is_limited: true }
    }
}

/// Whether it is the system that lacks something. A lack of memory may be the module's own limit.
fn is_lack(errno: c_int, memory_is_limited: bool) -> bool {
    match errno {
        libc::EAGAIN | libc::EMFILE | libc::ENFILE | libc::ENOBUFS => true,
        libc::ENOMEM => !memory_is_limited,
        _ => false,
    }
}

/// Whether the same call may succeed later with nothing changed on disk.
fn may_pass(errno: c_int) -> bool {
    const LASTING: &[c_int] = &[
        libc::ENOENT,
        libc::ENOTDIR,
        libc::EISDIR,
        libc::EACCES,
        libc::EPERM,
        libc::ENOEXEC,
        libc::E2BIG,
        libc::ELOOP,
        libc::ENAMETOOLONG,
        libc::ELIBBAD,
        libc::EINVAL,
    ];
    !LASTING.contains(&errno)
}

fn reason(errno: c_int) -> String {
    match errno {
        libc::ENOENT => "it does not exist".to_owned(),
        libc::ENOTDIR => "it is not a directory".to_owned(),
        libc::EACCES => "permission denied".to_owned(),
        _ => io::Error::from_raw_os_error(errno).to_string(),
    }
}

fn in_exec(errno: c_int, program: &str) -> String {
    match errno {
        libc::ENOENT | libc::ENOTDIR if fs::metadata(program).is_err() => format!("program '{program}' not found"),
        libc::ENOENT | libc::ENOTDIR => missing_interpreter(program),
        libc::EACCES => denied(program),
        libc::ENOEXEC => bad_format(program),
        libc::E2BIG => format!("arguments and environment of '{program}' are too long for the kernel"),
        libc::ETXTBSY => format!("program '{program}' is still being written by another process"),
        _ => format!("program '{program}' cannot be executed: {}", io::Error::from_raw_os_error(errno)),
    }
}

fn missing_interpreter(program: &str) -> String {
    match interpreter(&head(program)) {
        Some(interpreter) if interpreter.ends_with('\r') => format!(
            "script '{program}' names its interpreter as '{}' with a carriage return after it; \
             save the script with Unix line ends",
            interpreter.trim_end()
        ),
        Some(interpreter) => {
            format!("interpreter '{interpreter}', named in the first line of script '{program}', not found")
        }
        None => format!(
            "program '{program}' is there, but its dynamic loader is not: it was built for another C library or system"
        ),
    }
}

fn denied(program: &str) -> String {
    let Ok(metadata) = fs::metadata(program) else {
        return format!("program '{program}' cannot be reached: permission denied");
    };
    if metadata.is_dir() {
        return format!("'{program}' is a directory, expected a program");
    }
    if !metadata.is_file() {
        return format!("'{program}' is not a regular file, expected a program");
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return format!("program '{program}' is not executable; chmod +x it");
    }
    match interpreter(&head(program)) {
        Some(interpreter) => {
            format!("script '{program}' or its interpreter '{interpreter}' may not be executed: permission denied")
        }
        None => {
            format!("program '{program}' may not be executed: permission denied, or its file system is mounted noexec")
        }
    }
}

fn bad_format(program: &str) -> String {
    let head = head(program);
    let found = if head.is_empty() {
        "it is empty"
    } else if head.starts_with(b"\x7fELF") {
        "it was built for another kind of machine, or is damaged"
    } else {
        "it is neither a binary of this machine nor a script that begins with '#!'"
    };
    format!("program '{program}' cannot be executed: {found}")
}

/// The beginning of a regular file; nothing of anything else, which might block.
pub(crate) fn head(program: &str) -> Vec<u8> {
    let mut head = Vec::new();
    if fs::metadata(program).is_ok_and(|metadata| metadata.is_file())
        && let Ok(file) = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(program)
        && file.take(HEAD_BYTES).read_to_end(&mut head).is_err()
    {
        head.clear();
    }
    head
}

/// The program that a script's first line names, as the kernel cuts it: up to a space or the end of
/// the line. A carriage return is part of the name.
fn interpreter(head: &[u8]) -> Option<String> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line).into_owned();
    let name = line.trim_start_matches([' ', '\t']).split([' ', '\t']).next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        let end = (0..=MESSAGE_BYTES_MAX).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_named_without_its_argument_and_with_its_carriage_return() {
        assert_eq!(interpreter(b"#!/usr/bin/env python3\nprint()").as_deref(), Some("/usr/bin/env"));
        assert_eq!(interpreter(b"#! /bin/sh").as_deref(), Some("/bin/sh"));
        assert_eq!(interpreter(b"#!/bin/sh\r\n").as_deref(), Some("/bin/sh\r"));
        assert_eq!(interpreter(b"#!\n"), None);
        assert_eq!(interpreter(b"\x7fELF"), None);
    }

    fn failed(stage: Stage, errno: c_int, is_host_program: bool, memory_is_limited: bool) -> Fault {
        let (program, cwd) = ("/nonexistent/x".to_owned(), "/nonexistent".to_owned());
        Failure::in_child(stage, errno, &Started { program, cwd, is_host_program, memory_is_limited }).fault
    }

    #[test]
    fn what_the_system_lacks_is_no_fault_of_the_module() {
        for errno in [libc::EAGAIN, libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
            assert_eq!(failed(Stage::Exec, errno, false, false), Fault::Lack);
            assert_eq!(failed(Stage::Session, errno, false, false), Fault::Lack);
        }
        assert_eq!(failed(Stage::Exec, libc::ENOMEM, false, true), Fault::Passing, "its own limit");
        assert_eq!(failed(Stage::Limits, libc::EPERM, false, false), Fault::Lack);
    }

    #[test]
    fn a_program_of_the_hosts_own_that_is_away_is_no_fault_of_the_module() {
        for errno in [libc::ENOENT, libc::ETXTBSY, libc::EACCES, libc::ENOEXEC] {
            assert_eq!(failed(Stage::Exec, errno, true, false), Fault::HostPart);
        }
        assert_eq!(failed(Stage::Directory, libc::ENOENT, true, false), Fault::Lasting);
    }

    #[test]
    fn what_one_module_asks_for_is_no_lack_of_others_that_use_the_same_program() {
        for is_host_program in [true, false] {
            assert_eq!(failed(Stage::Exec, libc::E2BIG, is_host_program, false), Fault::Lasting);
            assert_eq!(failed(Stage::Exec, libc::ENOMEM, is_host_program, true), Fault::Passing, "its own limit");
            for errno in [libc::EACCES, libc::ENOSPC, libc::ENOTDIR] {
                assert_eq!(failed(Stage::Data, errno, is_host_program, false), Fault::OwnPart);
            }
        }
    }

    #[test]
    fn what_is_written_just_now_may_pass_and_a_missing_file_does_not() {
        assert_eq!(failed(Stage::Exec, libc::ETXTBSY, false, false), Fault::Passing);
        assert_eq!(failed(Stage::Exec, libc::ENOENT, false, false), Fault::Lasting);
        assert_eq!(failed(Stage::Directory, libc::ENOENT, false, false), Fault::Lasting);
    }

    #[test]
    fn a_message_stays_short_however_long_the_name_is() {
        let long = "ä".repeat(10_000);
        let spawn = Started { program: long, cwd: "/".into(), is_host_program: false, memory_is_limited: false };
        let failure = Failure::in_child(Stage::Exec, libc::ENOENT, &spawn);
        assert!(failure.message.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
    }
}
