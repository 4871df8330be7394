//! What an engine may have of the machine, and what it got.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A billionth of a token: rates times nanoseconds are whole numbers of it.
pub(super) const NANOS_PER_TOKEN: u64 = 1_000_000_000;

/// What an engine may have of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Share {
    /// As much time as any other engine that wants more, of what reservations leave.
    #[default]
    BestEffort,
    /// So much whatever others do.
    Reserved(Reservation),
}

impl Share {
    pub(super) fn reservation(&self) -> Option<&Reservation> {
        match self {
            Self::BestEffort => None,
            Self::Reserved(reservation) => Some(reservation),
        }
    }

    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) naming the field.
    pub fn validate(&self) -> Result<()> {
        let Some(Reservation { min, max, speed: Speed { decode, prefill } }) = self.reservation() else {
            return Ok(());
        };
        for (name, value) in [("max", max), ("decode", decode), ("prefill", prefill)] {
            if *value == 0 {
                let message =
                    format!("{name} of a reservation is 0 tokens per second; it must be at least 1");
                return Err(Error::invalid(name, message));
            }
        }
        if min > max {
            let message = format!("min of a reservation is {min} tokens per second, more than max ({max})");
            return Err(Error::invalid("min", message));
        }
        Ok(())
    }
}

/// A rate that is kept free for an engine, in output tokens per second or what takes as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// What the engine is owed while it has work.
    pub min: u32,
    /// What it never exceeds, even if nobody else wants the machine.
    pub max: u32,
    /// How fast it is.
    pub speed: Speed,
}

/// How fast an engine is when it has the machine for itself, as measured, in tokens per second. Only the proportion
/// of the two counts here: a prompt token is worth `decode / prefill` of an output token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speed {
    /// Of output.
    pub decode: u32,
    /// Of prompts.
    pub prefill: u32,
}

impl Speed {
    /// What some tokens are worth, in billionths of an output token.
    pub(super) fn worth(self, served: Served) -> u64 {
        let nanos = u128::from(NANOS_PER_TOKEN);
        let prompt =
            u128::from(served.prompt) * nanos * u128::from(self.decode) / u128::from(self.prefill.max(1));
        u64::try_from(u128::from(served.output) * nanos + prompt).unwrap_or(u64::MAX)
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Served {
    /// Rows of prompts, and of texts that are embedded.
    pub(crate) prompt: u64,
    /// Tokens generated.
    pub(crate) output: u64,
}

/// What became of a reservation in the time just passed, in output tokens or what takes as long. It was attained if
/// `given` is at least the lesser of `owed` and `wanted`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attainment {
    /// The time that the numbers are about.
    pub window: Duration,
    /// The time in it when the engine had work.
    pub busy: Duration,
    /// The time in it when the engine computed.
    pub computing: Duration,
    /// The reserved minimum, over the time when the engine had work.
    pub owed: f64,
    /// What it was served.
    pub given: f64,
    /// What it would have been served at the speed of its steps if it had never waited for others.
    pub wanted: f64,
}
