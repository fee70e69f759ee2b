//! A request whose every commit fails, whatever it does: too long for a script.

use crate::{line::Line, play::Player, show};
use bulkhead_core::HostSettings;

#[test]
fn a_conflict_that_never_ends_is_answered_after_a_hundred_tries() {
    let mut player = Player::new(HostSettings::default(), 1);
    let mut play = |line: &str| -> Vec<String> {
        let happened = player.play(&Line::parse(line));
        happened.iter().map(|(_, action)| show::action(&player, action)).collect()
    };
    play("module a write=Log");
    play("ready a#1");
    let mut sent = play("query c1:1 a");
    for attempt in 1..=100 {
        assert_eq!(sent, ["send a#1 c1:1 deadline_ms=30000"], "attempt {attempt}");
        play(&format!("mutation a#1:{attempt} layer1 update"));
        play(&format!("store s{} ok", 2 * attempt - 1));
        play("answer a#1 c1:1");
        sent = play(&format!("store s{} conflict", 2 * attempt));
    }
    let expected = r#"reply c1:1 error conflict started retryable=true "expected version 1, found version 2""#;
    assert_eq!(sent, [expected]);
}
