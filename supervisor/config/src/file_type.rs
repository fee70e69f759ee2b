//! What a file is by its first bytes, and whether it can be the library or the WebAssembly module of a module. Nothing
//! is loaded or run here: whether the rest of the file is right shows when it is loaded.

use crate::{document::describe, files};
use std::path::Path;

/// How much of a file's beginning is looked at.
const HEAD_BYTES: u64 = 512;

/// The length of the header of a 64-bit ELF file.
const ELF_HEADER_BYTES: usize = 64;

/// What a library has to be made for.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    /// As `std::env::consts::ARCH` names it.
    pub(crate) architecture: &'static str,
    pub(crate) little_endian: bool,
}

impl Machine {
    pub(crate) const THIS: Machine =
        Machine { architecture: std::env::consts::ARCH, little_endian: cfg!(target_endian = "little") };

    fn name(self) -> String {
        match (self.architecture, self.little_endian) {
            // Those that exist both ways.
            ("powerpc64" | "mips" | "mips64", true) => format!("little-endian {}", self.architecture),
            ("aarch64" | "arm", false) => format!("big-endian {}", self.architecture),
            (architecture, _) => architecture.to_owned(),
        }
    }
}

/// Whether the file at `path` can be a shared library of this machine.
pub(crate) fn check_library_file(path: &Path) -> Result<(), String> {
    check_library(&read_head(path, LIBRARY)?, Machine::THIS)
}

/// Whether the file at `path` can be a core WebAssembly module.
pub(crate) fn check_wasm_file(path: &Path) -> Result<(), String> {
    check_wasm(&read_head(path, WASM)?)
}

const LIBRARY: &str = "a shared library";
const WASM: &str = "a core WebAssembly module";

fn read_head(path: &Path, expected: &str) -> Result<Vec<u8>, String> {
    // A named pipe would block the opening.
    let metadata = files::metadata(path).map_err(|error| describe(&error))?;
    if metadata.is_dir() {
        return Err(format!("expected {expected}, found a folder"));
    }
    if !metadata.is_file() {
        return Err(format!("expected {expected}, found something that is no file"));
    }
    files::head(path, HEAD_BYTES).map_err(|error| describe(&error))
}

/// Whether what begins with `head` can be a shared library of `machine`.
fn check_library(head: &[u8], machine: Machine) -> Result<(), String> {
    let Some(ident) = head.strip_prefix(b"\x7fELF") else {
        let hint = match FileType::from_head(head) {
            FileType::Archive => "; link a shared library from it",
            FileType::LinkerScript => "; name the library that it stands for",
            FileType::MachO | FileType::Pe => "; build it for Linux",
            FileType::Wasm => "; with type = \"wasm\" it is named by the key wasm",
            FileType::Script => "; a program is a module of type \"process\"",
            FileType::Empty
            | FileType::Elf
            | FileType::Bitcode
            | FileType::WasmText
            | FileType::Text
            | FileType::Unknown => "",
        };
        return Err(format!("expected {LIBRARY} (ELF), found {}{hint}", found(head)));
    };
    if head.len() < ELF_HEADER_BYTES {
        return Err(format!("expected {LIBRARY}, found an ELF file that is cut off after {} bytes", head.len()));
    }
    let (is_64_bit, little_endian) = (ident[0] == 2, ident[1] == 1);
    let number = |at: usize| {
        let bytes = [head[at], head[at + 1]];
        if little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    };
    let (kind, built_for) = (number(16), number(18));
    let name = match architecture(built_for, is_64_bit) {
        Some(architecture) => Machine { architecture, little_endian }.name(),
        None => format!("another machine (ELF number {built_for})"),
    };
    if name != machine.name() {
        return Err(format!("is built for {name}, this machine is {}", machine.name()));
    }
    match kind {
        3 => Ok(()),
        1 => Err(format!("expected {LIBRARY}, found an object file; link it with -shared")),
        2 => Err(format!("expected {LIBRARY}, found a program; a program is a module of type \"process\"")),
        4 => Err(format!("expected {LIBRARY}, found a core dump")),
        other => Err(format!("expected {LIBRARY}, found an ELF file of type {other}")),
    }
}

/// The architecture of an ELF machine number, named as `std::env::consts::ARCH` names it.
fn architecture(number: u16, is_64_bit: bool) -> Option<&'static str> {
    Some(match (number, is_64_bit) {
        (3, _) => "x86",
        (8, false) => "mips",
        (8, true) => "mips64",
        (20, _) => "powerpc",
        (21, _) => "powerpc64",
        (22, _) => "s390x",
        (40, _) => "arm",
        (43, _) => "sparc64",
        (62, true) => "x86_64",
        (62, false) => "x86_64 with 32-bit pointers",
        (183, true) => "aarch64",
        (183, false) => "aarch64 with 32-bit pointers",
        (243, true) => "riscv64",
        (243, false) => "riscv32",
        (258, true) => "loongarch64",
        (258, false) => "loongarch32",
        _ => return None,
    })
}

/// Whether what begins with `head` can be a core WebAssembly module.
fn check_wasm(head: &[u8]) -> Result<(), String> {
    let Some(rest) = head.strip_prefix(b"\0asm") else {
        let hint = match FileType::from_head(head) {
            FileType::WasmText => "; assemble it first (wat2wasm)",
            FileType::Elf => "; with type = \"native\" a library is named by the key library",
            FileType::Empty
            | FileType::Wasm
            | FileType::Archive
            | FileType::MachO
            | FileType::Pe
            | FileType::Bitcode
            | FileType::LinkerScript
            | FileType::Script
            | FileType::Text
            | FileType::Unknown => "",
        };
        return Err(format!("expected {WASM}, found {}{hint}", found(head)));
    };
    match rest {
        [1, 0, 0, 0, ..] => Ok(()),
        [_, _, 1, 0, ..] => {
            Err(format!("expected {WASM}, found a component; build it for wasm32-wasip1 or wasm32-unknown-unknown"))
        }
        [a, b, c, d, ..] => {
            let version = u32::from_le_bytes([*a, *b, *c, *d]);
            Err(format!("expected {WASM} of version 1, found version {version}"))
        }
        _ => Err(format!("expected {WASM}, found one that is cut off after {} bytes", head.len())),
    }
}

/// What a file seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileType {
    Empty,
    Elf,
    Wasm,
    Archive,
    MachO,
    Pe,
    Bitcode,
    LinkerScript,
    WasmText,
    Script,
    Text,
    Unknown,
}

impl FileType {
    fn from_head(head: &[u8]) -> FileType {
        let begins = |with: &[u8]| head.starts_with(with);
        match head {
            [] => FileType::Empty,
            _ if begins(b"\x7fELF") => FileType::Elf,
            _ if begins(b"\0asm") => FileType::Wasm,
            _ if begins(b"!<arch>\n") || begins(b"!<thin>\n") => FileType::Archive,
            // The third is that of files for several machines.
            [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..]
            | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..]
            | [0xca, 0xfe, 0xba, 0xbe, ..] => FileType::MachO,
            _ if begins(b"BC\xc0\xde") => FileType::Bitcode,
            _ if begins(b"#!") => FileType::Script,
            _ => FileType::of_text(head),
        }
    }

    fn of_text(head: &[u8]) -> FileType {
        // The head may end inside a character.
        let is_text = match std::str::from_utf8(head) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
        };
        if !is_text || head.contains(&0) {
            return if head.starts_with(b"MZ") { FileType::Pe } else { FileType::Unknown };
        }
        let text = String::from_utf8_lossy(head);
        if text.starts_with("/* GNU ld script") || text.contains("INPUT(") || text.contains("GROUP ( ") {
            return FileType::LinkerScript;
        }
        let code = text.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with(";;"));
        if code.is_some_and(|line| line.starts_with("(module") || line.starts_with("(component")) {
            return FileType::WasmText;
        }
        FileType::Text
    }
}

/// What a file seems to be, as text after "found".
fn found(head: &[u8]) -> String {
    match FileType::from_head(head) {
        FileType::Empty => "an empty file".into(),
        FileType::Elf => "a native library or program (ELF)".into(),
        FileType::Wasm => "WebAssembly".into(),
        FileType::Archive => "a static archive".into(),
        FileType::MachO => "a library or program of macOS (Mach-O)".into(),
        FileType::Pe => "a library or program of Windows (PE)".into(),
        FileType::Bitcode => "LLVM bitcode".into(),
        FileType::LinkerScript => "a linker script".into(),
        FileType::WasmText => "the text form of WebAssembly".into(),
        FileType::Script => "a script".into(),
        FileType::Text => "text".into(),
        FileType::Unknown => {
            let bytes: Vec<String> = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("a file that begins with the bytes {}", bytes.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86_64: Machine = Machine { architecture: "x86_64", little_endian: true };

    /// The header of an ELF file.
    fn elf(class: u8, endianness: u8, kind: u16, machine: u16) -> Vec<u8> {
        let mut head = vec![0; ELF_HEADER_BYTES];
        head[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, endianness, 1]);
        let write = |number: u16| if endianness == 1 { number.to_le_bytes() } else { number.to_be_bytes() };
        head[16..18].copy_from_slice(&write(kind));
        head[18..20].copy_from_slice(&write(machine));
        head
    }

    #[test]
    fn a_shared_library_of_this_machine_is_accepted() {
        assert_eq!(check_library(&elf(2, 1, 3, 62), X86_64), Ok(()));
        for (architecture, little_endian, endianness, number) in [
            ("aarch64", true, 1, 183),
            ("riscv64", true, 1, 243),
            ("s390x", false, 2, 22),
            ("powerpc64", true, 1, 21),
            ("powerpc64", false, 2, 21),
            ("loongarch64", true, 1, 258),
        ] {
            let machine = Machine { architecture, little_endian };
            assert_eq!(check_library(&elf(2, endianness, 3, number), machine), Ok(()), "{architecture}");
        }
    }

    #[test]
    fn a_library_says_what_it_is_built_for_when_that_is_another_machine() {
        for (class, endianness, number, built_for) in [
            (2, 1, 183, "aarch64"),
            (1, 1, 3, "x86"),
            (1, 1, 62, "x86_64 with 32-bit pointers"),
            (1, 1, 40, "arm"),
            (2, 2, 183, "big-endian aarch64"),
            (2, 1, 21, "little-endian powerpc64"),
            (2, 2, 21, "powerpc64"),
            (2, 1, 999, "another machine (ELF number 999)"),
        ] {
            let found = check_library(&elf(class, endianness, 3, number), X86_64).unwrap_err();
            assert_eq!(found, format!("is built for {built_for}, this machine is x86_64"));
        }
    }

    #[test]
    fn what_is_no_shared_library_is_named() {
        let long_text = "ä".repeat(300);
        let cases: &[(&[u8], &str)] = &[
            (b"", "expected a shared library (ELF), found an empty file"),
            (b"\x7fELF\x02\x01", "expected a shared library, found an ELF file that is cut off after 6 bytes"),
            (&elf(2, 1, 1, 62), "expected a shared library, found an object file; link it with -shared"),
            (
                &elf(2, 1, 2, 62),
                "expected a shared library, found a program; a program is a module of type \"process\"",
            ),
            (&elf(2, 1, 4, 62), "expected a shared library, found a core dump"),
            (&elf(2, 1, 9, 62), "expected a shared library, found an ELF file of type 9"),
            (
                b"!<arch>\nlib.o/",
                "expected a shared library (ELF), found a static archive; link a shared library from it",
            ),
            (
                b"/* GNU ld script */\nGROUP ( /lib/libc.so.6 )",
                "expected a shared library (ELF), found a linker script; name the library that it stands for",
            ),
            (
                b"INPUT(libncurses.so.6)\n",
                "expected a shared library (ELF), found a linker script; name the library that it stands for",
            ),
            (
                b"\xcf\xfa\xed\xfe\x07\0",
                "expected a shared library (ELF), found a library or program of macOS (Mach-O); build it for Linux",
            ),
            (
                b"MZ\x90\0\x03\0",
                "expected a shared library (ELF), found a library or program of Windows (PE); build it for Linux",
            ),
            (
                b"\0asm\x01\0\0\0",
                "expected a shared library (ELF), found WebAssembly; with type = \"wasm\" it is named by the key wasm",
            ),
            (
                b"#!/bin/sh\n",
                "expected a shared library (ELF), found a script; a program is a module of type \"process\"",
            ),
            (b"BC\xc0\xde\x35\x14", "expected a shared library (ELF), found LLVM bitcode"),
            (b"int main;\n", "expected a shared library (ELF), found text"),
            (&long_text.as_bytes()[..511], "expected a shared library (ELF), found text"),
            (b"\xff\x00\x10", "expected a shared library (ELF), found a file that begins with the bytes ff 00 10"),
        ];
        for (head, expected) in cases {
            assert_eq!(check_library(head, X86_64).unwrap_err(), *expected);
        }
    }

    #[test]
    fn a_core_module_of_version_1_is_accepted_and_nothing_else() {
        assert_eq!(check_wasm(b"\0asm\x01\0\0\0"), Ok(()));
        assert_eq!(check_wasm(b"\0asm\x01\0\0\0\x01\x04"), Ok(()));
        let cases: &[(&[u8], &str)] = &[
            (b"", "expected a core WebAssembly module, found an empty file"),
            (b"\0asm\x01", "expected a core WebAssembly module, found one that is cut off after 5 bytes"),
            (b"\0as", "expected a core WebAssembly module, found a file that begins with the bytes 00 61 73"),
            (
                b"\0asm\x0d\0\x01\0",
                "expected a core WebAssembly module, found a component; \
                build it for wasm32-wasip1 or wasm32-unknown-unknown",
            ),
            (b"\0asm\x02\0\0\0", "expected a core WebAssembly module of version 1, found version 2"),
            (
                b";; a module\n\n(module (memory 1))",
                "expected a core WebAssembly module, found the text form of WebAssembly; assemble it first (wat2wasm)",
            ),
            (
                &elf(2, 1, 3, 62),
                "expected a core WebAssembly module, found a native library or program (ELF); \
                with type = \"native\" a library is named by the key library",
            ),
            (b"hello", "expected a core WebAssembly module, found text"),
        ];
        for (head, expected) in cases {
            assert_eq!(check_wasm(head).unwrap_err(), *expected);
        }
    }

    #[test]
    fn no_first_bytes_whatever_panic() {
        let mut random = 1u64;
        for _ in 0..20_000 {
            let mut head = Vec::new();
            for prefix in [&b""[..], b"\x7fELF\x02\x01", b"\0asm", b"(module"] {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if random >> 62 == 0 {
                    head.extend_from_slice(prefix);
                }
            }
            for _ in 0..(random >> 32) % 80 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                head.push((random >> 56) as u8);
            }
            let _ = check_library(&head, X86_64);
            let _ = check_wasm(&head);
        }
    }
}
