//! Provisioned throughput: what is reserved of a machine's measured capacity.
//!
//! An endpoint reserves a band of tokens per second. Its `min` is promised whatever others do; up to its `max` it gets what
//! nobody else needs; beyond `max` its requests queue. Promises together never exceed what was measured. What an endpoint does
//! not use is everybody's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// What an endpoint reserves, in tokens per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvisionedThroughput {
    /// What is promised; 0 promises nothing.
    #[serde(rename = "min_provisioned_throughput")]
    pub min: u64,
    /// What it may have when others leave it.
    #[serde(rename = "max_provisioned_throughput")]
    pub max: u64,
}

/// A reservation that is not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CapacityError {
    /// The band is none.
    #[error(
        "{what} of {endpoint:?} is {found} tokens/s; accepted are multiples of {chunk}, `min` at most `max`, and `max` not 0"
    )]
    Band {
        /// The endpoint.
        endpoint: String,
        /// Which end of the band is at fault.
        what: &'static str,
        /// Its value.
        found: u64,
        /// What it has to be a multiple of.
        chunk: u64,
    },
    /// The machine cannot do it, even with nobody else on it.
    #[error(
        "{endpoint:?} asks for up to {max} tokens/s and this machine was measured at {measured}; accepted is at most {fits}"
    )]
    BeyondMachine {
        /// The endpoint.
        endpoint: String,
        /// What it asks for.
        max: u64,
        /// What the machine does.
        measured: u64,
        /// The largest multiple of the chunk within that.
        fits: u64,
    },
    /// Others hold too much of it.
    #[error(
        "{endpoint:?} asks for {min} tokens/s of the {measured} that this machine does, of which others hold {held}; accepted \
         is at most {fits}"
    )]
    Taken {
        /// The endpoint.
        endpoint: String,
        /// What it asks for.
        min: u64,
        /// What the machine does.
        measured: u64,
        /// What is promised to others.
        held: u64,
        /// The largest multiple of the chunk that is left.
        fits: u64,
    },
    /// The measured capacity would be less than what is promised.
    #[error(
        "a capacity of {measured} tokens/s is less than the {held} that are promised; accepted is at least that, or endpoints \
         are to give back first"
    )]
    LessThanPromised {
        /// What the machine does.
        measured: u64,
        /// What is promised.
        held: u64,
    },
    /// A chunk of nothing.
    #[error("`chunk` is 0; accepted is 1 and more")]
    Chunk,
}

impl From<CapacityError> for Error {
    fn from(error: CapacityError) -> Self {
        let (kind, param) = match &error {
            CapacityError::Band { what, .. } => (ErrorKind::InvalidRequest, Some(*what)),
            CapacityError::BeyondMachine { .. } => {
                (ErrorKind::InvalidRequest, Some("max_provisioned_throughput"))
            }
            CapacityError::Chunk => (ErrorKind::InvalidRequest, Some("chunk")),
            CapacityError::Taken { .. } | CapacityError::LessThanPromised { .. } => {
                (ErrorKind::Conflict, None)
            }
        };
        let public = Self::new(kind, error.to_string()).with_source(error);
        match param {
            Some(param) => public.with_param(param),
            None => public,
        }
    }
}

/// What a machine does, and what is promised of it to which endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    measured: u64,
    chunk: u64,
    reserved: BTreeMap<String, ProvisionedThroughput>,
}

impl Capacity {
    /// A capacity that was measured in tokens per second; reservations are multiples of `chunk`.
    ///
    /// # Errors
    /// [`CapacityError::Chunk`].
    pub fn new(measured: u64, chunk: u64) -> Result<Self, CapacityError> {
        if chunk == 0 {
            return Err(CapacityError::Chunk);
        }
        Ok(Self { measured, chunk, reserved: BTreeMap::new() })
    }

    /// What was measured, in tokens per second.
    pub fn measured(&self) -> u64 {
        self.measured
    }

    /// What reservations are multiples of.
    pub fn chunk(&self) -> u64 {
        self.chunk
    }

    /// What is promised to all endpoints together.
    pub fn promised(&self) -> u64 {
        // Together at most what is measured.
        self.reserved.values().map(|reserved| reserved.min).sum()
    }

    /// The most that a further endpoint could be promised.
    pub fn fits(&self) -> u64 {
        self.whole_chunks(self.measured - self.promised())
    }

    /// The reservations by endpoint.
    pub fn reservations(&self) -> impl Iterator<Item = (&str, ProvisionedThroughput)> {
        self.reserved.iter().map(|(endpoint, reserved)| (endpoint.as_str(), *reserved))
    }

    /// Reserves for an endpoint, in place of what it held. Refused, it keeps what it held.
    ///
    /// # Errors
    /// [`CapacityError::Band`], [`CapacityError::BeyondMachine`], [`CapacityError::Taken`] with what would fit.
    pub fn reserve(&mut self, endpoint: &str, wanted: ProvisionedThroughput) -> Result<(), CapacityError> {
        let ProvisionedThroughput { min, max } = wanted;
        let (measured, chunk) = (self.measured, self.chunk);
        let named = || endpoint.to_owned();
        let band = |what, found| CapacityError::Band { endpoint: named(), what, found, chunk };
        if max == 0 || !max.is_multiple_of(chunk) {
            return Err(band("max_provisioned_throughput", max));
        }
        if min > max || !min.is_multiple_of(chunk) {
            return Err(band("min_provisioned_throughput", min));
        }
        if max > measured {
            let fits = self.whole_chunks(measured);
            return Err(CapacityError::BeyondMachine { endpoint: named(), max, measured, fits });
        }
        let held = self.promised() - self.reserved.get(endpoint).map_or(0, |own| own.min);
        if min > measured - held {
            let fits = self.whole_chunks(measured - held);
            return Err(CapacityError::Taken { endpoint: named(), min, measured, held, fits });
        }
        self.reserved.insert(named(), wanted);
        Ok(())
    }

    /// Gives back what an endpoint holds, if it holds anything.
    pub fn release(&mut self, endpoint: &str) -> Option<ProvisionedThroughput> {
        self.reserved.remove(endpoint)
    }

    /// Takes another measurement.
    ///
    /// # Errors
    /// [`CapacityError::LessThanPromised`]; the measurement before stays.
    pub fn set_measured(&mut self, measured: u64) -> Result<(), CapacityError> {
        let held = self.promised();
        if measured < held {
            return Err(CapacityError::LessThanPromised { measured, held });
        }
        self.measured = measured;
        Ok(())
    }

    fn whole_chunks(&self, tokens: u64) -> u64 {
        tokens - tokens % self.chunk
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn band(min: u64, max: u64) -> ProvisionedThroughput {
        ProvisionedThroughput { min, max }
    }

    #[test]
    fn a_refusal_says_what_would_fit() {
        let mut capacity = Capacity::new(5_000, 980).unwrap();
        assert_eq!(capacity.fits(), 4_900);
        capacity.reserve("a", band(1_960, 4_900)).unwrap();
        let refused = capacity.reserve("b", band(3_920, 3_920)).unwrap_err();
        let expected = "\"b\" asks for 3920 tokens/s of the 5000 that this machine does, of which others hold 1960; accepted is at \
                        most 2940";
        assert_eq!(refused.to_string(), expected);
        assert_eq!(Error::from(refused).kind(), ErrorKind::Conflict);
        capacity.reserve("b", band(2_940, 2_940)).unwrap();
        let refused = capacity.reserve("c", band(0, 5_880)).unwrap_err();
        assert!(matches!(refused, CapacityError::BeyondMachine { max: 5_880, fits: 4_900, .. }), "{refused}");
        assert_eq!(Error::from(refused).param(), Some("max_provisioned_throughput"));
        // Nothing is promised: that always fits.
        capacity.reserve("c", band(0, 4_900)).unwrap();
        assert_eq!((capacity.promised(), capacity.fits()), (4_900, 0));
        assert_eq!(capacity.release("a"), Some(band(1_960, 4_900)));
        assert_eq!((capacity.release("a"), capacity.fits()), (None, 1_960));
    }

    #[test]
    fn a_band_is_of_whole_chunks() {
        let mut capacity = Capacity::new(5_000, 980).unwrap();
        for (min, max, at_fault) in [
            (0, 0, "max_provisioned_throughput"),
            (980, 1_000, "max_provisioned_throughput"),
            (100, 980, "min_provisioned_throughput"),
            (1_960, 980, "min_provisioned_throughput"),
        ] {
            let refused = capacity.reserve("a", band(min, max)).unwrap_err();
            assert!(matches!(&refused, CapacityError::Band { what, .. } if *what == at_fault), "{refused}");
        }
        assert_eq!(Capacity::new(5_000, 0), Err(CapacityError::Chunk));
    }

    #[test]
    fn another_measurement_cannot_break_promises() {
        let mut capacity = Capacity::new(3_000, 1_000).unwrap();
        capacity.reserve("a", band(2_000, 3_000)).unwrap();
        let refused = capacity.set_measured(1_999).unwrap_err();
        assert_eq!(
            (refused, capacity.measured()),
            (CapacityError::LessThanPromised { measured: 1_999, held: 2_000 }, 3_000)
        );
        capacity.set_measured(2_000).unwrap();
        assert_eq!(capacity.fits(), 0);
    }

    proptest! {
        #[test]
        fn promises_never_exceed_the_machine_and_what_is_said_to_fit_does(
            measured in 0..20_000_u64,
            chunk in 1..2_000_u64,
            steps in prop::collection::vec((0..4_u8, 0..12_u64, 0..12_u64, any::<bool>()), 0..40),
        ) {
            let mut capacity = Capacity::new(measured, chunk).unwrap();
            for (endpoint, min, max, give_back) in steps {
                let name = endpoint.to_string();
                if give_back {
                    capacity.release(&name);
                    continue;
                }
                let before = capacity.clone();
                if let Err(refused) = capacity.reserve(&name, band(min * chunk, max * chunk)) {
                    prop_assert_eq!(&capacity, &before);
                    if let CapacityError::Taken { fits, .. } = refused {
                        let mut more = capacity.clone();
                        prop_assert!(more.reserve(&name, band(fits, max * chunk)).is_ok());
                        prop_assert!(more.reserve(&name, band(fits + chunk, max * chunk)).is_err());
                    }
                }
                prop_assert!(capacity.promised() <= measured);
                let fits = capacity.fits();
                if fits > 0 {
                    prop_assert!(capacity.clone().reserve("new", band(fits, fits)).is_ok());
                }
                let further = capacity.clone().reserve("new", band(fits + chunk, fits + chunk));
                prop_assert!(further.is_err());
            }
        }
    }
}
