//! Provisioned throughput: what is promised of a machine.
//!
//! An endpoint reserves a band of tokens per second. Its `min` is promised whatever others do; up to its `max` it gets what
//! nobody else needs; beyond `max` its requests queue. What a token costs differs from model to model, so a promise takes a part
//! of the machine: `min` over what the machine does of this model when it does nothing else. All parts together are at most
//! the machine. What an endpoint does not use is everybody's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// The machine, in the parts that promises are counted in.
const WHOLE: u64 = 1_000_000;

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
        "{endpoint:?} asks for up to {max} tokens/s and this machine was measured at {measured} for it; accepted is at most {fits}"
    )]
    BeyondMachine {
        /// The endpoint.
        endpoint: String,
        /// What it asks for.
        max: u64,
        /// What the machine does of it.
        measured: u64,
        /// The largest multiple of the chunk within that.
        fits: u64,
    },
    /// Others hold too much of it.
    #[error(
        "{endpoint:?} asks for {min} tokens/s of the {measured} that this machine does for it, and others hold {held} % of the \
         machine; accepted is at most {fits}"
    )]
    Taken {
        /// The endpoint.
        endpoint: String,
        /// What it asks for.
        min: u64,
        /// What the machine does of it.
        measured: u64,
        /// What is promised to others, in percent of the machine, rounded up.
        held: u64,
        /// The largest multiple of the chunk that is left.
        fits: u64,
    },
}

impl From<CapacityError> for Error {
    fn from(error: CapacityError) -> Self {
        let (kind, param) = match &error {
            CapacityError::Band { what, .. } => (ErrorKind::InvalidRequest, *what),
            CapacityError::BeyondMachine { .. } => (ErrorKind::InvalidRequest, "max_provisioned_throughput"),
            CapacityError::Taken { .. } => (ErrorKind::Conflict, "min_provisioned_throughput"),
        };
        Self::new(kind, error.to_string()).with_param(param).with_source(error)
    }
}

/// What is promised of a machine to which endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Parts of the whole.
    promised: BTreeMap<String, u64>,
}

impl Capacity {
    /// What is promised to all endpoints together, as a share of the machine.
    pub fn promised(&self) -> f64 {
        self.promised.values().sum::<u64>() as f64 / WHOLE as f64
    }

    /// The most that `endpoint` could be promised beside what others hold, where the machine does `measured` tokens per
    /// second of it and a reservation is a multiple of `chunk`, at least 1.
    pub fn fits(&self, endpoint: &str, measured: u64, chunk: u64) -> u64 {
        let left = WHOLE - self.held_by_others(endpoint);
        let tokens = u128::from(left) * u128::from(measured) / u128::from(WHOLE);
        let tokens = u64::try_from(tokens).unwrap_or(u64::MAX);
        tokens - tokens % chunk.max(1)
    }

    /// Reserves for an endpoint, in place of what it held; `measured` and `chunk` as for [`fits`](Self::fits). Refused, it keeps
    /// what it held.
    ///
    /// # Errors
    /// [`CapacityError::Band`], [`CapacityError::BeyondMachine`], [`CapacityError::Taken`] with what would fit.
    pub fn reserve(
        &mut self,
        endpoint: &str,
        measured: u64,
        chunk: u64,
        wanted: ProvisionedThroughput,
    ) -> Result<(), CapacityError> {
        let (ProvisionedThroughput { min, max }, chunk) = (wanted, chunk.max(1));
        let named = || endpoint.to_owned();
        let band = |what, found| CapacityError::Band { endpoint: named(), what, found, chunk };
        if max == 0 || !max.is_multiple_of(chunk) {
            return Err(band("max_provisioned_throughput", max));
        }
        if min > max || !min.is_multiple_of(chunk) {
            return Err(band("min_provisioned_throughput", min));
        }
        if max > measured {
            let fits = measured - measured % chunk;
            return Err(CapacityError::BeyondMachine { endpoint: named(), max, measured, fits });
        }
        let fits = self.fits(endpoint, measured, chunk);
        if min > fits {
            let held = (self.held_by_others(endpoint) * 100).div_ceil(WHOLE);
            return Err(CapacityError::Taken { endpoint: named(), min, measured, held, fits });
        }
        // At most the whole, since `min` is at most `measured`, which is not 0 because `max` is not.
        let part = (u128::from(min) * u128::from(WHOLE)).div_ceil(u128::from(measured)) as u64;
        self.promised.insert(named(), part);
        Ok(())
    }

    /// Gives back what an endpoint holds, if it holds anything.
    pub fn release(&mut self, endpoint: &str) {
        self.promised.remove(endpoint);
    }

    fn held_by_others(&self, endpoint: &str) -> u64 {
        // Together at most the whole.
        self.promised.iter().filter(|(name, _)| *name != endpoint).map(|(_, part)| part).sum()
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
        let mut capacity = Capacity::default();
        assert_eq!(capacity.fits("a", 5_000, 980), 4_900);
        capacity.reserve("a", 5_000, 980, band(1_960, 4_900)).unwrap();
        // Another model is twice as fast: what is left of the machine is worth more of its tokens.
        assert_eq!(capacity.fits("b", 10_000, 10), 6_080);
        let refused = capacity.reserve("b", 5_000, 980, band(3_920, 3_920)).unwrap_err();
        let expected = "\"b\" asks for 3920 tokens/s of the 5000 that this machine does for it, and others hold 40 % of the machine; \
                        accepted is at most 2940";
        assert_eq!(refused.to_string(), expected);
        assert_eq!(Error::from(refused).kind(), ErrorKind::Conflict);
        capacity.reserve("b", 5_000, 980, band(2_940, 2_940)).unwrap();
        let refused = capacity.reserve("c", 5_000, 980, band(0, 5_880)).unwrap_err();
        assert!(matches!(refused, CapacityError::BeyondMachine { max: 5_880, fits: 4_900, .. }), "{refused}");
        assert_eq!(Error::from(refused).param(), Some("max_provisioned_throughput"));
        // Nothing is promised: that always fits.
        capacity.reserve("c", 5_000, 980, band(0, 4_900)).unwrap();
        assert!((capacity.promised() - 0.98).abs() < 1e-9);
        capacity.release("a");
        capacity.release("a");
        assert_eq!(capacity.fits("d", 5_000, 980), 1_960);
    }

    #[test]
    fn a_band_is_of_whole_chunks() {
        let mut capacity = Capacity::default();
        for (min, max, at_fault) in [
            (0, 0, "max_provisioned_throughput"),
            (980, 1_000, "max_provisioned_throughput"),
            (100, 980, "min_provisioned_throughput"),
            (1_960, 980, "min_provisioned_throughput"),
        ] {
            let refused = capacity.reserve("a", 5_000, 980, band(min, max)).unwrap_err();
            assert!(matches!(&refused, CapacityError::Band { what, .. } if *what == at_fault), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn promises_never_exceed_the_machine_and_what_is_said_to_fit_does(
            steps in prop::collection::vec((0..4_u8, 0..20_000_u64, 1..2_000_u64, 0..12_u64, 0..12_u64, any::<bool>()), 0..40),
        ) {
            let mut capacity = Capacity::default();
            for (endpoint, measured, chunk, min, max, give_back) in steps {
                let name = endpoint.to_string();
                if give_back {
                    capacity.release(&name);
                    continue;
                }
                let before = capacity.clone();
                if let Err(refused) = capacity.reserve(&name, measured, chunk, band(min * chunk, max * chunk)) {
                    prop_assert_eq!(&capacity, &before);
                    if let CapacityError::Taken { fits, .. } = refused {
                        let mut more = capacity.clone();
                        prop_assert!(more.reserve(&name, measured, chunk, band(fits, max * chunk)).is_ok());
                        prop_assert!(more.reserve(&name, measured, chunk, band(fits + chunk, max * chunk)).is_err());
                    }
                }
                prop_assert!(capacity.promised() <= 1.0);
                let fits = capacity.fits("new", measured, chunk);
                if fits > 0 {
                    prop_assert!(capacity.clone().reserve("new", measured, chunk, band(fits, fits)).is_ok());
                }
                let further = fits + chunk;
                prop_assert!(capacity.clone().reserve("new", measured, chunk, band(further, further)).is_err());
            }
        }
    }
}
