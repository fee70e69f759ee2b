//! Kills at four moments of a process's life. What the host makes of each is what `PROTOCOL.md` says; what the module
//! must do is to work in its next process.

use super::processes::{is_stopped, signal, stop_by_signal};
use super::{Hosted, Outcome, Running};
use crate::rules::Rule;
use crate::verdicts::Holds;
use anyhow::Result;
use bulkhead_config::{ModuleConfig, ModuleKind, OnPanic};
use bulkhead_protocol::init::FEATURE_CONCURRENT;
use bulkhead_protocol::{Delivery, ErrorCode, GUEST_ENVIRONMENT_VARIABLE};
use nix::sys::signal::Signal;
use std::time::Duration;

/// Requests that are in flight at a kill.
const IN_FLIGHT: usize = 3;

/// Stops itself, once, before it becomes the module. Its name is a file that tells whether it has.
const STOP_FIRST: &str = r#"if [ ! -e "$0" ]; then : >"$0"; kill -STOP $$; fi; exec "$@""#;

impl Hosted<'_> {
    pub(super) fn kill_when_idle(&mut self, running: &mut Running) {
        let (rule, sent) = (Rule::KillIdle, "SIGKILL to an idle process");
        let Some(pid) = running.pid() else { return self.verdicts.fail(rule, sent, "a process", "there is none") };
        signal(pid, Signal::SIGKILL);
        self.works_again(running, rule, sent, pid);
    }

    /// It is stopped first, so that the requests are in flight for certain.
    pub(super) fn kill_in_request(&mut self, running: &mut Running) {
        let (rule, sent) = (Rule::KillInRequest, "three commands, and SIGKILL before an answer");
        let Some(pid) = running.pid() else { return self.verdicts.fail(rule, sent, "a process", "there is none") };
        stop_by_signal(pid);
        let request = running.probe_request();
        let ids: Vec<u64> = (0..IN_FLIGHT).filter_map(|_| running.client.send(&request).ok()).collect();
        let in_flight = running.until(|status| status["in_flight"].as_u64() > Some(0));
        signal(pid, Signal::SIGKILL);
        if let Err(found) = in_flight {
            self.verdicts.fail(rule, sent, "requests in flight", &found);
        }
        let is_concurrent = self.ready.features.iter().any(|feature| feature == FEATURE_CONCURRENT);
        for (number, id) in ids.into_iter().enumerate() {
            let outcome = running.wait(id);
            let lost_as = match &outcome {
                Outcome::Lost(failure) if failure.code == ErrorCode::ModuleCrashed => failure.delivery,
                _ => None,
            };
            let (is_right, expected) = match number {
                _ if is_concurrent => (
                    outcome.is_answered() || lost_as == Some(Delivery::Unknown),
                    "module_crashed with unknown, or an answer",
                ),
                0 => (lost_as == Some(Delivery::Started), "module_crashed with started, for the first one"),
                _ => (outcome.is_answered(), "an answer of the next process, for those after the first one"),
            };
            self.verdicts.judge(rule, is_right.into(), sent, expected, &outcome.shown());
        }
        self.works_again(running, rule, sent, pid);
    }

    /// A commanded end is no crash, however it comes about.
    pub(super) fn kill_in_shutdown(&mut self, running: &mut Running) {
        let (rule, sent) = (Rule::KillInShutdown, "stop, and SIGKILL before its end");
        let Some(pid) = running.pid() else { return self.verdicts.fail(rule, sent, "a process", "there is none") };
        let before = running.status()["restarts"].clone();
        stop_by_signal(pid);
        let stop = running.send_order("stop");
        let stopping = running.until(|status| status["state"] == "stopping");
        signal(pid, Signal::SIGKILL);
        let stopped = stop.map(|id| running.wait(id));
        let found = match (&stopping, &stopped) {
            (Err(found), _) | (_, Err(found)) => found.clone(),
            (_, Ok(outcome)) => outcome.shown(),
        };
        let is_right = stopping.is_ok() && stopped.is_ok_and(|outcome| outcome.is_answered());
        self.verdicts.judge(rule, is_right.into(), sent, "the state stopped", &found);
        let state = running.status();
        let is_commanded = state["state"] == "stopped" && state["restarts"] == before;
        let found = format!("state {}, restarts {}", state["state"], state["restarts"]);
        self.verdicts.judge(rule, is_commanded.into(), sent, "the state stopped, and no restart", &found);
        let started = running.supervisor("start").map(drop);
        self.verdicts.judge(
            rule,
            started.is_ok().into(),
            "a start after that",
            "the state ready",
            &started.err().unwrap_or_default(),
        );
        self.answers(running, rule, "a command after that");
    }

    /// A process that has been killed is followed by one that works.
    fn works_again(&mut self, running: &mut Running, rule: Rule, sent: &str, killed: i32) {
        match running.until_another(killed) {
            Ok(status) => {
                let found = format!("last_exit {}", status["last_exit"]);
                // It may go on: before it was ready.
                let is_kill = status["last_exit"].as_str().is_some_and(|exit| exit.starts_with("SIGKILL"));
                self.verdicts.judge(rule, is_kill.into(), sent, "last_exit \"SIGKILL\"", &found);
                self.answers(running, rule, "a command to the next process");
            }
            Err(found) => self.verdicts.fail(rule, sent, "another process that is ready", &found),
        }
    }

    fn answers(&mut self, running: &mut Running, rule: Rule, sent: &str) {
        let outcome = running.probe();
        self.verdicts.judge(rule, outcome.is_answered().into(), sent, "an answer", &outcome.shown());
    }

    /// In a host of its own: the module is started by a shell, which stops first, so that the moment of the kill can be
    /// chosen. A process that is ready too soon is tried again and killed sooner.
    pub(super) fn kill_in_init(&mut self) -> Result<()> {
        let (rule, sent) = (Rule::KillInInit, "SIGKILL before the answer to init");
        let marker = self.subject.path("stopped-once");
        let mut running = self.run("state-init", self.stopped_first(&marker.to_string_lossy()))?;
        let mut was_hit = false;
        for delay in [self.start_took / 2, self.start_took / 4, Duration::ZERO] {
            let _ = std::fs::remove_file(&marker);
            let start = running.send_order("start");
            let probe = running.client.send(&running.probe_request()).map_err(|error| error.to_string());
            let stopped = running
                .until(|status| status["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).is_some_and(is_stopped));
            let pid = stopped.as_ref().ok().and_then(|status| i32::try_from(status["pid"].as_i64()?).ok());
            let Some(pid) = pid else {
                self.verdicts.fail(rule, "a start", "a process", &stopped.err().unwrap_or_default());
                return Ok(());
            };
            if !delay.is_zero() {
                signal(pid, Signal::SIGCONT);
                // The kill is to come that far into a start: a module that has not answered yet has no event for it.
                std::thread::sleep(delay);
            }
            signal(pid, Signal::SIGKILL);
            was_hit = start.is_ok_and(|id| !running.wait(id).is_answered_with_success());
            let outcome = probe.map(|id| running.wait(id));
            let found = outcome.as_ref().map_or_else(Clone::clone, Outcome::shown);
            let is_answered = outcome.is_ok_and(|outcome| outcome.is_answered());
            if was_hit {
                let expected = "an answer of the next process to what waited for it";
                self.verdicts.judge(rule, is_answered.into(), sent, expected, &found);
                self.works_again(&mut running, rule, sent, pid);
                break;
            }
            let _ = running.supervisor("stop");
        }
        self.verdicts.judge(rule, Holds::from(was_hit), sent, "a start that fails", "a start that succeeds");
        Ok(())
    }

    /// The module as a program that a shell becomes.
    fn stopped_first(&self, marker: &str) -> ModuleConfig {
        let mut config = self.subject.config.clone();
        let spawn = self.subject.order(0);
        let mut command: Vec<String> = ["/bin/sh", "-c", STOP_FIRST, marker].map(str::to_owned).into();
        command.extend(spawn.argv);
        let guest = spawn.env.into_iter().find(|(name, _)| name == GUEST_ENVIRONMENT_VARIABLE);
        config.env.extend(guest);
        let transport = config.kind.transport();
        let on_panic = match &config.kind {
            ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => OnPanic::default(),
            kind => kind.on_panic(),
        };
        if let ModuleKind::Wasm { compile_timeout, .. } = &config.kind {
            // A program has no time of its own for that; it is compiled already.
            config.limits.start_timeout += (*compile_timeout).min(Duration::from_secs(60));
            config.resources.memory_limit = None;
        }
        config.kind = ModuleKind::Process { command, program: "/bin/sh".into(), transport, on_panic };
        config
    }
}

impl Outcome {
    fn is_answered_with_success(&self) -> bool {
        matches!(self, Outcome::Answered(bulkhead_protocol::Status::Success(_)))
    }
}
