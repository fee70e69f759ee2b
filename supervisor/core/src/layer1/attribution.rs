//! Attribution: which request in flight a module's own request, and what it changes, belongs to.

use super::{Unit, unit};
use crate::{
    core::Core,
    ids::{Caller, RequestId},
    in_flight::AnswerOrder,
    routing::refused,
};
use bulkhead_protocol::{ErrorCode, Failure};

impl Core {
    /// The request that a caller's own request belongs to: the one that it names, or the one that a
    /// module which answers in order must be working on.
    ///
    /// # Errors
    /// `bad_request`, when it names one that is not in progress there.
    pub(crate) fn attribute(&self, caller: Caller, of: Option<u64>) -> Result<Option<RequestId>, Failure> {
        let Caller::Run(run) = caller else {
            return match of {
                None => Ok(None),
                Some(_) => Err(refused(ErrorCode::BadRequest, "a client handles no requests: expected no \"of\"")),
            };
        };
        let Some(run) = self.runs.get(&run) else { return Ok(None) };
        match of.map(RequestId) {
            Some(id) if run.in_flight.contains(id) => Ok(Some(id)),
            Some(id) => {
                let reason = format!(
                    "expected in \"of\" a request that {} has in progress, found {id}: answered, or never asked",
                    run.instance
                );
                Err(refused(ErrorCode::BadRequest, reason))
            }
            None if run.in_flight.is_concurrent() => Ok(None),
            None => Ok(run.in_flight.head()),
        }
    }

    /// As [`Core::attribute`], for what is to be committed with that request.
    pub(super) fn attribute_change(&mut self, caller: Caller, of: Option<u64>) -> Result<Option<RequestId>, Failure> {
        let Some(id) = self.attribute(caller, of)? else { return Ok(None) };
        let Caller::Run(run_id) = caller else { return Ok(None) };
        // A module that sends a request of its own for a request has begun with that.
        let entry = self.requests.begun(id);
        let unwanted = match (&entry.unit, entry.wanted, entry.cancelled) {
            (Unit::Undone(reason), _, _) => Some(*reason),
            (Unit::Empty | Unit::Open(_), _, true) => Some("it was cancelled"),
            (Unit::Empty | Unit::Open(_), false, false) => Some("its caller was answered already, or has gone"),
            (Unit::Empty | Unit::Open(_), true, false) => None,
        };
        let run = self.runs.get_mut(&run_id).expect("it has a request in progress");
        if run.in_flight.head() != Some(id) {
            // It works on a later request while an earlier one is unanswered.
            run.in_flight.set_answer_order(AnswerOrder::Concurrent);
        }
        match unwanted {
            Some(reason) => Err(unit::undone(id, reason)),
            None => Ok(Some(id)),
        }
    }

    pub(super) fn check_not_stopping(&self, caller: Caller) -> Result<(), Failure> {
        match caller {
            Caller::Client(_) if self.shutting_down => {
                Err(refused(ErrorCode::ModuleUnavailable, "layer1 takes no more requests: the host is stopping"))
            }
            // What a module does for a request that it finishes belongs to that request.
            Caller::Client(_) | Caller::Run(_) => Ok(()),
        }
    }
}
