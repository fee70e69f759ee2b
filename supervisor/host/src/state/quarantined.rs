//! Questions of people about quarantined messages: which are listed, which is shown, which is removed. Their files are
//! read, and removed, as those of crashes are read.

use super::{
    history::{Question, valid_name},
    *,
};
use crate::{
    builtin::bad,
    history::{QuarantineAsk, QuarantinePage, Quarantined, no_such},
    records,
};
use serde::Deserialize;

/// Records that are listed by default, and at most.
const LISTED_DEFAULT: usize = 100;
const LISTED_MAX: usize = 1000;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuarantineArgs {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordArgs {
    id: String,
}

impl HostState {
    /// Lists quarantined messages, a page of them.
    pub(crate) fn list_quarantined(
        &mut self,
        who: Recipient,
        QuarantineArgs { name, after, limit }: QuarantineArgs,
        timeout: Duration,
    ) -> Result<Option<Json>, Failure> {
        let most = limit.unwrap_or(LISTED_DEFAULT);
        if !(1..=LISTED_MAX).contains(&most) {
            return Err(bad(format!(
                "the arguments of quarantine: expected a limit from 1 to {LISTED_MAX}, found {most}"
            )));
        }
        if let Some(name) = &name {
            valid_name(name)?;
        }
        let after = match after {
            Some(id) => Some(records::file_of(&id).ok_or_else(|| {
                bad("the arguments of quarantine: expected as after the next of an earlier answer".into())
            })?),
            None => None,
        };
        self.ask_history(who, Question::Quarantined(QuarantineAsk::List { module: name, after, most }), timeout);
        Ok(None)
    }

    /// Shows one, whole.
    pub(crate) fn show_quarantined(
        &mut self,
        who: Recipient,
        RecordArgs { id }: RecordArgs,
        timeout: Duration,
    ) -> Result<Option<Json>, Failure> {
        let file = records::file_of(&id).ok_or_else(|| no_such(&id))?;
        self.ask_history(who, Question::Quarantined(QuarantineAsk::Show { file }), timeout);
        Ok(None)
    }

    /// Removes one.
    pub(crate) fn drop_quarantined(
        &mut self,
        who: Recipient,
        RecordArgs { id }: RecordArgs,
        timeout: Duration,
    ) -> Result<Option<Json>, Failure> {
        let file = records::file_of(&id).ok_or_else(|| no_such(&id))?;
        self.ask_history(who, Question::Quarantined(QuarantineAsk::Drop { file }), timeout);
        Ok(None)
    }

    pub(super) fn answer_quarantined(
        &mut self,
        who: Recipient,
        ask: &QuarantineAsk,
        read: Result<Quarantined, Failure>,
    ) {
        let answer = match (read, ask) {
            // A name that was never one of a module is more likely a mistake than one without records.
            (Ok(Quarantined::Page(page)), QuarantineAsk::List { module: Some(module), after: None, .. })
                if page.is_empty() && !self.core.knows(module) =>
            {
                Err(self.unknown(module))
            }
            (Ok(Quarantined::Page(page)), _) => Ok(Json::of(&page)),
            (Ok(Quarantined::One(json)), _) => Ok(json),
            (Err(failure), _) => Err(failure),
        };
        match answer {
            Ok(json) => self.reply(who, Status::Success(json)),
            Err(failure) => self.reply(who, failure.delivery(Delivery::NotStarted).into()),
        }
    }
}

impl QuarantinePage {
    fn is_empty(&self) -> bool {
        self.quarantined.is_empty() && self.next.is_none()
    }
}
