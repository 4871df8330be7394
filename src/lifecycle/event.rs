//! Which news are due: each state once for each subject and principal.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::State;
use super::status::{Principal, Status};
use super::timeline::Timeline;
use crate::catalog::{Offering, Subject, Task};

/// Somebody who is to be told about a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// About what.
    pub subject: Subject,
    /// In which offering.
    pub offering: Offering,
    /// For which task.
    pub task: Task,
    /// Who.
    pub principal: Principal,
}

/// What makes a piece of news one that was told already. A host keeps the keys of what it has delivered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    /// About what.
    pub subject: Subject,
    /// In which offering.
    pub offering: Offering,
    /// The state that it is in.
    pub state: State,
    /// The name of the principal.
    pub principal: String,
    /// How many times the subject was reinstated before: a second retirement is news again.
    pub round: u32,
}

/// A piece of news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleEvent {
    /// What it is about and to whom it goes.
    pub key: EventKey,
    /// One sentence or more.
    pub message: String,
    /// All that is known.
    pub status: Status,
}

impl Timeline {
    /// The news that are due at `now` and not among those `delivered`, in the order of the watches.
    ///
    /// An active model is no news, unless it was reinstated. A state that came and went while nobody asked is passed over:
    /// only what holds now is told.
    pub fn due<'a>(
        &self,
        watches: impl IntoIterator<Item = &'a Watch>,
        delivered: &BTreeSet<EventKey>,
        now: Timestamp,
    ) -> Vec<LifecycleEvent> {
        let mut told = BTreeSet::new();
        let mut events = Vec::new();
        for watch in watches {
            let status = self.status(&watch.subject, watch.offering, watch.task, &watch.principal, now);
            let message = match status.model_card_warning() {
                Some(warning) => warning,
                None if status.state == State::Active && status.round > 0 && !status.exempt => {
                    format!("{} is offered again in {}.", status.subject.name, status.offering.title())
                }
                None => continue,
            };
            let key = EventKey {
                subject: watch.subject.clone(),
                offering: watch.offering,
                state: status.state,
                principal: watch.principal.name.clone(),
                round: status.round,
            };
            if !delivered.contains(&key) && told.insert(key.clone()) {
                events.push(LifecycleEvent { key, message, status });
            }
        }
        events
    }
}
