//! What one request uses: reserved when it begins, recorded when it ends.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::admission::Admitted;
use crate::clock::Clock;
use crate::error::Error;
use crate::metering::ledger::{Outcome, Phases, Slot, UsageRecord};
use crate::metering::limits::{Output, Reservation};

/// What is known of a request's use when it begins.
pub(super) struct Use {
    pub(super) id: String,
    pub(super) client_request_id: Option<String>,
    pub(super) usage_context: Option<Map<String, Value>>,
    /// What the response is called.
    pub(super) version: Option<String>,
    pub(super) input_tokens: u64,
    pub(super) output: Output,
    pub(super) streaming: bool,
}

impl Default for Use {
    fn default() -> Self {
        Self {
            id: String::new(),
            client_request_id: None,
            usage_context: None,
            version: None,
            input_tokens: 0,
            output: Output::AtMost(0),
            streaming: false,
        }
    }
}

impl Use {
    /// The record of a request that nothing has become of yet.
    pub(super) fn record(self, admitted: &Admitted) -> UsageRecord {
        let Admitted { endpoint, entity, task, principal, at, .. } = admitted;
        let registered = entity.recipe.identified.registered.as_ref();
        UsageRecord {
            request_id: self.id,
            client_request_id: self.client_request_id,
            requester: principal.to_string(),
            endpoint_name: endpoint.name().into(),
            served_entity_name: entity.name().into(),
            entity_name: registered.map_or_else(|| entity.recipe.version.clone(), |id| id.name.to_string()),
            entity_version: registered.map(|id| id.version),
            response_model: self.version.unwrap_or_else(|| entity.recipe.version.clone()),
            subject: Some(entity.subject().clone()),
            task: *task,
            offering: endpoint.options().offering,
            admitted: true,
            outcome: Outcome::finished(""),
            input_token_count: self.input_tokens,
            cached_token_count: 0,
            output_token_count: 0,
            reasoning_token_count: 0,
            phases: Phases::default(),
            request_time: *at,
            finish_time: *at,
            request_streaming: self.streaming,
            usage_context: self.usage_context,
        }
    }
}

/// What a request used, when it has ended.
pub(super) struct Used<'a> {
    /// How it ended: a finish reason, or what went wrong.
    pub(super) outcome: Result<&'a str, &'a Error>,
    pub(super) cached_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) reasoning_tokens: u64,
    pub(super) phases: Phases,
}

/// Holds what a request has reserved, and its record.
pub(super) struct Meter {
    record: Box<UsageRecord>,
    /// `None` when nobody wants the record.
    slot: Option<Slot>,
    reservation: Reservation,
    clock: Arc<dyn Clock>,
}

impl Meter {
    pub(super) fn new(
        record: UsageRecord,
        slot: Option<Slot>,
        reservation: Reservation,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { record: Box::new(record), slot, reservation, clock }
    }

    /// The request has ended. `told` is dropped when what it used is on the disk, or cannot be got there in time: whoever
    /// waits for the answer hears of its end then.
    pub(super) fn end(self, used: Used<'_>, told: impl Send + 'static) {
        let Self { mut record, slot, reservation, clock } = self;
        reservation.settle(used.output_tokens, clock.monotonic());
        let Some(slot) = slot else { return drop(told) };
        record.outcome = match used.outcome {
            Ok(reason) => Outcome::finished(reason),
            Err(error) => Outcome::failed(error.kind()),
        };
        record.cached_token_count = used.cached_tokens;
        record.output_token_count = used.output_tokens;
        record.reasoning_token_count = used.reasoning_tokens;
        record.phases = used.phases;
        record.finish_time = clock.wall();
        let request = record.request_id.clone();
        slot.record(*record, move |written| {
            if let Err(error) = written {
                tracing::warn!(%error, %request, "what a request used is not recorded yet");
            }
            drop(told);
        });
    }
}

/// The phases of a request between instants of monotonic time.
pub(super) fn phases(
    submitted: Duration,
    started: Option<Duration>,
    first_token: Option<Duration>,
    finished: Duration,
) -> Phases {
    let since = |from: Duration, to: Duration| to.saturating_sub(from);
    Phases {
        queued: started.map(|started| since(submitted, started)),
        prefill: started.zip(first_token).map(|(started, first)| since(started, first)),
        decode: first_token.map(|first| since(first, finished)),
        first_token: first_token.map(|first| since(submitted, first)),
    }
}
