//! Models that are offered and retire, endpoints with limits, a ledger with history.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use model_runtime::catalog::{Offering, RetirementDay, RetirementPolicy, Subject, Task};
use model_runtime::clock::{Clock, SystemClock};
use model_runtime::database::Database;
use model_runtime::lifecycle::{Change, Draft, Offer, Plan, Timeline};
use model_runtime::metering::ledger::{Ledger, LedgerOptions, Outcome, Phases, UsageRecord};
use model_runtime::metering::limits::{EndpointLimits, Limits, RateLimiter};

use super::Failure;
use super::arguments::Arguments;

/// Everything that a request meets.
pub(crate) struct World {
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) timeline: Timeline,
    pub(crate) models: Vec<Subject>,
    pub(crate) limiters: Vec<RateLimiter>,
    pub(crate) principals: Vec<String>,
    pub(crate) ledger: Ledger,
    models_per_principal: usize,
    random_names: bool,
}

impl World {
    /// With a database at `path`.
    pub(crate) fn new(path: &Path, arguments: &Arguments) -> Result<Self, Failure> {
        let clock = Arc::new(SystemClock::new());
        let models: Vec<_> =
            (0..arguments.models).map(|number| Subject::model(format!("Model {number}"))).collect();
        // Limits of every kind, that never refuse.
        let limits = Limits {
            input_tokens_per_minute: Some(1 << 50),
            output_tokens_per_minute: Some(1 << 50),
            queries_per_hour: Some(1 << 50),
            queries_per_second: Some(1 << 50),
        };
        let limits = EndpointLimits { endpoint: limits, principal: limits, ..EndpointLimits::default() };
        let now = clock.monotonic();
        let limiters =
            (0..models.len()).map(|number| RateLimiter::new(endpoint(number), limits.clone(), now)).collect();
        let ledger = Ledger::open(&Database::open(path)?, clock.clone(), LedgerOptions::default())?;
        Ok(Self {
            timeline: timeline(&models, clock.wall())?,
            models,
            limiters,
            principals: (0..arguments.principals)
                .map(|number| format!("principal-{number}@example.com"))
                .collect(),
            ledger,
            clock,
            models_per_principal: arguments.models_per_principal.max(1),
            random_names: arguments.random_names,
        })
    }

    /// Which model and which principal the request of that number is about: neighbours have little in common.
    pub(crate) fn choose(&self, number: usize) -> (usize, usize) {
        let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let principal = (mixed >> 22) as usize % self.principals.len();
        let model = principal * 7 + mixed as usize % self.models_per_principal * 37;
        (model % self.models.len(), principal)
    }

    /// The record of the request of that number.
    pub(crate) fn record(&self, number: usize, finish_time: Timestamp) -> UsageRecord {
        let (model, principal) = self.choose(number);
        let random = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let id = if self.random_names { random } else { number as u64 };
        let seconds = |milliseconds| Some(Duration::from_millis(milliseconds));
        UsageRecord {
            request_id: format!("chatcmpl-{id:016x}{random:016x}"),
            client_request_id: None,
            requester: self.principals[principal].clone(),
            endpoint_name: endpoint(model),
            served_entity_name: format!("model-{model}-1"),
            entity_name: format!("main.models.model_{model}"),
            entity_version: Some(1),
            response_model: format!("vendor/Model-{model}-030424"),
            subject: Some(self.models[model].clone()),
            task: Task::Chat,
            offering: Offering::PayPerToken,
            admitted: true,
            outcome: Outcome::finished("stop"),
            input_token_count: 500,
            cached_token_count: 128,
            output_token_count: 200,
            reasoning_token_count: 0,
            phases: Phases {
                queued: seconds(3),
                prefill: seconds(80),
                decode: seconds(900),
                first_token: seconds(83),
            },
            request_time: finish_time - SignedDuration::from_secs(1),
            finish_time,
            request_streaming: true,
            usage_context: None,
        }
    }
}

fn endpoint(model: usize) -> String {
    format!("endpoint-{model}")
}

/// All models offered in two offerings; of three in four the retirement is announced, with a replacement.
fn timeline(models: &[Subject], now: Timestamp) -> Result<Timeline, Failure> {
    let mut timeline = Timeline::new(RetirementPolicy::default());
    let tasks = vec![Task::Chat, Task::Completion];
    for offering in [Offering::PayPerToken, Offering::FineTuning] {
        for model in models {
            let offer = Offer::of(tasks.clone()).available_from(date(2024, 1, 1));
            timeline.record(Draft::new(model.clone(), offering, Change::Offer(offer)), now)?;
        }
        for (number, model) in models.iter().enumerate().filter(|(number, _)| number % 4 > 0) {
            let day = now
                .to_zoned(jiff::tz::TimeZone::UTC)
                .date()
                .checked_add((120 + number as i64 % 300).days())?;
            let closed = day.checked_sub(30.days())?;
            let plan = Plan::retire(RetirementDay::after(day))
                .closed_to_new_from(closed)
                .replaced_by(models[number / 4 * 4].clone());
            timeline.record(Draft::new(model.clone(), offering, Change::Plan(plan)), now)?;
        }
    }
    Ok(timeline)
}
