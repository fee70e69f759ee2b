//! The languages, and the kinds of module that each can be.

use clap::ValueEnum;

/// What a module is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Language {
    Rust,
    Python,
    TypeScript,
    C,
    Jq,
    Shell,
}

impl Language {
    /// The first is the default.
    pub(crate) fn kinds(self) -> &'static [Kind] {
        match self {
            Language::Rust => &[Kind::Program, Kind::Native, Kind::Wasm],
            Language::Python | Language::TypeScript => &[Kind::Program],
            Language::C => &[Kind::Native, Kind::Wasm],
            Language::Jq | Language::Shell => &[Kind::Filter],
        }
    }

    /// Its name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::Python => "Python",
            Language::TypeScript => "TypeScript",
            Language::C => "C",
            Language::Jq => "jq",
            Language::Shell => "shell",
        }
    }
}

/// What a module is to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Program,
    Native,
    Wasm,
    Filter,
}

impl Kind {
    /// Its word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Program => "program",
            Kind::Native => "native",
            Kind::Wasm => "wasm",
            Kind::Filter => "filter",
        }
    }

    /// Its name for people.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Kind::Program => "program",
            Kind::Native => "shared library",
            Kind::Wasm => "WebAssembly module",
            Kind::Filter => "filter",
        }
    }
}
