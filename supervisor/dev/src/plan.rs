//! What is done next: which module is built, which is reloaded, and when. One thing is done at a time. It knows no
//! clock, no file and no process: times are arguments, and what it decides is taken with [`Plan::poll_work`].

use std::collections::HashSet;
use std::time::Duration;

/// How long no file may have changed before the work on a change begins: a save is several changes.
pub(crate) const QUIET: Duration = Duration::from_millis(100);

/// How long changes without a pause may put the work off.
pub(crate) const PUT_OFF_MAX: Duration = Duration::from_secs(1);

/// The number of a module in the order of the command line.
pub(crate) type Id = usize;

/// The time since the program began.
pub(crate) type Time = Duration;

/// What the plan knows of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The names of modules that it requires, of which some may be none of these.
    pub(crate) requires: Vec<String>,
    pub(crate) builds: Builds,
}

/// Whether a module is built before it is reloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builds {
    Yes,
    No,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Build(Id),
    Reload(Id),
    /// All is reloaded: the call of `--once` is made.
    Call,
}

/// How a work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed,
}

/// Changes that are not worked on yet.
#[derive(Clone, Copy, Debug)]
struct Touched {
    first: Time,
    last: Time,
}

impl Touched {
    fn due(self) -> Time {
        (self.last + QUIET).min(self.first + PUT_OFF_MAX)
    }
}

/// What a module still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Nothing,
    Reload,
    Build,
}

#[derive(Debug)]
struct Entry {
    member: Member,
    touched: Option<Touched>,
    need: Need,
}

/// The work on all modules.
#[derive(Debug)]
pub(crate) struct Plan {
    entries: Vec<Entry>,
    /// Modules after those that they require.
    order: Vec<Id>,
    doing: Option<Work>,
    /// Whether a module was reloaded since the last call.
    call_due: bool,
}

impl Plan {
    /// Nothing is to be done yet.
    pub(crate) fn new(members: Vec<Member>) -> Plan {
        let order = in_order(&members);
        let entry = |member| Entry { member, touched: None, need: Need::Nothing };
        Plan { entries: members.into_iter().map(entry).collect(), order, doing: None, call_due: false }
    }

    /// All modules are built and loaded, without waiting for a change.
    pub(crate) fn handle_begin(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.need = Need::Build);
    }

    /// A file of a module has changed.
    pub(crate) fn handle_change(&mut self, now: Time, id: Id) {
        let touched = &mut self.entries[id].touched;
        let first = touched.map_or(now, |touched| touched.first);
        *touched = Some(Touched { first, last: now });
    }

    /// The manifest was read again.
    pub(crate) fn handle_member(&mut self, id: Id, member: Member) {
        if self.entries[id].member == member {
            return;
        }
        self.entries[id].member = member;
        let members: Vec<Member> = self.entries.iter().map(|entry| entry.member.clone()).collect();
        self.order = in_order(&members);
    }

    /// The work in progress has ended.
    pub(crate) fn handle_end(&mut self, outcome: Outcome) {
        match (self.doing.take(), outcome) {
            (Some(Work::Build(id)), Outcome::Done) => self.need(id, Need::Reload),
            (Some(Work::Reload(id)), Outcome::Done) => {
                self.call_due = true;
                self.dependents(id).into_iter().for_each(|dependent| self.need(dependent, Need::Reload));
            }
            (Some(Work::Build(_) | Work::Reload(_)), Outcome::Failed) | (Some(Work::Call) | None, _) => {}
        }
    }

    /// The next work, if there is some and none is in progress.
    pub(crate) fn poll_work(&mut self, now: Time) -> Option<Work> {
        for entry in &mut self.entries {
            if entry.touched.is_some_and(|touched| touched.due() <= now) {
                (entry.touched, entry.need) = (None, Need::Build);
            }
        }
        if self.doing.is_some() {
            return None;
        }
        let next = self.order.iter().copied().find(|id| self.entries[*id].need != Need::Nothing);
        self.doing = match next {
            Some(id) => {
                let entry = &mut self.entries[id];
                let need = std::mem::replace(&mut entry.need, Need::Nothing);
                Some(match (need, entry.member.builds) {
                    (Need::Build, Builds::Yes) => Work::Build(id),
                    (Need::Build, Builds::No) | (Need::Reload | Need::Nothing, _) => Work::Reload(id),
                })
            }
            None => std::mem::take(&mut self.call_due).then_some(Work::Call),
        };
        self.doing
    }

    /// When [`Plan::poll_work`] may have something that it does not have now.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        // While something is in progress, its end comes first.
        if self.doing.is_some() {
            return None;
        }
        self.entries.iter().filter_map(|entry| Some(entry.touched?.due())).min()
    }

    /// The work in progress.
    pub(crate) fn doing(&self) -> Option<Work> {
        self.doing
    }

    fn need(&mut self, id: Id, need: Need) {
        let entry = &mut self.entries[id];
        entry.need = entry.need.max(need);
    }

    /// The modules that require this one themselves. Those that require them follow when they are reloaded.
    fn dependents(&self, id: Id) -> Vec<Id> {
        let name = &self.entries[id].member.name;
        let requires = |entry: &Entry| entry.member.requires.contains(name) && entry.member.name != *name;
        (0..self.entries.len()).filter(|other| requires(&self.entries[*other])).collect()
    }
}

/// The modules, each after those that it requires. In a circle, which the host refuses, the order is the given one.
fn in_order(members: &[Member]) -> Vec<Id> {
    let mut order = Vec::new();
    let mut placed: HashSet<&str> = HashSet::new();
    let known: HashSet<&str> = members.iter().map(|member| &*member.name).collect();
    let mut left: Vec<Id> = (0..members.len()).collect();
    while !left.is_empty() {
        let is_free =
            |id: &Id| members[*id].requires.iter().all(|name| placed.contains(&**name) || !known.contains(&**name));
        let at = left.iter().position(is_free).unwrap_or(0);
        let id = left.remove(at);
        placed.insert(&members[id].name);
        order.push(id);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, requires: &[&str], builds: Builds) -> Member {
        Member { name: name.into(), requires: requires.iter().map(|name| (*name).to_owned()).collect(), builds }
    }

    fn ms(ms: u64) -> Time {
        Duration::from_millis(ms)
    }

    /// Does all the work that there is, each with this outcome.
    fn all_work(plan: &mut Plan, now: Time, outcome: impl Fn(Work) -> Outcome) -> Vec<Work> {
        let mut done = Vec::new();
        while let Some(work) = plan.poll_work(now) {
            done.push(work);
            plan.handle_end(outcome(work));
        }
        done
    }

    #[test]
    fn a_change_is_worked_on_when_files_have_been_quiet() {
        let mut plan = Plan::new(vec![member("a", &[], Builds::Yes)]);
        plan.handle_change(ms(1000), 0);
        plan.handle_change(ms(1050), 0);
        assert_eq!(plan.poll_timeout(), Some(ms(1150)));
        assert_eq!(plan.poll_work(ms(1149)), None);
        assert_eq!(plan.poll_work(ms(1150)), Some(Work::Build(0)));
        assert_eq!(plan.poll_timeout(), None);
    }

    #[test]
    fn thousands_of_saves_are_one_build_and_do_not_put_it_off_for_long() {
        let mut plan = Plan::new(vec![member("a", &[], Builds::No)]);
        for at in 0..5000 {
            plan.handle_change(ms(at / 5), 0);
        }
        assert_eq!(plan.poll_timeout(), Some(PUT_OFF_MAX));
        assert_eq!(all_work(&mut plan, PUT_OFF_MAX, |_| Outcome::Done), [Work::Reload(0), Work::Call]);
    }

    #[test]
    fn a_module_is_reloaded_after_its_build_and_not_if_that_fails() {
        let mut plan = Plan::new(vec![member("a", &[], Builds::Yes)]);
        plan.handle_begin();
        assert_eq!(all_work(&mut plan, ms(0), |_| Outcome::Done), [Work::Build(0), Work::Reload(0), Work::Call]);
        plan.handle_change(ms(1), 0);
        assert_eq!(all_work(&mut plan, ms(101), |_| Outcome::Failed), [Work::Build(0)]);
    }

    #[test]
    fn modules_come_after_those_that_they_require_whatever_the_command_line_says() {
        let mut plan = Plan::new(vec![
            member("c", &["b", "elsewhere"], Builds::No),
            member("b", &["a"], Builds::Yes),
            member("a", &[], Builds::No),
        ]);
        plan.handle_begin();
        let expected = [Work::Reload(2), Work::Build(1), Work::Reload(1), Work::Reload(0), Work::Call];
        assert_eq!(all_work(&mut plan, ms(0), |_| Outcome::Done), expected);
    }

    #[test]
    fn dependents_are_reloaded_once_after_what_they_require_and_are_not_built() {
        let mut plan = Plan::new(vec![
            member("a", &[], Builds::Yes),
            member("b", &["a"], Builds::Yes),
            member("c", &["a", "b"], Builds::Yes),
            member("d", &[], Builds::Yes),
        ]);
        plan.handle_change(ms(0), 0);
        let expected = [Work::Build(0), Work::Reload(0), Work::Reload(1), Work::Reload(2), Work::Call];
        assert_eq!(all_work(&mut plan, ms(100), |_| Outcome::Done), expected);
    }

    #[test]
    fn dependents_stay_as_they_are_if_what_they_require_is_not_reloaded() {
        let mut plan = Plan::new(vec![member("a", &[], Builds::No), member("b", &["a"], Builds::No)]);
        plan.handle_change(ms(0), 0);
        assert_eq!(all_work(&mut plan, ms(100), |_| Outcome::Failed), [Work::Reload(0)]);
    }

    #[test]
    fn a_change_during_a_build_is_another_build() {
        let mut plan = Plan::new(vec![member("a", &[], Builds::Yes)]);
        plan.handle_begin();
        assert_eq!(plan.poll_work(ms(0)), Some(Work::Build(0)));
        plan.handle_change(ms(10), 0);
        assert_eq!(plan.poll_work(ms(500)), None, "one thing at a time");
        plan.handle_end(Outcome::Done);
        // The later build is enough: what the first one made is not loaded.
        assert_eq!(all_work(&mut plan, ms(501), |_| Outcome::Done), [Work::Build(0), Work::Reload(0), Work::Call]);
    }

    #[test]
    fn a_circle_ends() {
        let mut plan = Plan::new(vec![member("a", &["b"], Builds::No), member("b", &["a"], Builds::No)]);
        assert_eq!(plan.order, [0, 1]);
        plan.handle_member(1, member("b", &[], Builds::No));
        assert_eq!(plan.order, [1, 0]);
    }
}
