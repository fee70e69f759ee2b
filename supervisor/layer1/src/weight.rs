//! What jobs and their outcomes make the process hold, as it lies in memory. The queue's bound counts these;
//! what a unit of work holds is counted in [`crate::unit`], and how much is too much is not decided here.

use crate::{
    job::{Also, Job, Keyed, Subscriber},
    outcome::{EventPage, Forgotten, KeyState, Outcome, SetAsideEvent, Subscription, SubscriptionStatus, Usage},
};
use bulkhead_protocol::HeldBytes;

impl HeldBytes for Job {
    fn held_bytes(&self) -> usize {
        match self {
            Job::Query { query, .. } => query.held_bytes(),
            Job::Mutate { owner, mutation, key, .. } => owner.held_bytes() + mutation.held_bytes() + key.held_bytes(),
            Job::Emit { source, event, data, .. } => source.held_bytes() + event.held_bytes() + data.held_bytes(),
            Job::Commit { key, events, also, .. } => key.held_bytes() + events.held_bytes() + also.held_bytes(),
            Job::LookUpKey(key) => key.held_bytes(),
            Job::ReadEvents { patterns, .. } => patterns.held_bytes(),
            Job::Subscribe { module } | Job::Forget { module } => module.held_bytes(),
            Job::Subscriptions { known } => known.held_bytes(),
            Job::Also(also) => also.held_bytes(),
            Job::ListSetAside { module, .. } => module.held_bytes(),
            Job::Import { lines, .. } => lines.held_bytes(),
            Job::Discard { .. } | Job::EventEnds | Job::CountSetAside | Job::Usage => 0,
        }
    }
}

impl HeldBytes for Keyed {
    fn held_bytes(&self) -> usize {
        let names = self.caller.held_bytes() + self.target.held_bytes();
        names + self.key.held_bytes() + self.fingerprint.held_bytes()
    }
}

impl HeldBytes for Also {
    fn held_bytes(&self) -> usize {
        match self {
            Also::Advance { module, .. } | Also::Missed { module, .. } => module.held_bytes(),
            Also::SetAside { module, error, .. } => module.held_bytes() + error.held_bytes(),
            Also::RemoveSetAside { .. } => 0,
        }
    }
}

impl HeldBytes for Subscriber {
    fn held_bytes(&self) -> usize {
        self.module.held_bytes() + self.patterns.held_bytes()
    }
}

impl HeldBytes for Outcome {
    fn held_bytes(&self) -> usize {
        match self {
            Outcome::Rows(rows) => rows.held_bytes(),
            Outcome::Mutated { reply, events } => reply.held_bytes() + events.held_bytes(),
            Outcome::Committed { events } => events.held_bytes(),
            Outcome::Conflict(failure) | Outcome::Failed(failure) => failure.held_bytes(),
            Outcome::Key(KeyState::Stored(reply)) => reply.held_bytes(),
            Outcome::Events(EventPage { events, .. }) => events.held_bytes(),
            Outcome::Subscription(subscription) => subscription.held_bytes(),
            Outcome::Subscriptions(all) => all.held_bytes(),
            Outcome::Forgotten(Forgotten { subscription, .. }) => subscription.held_bytes(),
            Outcome::SetAside(events) => events.held_bytes(),
            Outcome::Usage(usage) => usage.held_bytes(),
            Outcome::Emitted
            | Outcome::Key(KeyState::Vacant | KeyState::OtherPayload)
            | Outcome::Ends { .. }
            | Outcome::SetAsideCount(_)
            | Outcome::Imported(_)
            | Outcome::Done => 0,
        }
    }
}

impl HeldBytes for Subscription {
    fn held_bytes(&self) -> usize {
        self.module.held_bytes()
    }
}

impl HeldBytes for SubscriptionStatus {
    fn held_bytes(&self) -> usize {
        self.subscription.held_bytes()
    }
}

impl HeldBytes for SetAsideEvent {
    fn held_bytes(&self) -> usize {
        self.module.held_bytes() + self.event.held_bytes() + self.error.held_bytes()
    }
}

impl HeldBytes for Usage {
    fn held_bytes(&self) -> usize {
        self.owner.held_bytes()
    }
}
