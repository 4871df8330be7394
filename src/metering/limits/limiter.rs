//! Admits requests of one endpoint by its limits.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use super::error::LimitError;
use super::reservation::Reservation;
use super::scope::{Entries, Obstacle, Scope};
use super::time::{SteadyTime, nanos};
use super::{DEFAULT_RESERVED_TOKENS, Demand, EndpointLimits, Output, Used};
use crate::protocol::{LimitType, RateLimited};

/// Principals beyond which those that have used nothing lately are looked for.
const FEW_PRINCIPALS: usize = 1024;
/// The longest window: what is older is of no use.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a window holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LimitUse {
    /// Which limit.
    pub limit_type: LimitType,
    /// How much it allows.
    pub limit: u64,
    /// How much is used and reserved of it.
    pub current: u64,
}

/// The limits of one endpoint with what is used of them. A clone is another handle of the same limiter.
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
}

/// What the limiter and its reservations hold together.
pub(super) struct Shared {
    endpoint: String,
    state: Mutex<State>,
}

struct State {
    limits: EndpointLimits,
    time: SteadyTime,
    whole: Scope,
    /// Those with limits that have used something lately.
    principals: HashMap<Box<str>, Scope>,
    /// How many principals there are to be before idle ones are let go.
    crowded: usize,
    last_window: u64,
}

/// What a reservation has to know to give back what it holds.
#[derive(Debug)]
pub(super) struct Held {
    principal: Option<Box<str>>,
    whole: Entries,
    own: Entries,
    /// What was counted.
    pub(super) amount: Used,
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").field("endpoint", &self.shared.endpoint).finish_non_exhaustive()
    }
}

impl RateLimiter {
    /// A limiter of which nothing is used yet. `now` is the clock's monotonic time, here and in what follows.
    pub fn new(endpoint: impl Into<String>, limits: EndpointLimits, now: Duration) -> Self {
        let mut state = State {
            limits: EndpointLimits::default(),
            time: SteadyTime::new(now, LONGEST * 2),
            whole: Scope::default(),
            principals: HashMap::new(),
            crowded: FEW_PRINCIPALS,
            last_window: 0,
        };
        state.set(limits);
        Self { shared: Arc::new(Shared { endpoint: endpoint.into(), state: Mutex::new(state) }) }
    }

    /// The endpoint whose requests it admits.
    pub fn endpoint(&self) -> &str {
        &self.shared.endpoint
    }

    /// Takes other limits. What was used counts under them; a limit of a type that there was not before begins empty.
    pub fn set_limits(&self, limits: EndpointLimits) {
        self.shared.state.lock().set(limits);
    }

    /// Reserves what a request of `principal` may need, in all limits or in none.
    ///
    /// The reservation is provisional: dropped, it leaves no trace. [`Reservation::commit`] when the request is accepted.
    ///
    /// # Errors
    /// [`LimitError::RateLimited`] when it does not fit now, [`LimitError::NeverFits`] when it never will,
    /// [`LimitError::Closed`] when a limit is 0. Of several reasons the one that lasts longest is told.
    pub fn reserve(&self, principal: &str, demand: Demand, now: Duration) -> Result<Reservation, LimitError> {
        let held =
            self.shared.state.lock().reserve(principal, demand, now).map_err(|(whose, obstacle)| {
                let (endpoint, principal) =
                    (self.shared.endpoint.clone(), whose.is_principal().then(|| principal.into()));
                match obstacle {
                    Obstacle::Closed { limit_type } => LimitError::Closed { endpoint, principal, limit_type },
                    Obstacle::NeverFits { limit_type, limit, needed } => {
                        LimitError::NeverFits { endpoint, principal, limit_type, limit, needed }
                    }
                    Obstacle::Full { limit_type, limit, current, retry_after } => {
                        RateLimited { limit_type, limit, current, retry_after, principal }.into()
                    }
                }
            })?;
        Ok(Reservation::new(self.shared.clone(), held))
    }

    /// Counts what was used so long ago, under this limiter's predecessor. What no window holds any more is ignored.
    pub fn restore(&self, principal: &str, used: Used, ago: Duration, now: Duration) {
        let mut state = self.shared.state.lock();
        let now = state.time.at(now);
        let at = now.saturating_sub(nanos(ago));
        state.whole.restore(&used, at, now);
        if let Some(scope) = state.scope(principal, now) {
            scope.restore(&used, at, now);
        }
    }

    /// What is used and reserved of each limit of the endpoint, or of a principal of it.
    pub fn current(&self, principal: Option<&str>, now: Duration) -> Vec<LimitUse> {
        let mut guard = self.shared.state.lock();
        let state = &mut *guard;
        let now = state.time.at(now);
        let scope = match principal {
            None => Some(&mut state.whole),
            Some(name) => state.principals.get_mut(name),
        };
        let mut uses = Vec::new();
        match (scope, principal) {
            (Some(scope), _) => uses.extend(scope.held(now).map(|(limit_type, limit, current)| LimitUse {
                limit_type,
                limit,
                current,
            })),
            (None, name) => {
                let limits = state.limits.of(name.unwrap_or_default());
                uses.extend(LimitType::ALL.into_iter().filter_map(|limit_type| {
                    Some(LimitUse { limit_type, limit: limits.get(limit_type)?, current: 0 })
                }));
            }
        }
        uses
    }

    /// How many principals it keeps windows for.
    #[cfg(test)]
    pub(super) fn principals(&self) -> usize {
        self.shared.state.lock().principals.len()
    }
}

impl Shared {
    /// Takes back what was not used after all.
    pub(super) fn credit(&self, held: &Held, unused: &Used) {
        let mut state = self.state.lock();
        state.whole.credit(&held.whole, unused);
        if let Some(scope) = held.principal.as_ref().and_then(|name| state.principals.get_mut(name)) {
            scope.credit(&held.own, unused);
        }
    }

    /// Charges what was used beyond the reservation, as of now.
    pub(super) fn charge(&self, held: &Held, more: &Used, now: Duration) {
        let mut state = self.state.lock();
        let now = state.time.at(now);
        state.whole.add(more, now);
        if let Some(scope) = held.principal.as_ref().and_then(|name| state.scope(name, now)) {
            scope.add(more, now);
        }
    }
}

/// Whose limits stand against a request.
#[derive(Clone, Copy)]
enum Whose {
    Endpoint,
    Principal,
}

impl Whose {
    fn is_principal(self) -> bool {
        matches!(self, Self::Principal)
    }
}

impl State {
    fn set(&mut self, limits: EndpointLimits) {
        self.whole.set(limits.endpoint, &mut self.last_window);
        self.principals.retain(|name, scope| {
            let own = *limits.of(name);
            scope.set(own, &mut self.last_window);
            own != Default::default()
        });
        self.limits = limits;
    }

    /// The windows of a principal; `None` of one without limits.
    fn scope(&mut self, principal: &str, now: u64) -> Option<&mut Scope> {
        let limits = *self.limits.of(principal);
        if limits == Default::default() {
            return None;
        }
        if !self.principals.contains_key(principal) {
            if self.principals.len() >= self.crowded {
                self.principals.retain(|_, scope| !scope.is_idle(now));
                self.crowded = FEW_PRINCIPALS.max(self.principals.len() * 2);
            }
            let mut scope = Scope::default();
            scope.set(limits, &mut self.last_window);
            self.principals.insert(principal.into(), scope);
        }
        self.principals.get_mut(principal)
    }

    /// Plans in every window, then commits to all of them.
    fn reserve(&mut self, principal: &str, demand: Demand, now: Duration) -> Result<Held, (Whose, Obstacle)> {
        let now = self.time.at(now);
        let output_tokens = match demand.output {
            Output::AtMost(tokens) => tokens,
            Output::UpTo(tokens) => [&self.limits.endpoint, self.limits.of(principal)]
                .into_iter()
                .filter_map(|limits| limits.output_tokens_per_minute)
                .fold(tokens.min(DEFAULT_RESERVED_TOKENS), u64::min),
        };
        let amount = Used { queries: 1, input_tokens: demand.input_tokens, output_tokens };
        let whole = self.whole.obstacle(&amount, now);
        let own = self.scope(principal, now).and_then(|scope| scope.obstacle(&amount, now));
        match (whole, own) {
            (None, None) => {}
            (Some(whole), None) => return Err((Whose::Endpoint, whole)),
            (None, Some(own)) => return Err((Whose::Principal, own)),
            (Some(whole), Some(own)) if whole.or_worse(own) == whole => {
                return Err((Whose::Endpoint, whole));
            }
            (Some(_), Some(own)) => return Err((Whose::Principal, own)),
        }
        let whole = self.whole.add(&amount, now);
        let (principal, own) = match self.scope(principal, now) {
            Some(scope) => (Some(principal.into()), scope.add(&amount, now)),
            None => (None, Entries::default()),
        };
        Ok(Held { principal, whole, own, amount })
    }
}
