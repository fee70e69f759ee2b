//! The table of everything that this module does on command. It is the only list: the commands, the help and the tests
//! are made from it.

use crate::module::Misbehave;
use crate::{at_start, copies, dying, family, good, hanging, output, wire};
use bulkhead_module::{Context, Error, Json};

/// What the host sees of a command that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is answered, and the process lives on.
    Answers,
    /// It is answered, and the process is unusable afterwards.
    AnswersThenFails,
    /// The process ends without an answer.
    Dies,
    /// Neither an answer nor an end: the host must act on a deadline or on silence.
    Hangs,
    /// The channel carries what is not the protocol: the host must act at once.
    Violates,
}

impl Outcome {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Outcome::Answers => "answers",
            Outcome::AnswersThenFails => "answers-then-fails",
            Outcome::Dies => "dies",
            Outcome::Hangs => "hangs",
            Outcome::Violates => "violates",
        }
    }
}

pub(crate) type Act = fn(&mut Misbehave, &mut Context<'_>, &Json) -> Result<Json, Error>;

/// One command.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// Arguments with which it can be tried; also the documentation of its arguments.
    pub(crate) args: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) idempotent: bool,
    pub(crate) about: &'static str,
    pub(crate) act: Act,
}

const fn fault(name: &'static str, args: &'static str, outcome: Outcome, about: &'static str, act: Act) -> Fault {
    Fault { name, args, outcome, idempotent: false, about, act }
}

const fn idempotent(name: &'static str, args: &'static str, outcome: Outcome, about: &'static str, act: Act) -> Fault {
    Fault { name, args, outcome, idempotent: true, about, act }
}

use Outcome::{Answers, AnswersThenFails, Dies, Hangs, Violates};

/// Every command.
#[rustfmt::skip]
pub(crate) const FAULTS: &[Fault] = &[
    // Good behaviour, to compare with.
    fault("echo", r#"{"any":"thing"}"#, Answers, "answers with its arguments", good::echo),
    fault("count", "{}", Answers, "counts up; done twice, it counts twice", good::count),
    idempotent("read", "{}", Answers, "tells the count, which is safe to repeat", good::read),
    idempotent("whoami", "{}", Answers, "process id, instance and configuration", good::whoami),
    fault("sleep", r#"{"ms":20}"#, Answers, "sleeps, and wakes up for a cancel", good::sleep),
    idempotent("sleep_read", r#"{"ms":20}"#, Answers, "sleeps, and is safe to repeat", good::sleep),
    fault("work", r#"{"ms":20}"#, Answers, "computes, and looks for a cancel", good::work),
    fault("slow_progress", r#"{"steps":3,"ms":5}"#, Answers, "reports progress with pauses", good::slow_progress),
    fault("emit", r#"{"event":"misbehave.done","data":1,"times":3}"#, Answers, "publishes events", good::emit),
    fault("events_seen", "{}", Answers, "tells the events that came, the last 1,000", good::events_seen),
    fault("call", r#"{"to":"supervisor","command":"status","args":{}}"#, Answers, "calls another module and passes on its answer", good::call),
    fault("error", r#"{"code":"out_of_ink","sentence":"there is no ink"}"#, Answers, "answers with this error", good::error),
    // Dying.
    fault("signal", r#"{"name":"SIGSEGV"}"#, Dies, "sends itself a signal, with its default action restored", dying::signal),
    fault("segfault", "{}", Dies, "writes where nothing is", dying::segfault),
    fault("stack_overflow", "{}", Dies, "calls itself without an end", dying::stack_overflow),
    fault("abort", "{}", Dies, "calls abort", dying::abort),
    fault("panic", r#"{"message":"as asked"}"#, AnswersThenFails, "panics in the handler", dying::panic),
    fault("exit", r#"{"code":3}"#, Dies, "exits with this code, without an answer", dying::exit),
    fault("answer_then_exit", r#"{"code":0}"#, AnswersThenFails, "answers, with \"last\":true as its last answer, then exits with this code, after linger_ms", dying::answer_then_exit),
    fault("exit_later", r#"{"ms":20,"code":3}"#, AnswersThenFails, "answers, and exits some time later", dying::exit_later),
    fault("signal_later", r#"{"ms":20,"name":"SIGKILL"}"#, AnswersThenFails, "answers, and sends itself a signal some time later", dying::signal_later),
    fault("crash_on", r#"{"nth":2}"#, Answers, "answers, and the nth command from here on is a crash; also as [config] crash_on", dying::crash_on),
    fault("crash_once", r#"{"marker":"one"}"#, Dies, "crashes, but answers if a process before crashed with the same marker", dying::crash_once),
    idempotent("crash_once_read", r#"{"marker":"two"}"#, Dies, "as crash_once, and is safe to repeat", dying::crash_once),
    idempotent("abort_read", "{}", Dies, "calls abort every time, and says that it is safe to repeat", dying::abort),
    // Hanging, and exhaustion.
    fault("hang", "{}", Hangs, "sleeps for ever", hanging::hang),
    idempotent("hang_read", "{}", Hangs, "sleeps for ever, and says that it is safe to repeat", hanging::hang),
    fault("spin", "{}", Hangs, "computes for ever", hanging::spin),
    fault("nap", r#"{"ms":20}"#, Answers, "sleeps, deaf to a cancel, and answers late", hanging::nap),
    fault("allocate", r#"{"mib":64}"#, Answers, "takes and touches memory up to this much, or until it is killed; keeps it", hanging::allocate),
    fault("stop_self", "{}", Hangs, "sends itself SIGSTOP", hanging::stop_self),
    fault("never_read", "{}", AnswersThenFails, "answers, and never reads again", hanging::never_read),
    fault("close_channel", "{}", Violates, "closes the channel and lives on", hanging::close_channel),
    fault("ignore_sigterm", "{}", Answers, "ignores SIGTERM from now on, and hangs in shutdown", hanging::ignore_sigterm),
    fault("ignore_shutdown", "{}", Answers, "hangs in shutdown from now on", hanging::ignore_shutdown),
    // Output.
    fault("print", r#"{"line":"hello","stream":"stderr"}"#, Answers, "prints a line on stdout or stderr", output::print),
    fault("print_bytes", r#"{"stream":"stderr"}"#, Answers, "prints bytes that are no UTF-8", output::print_bytes),
    fault("flood", r#"{"stream":"stdout","bytes":1000000}"#, Answers, "prints lines, without \"bytes\" for ever", output::flood),
    fault("long_line", r#"{"stream":"stderr","bytes":1000000}"#, Answers, "prints a line without an end, 100 MB unless said otherwise", output::long_line),
    // The wire.
    fault("stray_text", r#"{"text":"hello, world\n"}"#, Violates, "prints text into the protocol stream", wire::stray_text),
    fault("truncated_frame", "{}", Violates, "sends half a frame, then exits with code 0", wire::truncated_frame),
    fault("half_frame", "{}", Hangs, "sends half a frame, and not the rest", wire::half_frame),
    fault("slow_frame", r#"{"ms":2}"#, Answers, "sends a frame byte by byte with pauses", wire::slow_frame),
    fault("oversized_length", "{}", Violates, "promises a frame of 2 GiB", wire::oversized_length),
    fault("oversized_frame", r#"{"bytes":17000000}"#, Violates, "sends a frame that is longer than allowed", wire::oversized_frame),
    fault("zero_length", "{}", Violates, "sends an empty frame", wire::zero_length),
    fault("invalid_utf8", "{}", Violates, "sends a frame that is no UTF-8", wire::invalid_utf8),
    fault("invalid_json", "{}", Violates, "sends a frame that is no JSON", wire::invalid_json),
    fault("json_array", "{}", Violates, "sends a frame that is JSON, but no object", wire::json_array),
    fault("type_and_status", "{}", Violates, "sends a message that is both a request and a response", wire::type_and_status),
    fault("neither", "{}", Violates, "sends a message that is neither", wire::neither),
    fault("deep_nesting", r#"{"depth":1000000}"#, Answers, "answers with arrays in arrays", wire::deep_nesting),
    fault("huge_answer", r#"{"bytes":20000000}"#, Answers, "has an answer that no frame holds, which the SDK refuses", wire::huge_answer),
    fault("answer_twice", "{}", Answers, "answers twice", wire::answer_twice),
    fault("answer_stranger", r#"{"times":3}"#, Answers, "also answers requests that were never sent", wire::answer_stranger),
    fault("progress_stranger", "{}", Answers, "also reports progress of a request that was never sent", wire::progress_stranger),
    fault("answer_next", "{}", Answers, "also answers the request with the next id before it comes", wire::answer_next),
    fault("forge_crash", "{}", Answers, "answers with module_crashed, a code that is the host's own", wire::forge_crash),
    fault("flood_requests", r#"{"times":2000}"#, Answers, "sends requests to the supervisor and reads no answer meanwhile", wire::flood_requests),
    fault("flood_events", r#"{"times":2000}"#, Answers, "publishes events as fast as it can", wire::flood_events),
    // Process trees.
    fault("family", r#"{"count":3,"ignore_term":true,"hold_channel":true}"#, Answers, "starts double-forked processes in sessions of their own; answers with their ids", family::family),
    fault("children", r#"{"count":3}"#, Answers, "starts ordinary children; answers with their ids", family::children),
    fault("fork_bomb", r#"{"count":10,"seconds":1}"#, Answers, "starts processes that each start the next and exit", family::fork_bomb),
    fault("fork_and_return", r#"{"does":"nothing","beside_threads":false}"#, Answers, "forks, and both processes come back from the handler", copies::fork_and_return),
    fault("drop_subreaper", "{}", Answers, "stops being the parent of its orphans", family::drop_subreaper),
];

/// How the list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

/// Prints every command and every start.
pub(crate) fn list(form: Form) {
    let starts = at_start::STARTS.iter().map(|start| (start.name, "", start.outcome, start.about));
    match form {
        Form::Text => {
            println!("commands, with arguments to try:");
            for fault in FAULTS {
                println!("  {} {}\n      {} ({})", fault.name, fault.args, fault.about, fault.outcome.name());
            }
            println!("\nstarts, for --at-start NAME:");
            for (name, _, outcome, about) in starts {
                println!("  {name}\n      {about} ({outcome})");
            }
        }
        Form::Json => {
            for fault in FAULTS {
                let args: serde_json::Value = serde_json::from_str(fault.args).expect("a test reads every example");
                let line = serde_json::json!({
                    "command": fault.name, "args": args, "outcome": fault.outcome.name(), "idempotent": fault.idempotent, "about": fault.about,
                });
                println!("{line}");
            }
            for (name, _, outcome, about) in starts {
                println!("{}", serde_json::json!({ "at_start": name, "outcome": outcome, "about": about }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_an_object_and_every_name_is_there_once() {
        for (at, fault) in FAULTS.iter().enumerate() {
            let args: serde_json::Value = serde_json::from_str(fault.args).unwrap();
            assert!(args.is_object(), "{}", fault.name);
            assert!(FAULTS[..at].iter().all(|other| other.name != fault.name), "{}", fault.name);
        }
    }
}
