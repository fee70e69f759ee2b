//! Why a library cannot be a module, in a sentence for the person who has to fix it. The dynamic loader decides; what
//! is read here only words the message.

use crate::failure::head;
use bulkhead_child::Error;
use std::fs;
use std::path::Path;

/// What a library must export, in the order in which missing ones are reported.
const NEEDED: [&str; 4] = ["create_module", "destroy_module", "handle_message", "free_string"];

/// Refuses what the dynamic loader would wait for, or not report clearly.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && is_cut_short(&head(&path.to_string_lossy()), metadata.len()) => {
            Err(permanent(path, "cannot be loaded: the file is cut short; copy it again"))
        }
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(permanent(path, "cannot be loaded: it is not a regular file")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(permanent(path, "does not exist")),
        Err(error) => Err(permanent(path, &format!("cannot be read: {error}"))),
    }
}

/// The dynamic loader's message, and the architecture, which it does not mention.
pub(super) fn refused(path: &Path, sentence: &str) -> Error {
    let own = format!("{}: ", path.display());
    let sentence = sentence.strip_prefix(&own).unwrap_or(sentence);
    let hint = hint(&head(&path.to_string_lossy()), &head("/proc/self/exe"));
    permanent(path, &format!("cannot be loaded: {sentence}{hint}"))
}

/// It lacks functions; `has` shows which it has, in the order of [`NEEDED`].
pub(super) fn incomplete(path: &Path, has: [bool; NEEDED.len()]) -> Error {
    let lacks: Vec<&str> = NEEDED.into_iter().zip(has).filter(|(_, has)| !has).map(|(name, _)| name).collect();
    let sentence = format!(
        "does not export {}; a module exports {}: see module.h, and in C++ declare them extern \"C\"",
        list(&lacks),
        list(&NEEDED)
    );
    permanent(path, &sentence)
}

/// The library could not make its module.
pub(super) fn null_module(path: &Path) -> Error {
    permanent(path, "made no module: create_module returned a null pointer")
}

fn permanent(path: &Path, sentence: &str) -> Error {
    Error::failed(format!("library '{}' {sentence}", path.display())).permanent()
}

fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn hint(found: &[u8], own: &[u8]) -> String {
    let Some(own) = Machine::of(own) else { return String::new() };
    match Machine::of(found) {
        None if found.is_empty() => "; the file is empty, expected a shared library".to_owned(),
        None => "; the file is no ELF file, expected a shared library".to_owned(),
        Some(found) if found != own => format!("; it was built for {}, expected {}", found.name(), own.name()),
        Some(_) => String::new(),
    }
}

/// Whether a file lacks its end, which the loader would find out by a SIGBUS. Linkers write the table of sections last,
/// and its position first; a file without such a table is not looked at further.
fn is_cut_short(head: &[u8], file_bytes: u64) -> bool {
    let Some(machine) = Machine::of(head) else {
        return !head.is_empty() && (head.starts_with(b"\x7fELF") || b"\x7fELF".starts_with(head));
    };
    let native = if cfg!(target_endian = "little") { 1 } else { 2 };
    if machine.class != 2 || machine.order != native {
        return false;
    }
    let at = |offset: usize, length: usize| -> Option<u64> {
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(head.get(offset..offset + length)?);
        Some(if native == 1 { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) >> (64 - 8 * length) })
    };
    let (Some(offset), Some(entry_bytes), Some(entries)) = (at(0x28, 8), at(0x3a, 2), at(0x3c, 2)) else {
        return true;
    };
    offset.saturating_add(entry_bytes * entries) > file_bytes
}

/// What an ELF file was built for.
#[derive(PartialEq, Eq)]
struct Machine {
    /// 1: 32 bits, 2: 64 bits.
    class: u8,
    /// 1: the lowest byte first, 2: the highest.
    order: u8,
    number: u16,
}

impl Machine {
    fn of(head: &[u8]) -> Option<Machine> {
        let (class, order) = (*head.get(4)?, *head.get(5)?);
        let number = [*head.get(18)?, *head.get(19)?];
        let number = if order == 2 { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
        head.starts_with(b"\x7fELF").then_some(Machine { class, order, number })
    }

    fn name(&self) -> String {
        let machine = match self.number {
            3 => "i386".to_owned(),
            40 => "arm".to_owned(),
            62 => "x86-64".to_owned(),
            183 => "aarch64".to_owned(),
            243 => "risc-v".to_owned(),
            21 => "ppc64".to_owned(),
            22 => "s390x".to_owned(),
            other => format!("machine {other}"),
        };
        let bits = if self.class == 1 { 32 } else { 64 };
        let order = if self.order == 2 { ", highest byte first" } else { "" };
        format!("{machine} ({bits} bits{order})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(class: u8, order: u8, machine: [u8; 2]) -> Vec<u8> {
        let mut head = b"\x7fELF".to_vec();
        head.extend([class, order]);
        head.resize(18, 0);
        head.extend(machine);
        head
    }

    #[test]
    fn the_hint_names_both_architectures_and_nothing_where_they_are_the_same() {
        let own = elf(2, 1, [62, 0]);
        assert_eq!(hint(&own, &own), "");
        let arm = hint(&elf(2, 1, [183, 0]), &own);
        assert_eq!(arm, "; it was built for aarch64 (64 bits), expected x86-64 (64 bits)");
        let old = hint(&elf(1, 1, [3, 0]), &own);
        assert_eq!(old, "; it was built for i386 (32 bits), expected x86-64 (64 bits)");
        let big = hint(&elf(2, 2, [0, 22]), &own);
        assert_eq!(big, "; it was built for s390x (64 bits, highest byte first), expected x86-64 (64 bits)");
        assert_eq!(hint(b"", &own), "; the file is empty, expected a shared library");
        assert_eq!(hint(b"#!/bin/sh", &own), "; the file is no ELF file, expected a shared library");
    }

    #[test]
    fn a_file_without_its_end_is_cut_short_and_one_of_another_kind_is_not() {
        let mut head = elf(2, 1, [62, 0]);
        head.resize(64, 0);
        head[0x28..0x30].copy_from_slice(&1000u64.to_le_bytes());
        (head[0x3a], head[0x3c]) = (64, 2);
        assert!(is_cut_short(&head, 1127));
        assert!(!is_cut_short(&head, 1128));
        assert!(is_cut_short(&head[..63], 63) && is_cut_short(b"\x7fE", 2));
        assert!(!is_cut_short(b"", 0) && !is_cut_short(b"#!/bin/sh", 9) && !is_cut_short(&elf(1, 1, [3, 0]), 20));
        head[0x28..0x30].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(is_cut_short(&head, u64::MAX - 1));
    }

    #[test]
    fn all_missing_functions_are_named_at_once() {
        let error = incomplete(Path::new("/x.so"), [true, false, true, false]);
        assert!(error.to_string().contains("does not export destroy_module and free_string;"), "{error}");
        assert!(error.is_permanent());
    }
}
