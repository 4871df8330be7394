//! Retirement and updates: what holds for a model now, computed from an append-only log and a time that is passed in.
//!
//! A [`Timeline`] records what is offered and how its life ends, for a subject (a model, a version, or a family with all its
//! members) in an offering. [`Timeline::status`] reads it at any instant, past ones too, and always gives the same answer
//! for the same log. From a [`Status`] follow the warnings that people see, the headers and objects that programs see, and
//! the decision about a request ([`Status::admit`]). An [`UpdateHistory`] keeps the ids of updated models.
//!
//! Nothing here reads a clock, starts a thread or writes a file.

mod admission;
mod card;
mod check;
mod document;
mod error;
mod event;
mod graph;
mod import;
mod naming;
mod projection;
mod revision;
mod standing;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod timeline;
mod warning;

pub use admission::{Admission, UpgradeOption};
pub use card::{FineTuningListing, ModelCard, fine_tuning_list, model_card};
pub use document::{Documents, Table};
pub use error::{LifecycleError, Refusal};
pub use event::{EventKey, LifecycleEvent, Watch};
pub use naming::{UpdateError, UpdateHistory, UpdateRecord};
pub use projection::{BedrockStatus, FoundationModelLifecycle};
pub use revision::{Change, Draft, Extended, Offer, OverrideReason, Plan, Redirect, Revision};
pub use state::State;
pub use status::{Principal, Retirement, Schedule, Status};
pub use timeline::Timeline;
pub use warning::LifecycleExtension;
