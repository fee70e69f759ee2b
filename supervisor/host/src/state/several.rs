//! One operation on several modules for one request: `start`, `stop`, `restart` and `reload` of all, or of
//! those that are named. What is done to each of them is what is done to one; each is reported as progress when
//! it is done, and the request succeeds after the last. Files are read once for all of them.

use super::reload::{Found, Read};
use super::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Modules that are waited for, or still to be ordered, by all such requests together.
const MEMBERS_MAX: usize = 100_000;

/// Such requests that one caller may have open.
const OF_ONE_CALLER_MAX: usize = 4;

/// Modules for which the operation is ordered before others are served.
const MODULES_AT_ONCE: usize = 32;

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Start,
    Stop,
    Restart,
    Reload,
}

/// Which modules are meant.
#[derive(Debug)]
pub(crate) enum Targets {
    All,
    Named(Vec<String>),
}

/// One request.
#[derive(Debug)]
struct Group {
    /// Its caller may use its number again once it is answered.
    number: u64,
    deed: Deed,
    /// The timeout of each of them.
    until: Time,
    /// Those for which the operation is not ordered yet; for a reload, with what the files say of them.
    ahead: VecDeque<(String, Option<Found>)>,
    /// Whether it is about all modules, which for a reload are those that the files name, too.
    all: bool,
    modules: usize,
    failed: usize,
    /// How many have not answered.
    left: usize,
    /// What a reload of all found beside the modules, a line for each.
    strays: Vec<String>,
}

/// One module for which the operation was ordered.
#[derive(Debug)]
struct Member {
    who: Recipient,
    group: u64,
    name: String,
}

/// Requests that are about several modules.
#[derive(Debug, Default)]
pub(super) struct Several {
    groups: BTreeMap<Recipient, Group>,
    /// The request that each module's answer belongs to, by the number of the module's order.
    members: HashMap<u64, Member>,
    last: u64,
}

impl Several {
    /// Modules that are waited for, and those that are still to be ordered.
    fn waiting(&self) -> usize {
        self.members.len() + self.groups.values().map(|group| group.ahead.len()).sum::<usize>()
    }

    /// Whether so many modules more may be waited for.
    fn check_room(&self, more: usize) -> Result<(), Failure> {
        let waiting = self.waiting();
        if waiting + more > MEMBERS_MAX {
            let reason = format!(
                "requests about several modules wait for {waiting} of them already, and for {MEMBERS_MAX} at most"
            );
            return Err(Failure::new(ErrorCode::Overloaded, reason));
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(super) fn is_open(&self, who: Recipient) -> bool {
        self.groups.contains_key(&who)
    }

    /// Whether a caller waits for something.
    pub(super) fn has_of(&self, caller: Caller) -> bool {
        self.groups.range(all_of(caller)).next().is_some()
    }

    /// A request was answered in another way: nothing more is reported of it.
    /// Returns whether there was one.
    pub(super) fn end(&mut self, who: Recipient) -> bool {
        self.groups.remove(&who).is_some()
    }

    /// A caller is gone. What was ordered goes on; nothing more is ordered.
    pub(super) fn forget(&mut self, caller: Caller) {
        while let Some((who, _)) = self.groups.range(all_of(caller)).next() {
            let who = *who;
            self.groups.remove(&who);
        }
    }
}

fn all_of(caller: Caller) -> std::ops::RangeInclusive<Recipient> {
    Recipient { caller, id: 0 }..=Recipient { caller, id: u64::MAX }
}

impl HostState {
    /// Whether a caller's number is that of a request about several modules.
    pub(crate) fn has_several(&self, who: Recipient) -> bool {
        self.several.is_open(who)
    }

    /// Begins to do something to several modules.
    ///
    /// # Errors
    /// When there is too much of it already, or the files do not check.
    pub(crate) fn do_to_several(
        &mut self,
        who: Recipient,
        deed: Deed,
        targets: Targets,
        timeout: Duration,
    ) -> Result<Option<Json>, Failure> {
        let all = matches!(targets, Targets::All);
        let names: Vec<String> = match targets {
            Targets::All => self.core.module_names().iter().map(ToString::to_string).collect(),
            Targets::Named(names) => names,
        };
        self.several.check_room(names.len())?;
        if self.several.groups.range(all_of(who.caller)).count() >= OF_ONE_CALLER_MAX {
            let reason = format!(
                "{OF_ONE_CALLER_MAX} requests about several modules are not answered yet: wait for one of them"
            );
            return Err(Failure::new(ErrorCode::Overloaded, reason));
        }
        let modules = names.len();
        if modules == 0 && !(all && matches!(deed, Deed::Reload)) {
            return Ok(Some(summary(0, 0, &[])));
        }
        if let Deed::Reload = deed {
            self.read_for_several(who, timeout)?;
        }
        // One that is named twice is ordered twice, and finds the second time that it is being reloaded.
        let ahead = names.into_iter().map(|name| (name, None)).collect();
        self.several.last += 1;
        let group = Group {
            number: self.several.last,
            deed,
            until: self.now + timeout,
            ahead,
            all,
            modules,
            failed: 0,
            left: modules,
            strays: Vec::new(),
        };
        self.several.groups.insert(who, group);
        match deed {
            Deed::Start | Deed::Stop | Deed::Restart => self.several_on(who),
            // It goes on when the files are read.
            Deed::Reload => {}
        }
        Ok(None)
    }

    /// The files were read for a reload of several modules, or could not be.
    pub(super) fn read_by_several(&mut self, who: Recipient, result: Result<&Read<'_>, &Failure>) {
        let Some(group) = self.several.groups.get(&who) else { return };
        let names = group.ahead.iter().map(|(name, _)| name.clone());
        let found = result.map_err(Clone::clone).and_then(|read| {
            let named = names.map(|name| (self.found(read, &name), name)).map(|(found, name)| (name, Some(found)));
            let mut ahead: VecDeque<_> = named.collect();
            if group.all {
                let others = self.unknown_of(read.loaded, ahead.iter().map(|(name, _)| name.as_str()).collect());
                self.several.check_room(others.len())?;
                ahead.extend(others);
            }
            Ok(ahead)
        });
        let strays = if group.all { self.faults.strays() } else { Vec::new() };
        match found {
            Ok(ahead) if ahead.is_empty() => {
                self.several.end(who);
                self.reply(who, Status::Success(summary(0, 0, &strays)));
            }
            Ok(ahead) => {
                let group = self.several.groups.get_mut(&who).expect("it was there above");
                group.strays = strays;
                (group.modules, group.left) = (ahead.len(), ahead.len());
                group.ahead = ahead;
                self.several_on(who);
            }
            Err(failure) => {
                self.several.end(who);
                self.reply(who, failure.delivery(Delivery::NotStarted).into());
            }
        }
    }

    /// What the files have beside these modules. A module whose name could not be read is named by its folder, if no
    /// module is known to be in that.
    fn unknown_of(&self, loaded: &Loaded, known: BTreeSet<&str>) -> Vec<(String, Option<Found>)> {
        let folders: BTreeSet<&std::path::Path> = self.configs.values().map(|config| &*config.folder).collect();
        let named =
            loaded.modules.iter().map(|module| (module.name.to_string(), Some(Found::Named(Box::new(module.clone())))));
        let mut seen = BTreeSet::new();
        let faulty = loaded.faulty.iter().filter_map(|faulty| {
            let name = match &faulty.name {
                Some(name) => name.to_string(),
                None if folders.contains(&*faulty.folder) => return None,
                None => faulty.folder.display().to_string(),
            };
            Some((name, Some(Found::Faulty(faults::lines(&faulty.problems)))))
        });
        let all = named.chain(faulty).filter(|(name, _)| !known.contains(name.as_str()));
        all.filter(|(name, _)| seen.insert(name.clone())).collect()
    }

    /// Orders the operation for the next few modules.
    pub(crate) fn several_on(&mut self, who: Recipient) {
        for _ in 0..MODULES_AT_ONCE {
            let Some(group) = self.several.groups.get_mut(&who) else { return };
            let Some((name, found)) = group.ahead.pop_front() else { return };
            let (deed, is_for_all, now) = (group.deed, group.all, self.now);
            let timeout = group.until.since(now);
            let member = Member { who, group: group.number, name: name.clone() };
            self.several.last += 1;
            let to = Recipient { caller: Caller::Client(ClientId::ON_BEHALF), id: self.several.last };
            self.several.members.insert(to.id, member);
            let is_loaded = match deed {
                Deed::Start | Deed::Stop | Deed::Restart => self.check_loaded(&name),
                Deed::Reload => Ok(()),
            };
            if let Err(failure) = is_loaded {
                self.one_of_several_done(to.id, failure.delivery(Delivery::NotStarted).into());
                continue;
            }
            match deed {
                Deed::Start => self.core.handle_start(now, Some(to), &name, timeout),
                Deed::Stop => self.core.handle_stop(now, Some(to), &name, timeout),
                Deed::Restart => self.core.handle_restart(now, Some(to), &name, timeout),
                Deed::Reload => {
                    let found = found.unwrap_or(Found::Absent);
                    // A reload of all does not ask for each to be started.
                    if let Found::Named(config) = &found
                        && (is_for_all, config.autostart, self.core.knows(&name)) == (true, false, false)
                    {
                        self.add_module((**config).clone());
                    }
                    if let Err(failure) = self.hand_over(Some(to), &name, found, timeout) {
                        self.one_of_several_done(to.id, failure.delivery(Delivery::NotStarted).into());
                    }
                }
            }
            self.perform();
        }
        self.watch(Source::Several(who));
    }

    /// One of several modules has answered.
    pub(super) fn one_of_several_done(&mut self, number: u64, status: Status) {
        let Some(Member { who, group, name }) = self.several.members.remove(&number) else { return };
        let Some(group) = self.several.groups.get_mut(&who).filter(|found| found.number == group) else { return };
        group.left -= 1;
        group.failed += usize::from(matches!(status, Status::Error(_)));
        let (left, end) = (group.left, summary(group.modules, group.failed, &group.strays));
        if left == 0 {
            self.several.groups.remove(&who);
        }
        let mut answer = Vec::new();
        let response = Response { id: None, status, last: false };
        let progress = match response.encode(&mut answer, self.config.frame_bytes_max) {
            // Four bytes say how long it is.
            Ok(()) => Json::parse(&String::from_utf8_lossy(&answer[4..])).ok(),
            Err(_) => None,
        };
        let data = Json::of(&serde_json::json!({ "name": name, "answer": progress }));
        self.reply(who, Status::Progress(data));
        if left == 0 {
            self.reply(who, Status::Success(end));
        }
    }

    /// Ends the wait for several modules, if there is one of this number. What was asked for goes on, as
    /// far as it was ordered.
    pub(crate) fn cancel_several(&mut self, who: Recipient) -> bool {
        let Some(group) = self.several.groups.remove(&who) else { return false };
        // Where the files are still being read, nothing was ordered yet.
        self.readings.cancel(who);
        let (ordered, of) = (group.modules - group.ahead.len(), group.modules);
        let reason = format!("cancelled; {ordered} of {of} modules have their order, and carry it out");
        let delivery = if ordered > 0 { Delivery::Started } else { Delivery::NotStarted };
        self.reply(who, Failure::new(ErrorCode::Cancelled, reason).delivery(delivery).into());
        true
    }
}

/// The data of the success.
fn summary(modules: usize, failed: usize, strays: &[String]) -> Json {
    let mut data = serde_json::json!({ "modules": modules, "failed": failed });
    if !strays.is_empty() {
        data["passed_over"] = strays.into();
    }
    Json::of(&data)
}
