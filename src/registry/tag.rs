//! Tags: free keys and values on models and versions.

use std::collections::BTreeMap;

use super::Registry;
use super::error::RegistryError;
use super::name::{ModelName, VersionId};
use super::rows;

const MAX_KEY_CHARS: usize = 250;
const MAX_VALUE_CHARS: usize = 100_000;

/// Tags by their keys.
pub type Tags = BTreeMap<String, String>;

/// Refuses what cannot be a tag.
pub(super) fn check_tag(key: &str, value: &str) -> Result<(), RegistryError> {
    let length = key.chars().count();
    if length == 0 || length > MAX_KEY_CHARS || key.contains(char::is_control) {
        let problem = format!(
            "has {length} characters; accepted are 1 to {MAX_KEY_CHARS}, none of them a control character"
        );
        return Err(RegistryError::invalid("tag key", key, problem));
    }
    let length = value.chars().count();
    if length > MAX_VALUE_CHARS {
        let problem = format!("has a value of {length} characters; accepted are up to {MAX_VALUE_CHARS}");
        return Err(RegistryError::invalid("tag", key, problem));
    }
    Ok(())
}

impl Registry {
    /// Sets a tag of a model, in place of one with the same key.
    ///
    /// # Errors
    /// No such model; a key or a value that is too long.
    pub fn set_model_tag(&self, name: &ModelName, key: &str, value: &str) -> Result<(), RegistryError> {
        check_tag(key, value)?;
        self.change(name, |tx, model| rows::set_model_tag(tx, model, key, value))
    }

    /// Removes a tag of a model; whether there was one.
    ///
    /// # Errors
    /// No such model.
    pub fn delete_model_tag(&self, name: &ModelName, key: &str) -> Result<bool, RegistryError> {
        self.change(name, |tx, model| {
            let sql = "DELETE FROM model_tag WHERE model = ?1 AND key = ?2";
            Ok(tx.prepare_cached(sql)?.execute((model, key))? > 0)
        })
    }

    /// Sets a tag of a version, in place of one with the same key.
    ///
    /// # Errors
    /// No such version; a key or a value that is too long.
    pub fn set_version_tag(&self, id: &VersionId, key: &str, value: &str) -> Result<(), RegistryError> {
        check_tag(key, value)?;
        self.change(&id.name, |tx, _| {
            rows::live_version(tx, id)?;
            rows::set_version_tag(tx, id, key, value)
        })
    }

    /// Removes a tag of a version; whether there was one.
    ///
    /// # Errors
    /// No such version.
    pub fn delete_version_tag(&self, id: &VersionId, key: &str) -> Result<bool, RegistryError> {
        self.change(&id.name, |tx, _| {
            rows::live_version(tx, id)?;
            let sql = "DELETE FROM version_tag WHERE name = ?1 AND version = ?2 AND key = ?3";
            Ok(tx.prepare_cached(sql)?.execute((&id.name, id.version, key))? > 0)
        })
    }
}
