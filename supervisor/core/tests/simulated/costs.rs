//! The cost of an operation must grow as the work does: the core's steps (what its loops visit, and what it asks
//! for) at 1,000, 2,000 and 4,000 modules, clients or requests. They are counted, not timed.

use crate::{line::Line, play::Player};
use bulkhead_core::{
    Action, Caller, ClientId, Condition, Core, Evidence, HostSettings, InitialState, ModuleSpec, Need, Recipient,
    RequestId, RunId, Time, steps_taken,
};
use bulkhead_protocol::{Exit, Json, ModuleName, Pattern, Request, RequestType, Response, Status};
use std::{collections::BTreeMap, time::Duration};

const SIZES: [u32; 3] = [1000, 2000, 4000];

/// Twice the work may cost a little more than twice as much: some of it is in trees.
const GROWTH_MAX: f64 = 2.2;

/// A core with the processes that it has, each of which carries out its orders.
struct Host {
    core: Core,
    now: Time,
    init: BTreeMap<RunId, RequestId>,
    /// Processes that were asked to end, in that order.
    ending: Vec<RunId>,
    replies: usize,
}

impl Host {
    fn new() -> Host {
        let settings = HostSettings {
            restarts_per_second: 1_000_000,
            restarts_burst: 1_000_000,
            client_requests_max: 1_000_000,
            clients_bytes_max: usize::MAX / 8,
            ..HostSettings::default()
        };
        let (init, ending) = (BTreeMap::new(), Vec::new());
        Host { core: Core::new(settings, 1), now: Time::ZERO, init, ending, replies: 0 }
    }

    /// A host with so many modules that are ready, each as `spec` makes it.
    fn with(size: u32, spec: Shape) -> Host {
        let mut host = Host::new();
        for number in 0..size {
            let spec = made(number, size, 1, spec);
            host.core.add_module(host.now, spec, InitialState::Running).unwrap();
        }
        host.run();
        for number in 0..size {
            let view = host.core.view(host.now, &name(number)).unwrap();
            assert_eq!(view.state.name(), "ready", "{view:?}");
        }
        host
    }

    /// Carries out the orders until there are no more: each process that starts becomes ready, and each that
    /// is asked to end does.
    fn run(&mut self) {
        loop {
            while let Some(action) = self.core.poll_action() {
                match action {
                    Action::Spawn { run, .. } => self.core.handle_spawned(self.now, run, 1),
                    Action::SendControl { run, id, control: bulkhead_core::Control::Init } => {
                        self.init.insert(run, id);
                    }
                    Action::SendControl { run, control: bulkhead_core::Control::Shutdown, .. } | Action::Kill(run) => {
                        self.ending.push(run);
                    }
                    Action::Reply { .. } => self.replies += 1,
                    _ => {}
                }
            }
            if let Some((run, id)) = self.init.pop_first() {
                let ready = r#"{"name":"x","version":"1","protocol":1,"commands":[],"features":[]}"#;
                let status = Status::Success(Json::parse(ready).unwrap());
                self.core.handle_response(self.now, run, Response { id: Some(id.0), status, last: false });
            } else if let Some(run) = self.ending.pop() {
                self.init.remove(&run);
                self.core.handle_exited(self.now, run, Exit::Code(0), Evidence::default());
                self.core.handle_gone(self.now, run);
            } else if self.core.poll_timeout().is_some_and(|due| due <= self.now) {
                self.core.handle_timeout(self.now);
            } else {
                return;
            }
        }
    }
}

fn name(number: u32) -> ModuleName {
    ModuleName::new(&format!("m{number}")).unwrap()
}

fn made(number: u32, size: u32, generation: u64, shape: Shape) -> ModuleSpec {
    let mut spec = ModuleSpec::new(name(number), generation);
    shape(number, size, &mut spec);
    spec
}

fn client(number: u32) -> Recipient {
    Recipient { caller: Caller::Client(ClientId(u64::from(number) + 1)), id: 1 }
}

/// All of one client, with different numbers.
fn one_client(number: u32) -> Recipient {
    Recipient { caller: Caller::Client(ClientId(1)), id: u64::from(number) }
}

const LONG: Duration = Duration::from_secs(600);

/// Checks how the steps of `measured` grow, after `prepared`, which does not count.
fn check<T>(what: &str, prepared: impl Fn(u32) -> T, measured: impl Fn(u32, &mut T)) {
    check_each(what, prepared, [("", measured)]);
}

/// The same for several things that are done to one host after the other.
fn check_each<T, M: Fn(u32, &mut T), const N: usize>(
    what: &str,
    prepared: impl Fn(u32) -> T,
    measured: [(&str, M); N],
) {
    assert!(steps_taken().is_some(), "steps are counted with debug assertions only: run it with those");
    let steps = SIZES.map(|size| {
        let mut host = prepared(size);
        measured.each_ref().map(|(_, measured)| {
            let before = steps_taken().unwrap();
            measured(size, &mut host);
            steps_taken().unwrap() - before
        })
    });
    for (at, (which, _)) in measured.iter().enumerate() {
        let steps = steps.map(|steps| steps[at]);
        assert!(steps[0] >= u64::from(SIZES[0]), "{which} {what}: too few steps to mean anything: {steps:?}");
        for pair in steps.windows(2) {
            let growth = pair[1] as f64 / pair[0] as f64;
            assert!(growth <= GROWTH_MAX, "{which} {what}: {steps:?} steps at {SIZES:?}, {growth:.2} times as many");
        }
    }
}

/// How modules may require each other.
type Shape = fn(u32, u32, &mut ModuleSpec);

const ALONE: Shape = |_, _, _| {};

const SHAPES: [(&str, Shape); 5] = [
    ("alone", ALONE),
    ("all require one", |number, _, spec| spec.requires.extend((number > 0).then(|| name(0)))),
    ("one requires all", |number, size, spec| {
        if number == 0 {
            spec.requires = (1..size).map(name).collect();
        }
    }),
    ("a chain", |number, _, spec| spec.requires.extend(number.checked_sub(1).map(name))),
    ("subscribers of other events", |number, _, spec| {
        spec.subscribe = vec![Pattern::new(&format!("own.{number}.*")).unwrap()];
    }),
];

#[test]
fn a_start_of_all_costs_as_much_as_there_are_modules() {
    for (what, shape) in SHAPES {
        check(
            what,
            |_| Host::new(),
            |size, host| {
                for number in 0..size {
                    host.core.add_module(host.now, made(number, size, 1, shape), InitialState::Running).unwrap();
                }
                host.run();
            },
        );
    }
}

#[test]
fn a_shutdown_costs_as_much_as_there_are_modules() {
    for (what, shape) in SHAPES {
        check(
            what,
            |size| Host::with(size, shape),
            |_, host| {
                host.core.handle_shutdown(host.now);
                host.run();
                assert!(host.core.is_idle(), "{what}");
            },
        );
    }
    // Half of them could not start, and the others are asked for by clients.
    let prepared = |size| {
        let mut host = Host::new();
        for number in 0..size {
            host.core
                .add_module(
                    host.now,
                    made(number, size, 1, ALONE),
                    if number % 2 == 0 { InitialState::Running } else { InitialState::Stopped },
                )
                .unwrap();
        }
        host.run();
        host
    };
    check("half of them do not run", prepared, |_, host| {
        host.core.handle_shutdown(host.now);
        host.run();
        assert!(host.core.is_idle());
    });
}

#[test]
fn a_shutdown_of_modules_that_require_each_other_in_a_circle_costs_as_much_as_there_are() {
    // A circle is brought in by reloads, one link after the other.
    let prepared = |size| {
        let mut host = Host::with(size, SHAPES[3].1);
        let spec = made(0, size, 2, |_, size, spec| spec.requires.push(name(size - 1)));
        host.core.handle_reload(host.now, None, spec, LONG);
        host.run();
        host
    };
    check("a circle", prepared, |_, host| {
        host.core.handle_shutdown(host.now);
        host.run();
        assert!(host.core.is_idle());
    });
}

#[test]
fn a_restart_a_stop_a_start_and_a_reload_of_all_by_one_client_cost_as_much_as_there_are_modules() {
    type Step = Box<dyn Fn(u32, &mut Host)>;
    let each = |deed: fn(&mut Host, u32, u32)| -> Step {
        Box::new(move |size, host| {
            let before = host.replies;
            (0..size).for_each(|number| deed(host, number, size));
            host.run();
            assert_eq!(host.replies - before, size as usize, "each is answered");
        })
    };
    for (what, shape) in SHAPES {
        let reload: Step = Box::new(move |size, host| {
            let before = host.replies;
            for number in 0..size {
                let spec = made(number, size, 2, shape);
                host.core.handle_reload(host.now, Some(one_client(number)), spec, LONG);
            }
            host.run();
            assert_eq!(host.replies - before, size as usize, "each is answered");
        });
        let restart = each(|host, n, _| {
            host.core.handle_restart(host.now, Some(one_client(n)), name(n).as_str(), LONG);
        });
        let stop = each(|host, n, _| host.core.handle_stop(host.now, Some(one_client(n)), name(n).as_str(), LONG));
        let start = each(|host, n, _| host.core.handle_start(host.now, Some(one_client(n)), name(n).as_str(), LONG));
        let steps = [("restart", restart), ("reload", reload), ("stop", stop), ("start", start)];
        check_each(what, |size| Host::with(size, shape), steps);
    }
}

#[test]
fn what_a_reload_finds_removed_and_new_costs_as_much_as_there_is_of_it() {
    check(
        "remove and add",
        |size| Host::with(size, ALONE),
        |size, host| {
            for number in 0..size {
                assert!(host.core.knows(name(number).as_str()));
                host.core.handle_remove(host.now, &name(number));
            }
            host.run();
            for number in 0..size {
                assert!(!host.core.is_leaving(&name(number)));
                host.core.add_module(host.now, made(number, size, 2, ALONE), InitialState::Running).unwrap();
                assert!(host.core.generations_of(name(number).as_str()).all(|generation| generation == 2));
            }
            host.run();
        },
    );
}

#[test]
fn crashes_of_all_cost_as_much_as_there_are_modules() {
    type Step = fn(u32, &mut Host);
    let crashes: Step = |_, host| {
        host.now = host.now + Duration::from_secs(5);
        for run in host.core.run_ids() {
            host.core.handle_exited(host.now, run, Exit::Code(1), Evidence::default());
            host.core.handle_gone(host.now, run);
        }
        host.now = host.now + Duration::from_secs(5);
        host.run();
    };
    let the_guardian_is_lost: Step = |_, host| {
        for run in host.core.run_ids() {
            host.core.handle_lost(host.now, run, Vec::new());
        }
        host.now = host.now + Duration::from_secs(5);
        host.run();
    };
    for (what, shape) in SHAPES {
        let steps = [("crashes", crashes), ("the guardian is lost", the_guardian_is_lost)];
        check_each(what, |size| Host::with(size, shape), steps);
    }
}

#[test]
fn what_the_host_lacks_costs_as_much_as_there_are_modules() {
    /// The host lacks this for every start, `rounds` times for each module, and then no more.
    fn lacking(need: &Need, rounds: u32, size: u32, host: &mut Host) {
        for number in 0..size {
            host.core.add_module(host.now, made(number, size, 1, ALONE), InitialState::Running).unwrap();
        }
        let mut refusals = rounds * size;
        while host.core.view(host.now, &name(size - 1)).unwrap().state.name() != "ready" {
            while let Some(action) = host.core.poll_action() {
                match action {
                    Action::Spawn { run, .. } if refusals > 0 => {
                        refusals -= 1;
                        host.init.remove(&run);
                        host.core.handle_start_refused(host.now, run, need.clone(), "it is not there");
                    }
                    Action::Spawn { run, .. } => host.core.handle_spawned(host.now, run, 1),
                    Action::SendControl { run, id, .. } => _ = host.init.insert(run, id),
                    _ => {}
                }
            }
            while refusals == 0 && !host.init.is_empty() {
                host.run();
            }
            host.init.clear();
            let Some(due) = host.core.poll_timeout() else { continue };
            host.now = host.now.max(due);
            host.core.handle_timeout(host.now);
        }
        assert_eq!(refusals, 0);
    }
    check("each of its own", |_| Host::new(), |size, host| lacking(&Need::Own, 2, size, host));
    check("all the same part", |_| Host::new(), |size, host| lacking(&Need::Part("it".into()), 1, size, host));
}

#[test]
fn waits_cost_as_much_as_there_are_clients_and_what_they_wait_for() {
    // Nothing of it is ready, so that all waits are open at once.
    let prepared = |size| {
        let mut host = Host::new();
        for number in 0..size {
            host.core.add_module(host.now, made(number, size, 1, ALONE), InitialState::Stopped).unwrap();
        }
        host
    };
    check("each for another", prepared, |size, host| {
        for number in 0..size {
            host.core.handle_wait(host.now, client(number), name(number).as_str(), Condition::Ready, LONG);
        }
        for number in 0..size {
            host.core.handle_start(host.now, None, name(number).as_str(), LONG);
        }
        host.run();
        assert_eq!(host.replies, size as usize);
    });
    check("all for the same, which comes and goes", prepared, |size, host| {
        for number in 0..size {
            host.core.handle_wait(host.now, client(number), "m0", Condition::Ready, LONG);
        }
        for _ in 0..size {
            host.core.handle_stop(host.now, None, "m0", LONG);
        }
        host.core.handle_start(host.now, None, "m0", LONG);
        host.run();
        assert_eq!(host.replies, size as usize);
    });
    check("clients that go", prepared, |size, host| {
        for number in 0..size {
            host.core.handle_wait(host.now, client(number), "m0", Condition::Ready, LONG);
        }
        for number in 0..size {
            host.core.handle_client_gone(host.now, ClientId(u64::from(number) + 1));
        }
        for number in 0..size {
            host.core.handle_wait(host.now, one_client(number), name(number).as_str(), Condition::Ready, LONG);
        }
        host.core.handle_client_gone(host.now, ClientId(1));
    });
    check("their timeout ends", prepared, |size, host| {
        for number in 0..size {
            host.core.handle_wait(host.now, client(number), name(number % 10).as_str(), Condition::Ready, LONG);
        }
        host.now = host.now + LONG;
        host.run();
        assert_eq!(host.replies, size as usize);
    });
}

#[test]
fn requests_cost_as_much_as_there_are_of_them_while_all_start() {
    check(
        "each for another, which starts",
        |_| Host::new(),
        |size, host| {
            for number in 0..size {
                host.core.add_module(host.now, made(number, size, 1, SHAPES[1].1), InitialState::Running).unwrap();
            }
            for number in 0..size {
                let payload = Json::parse(r#"{"name":"do"}"#).unwrap();
                let mut request = Request::new(Some(1), RequestType::Command, payload);
                request.to = Some(format!("m{number}"));
                host.core.handle_request(host.now, client(number).caller, request);
            }
            host.run();
        },
    );
}

#[test]
fn events_cost_as_much_as_there_are_of_them_however_many_subscribe_to_others() {
    check(
        "of the host",
        |size| Host::with(size, SHAPES[4].1),
        |size, host| {
            for _ in 0..size {
                host.core.publish(host.now, Json::parse(r#"{"event":"module.ready"}"#).unwrap()).unwrap();
                host.core.publish(host.now, Json::parse(r#"{"event":"own.7.x"}"#).unwrap()).unwrap();
            }
        },
    );
    check(
        "of clients",
        |size| Host::with(size, SHAPES[4].1),
        |size, host| {
            for number in 0..size {
                let payload = Json::parse(r#"{"event":"x"}"#).unwrap();
                host.core.handle_request(
                    host.now,
                    client(number).caller,
                    Request::new(Some(1), RequestType::Event, payload),
                );
            }
            host.run();
        },
    );
}

#[test]
fn a_late_host_makes_good_as_much_as_there_are_modules() {
    check(
        "late",
        |size| Host::with(size, ALONE),
        |_, host| {
            host.now = host.now + LONG;
            host.core.handle_late(host.now, LONG);
            host.run();
        },
    );
}

/// The steps that lines of a script take, to show that something is counted at all.
#[test]
fn a_loop_over_all_modules_would_be_seen() {
    let mut player = Player::new(HostSettings::default(), 1);
    for number in 0..100 {
        player.play(&Line::parse(&format!("module m{number} stopped")));
    }
    let before = steps_taken().expect("steps are counted");
    assert_eq!(player.core.generations().count(), 200);
    assert_eq!(steps_taken().unwrap() - before, 100);
}
