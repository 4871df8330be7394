//! Aliases: names that move from version to version.

use rusqlite::OptionalExtension;

use super::Registry;
use super::error::RegistryError;
use super::name::{ModelName, VersionId};
use super::rows;

const MAX_CHARS: usize = 255;

/// Refuses what cannot be an alias: other characters than letters, digits, `_` and `-`, and what would read as a version.
pub(super) fn check_alias(alias: &str) -> Result<&str, RegistryError> {
    let refuse = |problem: &str| {
        let accepted = "accepted are 1 to 255 letters, digits, '_' and '-'";
        Err(RegistryError::invalid("alias", alias, format!("{problem}; {accepted}")))
    };
    if alias.is_empty() || alias.chars().count() > MAX_CHARS {
        return refuse(&format!("has {} characters", alias.chars().count()));
    }
    if let Some(bad) = alias.chars().find(|c| !c.is_alphanumeric() && !matches!(c, '_' | '-')) {
        return refuse(&format!("contains {bad:?}"));
    }
    if alias.eq_ignore_ascii_case("latest") {
        return refuse("is reserved for the version with the highest number");
    }
    let digits = alias.strip_prefix(['v', 'V']).unwrap_or_default();
    if !digits.is_empty() && digits.chars().all(char::is_numeric) {
        return refuse("is reserved: it reads as a version");
    }
    Ok(alias)
}

impl Registry {
    /// Points `alias` at a version, from wherever it pointed before.
    ///
    /// # Errors
    /// No alias, no such version.
    pub fn set_alias(&self, id: &VersionId, alias: &str) -> Result<(), RegistryError> {
        check_alias(alias)?;
        self.change(&id.name, |tx, _| {
            rows::live_version(tx, id)?;
            tx.prepare_cached(
                "INSERT INTO model_alias (name, alias, version) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version",
            )?
            .execute((&id.name, alias, id.version))?;
            Ok(())
        })
    }

    /// Removes an alias; whether there was one. The versions stay.
    ///
    /// # Errors
    /// No such model.
    pub fn delete_alias(&self, name: &ModelName, alias: &str) -> Result<bool, RegistryError> {
        self.change(name, |tx, _| {
            let removed = tx
                .prepare_cached("DELETE FROM model_alias WHERE name = ?1 AND alias = ?2 RETURNING version")?
                .query_row((name, alias), |_| Ok(()))
                .optional()?;
            Ok(removed.is_some())
        })
    }
}
