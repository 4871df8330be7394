//! The windows that one set of limits needs.

use std::time::Duration;

use super::window::{Entry, Window};
use super::{Limits, Used};
use crate::protocol::LimitType;

const TYPES: usize = LimitType::ALL.len();

/// Where a request's amounts lie in the windows of a scope.
pub(super) type Entries = [Option<Entry>; TYPES];

/// The whole endpoint, or one principal of it.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) limits: Limits,
    windows: [Option<Window>; TYPES],
}

/// Why a scope does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The limit is 0.
    Closed { limit_type: LimitType },
    /// More than the limit.
    NeverFits { limit_type: LimitType, limit: u64, needed: u64 },
    /// Too much at this moment.
    Full { limit_type: LimitType, limit: u64, current: u64, retry_after: Duration },
}

impl Obstacle {
    /// The one to be told of two: what waiting does not help against, then what takes longest.
    pub(super) fn or_worse(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Full { retry_after: own, .. }, Self::Full { retry_after: others, .. }) => {
                if others > own {
                    other
                } else {
                    self
                }
            }
            (Self::Full { .. }, _) => other,
            _ => self,
        }
    }
}

impl Scope {
    /// Takes other limits. Windows go on where there was a limit before; others begin empty.
    pub(super) fn set(&mut self, limits: Limits, next_id: &mut u64) {
        self.limits = limits;
        for (window, limit_type) in self.windows.iter_mut().zip(LimitType::ALL) {
            match limits.get(limit_type) {
                None => *window = None,
                Some(_) if window.is_none() => {
                    *next_id += 1;
                    *window = Some(Window::new(*next_id, limit_type.window()));
                }
                Some(_) => {}
            }
        }
    }

    /// What stands against a request, if anything does. Nothing is changed but what has left its window.
    pub(super) fn obstacle(&mut self, request: &Used, now: u64) -> Option<Obstacle> {
        let mut worst: Option<Obstacle> = None;
        for (window, limit_type) in self.windows.iter_mut().zip(LimitType::ALL) {
            let (Some(window), Some(limit)) = (window, self.limits.get(limit_type)) else { continue };
            let needed = request.of(limit_type);
            let held = window.held(now);
            let found = if limit == 0 {
                // A limit of 0 tokens does not keep out what needs none.
                if needed == 0 {
                    continue;
                }
                Obstacle::Closed { limit_type }
            } else if needed > limit {
                Obstacle::NeverFits { limit_type, limit, needed }
            } else if held > limit - needed && needed > 0 {
                let current = held.saturating_add(needed);
                let retry_after = window.until_at_most(limit - needed, now);
                Obstacle::Full { limit_type, limit, current, retry_after }
            } else {
                continue;
            };
            worst = Some(worst.map_or(found, |worst| worst.or_worse(found)));
        }
        worst
    }

    /// Adds what was used at the time `at`.
    pub(super) fn add(&mut self, used: &Used, at: u64) -> Entries {
        let mut entries = Entries::default();
        for ((window, entry), limit_type) in self.windows.iter_mut().zip(&mut entries).zip(LimitType::ALL) {
            let amount = used.of(limit_type);
            if let Some(window) = window.as_mut().filter(|_| amount > 0) {
                *entry = Some(window.add(at, amount));
            }
        }
        entries
    }

    /// Adds what was used at an earlier time, where a window reaches back so far.
    pub(super) fn restore(&mut self, used: &Used, at: u64, now: u64) {
        self.add(used, at);
        for window in self.windows.iter_mut().flatten() {
            window.held(now);
        }
    }

    /// Takes out again what was added with these entries, or a part of it.
    pub(super) fn credit(&mut self, entries: &Entries, used: &Used) {
        for ((window, entry), limit_type) in self.windows.iter_mut().zip(entries).zip(LimitType::ALL) {
            if let (Some(window), Some(entry)) = (window, entry) {
                window.credit(*entry, used.of(limit_type));
            }
        }
    }

    /// What its windows hold: type, limit, amount.
    pub(super) fn held(&mut self, now: u64) -> impl Iterator<Item = (LimitType, u64, u64)> {
        let limits = self.limits;
        self.windows.iter_mut().zip(LimitType::ALL).filter_map(move |(window, limit_type)| {
            Some((limit_type, limits.get(limit_type)?, window.as_mut()?.held(now)))
        })
    }

    /// Whether it holds nothing that a new one would not.
    pub(super) fn is_idle(&mut self, now: u64) -> bool {
        self.held(now).all(|(_, _, held)| held == 0)
    }
}
