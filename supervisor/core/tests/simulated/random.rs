//! Random play: thousands of worlds in which anything happens at any time, and the rules that hold in
//! each of them. `BULKHEAD_PROPTEST_CASES=1000000` plays a million.

use crate::{
    moves::{KINDS, Move, NAMES},
    play::Player,
    world::{Checked, Life, World},
};
use bulkhead_core::{Counts, HostSettings};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

/// One play.
#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    few_restarts: bool,
    starts_at_once: u32,
    modules: Vec<(u16, u16)>,
    moves: Vec<Move>,
}

fn cases() -> impl Strategy<Value = Case> {
    let one = (0..KINDS, any::<u16>(), any::<u16>(), any::<u16>());
    (0..1000u64, any::<u8>(), vec(any::<(u16, u16)>(), 1..=NAMES.len()), vec(one, 0..160)).prop_map(
        |(seed, few, modules, moves)| {
            let starts_at_once = [1, 2, 3, 1000][usize::from(few / 4 % 4)];
            Case { seed, few_restarts: few.is_multiple_of(4), starts_at_once, modules, moves }
        },
    )
}

fn settings(case: &Case) -> HostSettings {
    let starts_at_once = case.starts_at_once;
    let (restarts_per_second, restarts_burst) = if case.few_restarts { (1, 2) } else { (1_000_000, 1_000_000) };
    HostSettings {
        restarts_per_second,
        restarts_burst,
        starts_at_once,
        client_requests_max: 8,
        ..HostSettings::default()
    }
}

/// Runs a property over as many cases as the environment asks for.
pub(crate) fn run<S: Strategy>(usual: u32, strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let asked = std::env::var("BULKHEAD_PROPTEST_CASES").ok();
    let cases = asked.map_or(usual, |text| text.parse().expect("BULKHEAD_PROPTEST_CASES is a number"));
    let config = ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 5000, ..Default::default() };
    if let Err(failure) = TestRunner::new(config).run(&strategy, test) {
        panic!("{failure}");
    }
}

#[test]
fn whatever_happens_the_rules_hold() {
    let have_awaited_permit = std::cell::Cell::new(0);
    run(2000, cases(), |case| {
        let world = played(&case)?;
        have_awaited_permit.set(have_awaited_permit.get() + u32::from(world.has_awaited_permit));
        if case.seed.is_multiple_of(8) {
            prop_assert!(world.is_the_same_as(&played(&case)?), "the same inputs, another outcome");
        }
        Ok(())
    });
    assert!(have_awaited_permit.get() > 0, "no slot has waited for a start permit: nothing of that was checked");
}

/// Plays a case to its end; a failure carries the script.
fn played(case: &Case) -> Result<World, TestCaseError> {
    let mut world = World::new(Player::new(settings(case), case.seed));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        for ((x, y), name) in case.modules.iter().zip(NAMES) {
            world.add(name, *x, *y)?;
        }
        for (number, step) in case.moves.iter().enumerate() {
            world.make(*step, number as u64 + 1)?;
        }
        if case.seed.is_multiple_of(2) {
            calm(&mut world)?;
        }
        end(&mut world)
    }));
    let wrong = match outcome {
        Ok(Ok(())) => return Ok(world),
        Ok(Err(wrong)) => wrong,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
        }
    };
    Err(TestCaseError::fail(format!("{wrong}\n{}", world.script())))
}

/// From now on all parts do what is expected: everything that is wanted must be done.
fn calm(world: &mut World) -> Checked {
    for _ in 0..40 {
        let runs: Vec<_> = world.processes.values().map(|process| (process.run, process.life)).collect();
        for (run, life) in runs {
            match life {
                Life::Starting => world.ready(run, 0x0ff1)?,
                Life::Ready => {
                    for label in world.processes[&run].in_flight.clone() {
                        world.answered(run, &label);
                        let instance = world.processes[&run].instance.clone();
                        world.play(&format!("answer {instance} {label}"))?;
                    }
                    let pinged = |controls: &Vec<String>| controls.iter().any(|control| control == "ping");
                    if let Some(process) = world.processes.get(&run).filter(|process| pinged(&process.controls)) {
                        let instance = process.instance.clone();
                        world.play(&format!("answer {instance} ping"))?;
                        world
                            .processes
                            .get_mut(&run)
                            .expect("it was there")
                            .controls
                            .retain(|control| control != "ping");
                    }
                }
                Life::Leaving | Life::Mute => world.exit(run, 4, 0)?,
                Life::Exited => {
                    let instance = world.processes[&run].instance.clone();
                    world.play(&format!("gone {instance}"))?;
                }
            }
        }
        world.advance(Duration::from_secs(2))?;
        if world.processes.values().all(|process| process.life == Life::Ready && process.in_flight.is_empty())
            && world.asked.values().all(|asked| !asked.open)
        {
            break;
        }
    }
    for name in world.player.core.module_names() {
        let view = world.player.core.view(world.player.now, &name).expect("it was listed");
        if view.in_flight + view.queue > 0 && view.state == bulkhead_core::ObservedState::Ready {
            return Err(format!("requests are left although everybody answered: {view:?}"));
        }
    }
    Ok(())
}

/// Ends the host and everything in it: nothing may be left, and no caller unanswered.
fn end(world: &mut World) -> Checked {
    world.stopping = true;
    world.play("shutdown")?;
    while let Some(process) = world.processes.values().next() {
        let (run, life, instance) = (process.run, process.life, process.instance.clone());
        match life {
            Life::Exited => world.play(&format!("gone {instance}"))?,
            _ => world.exit(run, 4, 0)?,
        }
    }
    world.advance(Duration::from_secs(100))?;
    if let Some((label, _)) = world.asked.iter().find(|(_, asked)| asked.open) {
        return Err(format!("{label} was never answered"));
    }
    if !world.player.core.is_idle() || world.player.core.audit() != Counts::default() {
        return Err(format!("something is left: {:?}", world.player.core.audit()));
    }
    Ok(())
}
