//! What an endpoint serves at one time: entities and their shares.

use std::sync::Arc;

use super::super::entity::{Entity, EntityInfo};
use crate::error::{Error, Result};
use crate::models::Task;

/// The most entities behind one endpoint.
pub(in crate::runtime) const MAX_ENTITIES: usize = 10;

/// Entities of one task and their shares, in percent. It never changes: another one takes its place.
pub(in crate::runtime) struct Configuration {
    entities: Vec<(Arc<Entity>, u8)>,
}

impl Configuration {
    /// # Errors
    /// Names that come twice, entities of different tasks.
    pub(in crate::runtime) fn new(entities: Vec<(Arc<Entity>, u8)>) -> Result<Self> {
        let mut task: Option<Task> = None;
        for (at, (entity, _)) in entities.iter().enumerate() {
            if entities[..at].iter().any(|(other, _)| other.name() == entity.name()) {
                let message = format!(
                    "two served entities are called `{}`; each needs a name of its own",
                    entity.name()
                );
                return Err(Error::invalid("entities", message));
            }
            let own = entity.served.task();
            if task.replace(own).is_some_and(|task| task != own) {
                let message = format!(
                    "served entity `{}` is for {own:?} and the one before is not; all entities of an endpoint have one task",
                    entity.name()
                );
                return Err(Error::invalid("entities", message));
            }
        }
        Ok(Self { entities })
    }

    /// All entities and their shares; at least one.
    pub(in crate::runtime) fn entities(&self) -> &[(Arc<Entity>, u8)] {
        &self.entities
    }

    /// The entity of this name.
    pub(in crate::runtime) fn entity(&self, name: &str) -> Option<&Arc<Entity>> {
        self.entities.iter().map(|(entity, _)| entity).find(|entity| entity.name() == name)
    }

    /// The entity that stands for the endpoint where one is to be named: the first that gets requests.
    pub(in crate::runtime) fn main(&self) -> &Arc<Entity> {
        let main = self.entities.iter().find(|(_, share)| *share > 0);
        &main.unwrap_or(&self.entities[0]).0
    }

    /// What callers are told about each.
    pub(in crate::runtime) fn infos(&self) -> Vec<EntityInfo> {
        let info = |(entity, share): &(Arc<Entity>, u8)| EntityInfo {
            name: entity.name().into(),
            version: entity.recipe.version.clone(),
            registered: entity.recipe.identified.registered.as_ref().map(ToString::to_string),
            traffic: *share,
        };
        self.entities.iter().map(info).collect()
    }
}

/// Checks shares before anything is loaded.
pub(super) fn check_shares(shares: &[u8]) -> Result<()> {
    if shares.is_empty() || shares.len() > MAX_ENTITIES {
        let message =
            format!("the endpoint has {} served entities; accepted are 1 to {MAX_ENTITIES}", shares.len());
        return Err(Error::invalid("entities", message));
    }
    let sum: u32 = shares.iter().map(|share| u32::from(*share)).sum();
    if sum != 100 {
        let message =
            format!("the shares of traffic are {shares:?}, {sum} together; they have to sum to 100");
        return Err(Error::invalid("traffic", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shares_sum_to_a_hundred() {
        for good in [&[100][..], &[50, 50], &[0, 100], &[10; 10]] {
            check_shares(good).unwrap();
        }
        for bad in [&[][..], &[99], &[50, 51], &[200, 156], &[0], &[9; 11]] {
            assert!(check_shares(bad).is_err(), "{bad:?}");
        }
    }
}
