//! What reading a message costs compared with `serde_json` with raw values, of the same bytes in the same
//! run: rounds alternate, and the medians of the rounds are printed. Below that, how long each piece of a long
//! message delays the thread that reads it, and what writing a short one costs.
//!
//! `cargo bench -p bulkhead-protocol`; with `-- --only TEXT`, the rows whose names have the text.
//! `-- --count READER NAME TIMES` only reads, for tools that count instructions; as a READER, `writer` writes.

use bulkhead_protocol::{Decoder, Message};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

/// Many and short ones, most of which nothing interrupts, on a machine that has other work too.
const ROUNDS: usize = 101;

/// Bytes that each reader reads in one round.
const ROUND_BYTES: usize = 1 << 20;

const LARGE_BYTES: usize = 1 << 20;

/// Bytes that come at once of a long message.
const PIECE_BYTES: usize = 256 << 10;

/// How many times a long message is a large one.
const LONG_TIMES: usize = 16;

/// A way to read the content of a frame.
type Reader = fn(&[u8]);

const READERS: [(&str, Reader); 4] = [
    ("ours", |frame| drop(black_box(Message::decode(black_box(frame)).expect("it is a message")))),
    ("serde_json", |frame| drop(black_box(decode_with_serde(black_box(frame)).expect("it is a message")))),
    ("utf-8 only", |frame| {
        black_box(std::str::from_utf8(black_box(frame)).expect("it is UTF-8"));
    }),
    ("copy only", |frame| drop(black_box(black_box(frame).to_vec()))),
];

/// The members, as a derived reader takes them: what there was before the walk.
#[derive(Deserialize)]
struct Members {
    #[allow(dead_code, reason = "reading it is what is measured")]
    id: Option<u64>,
    #[allow(dead_code, reason = "reading it is what is measured")]
    r#type: Option<String>,
    #[allow(dead_code, reason = "reading it is what is measured")]
    status: Option<String>,
    #[allow(dead_code, reason = "reading it is what is measured")]
    to: Option<String>,
    #[allow(dead_code, reason = "reading it is what is measured")]
    payload: Option<Box<RawValue>>,
    #[allow(dead_code, reason = "reading it is what is measured")]
    deadline_ms: Option<u64>,
    #[allow(dead_code, reason = "reading it is what is measured")]
    data: Option<Box<RawValue>>,
}

fn decode_with_serde(frame: &[u8]) -> Result<Members, String> {
    let text = std::str::from_utf8(frame).map_err(|error| error.to_string())?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let messages = messages();
    if let Some(at) = arguments.iter().position(|argument| argument == "--count") {
        count(&messages, &arguments[at + 1..]);
        return;
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("skipped: this measures, and does so for `cargo bench -p bulkhead-protocol` only");
        return;
    }
    let only = arguments.iter().position(|argument| argument == "--only").map(|at| arguments[at + 1].as_str());
    print!("{:<34}{:>10}{:>8}", "GB/s", "bytes", "ratio");
    READERS.iter().for_each(|(name, _)| print!("{name:>12}"));
    println!();
    for (name, frame) in messages.iter().filter(|(name, _)| only.is_none_or(|only| name.contains(only))) {
        let rates = measure(frame);
        print!("{name:<34}{:>10}{:>8.2}", frame.len(), rates[0] / rates[1]);
        rates.iter().for_each(|rate| print!("{rate:>12.2}"));
        println!();
    }
    println!("\n{:<34}{:>10}{:>14}{:>14}{:>12}", "µs", "bytes", "last piece", "longest other", "all");
    for (name, frame) in messages.iter().filter(|(name, _)| only.is_none_or(|only| name.contains(only))) {
        if frame.len() >= LARGE_BYTES {
            let frame = repeated(frame);
            let [last, longest, all] = measure_pieces(&frame).map(|time| time.as_micros());
            println!("{LONG_TIMES} x {name:<29}{:>10}{last:>14}{longest:>14}{all:>12}", frame.len());
        }
    }
    println!("\n{:<34}{:>10}{:>14}", "ns", "bytes", "to write it");
    for (name, frame) in messages.iter().filter(|(name, _)| only.is_none_or(|only| name.contains(only))) {
        if frame.len() < LARGE_BYTES {
            println!("{name:<34}{:>10}{:>14.1}", frame.len(), measure_writing(frame));
        }
    }
}

/// Writes the message with this content, each time over the one before, as into a buffer that is sent and kept.
fn writer(frame: &[u8]) -> impl FnMut() {
    let message = Message::decode(frame).expect("it is a message");
    let mut out = Vec::new();
    move || {
        out.clear();
        black_box(&message).encode(black_box(&mut out), LARGE_BYTES).expect("it is short");
    }
}

/// The median time that writing a short message takes, in nanoseconds.
fn measure_writing(frame: &[u8]) -> f64 {
    let times = ROUND_BYTES.div_ceil(frame.len());
    let mut write = writer(frame);
    let mut rounds = [(); ROUNDS].map(|()| {
        let start = Instant::now();
        (0..times).for_each(|_| write());
        start.elapsed().as_secs_f64() * 1e9 / times as f64
    });
    rounds.sort_unstable_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// How long a long message takes with its last piece, with the other piece that takes longest, and in all.
fn measure_pieces(frame: &[u8]) -> [Duration; 3] {
    let mut rounds = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS / LONG_TIMES * 2 {
        let mut decoder = Decoder::new(frame.len());
        let mut pieces = Vec::new();
        for mut piece in frame.chunks(PIECE_BYTES) {
            let start = Instant::now();
            let message = black_box(decoder.next_message(black_box(&mut piece)).expect("it is a frame"));
            pieces.push(start.elapsed());
            assert_eq!(
                message.is_some_and(|message| message.is_ok()),
                pieces.len() == frame.len().div_ceil(PIECE_BYTES)
            );
        }
        let all = pieces.iter().sum();
        let last = pieces.pop().expect("there are pieces");
        let longest = pieces.into_iter().max().unwrap_or_default();
        rounds.iter_mut().zip([last, longest, all]).for_each(|(rounds, time)| rounds.push(time));
    }
    rounds.map(|mut rounds| {
        rounds.sort_unstable();
        rounds[rounds.len() / 2]
    })
}

/// A frame with a message that repeats the payload of this one.
fn repeated(message: &[u8]) -> Vec<u8> {
    let list = vec![std::str::from_utf8(message).expect("it is UTF-8"); LONG_TIMES].join(",");
    let message = format!(r#"{{"id":17,"type":"command","payload":[{list}]}}"#);
    let length = u32::try_from(message.len()).expect("it is no longer than a frame");
    [&length.to_be_bytes(), message.as_bytes()].concat()
}

/// The median rate of each reader, in GB/s.
fn measure(frame: &[u8]) -> [f64; READERS.len()] {
    let times = ROUND_BYTES.div_ceil(frame.len());
    let mut rounds = [const { Vec::new() }; READERS.len()];
    for _ in 0..ROUNDS {
        for ((_, reader), rounds) in READERS.iter().zip(&mut rounds) {
            let start = Instant::now();
            for _ in 0..times {
                reader(frame);
            }
            rounds.push((times * frame.len()) as f64 / start.elapsed().as_secs_f64() / 1e9);
        }
    }
    rounds.map(|mut rounds| {
        rounds.sort_unstable_by(f64::total_cmp);
        rounds[ROUNDS / 2]
    })
}

fn count(messages: &[(&str, Vec<u8>)], arguments: &[String]) {
    let [reader, name, times] = arguments else { panic!("expected READER NAME TIMES") };
    let (_, frame) = messages.iter().find(|(found, _)| found == name).expect("there is a message of this name");
    let times = 0..times.parse().expect("it is a number");
    if reader == "writer" {
        let mut write = writer(frame);
        times.for_each(|_| write());
        return;
    }
    let (_, reader) = READERS.iter().find(|(found, _)| found == reader).expect("there is a reader of this name");
    times.for_each(|_| reader(frame));
}

fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let filled = |unit: &str| unit.repeat(LARGE_BYTES / unit.len());
    let string = |unit: &str| format!("\"{}\"", filled(unit));
    let record = |text: &mut String, number: usize| {
        let random = scrambled(number);
        write!(
            text,
            r#"{{"id":{number},"name":"user {}","score":{}.{},"tags":["a","bc"],"active":{},"parent":null}}"#,
            random % 10_000,
            random % 100,
            random % 1000,
            random.is_multiple_of(3),
        )
        .expect("a string takes all");
    };
    let pretty = |text: &mut String, number: usize| {
        let mut compact = String::new();
        record(&mut compact, number);
        let value: serde_json::Value = serde_json::from_str(&compact).expect("it is JSON");
        text.push('\n');
        text.push_str(&serde_json::to_string_pretty(&value).expect("a value can be written"));
    };
    let deep = format!("{}{}", "[".repeat(LARGE_BYTES / 2), "]".repeat(LARGE_BYTES / 2));
    let request = |payload: &str| {
        format!(r#"{{"id":17,"type":"command","to":"echo","payload":{{"name":"echo","args":{payload}}}}}"#).into_bytes()
    };
    vec![
        ("request, 128 bytes", request(&format!("\"{}\"", "x".repeat(51)))),
        ("request, 128 bytes of numbers", request(r#"{"from":1712,"to":19283,"step":2.5,"all":true}"#)),
        (
            "response, 128 bytes",
            format!(r#"{{"id":17,"status":"success","data":{{"echo":"{}"}}}}"#, "x".repeat(79)).into_bytes(),
        ),
        (
            "request, all members",
            br#"{"id":17,"type":"command","to":"echo","payload":{},"deadline_ms":29870,"key":"order-1712-a","of":4}"#
                .to_vec(),
        ),
        ("ping", br#"{"id":17,"type":"ping"}"#.to_vec()),
        ("1 MiB, one string", request(&string("x"))),
        ("1 MiB, one string, escapes", request(&string("several words in a line of a text\\n"))),
        ("1 MiB, one string, Cyrillic", request(&string("Съешь ещё этих мягких булок, "))),
        ("1 MiB, one string, escaped Cyrillic", request(&string("\\u0421\\u044a\\u0435\\u0448\\u044c "))),
        ("1 MiB, records", request(&list(record))),
        ("1 MiB, records, indented", request(&list(pretty))),
        ("1 MiB, integers", request(&list(|text, number| write(text, scrambled(number) % 1_000_000)))),
        (
            "1 MiB, coordinates",
            request(&list(|text, number| {
                let random = scrambled(number);
                write(
                    text,
                    format_args!("[-{}.{:06},{}.{:06}]", random % 180, random % 999_999, random % 90, random % 999_983),
                );
            })),
        ),
        ("1 MiB, names of 12 characters", request(&list(|text, _| text.push_str("\"abcdefghijkl\"")))),
        (
            "1 MiB, lines of 100 characters",
            request(&list(|text, _| write(text, format_args!("\"{}\"", "several words in a line. ".repeat(4))))),
        ),
        (
            "1 MiB, punctuation",
            request(&list(|text, number| {
                write(text, format_args!(r#"{{"id":{number},"at":[{}.5,-12,3e-3],"#, scrambled(number) % 1000));
                write(
                    text,
                    format_args!(r#""user":{{"name":"user {number}","active":true,"tags":["a","bc"],"note":null}}}}"#),
                );
            })),
        ),
        ("1 MiB, nested", request(&deep)),
    ]
}

/// A list that is as long as a large payload, of what is written for each number.
fn list(element: impl Fn(&mut String, usize)) -> String {
    let mut text = "[".to_owned();
    for number in 0.. {
        element(&mut text, number);
        if text.len() >= LARGE_BYTES {
            break;
        }
        text.push(',');
    }
    text + "]"
}

fn write(text: &mut String, value: impl std::fmt::Display) {
    write!(text, "{value}").expect("a string takes all");
}

/// A number that looks random, always the same for the same argument.
fn scrambled(number: usize) -> usize {
    (number.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}
