//! What happens to a request, decided once when it arrives.

use serde::{Deserialize, Serialize};

use super::error::Refusal;
use super::state::State;
use super::status::Status;
use crate::catalog::Subject;

/// What an endpoint does when what it serves is retired or superseded. Names are those of Azure's `versionUpgradeOption`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UpgradeOption {
    /// It stays, and stops working at the retirement. The default in every offering.
    #[default]
    NoAutoUpgrade,
    /// It moves as soon as another subject is the default, and at the latest at the retirement.
    OnceNewDefaultVersionAvailable,
    /// It moves at the retirement.
    OnceCurrentVersionExpired,
}

/// Who serves a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", content = "to", rename_all = "snake_case")]
pub enum Admission {
    /// What was asked for.
    Serve,
    /// Another subject, because what was asked for is redirected there. The response names both.
    Redirect(Subject),
    /// Another subject, to which the endpoint has moved by its [`UpgradeOption`].
    Upgrade(Subject),
}

impl Status {
    /// Who serves a request that arrives now, on an endpoint with `option`; `default` is the status of the subject that is
    /// the default for this endpoint now, if there is one.
    ///
    /// The decision holds for the whole request: what runs is never cut off by a retirement.
    ///
    /// # Errors
    /// [`Refusal::ModelRetired`] when it is gone and nothing may stand in, [`Refusal::NotAvailableToNewUsers`] when others may
    /// still use it, [`Refusal::NotYetAvailable`] before its time.
    pub fn admit(&self, option: UpgradeOption, default: Option<&Self>) -> Result<Admission, Refusal> {
        let newer = default.filter(|default| default.subject != self.subject && default.usable);
        if let (UpgradeOption::OnceNewDefaultVersionAvailable, Some(newer)) = (option, newer) {
            return Ok(Admission::Upgrade(newer.subject.clone()));
        }
        if self.usable {
            return Ok(match &self.redirect {
                Some(to) if self.state == State::Redirected => Admission::Redirect(to.clone()),
                _ => Admission::Serve,
            });
        }
        let moves = self.state >= State::Redirected && option != UpgradeOption::NoAutoUpgrade;
        match &self.replacement {
            Some(to) if moves => Ok(Admission::Upgrade(to.clone())),
            _ => Err(self.refusal()),
        }
    }

    /// The error for a subject that is not usable.
    fn refusal(&self) -> Refusal {
        let (subject, offering) = (self.subject.clone(), self.offering);
        if self.state == State::Planned {
            let from = self.schedule.available_from.unwrap_or(self.at);
            return Refusal::NotYetAvailable { subject, offering, from };
        }
        match &self.retirement {
            // A redirect that leads nowhere has ended early: nobody answers.
            Some(retirement) if self.state >= State::Redirected => Refusal::ModelRetired {
                subject,
                offering,
                retire: retirement.day.clone(),
                since: retirement.at,
                replacement: self.replacement.clone(),
                long_term: self.long_term,
                override_reason: retirement.override_reason,
            },
            _ => Refusal::NotAvailableToNewUsers {
                subject,
                offering,
                state: self.state,
                replacement: self.replacement.clone(),
                long_term: self.long_term,
            },
        }
    }
}
