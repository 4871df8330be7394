//! Registered models.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Registry;
use super::error::RegistryError;
use super::name::ModelName;
use super::rows;
use super::tag::{Tags, check_tag};

/// When something was done and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stamp {
    /// When.
    pub at: Timestamp,
    /// By whom, as the host said.
    pub by: String,
}

/// A name under which versions are registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RegisteredModel {
    /// The name.
    pub name: ModelName,
    /// Whose it is.
    pub owner: String,
    /// What it is for.
    pub comment: String,
    /// Tags.
    pub tags: Tags,
    /// The versions that aliases point at.
    pub aliases: BTreeMap<String, u64>,
    /// When it was registered.
    pub created: Stamp,
    /// When its owner or comment last changed.
    pub updated: Stamp,
}

/// A model to be registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct NewModel {
    /// Whose it is; of who registers it, if nothing is said.
    pub owner: Option<String>,
    /// What it is for.
    pub comment: String,
    /// Tags.
    pub tags: Tags,
}

impl NewModel {
    /// Says whose it is.
    pub fn owned_by(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Says what it is for.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = comment.into();
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }
}

/// What to change of a model; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelChange {
    /// Whose it is from now on.
    pub owner: Option<String>,
    /// What it is for.
    pub comment: Option<String>,
}

impl Registry {
    /// Registers `name`. Numbers of versions go on where an earlier, deleted model of the name left off.
    ///
    /// # Errors
    /// A name that is taken, tags that are too long.
    pub fn create_model(&self, name: &ModelName, new: &NewModel, by: &str) -> Result<(), RegistryError> {
        new.tags.iter().try_for_each(|(key, value)| check_tag(key, value))?;
        let now = self.clock.wall();
        self.database.write(|tx| {
            if rows::live_model(tx, name)?.is_some() {
                return Err(RegistryError::Exists { name: name.clone() });
            }
            rows::insert_model(tx, name, new, &Stamp { at: now, by: by.into() })
        })
    }

    /// Changes the owner or the comment.
    ///
    /// # Errors
    /// No such model.
    pub fn update_model(
        &self,
        name: &ModelName,
        change: &ModelChange,
        by: &str,
    ) -> Result<(), RegistryError> {
        let now = self.clock.wall();
        self.change(name, |tx, model| {
            tx.prepare_cached(
                "UPDATE registered_model SET owner = coalesce(?2, owner), comment = coalesce(?3, comment),
                     updated_at = ?4, updated_by = ?5 WHERE id = ?1",
            )?
            .execute((model, &change.owner, &change.comment, now, by))?;
            Ok(())
        })
    }

    /// Deletes a model with all its versions, aliases and tags. There is no way back; the numbers stay used.
    ///
    /// # Errors
    /// No such model.
    pub fn delete_model(&self, name: &ModelName, by: &str) -> Result<(), RegistryError> {
        let now = Stamp { at: self.clock.wall(), by: by.into() };
        self.change(name, |tx, model| {
            let mut versions = tx.prepare_cached("SELECT version FROM model_version WHERE model = ?1 AND deleted_at IS NULL")?;
            let versions = versions.query_map([model], |row| row.get(0))?.collect::<rusqlite::Result<Vec<u64>>>()?;
            for version in versions {
                rows::bury_version(tx, name, version, &now)?;
            }
            tx.prepare_cached("DELETE FROM model_tag WHERE model = ?1")?.execute([model])?;
            tx.prepare_cached(
                "UPDATE registered_model SET deleted_at = ?2, updated_at = ?2, updated_by = ?3, comment = '' WHERE id = ?1",
            )?
            .execute((model, now.at, by))?;
            Ok(())
        })
    }
}
