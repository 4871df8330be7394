//! What people are told: on a model's card, in the list of models to train, in documents, and in responses that ask for it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::state::State;
use super::status::{Retirement, Status};
use crate::catalog::{Offering, RetirementDay, Subject, Wording};

impl Status {
    /// The warning on the model's card; none while it is active.
    pub fn model_card_warning(&self) -> Option<String> {
        let name = &self.subject.name;
        let offering = self.offering.title();
        let from_family = match &self.governed_by {
            Some(family) => format!(" with the {} family", family.name),
            None => String::new(),
        };
        let text = match self.state {
            State::Active | State::Planned => return None,
            State::Preview => format!("{name} is a preview: it may change, or be withdrawn."),
            State::Legacy => sentences([
                Some(format!("{name} is a legacy model and not recommended for new work.")),
                self.replacement.as_ref().map(|to| format!("{} is recommended instead.", to.name)),
            ]),
            State::Retired | State::Removed => sentences([
                Some(format!("{name} has been retired from {offering}{from_family}.")),
                self.notice(),
                self.override_notice(),
                self.advice(),
            ]),
            _ => sentences([
                Some(format!("{name} is planned to be retired from {offering}{from_family}.")),
                self.notice(),
                self.restriction(),
                self.override_notice(),
                self.advice(),
            ]),
        };
        Some(text)
    }

    /// The warning in the list of models to train further: short, beside the name. None while it is active, and outside of
    /// that offering.
    pub fn fine_tuning_list_warning(&self) -> Option<String> {
        if self.offering != Offering::FineTuning {
            return None;
        }
        let replacement = self.replacement.as_ref().map(|to| format!("Recommended instead: {}.", to.name));
        match self.state {
            State::Active | State::Planned => None,
            State::Preview => Some("Preview.".into()),
            State::Legacy => Some(sentences([Some("Legacy.".into()), replacement])),
            State::Retired | State::Removed => {
                Some(sentences([Some("Retired.".into()), self.notice(), replacement]))
            }
            _ => Some(sentences([Some("Planned for retirement.".into()), self.notice(), replacement])),
        }
    }

    /// The sentence about the day of retirement that documents carry.
    pub fn notice(&self) -> Option<String> {
        let retirement = self.retirement.as_ref()?;
        let day = shown_day(&retirement.day);
        Some(match retirement.day.wording {
            Wording::After => format!("This model is no longer supported after {day}."),
            Wording::From => format!("Starting {day}, this model is no longer supported."),
            Wording::TableOnly => format!("The retirement date of this model is {day}."),
        })
    }

    /// The field that a response carries when its request asks for it; none while the model is active.
    pub fn response_extension(&self) -> Option<LifecycleExtension> {
        let text = self.model_card_warning()?;
        let retirement = self.retirement.as_ref();
        Some(LifecycleExtension {
            state: self.state,
            retirement_day: retirement.map(|retirement| retirement.day.day),
            retirement: retirement.cloned(),
            replacement: self.replacement.clone(),
            long_term: self.long_term,
            message: text,
        })
    }

    fn restriction(&self) -> Option<String> {
        match self.state {
            State::Restricted => Some("It takes no new users.".into()),
            State::Extended => Some(match self.schedule.extended_price_percent {
                Some(percent) => {
                    format!("It takes no new users, and is billed at {percent} % of the usual price.")
                }
                None => "It takes no new users.".into(),
            }),
            State::Redirected => {
                self.redirect.as_ref().map(|to| format!("Requests are answered by {} until then.", to.name))
            }
            _ => None,
        }
    }

    fn override_notice(&self) -> Option<String> {
        let reason = self.retirement.as_ref()?.override_reason?;
        Some(format!("The usual notice was set aside for reasons of {}.", reason.as_str()))
    }

    /// The two ways that a customer has.
    fn advice(&self) -> Option<String> {
        let move_to = self.replacement.as_ref().map(|to| format!("move to {}", to.name));
        let keep = self.long_term.map(|offering| format!("keep it on a {} endpoint", offering.title()));
        let ways = match (move_to, keep) {
            (Some(move_to), Some(keep)) => format!("{move_to}, or {keep}"),
            (Some(way), None) | (None, Some(way)) => way,
            (None, None) => return None,
        };
        let mut letters = ways.chars();
        let first = letters.next()?.to_uppercase();
        Some(format!("{first}{}.", letters.as_str()))
    }
}

/// What a response says about the life of the model that gave it: the value of `x_lifecycle`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LifecycleExtension {
    /// Where in its life the model is.
    pub state: State,
    /// The day of retirement as it was announced.
    pub retirement_day: Option<Date>,
    /// All about the retirement.
    pub retirement: Option<Retirement>,
    /// What to move to.
    pub replacement: Option<Subject>,
    /// Where the model lives on.
    pub long_term: Option<Offering>,
    /// The same in a sentence, as on the model's card.
    pub message: String,
}

/// `April 30, 2025`, with the zone where the day names one.
pub(super) fn shown_day(day: &RetirementDay) -> String {
    let date = shown_date(day.day);
    match &day.zone {
        Some(zone) => format!("{date} ({})", zone.name()),
        None => date,
    }
}

/// `April 30, 2025`.
pub(super) fn shown_date(day: Date) -> String {
    day.strftime("%B %-d, %Y").to_string()
}

fn sentences<const N: usize>(parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
