//! Every rule that a module is checked against: its name, its place in `PROTOCOL.md`, and what it says. How a rule is
//! checked is not here.

/// Makes the type, and the table of all rules.
macro_rules! rules {
    ($($rule:ident, $name:literal, $place:literal, $says:literal;)*) => {
        /// A rule.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Rule { $($rule),* }

        impl Rule {
            /// All of them, in the order of the report.
            pub(crate) const ALL: &[Rule] = &[$(Rule::$rule),*];

            /// Its name for programs.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Rule::$rule => $name),* }
            }

            /// The anchor of its heading in `PROTOCOL.md`.
            pub(crate) fn place(self) -> &'static str {
                match self { $(Rule::$rule => $place),* }
            }

            /// What it says of a module.
            pub(crate) fn says(self) -> &'static str {
                match self { $(Rule::$rule => $says),* }
            }
        }
    };
}

rules! {
    Manifest, "manifest", "the-life-of-a-module", "its manifest checks";
    Init, "init", "init", "it answers init with what it is";
    InitTime, "init-time", "the-life-of-a-module", "it is ready within start_timeout";
    Described, "described", "init", "what its commands say of themselves can be kept";
    Examples, "examples", "init", "its examples are what its schemas take and return";
    OtherVersion, "other-version", "versions", "it refuses another version of the wire, or answers with its own";
    Frames, "frames", "strictness", "all that it sends are frames with messages";
    Output, "output", "what-a-module-is-given", "what it prints does not disturb its channel";
    OneAnswer, "one-answer", "rules", "each request gets exactly one answer";
    Order, "order", "rules", "it answers in the order of the requests";
    UnknownType, "unknown-type", "types-of-requests", "it answers an unknown type with unknown_type";
    UnknownCommand, "unknown-command", "command", "it answers an unknown command with unknown_command";
    UnknownMembers, "unknown-members", "messages", "it ignores unknown members, and any order of them";
    Event, "event", "rules", "it answers an event with an id";
    SilentEvent, "silent-event", "rules", "it does not answer an event without an id";
    PingIdle, "ping-idle", "ping", "it answers pings when it is idle";
    PingBusy, "ping-busy", "rules", "it answers pings among requests";
    CancelUnknown, "cancel-unknown", "cancel", "it answers a cancel of what is not there";
    CancelQueued, "cancel-queued", "cancel", "a cancelled request still gets its one answer";
    LongFrame, "long-frame", "frames", "it reads the longest frame that may come";
    OversizedFrame, "oversized-frame", "frames", "a length above the limit ends it in order";
    TornFrame, "torn-frame", "frames", "a stream that ends inside a frame ends it";
    Shutdown, "shutdown", "shutdown", "it answers shutdown and exits with 0 in time";
    ShutdownOrder, "shutdown-order", "shutdown", "it answers what came before the shutdown";
    ChannelEnd, "channel-end", "the-life-of-a-module", "the end of its channel ends it, with 0";
    Ready, "ready", "the-life-of-a-module", "it becomes ready under a host";
    Query, "query", "query-and-mutation", "it answers a query";
    Commands, "commands", "rules", "its commands are answered, and it lives on";
    Returns, "returns", "init", "its answers are what its schemas say they return";
    WrongArguments, "wrong-arguments", "init", "it refuses arguments that its schemas exclude";
    KillIdle, "kill-idle", "after-an-end", "killed when idle, its next process works";
    KillInRequest, "kill-in-request", "after-an-end", "killed in a request, its next process works";
    KillInInit, "kill-in-init", "after-an-end", "killed during init, its next process works";
    KillInShutdown, "kill-in-shutdown", "after-an-end", "killed in shutdown, it can be started again";
    Stop, "stop", "the-life-of-a-module", "a stop needs no signal";
    NothingLeft, "nothing-left", "the-life-of-a-module", "no process of it outlives it";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_rule_has_a_place_that_is_a_heading_of_the_protocols_page() {
        let page = include_str!("../../../PROTOCOL.md");
        let anchors: BTreeSet<String> = page
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| line.trim_start_matches('#').trim().to_lowercase())
            .map(|heading| heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>())
            .map(|heading| heading.replace(' ', "-"))
            .collect();
        for rule in Rule::ALL {
            assert!(anchors.contains(rule.place()), "{rule:?}: PROTOCOL.md has no heading #{}", rule.place());
        }
    }

    #[test]
    fn no_two_rules_have_one_name_or_say_the_same() {
        let names: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        let sentences: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.says()).collect();
        assert_eq!((names.len(), sentences.len()), (Rule::ALL.len(), Rule::ALL.len()));
    }
}
