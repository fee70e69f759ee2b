//! The settings by which the core decides, as people are shown them: which one applied, and the value that it had then.
//! Where a value was set is known to the host, which has read the files.

use crate::{core::HostSettings, restart::Policy, spec::ModuleSpec};
use std::time::Duration;

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Whether the module is started without being asked.
    Autostart,
    /// Which endings lead to another start.
    Policy,
    /// Readiness before a first restart that is at once.
    AtOnceAfter,
    /// The first delay, which doubles.
    DelayInitial,
    /// The longest delay.
    DelayMax,
    /// Failures that open the breaker.
    BreakerFailures,
    /// Within which time.
    BreakerWindow,
    /// The time between two tries of the open breaker.
    BreakerRetry,
    /// Failed tries after which there are no more.
    GiveUp,
    /// Time for a start.
    StartTimeout,
    /// Time to compile.
    CompileTimeout,
    /// From `shutdown` to SIGTERM.
    StopTimeout,
    /// From SIGTERM to SIGKILL.
    TermTimeout,
    /// Silence before a ping.
    PingInterval,
    /// Time for the answer to a ping.
    PingTimeout,
    /// Unanswered pings in a row.
    PingMisses,
    /// The deadline of a request that names none, and of each event.
    DeadlineDefault,
    /// From a passed deadline to the kill.
    CancelGrace,
    /// Processor time of one message.
    CpuTimeLimit,
    /// Requests that are sent ahead of the answers.
    Window,
    /// Restarts of all modules of the host each second.
    RestartsPerSecond,
    /// Restarts of all modules of the host that need not wait.
    RestartsBurst,
    /// Starts of all modules of the host that may be in progress.
    StartsAtOnce,
}

/// Which file has a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleOwner {
    /// The module's manifest, or the host's file for that module.
    Module,
    /// The host's file.
    Host,
}

/// The value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleValue {
    /// A number.
    Count(u64),
    /// A time.
    Time(Duration),
    /// A word.
    Word(&'static str),
    /// There is no limit.
    None,
}

/// A setting that applied, with the value that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliedRule {
    /// Which.
    pub rule: Rule,
    /// Its value.
    pub value: RuleValue,
}

impl Rule {
    /// The key of the setting, as files have it.
    pub fn key(self) -> &'static str {
        match self {
            Rule::Autostart => "module.autostart",
            Rule::Policy => "restart.policy",
            Rule::AtOnceAfter => "restart.at_once_after",
            Rule::DelayInitial => "restart.delay_initial",
            Rule::DelayMax => "restart.delay_max",
            Rule::BreakerFailures => "restart.breaker_failures",
            Rule::BreakerWindow => "restart.breaker_window",
            Rule::BreakerRetry => "restart.breaker_retry",
            Rule::GiveUp => "restart.give_up",
            Rule::StartTimeout => "limits.start_timeout",
            Rule::CompileTimeout => "limits.compile_timeout",
            Rule::StopTimeout => "limits.stop_timeout",
            Rule::TermTimeout => "limits.term_timeout",
            Rule::PingInterval => "limits.ping_interval",
            Rule::PingTimeout => "limits.ping_timeout",
            Rule::PingMisses => "limits.ping_misses",
            Rule::DeadlineDefault => "limits.deadline_default",
            Rule::CancelGrace => "limits.cancel_grace",
            Rule::CpuTimeLimit => "resources.cpu_time_limit",
            Rule::Window => "limits.window",
            Rule::RestartsPerSecond => "restarts.per_second",
            Rule::RestartsBurst => "restarts.burst",
            Rule::StartsAtOnce => "restarts.starts_at_once",
        }
    }

    /// Which file has it.
    pub fn owner(self) -> RuleOwner {
        match self {
            Rule::RestartsPerSecond | Rule::RestartsBurst | Rule::StartsAtOnce => RuleOwner::Host,
            _ => RuleOwner::Module,
        }
    }

    /// The setting with its value in force.
    pub(crate) fn applied(self, spec: &ModuleSpec, host: &HostSettings) -> AppliedRule {
        let (restart, limits) = (&spec.restart, &spec.rules);
        let optional = |time: Option<Duration>| time.map_or(RuleValue::None, RuleValue::Time);
        let value = match self {
            Rule::Autostart => RuleValue::Word("false"),
            Rule::Policy => RuleValue::Word(restart.policy.name()),
            Rule::AtOnceAfter => RuleValue::Time(restart.at_once_after),
            Rule::DelayInitial => RuleValue::Time(restart.delay_initial),
            Rule::DelayMax => RuleValue::Time(restart.delay_max),
            Rule::BreakerFailures => RuleValue::Count(restart.breaker_failures.into()),
            Rule::BreakerWindow => RuleValue::Time(restart.breaker_window),
            Rule::BreakerRetry => RuleValue::Time(restart.breaker_retry),
            Rule::GiveUp => restart.give_up.map_or(RuleValue::None, |most| RuleValue::Count(most.into())),
            Rule::StartTimeout => RuleValue::Time(limits.start_timeout),
            Rule::CompileTimeout => optional(limits.compile_timeout),
            Rule::StopTimeout => RuleValue::Time(limits.drain_timeout),
            Rule::TermTimeout => RuleValue::Time(limits.term_timeout),
            Rule::PingInterval => RuleValue::Time(limits.ping_interval),
            Rule::PingTimeout => RuleValue::Time(limits.ping_timeout),
            Rule::PingMisses => RuleValue::Count(limits.ping_misses.into()),
            Rule::DeadlineDefault => RuleValue::Time(limits.deadline_default),
            Rule::CancelGrace => RuleValue::Time(limits.cancel_grace),
            Rule::CpuTimeLimit => optional(limits.cpu_time_max),
            Rule::Window => RuleValue::Count(u64::try_from(limits.window).unwrap_or(u64::MAX)),
            Rule::RestartsPerSecond => RuleValue::Count(host.restarts_per_second.into()),
            Rule::RestartsBurst => RuleValue::Count(host.restarts_burst.into()),
            Rule::StartsAtOnce => RuleValue::Count(host.starts_at_once.into()),
        };
        AppliedRule { rule: self, value }
    }
}

impl Policy {
    /// The word that files have for it.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Always => "always",
            Policy::OnFailure => "on-failure",
            Policy::Never => "never",
        }
    }
}
