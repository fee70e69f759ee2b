//! What one module does never changes what is done for another: the same story of `b` is played with
//! and without a neighbour that crashes, hangs and lies, and must have the same outcome to the
//! microsecond. The bound on all restarts of a host together is the one intended coupling; it is
//! set so high here that it has no effect.

use crate::{
    moves::{KINDS, Move},
    play::Player,
    random, show,
    world::{Checked, World},
};
use bulkhead_core::{Action, Caller, HostSettings, ModuleEvent};
use proptest::{collection::vec, prelude::*};

#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    options: (u16, u16),
    moves: Vec<(bool, Move)>,
}

fn cases() -> impl Strategy<Value = Case> {
    let one = (any::<bool>(), (0..KINDS, any::<u16>(), any::<u16>(), any::<u16>()));
    (0..1000u64, any::<(u16, u16)>(), vec(one, 0..120)).prop_map(|(seed, options, moves)| Case { seed, options, moves })
}

#[test]
fn a_crashing_neighbour_changes_nothing_for_another_module() {
    random::run(1000, cases(), |case| {
        let (alone, beside) = (played(&case, false)?, played(&case, true)?);
        let (alone, beside) = (of_b(&alone, &case), of_b(&beside, &case));
        prop_assert_eq!(alone, beside, "b fares otherwise beside a");
        Ok(())
    });
}

fn played(case: &Case, with_neighbour: bool) -> Result<World, TestCaseError> {
    let settings = HostSettings {
        restarts_per_second: 1_000_000,
        restarts_burst: 1_000_000,
        starts_at_once: 1_000_000,
        ..HostSettings::default()
    };
    let mut world = World::new(Player::new(settings, case.seed));
    match play(&mut world, case, with_neighbour) {
        Ok(()) => Ok(world),
        Err(wrong) => Err(TestCaseError::fail(format!("{wrong}\n{}", world.script()))),
    }
}

fn play(world: &mut World, case: &Case, with_neighbour: bool) -> Checked {
    // Numbers below this have no requirements.
    let (x, y) = (case.options.0, case.options.1 % 320 + 320);
    if with_neighbour {
        world.add("a", x.wrapping_mul(7), y)?;
    }
    world.add("b", x, y)?;
    for (number, (of_b, step)) in case.moves.iter().enumerate() {
        let time_passes = step.0 <= 4;
        let reaches_others = matches!(step.0, 32..=35 | 40..) || (matches!(step.0, 23..=31) && step.3 % 6 == 4);
        if reaches_others || !(time_passes || *of_b || with_neighbour) {
            continue;
        }
        world.scope = Some(if *of_b { "b" } else { "a" });
        // A reload must not bring in a requirement.
        let (kind, x, y, z) = *step;
        let y = if kind == 39 { 11 } else { y };
        world.make((kind, x, y, z), number as u64 + 1)?;
    }
    Ok(())
}

/// What concerned `b`. Request numbers are the host's, so what mentions them is left out.
fn of_b(world: &World, case: &Case) -> Vec<String> {
    let mine = |id: u64| case.moves.get(id as usize - 1).is_some_and(|(of_b, _)| *of_b);
    let concerns_b = |action: &Action| match action {
        Action::Reply { to, .. } => matches!(to.caller, Caller::Client(_)) && mine(to.id),
        Action::Spawn { module, .. } | Action::Quarantine { module, .. } | Action::Removed(module) => {
            module.as_str() == "b"
        }
        Action::Announce(said) => said.module.as_str() == "b" && said.event != ModuleEvent::StrangeAnswer,
        Action::RecordCrash(record) => record.module.as_str() == "b",
        Action::Store { .. }
        | Action::HastenCommits
        | Action::NotifyFollowers(_)
        | Action::EventRefused { .. }
        | Action::Warn(_) => false,
        Action::Send { run, .. }
        | Action::SendControl { run, .. }
        | Action::Terminate(run)
        | Action::Kill(run)
        | Action::Release(run)
        | Action::LogLine { run, .. }
        | Action::Sample(run)
        | Action::LookForTracer(run) => world.player.instance(*run).starts_with('b'),
    };
    let mine = world.outcome().filter(|(_, action)| concerns_b(action));
    mine.map(|(at, action)| format!("{} {}", show::time(at), show::action(&world.player, action))).collect()
}
