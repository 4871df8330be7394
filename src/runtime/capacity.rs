//! Reserved capacity: how fast an endpoint is on this machine, what it may rely on, and whether it got it.

use serde::Serialize;

use super::ModelRuntime;
use super::endpoint::Endpoint;
use super::entity::Served;
use super::speed::{embedding_speed, generation_speed};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::fairness::{Attainment, Reservation, Share, Speed};
use crate::metering::capacity::ProvisionedThroughput;

/// What reservations are multiples of, where the machine does at least ten times as much.
const CHUNK: u64 = 10;

/// How fast an endpoint is when it has the machine for itself, in tokens per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MeasuredCapacity {
    /// Of output, from as many requests at once as the endpoint runs; of an endpoint that embeds, of its texts.
    pub output_tokens_per_second: u64,
    /// Of prompts.
    pub prompt_tokens_per_second: u64,
    /// What `min` and `max` of a reservation are multiples of.
    pub throughput_chunk_size: u64,
    /// The most that it could be promised now, beside what others hold.
    pub fits: u64,
}

impl ModelRuntime {
    /// Measures how fast an endpoint is on this machine, with requests of 128 tokens and answers of 64, as many at once as it
    /// runs. Takes seconds to minutes; what else the machine does meanwhile makes the endpoint look slower. Nothing of it is
    /// metered.
    ///
    /// # Errors
    /// An unknown endpoint, or one that cannot answer (its queue is full, its context is shorter than 16 tokens).
    pub fn measure_capacity(&self, endpoint: &str) -> Result<MeasuredCapacity> {
        let endpoint = self.inner.endpoints.find(endpoint)?;
        let speed = self.measure(&endpoint)?;
        let chunk = chunk(speed);
        Ok(MeasuredCapacity {
            output_tokens_per_second: speed.decode.into(),
            prompt_tokens_per_second: speed.prefill.into(),
            throughput_chunk_size: chunk,
            fits: self.inner.capacity.lock().fits(endpoint.name(), speed.decode.into(), chunk),
        })
    }

    /// Promises an endpoint throughput, measured in output tokens per second or what takes as long: at least `min` whatever
    /// others do, as long as it has work, and never more than `max`. What it does not use is the others'. The endpoint is
    /// [measured](Self::measure_capacity) first, unless it was before.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a band that is none or beyond the machine, [`ErrorKind::Conflict`] when others hold
    /// too much of it; both say what would fit.
    pub fn provision(&self, endpoint: &str, wanted: ProvisionedThroughput) -> Result<()> {
        let found = self.inner.endpoints.find(endpoint)?;
        let speed = match found.speed() {
            Some(speed) => speed,
            None => self.measure(&found)?,
        };
        let measured = u64::from(speed.decode);
        self.inner.capacity.lock().reserve(endpoint, measured, chunk(speed), wanted)?;
        let within = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let share = Share::Reserved(Reservation { min: within(wanted.min), max: within(wanted.max), speed });
        found.set_share(share);
        self.share(&found)
    }

    /// Gives back what an endpoint was promised: from now on it shares with all others. Nothing happens to one that holds
    /// nothing.
    ///
    /// # Errors
    /// An unknown endpoint.
    pub fn release(&self, endpoint: &str) -> Result<()> {
        let found = self.inner.endpoints.find(endpoint)?;
        self.inner.capacity.lock().release(endpoint);
        found.set_share(Share::BestEffort);
        self.share(&found)
    }

    /// What became of an endpoint's reservation in the last minute: what it was owed, given and would have taken. `None` of one
    /// without a reservation.
    ///
    /// # Errors
    /// An unknown endpoint.
    pub fn attainment(&self, endpoint: &str) -> Result<Option<Attainment>> {
        let endpoint = self.inner.endpoints.find(endpoint)?;
        if endpoint.share() == Share::BestEffort {
            return Ok(None);
        }
        let member = endpoint.configuration().main().served.member();
        Ok(self.inner.machine.attainment(member))
    }

    /// Lets the engines of an endpoint have its share of the machine.
    pub(super) fn share(&self, endpoint: &Endpoint) -> Result<()> {
        for (entity, percent) in endpoint.configuration().entities() {
            self.inner.machine.set_share(entity.served.member(), part(endpoint.share(), *percent))?;
        }
        Ok(())
    }

    /// How fast an endpoint's main entity is, kept for its reservations.
    fn measure(&self, endpoint: &Endpoint) -> Result<Speed> {
        let clock = self.clock();
        let speed = match &endpoint.configuration().main().served {
            Served::Generation(entity) => generation_speed(entity.engine(), entity.info().vocab_size, clock)?,
            Served::Embedding(entity) => embedding_speed(entity.engine(), entity.info(), clock)?,
        };
        endpoint.set_speed(speed);
        Ok(speed)
    }
}

fn chunk(speed: Speed) -> u64 {
    if u64::from(speed.decode) >= 10 * CHUNK { CHUNK } else { 1 }
}

/// The part of an endpoint's share that an entity with `percent` of its requests gets.
fn part(share: Share, percent: u8) -> Share {
    let of = |value: u32| (u64::from(value) * u64::from(percent) / 100) as u32;
    match share {
        Share::Reserved(all) if percent > 0 => {
            Share::Reserved(Reservation { min: of(all.min), max: of(all.max).max(1), ..all })
        }
        _ => Share::BestEffort,
    }
}
