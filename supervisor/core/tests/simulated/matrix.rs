//! Every policy with every way to end, while the module runs, while a restart is under way and while
//! a stop is under way: whether it is started again, and what the caller gets whose request was in
//! progress. The expectations are written down here, not computed the way the core does.

use crate::{line::Line, play::Player, show};
use bulkhead_core::{HostSettings, ObservedState};
use std::time::Duration;

/// What was asked for before the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Nothing,
    Restart,
    Stop,
    /// The end of the host.
    Shutdown,
}

/// How a process may end, and what kind of ending that is when no stop was requested.
const ENDINGS: [(&[&str], Kind); 12] = [
    (&["end a#1 0"], Kind::ZeroWithWorkLeft),
    (&["end a#1 1"], Kind::Failure),
    (&["end a#1 124"], Kind::Failure),
    (&["end a#1 SIGSEGV"], Kind::Failure),
    (&["end a#1 SIGTERM"], Kind::Failure),
    (&["end a#1 SIGKILL"], Kind::Failure),
    (&["end a#1 125"], Kind::Permanent),
    (&["violation a#1 oops", "end a#1 SIGKILL"], Kind::Failure),
    (&["violation a#1 oops", "end a#1 125"], Kind::Failure),
    (&["closed a#1", "end a#1 SIGABRT"], Kind::Failure),
    (&["truncated a#1 oops", "end a#1 0"], Kind::Failure),
    (&["lost a#1"], Kind::Lost),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Exit code 0: clean when nothing is left to do, else a failure.
    ZeroWithWorkLeft,
    Failure,
    Permanent,
    /// The guardian ended, and it with the guardian.
    Lost,
}

/// What is in progress in the process when it ends.
const WORK: [&str; 3] = ["", "command c1:1 a", "query c1:1 a"];

#[test]
fn every_policy_with_every_ending_and_every_order() {
    let mut count = 0;
    for policy in ["always", "on-failure", "never"] {
        for (lines, kind) in ENDINGS {
            for order in [Order::Nothing, Order::Restart, Order::Stop, Order::Shutdown] {
                for work in WORK {
                    check(policy, lines, kind, order, work);
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 3 * 12 * 4 * 3);
}

/// Plays a line and notes what the core asks for.
fn play(player: &mut Player, said: &mut Vec<String>, text: &str) {
    for (_, action) in player.play(&Line::parse(text)) {
        said.push(show::action(player, &action));
    }
}

fn check(policy: &str, lines: &[&str], kind: Kind, order: Order, work: &str) {
    let what = format!("policy {policy}, {lines:?}, {order:?}, {work:?}");
    let mut player = Player::new(HostSettings::default(), 1);
    let mut said: Vec<String> = Vec::new();
    play(&mut player, &mut said, &format!("module a policy={policy}"));
    play(&mut player, &mut said, "ready a#1");
    player.advance(bulkhead_core::Time::from_millis(2000));
    if !work.is_empty() {
        play(&mut player, &mut said, work);
    }
    match order {
        Order::Nothing => {}
        Order::Restart => play(&mut player, &mut said, "restart a by=c2:1"),
        Order::Stop => play(&mut player, &mut said, "stop a by=c2:1"),
        Order::Shutdown => play(&mut player, &mut said, "shutdown"),
    }
    for line in lines {
        play(&mut player, &mut said, line);
    }
    // Far enough for any delay of a first failure.
    for (_, action) in player.advance(player.now + Duration::from_secs(1)) {
        said.push(show::action(&player, &action));
    }

    let clean = kind == Kind::ZeroWithWorkLeft && work.is_empty();
    let permanent = kind == Kind::Permanent;
    let comes_back = match (order, policy) {
        (Order::Stop | Order::Shutdown, _) => false,
        (Order::Restart, _) => true,
        (Order::Nothing, "always") => !permanent,
        (Order::Nothing, "on-failure") => !permanent && !clean,
        (Order::Nothing, _) => false,
    };
    assert_eq!(said.contains(&"spawn a#2".to_owned()), comes_back, "{what}: {said:#?}");

    let crashed = said.iter().any(|line| line.starts_with("crash a#1"));
    assert_eq!(
        crashed,
        order == Order::Nothing && !clean && kind != Kind::Lost,
        "a crash is what was not ordered: {what}: {said:#?}"
    );

    let view = player.core.view(player.now, &crate::spec::name("a")).expect("it is known");
    let state = match (comes_back, order, permanent) {
        (true, _, _) => ObservedState::Starting,
        (false, Order::Nothing, true) => ObservedState::Failed,
        (false, _, _) => ObservedState::Stopped,
    };
    assert_eq!(view.state, state, "{what}: {view:?}");

    let answers: Vec<&String> = said.iter().filter(|line| line.starts_with("reply c1:1 ")).collect();
    let expected = match (work, order) {
        ("", _) => None,
        // Safe to do twice, and there is a process to do it.
        (work, _) if work.starts_with("query") && comes_back => None,
        (_, Order::Nothing) => Some("reply c1:1 error module_crashed started"),
        (_, Order::Restart | Order::Stop | Order::Shutdown) => Some("reply c1:1 error module_unavailable started"),
    };
    match (expected, answers.as_slice()) {
        (None, []) => {}
        (Some(expected), [one]) if one.starts_with(expected) => {}
        (expected, found) => panic!("{what}: expected {expected:?}, found {found:?}"),
    }

    if work.starts_with("query") && comes_back {
        play(&mut player, &mut said, "ready a#2");
        assert!(said.iter().any(|line| line.starts_with("send a#2 c1:1")), "not sent again: {what}: {said:#?}");
    }
}
