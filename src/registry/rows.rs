//! The rows of models and versions, as they are read and written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::{OptionalExtension, Row, Transaction};

use super::error::RegistryError;
use super::model::{NewModel, RegisteredModel, Stamp};
use super::name::{ModelName, VersionId};
use super::version::{ModelVersion, NewVersion, VersionStatus};
use crate::database::DatabaseError;
use crate::weights::{Digest, FileDigest};

/// What [`read_model`] reads; tags and aliases are rows of their own.
pub(super) const MODEL: &str = "name, owner, comment, created_at, created_by, updated_at, updated_by";
/// What [`read_version`] reads; tags are rows of their own.
pub(super) const VERSION: &str = "name, version, status, status_message, layout, source, run_id, parent_name, parent_version, \
                                  copied_name, copied_version, digest, comment, created_at, created_by, updated_at, \
                                  updated_by, deleted_at";

/// A stored name.
pub(super) fn name(stored: &str) -> Result<ModelName, DatabaseError> {
    stored.parse().map_err(|error: RegistryError| DatabaseError::value(error.to_string()))
}

/// A stored SHA-256.
pub(super) fn hash(stored: &[u8]) -> Result<Digest, DatabaseError> {
    let bytes: [u8; 32] = stored.try_into().map_err(|_| {
        DatabaseError::value(format!("a stored SHA-256 has {} bytes instead of 32", stored.len()))
    })?;
    Ok(bytes.into())
}

pub(super) fn read_model(row: &Row<'_>) -> Result<RegisteredModel, DatabaseError> {
    Ok(RegisteredModel {
        name: name(&row.get::<_, String>("name")?)?,
        owner: row.get("owner")?,
        comment: row.get("comment")?,
        tags: BTreeMap::new(),
        aliases: BTreeMap::new(),
        created: Stamp { at: row.get("created_at")?, by: row.get("created_by")? },
        updated: Stamp { at: row.get("updated_at")?, by: row.get("updated_by")? },
    })
}

pub(super) fn read_version(row: &Row<'_>) -> Result<ModelVersion, DatabaseError> {
    let reference = |of: &str, version: &str| -> Result<Option<VersionId>, DatabaseError> {
        let Some(of) = row.get::<_, Option<String>>(of)? else { return Ok(None) };
        Ok(Some(VersionId::new(name(&of)?, row.get(version)?)))
    };
    let digest: Option<Vec<u8>> = row.get("digest")?;
    Ok(ModelVersion {
        id: VersionId::new(name(&row.get::<_, String>("name")?)?, row.get("version")?),
        status: row.get("status")?,
        status_message: row.get("status_message")?,
        layout: row.get("layout")?,
        source: row.get::<_, Option<String>>("source")?.map(PathBuf::from),
        run_id: row.get("run_id")?,
        parent: reference("parent_name", "parent_version")?,
        copied_from: reference("copied_name", "copied_version")?,
        digest: digest.as_deref().map(hash).transpose()?,
        comment: row.get("comment")?,
        tags: BTreeMap::new(),
        created: Stamp { at: row.get("created_at")?, by: row.get("created_by")? },
        updated: Stamp { at: row.get("updated_at")?, by: row.get("updated_by")? },
        deleted_at: row.get("deleted_at")?,
    })
}

/// The row of the model that has the name now.
pub(super) fn live_model(tx: &Transaction<'_>, name: &ModelName) -> Result<Option<i64>, DatabaseError> {
    let mut live =
        tx.prepare_cached("SELECT id FROM registered_model WHERE name = ?1 AND deleted_at IS NULL")?;
    Ok(live.query_row([name], |row| row.get(0)).optional()?)
}

/// A version that is not deleted, without its tags.
pub(super) fn live_version(tx: &Transaction<'_>, id: &VersionId) -> Result<ModelVersion, RegistryError> {
    let sql = format!("SELECT {VERSION} FROM model_version WHERE name = ?1 AND version = ?2");
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query((&id.name, id.version))?;
    let version = rows.next()?.map(read_version).transpose()?;
    match version {
        Some(version) if version.deleted_at.is_none() => Ok(version),
        other => Err(RegistryError::VersionNotFound { id: id.clone(), deleted: other.is_some() }),
    }
}

pub(super) fn insert_model(
    tx: &Transaction<'_>,
    name: &ModelName,
    new: &NewModel,
    now: &Stamp,
) -> Result<(), RegistryError> {
    let owner = new.owner.as_ref().unwrap_or(&now.by);
    let model = tx
        .prepare_cached(
            "INSERT INTO registered_model (name, owner, comment, created_at, created_by, updated_at, updated_by, change)
             VALUES (?1, ?2, ?3, ?4, ?5, ?4, ?5, 0) RETURNING id",
        )?
        .query_row((name, owner, &new.comment, now.at, &now.by), |row| row.get(0))?;
    for (key, value) in &new.tags {
        set_model_tag(tx, model, key, value)?;
    }
    note_change(tx, model)
}

/// Tells all who keep a copy that the model is another one now.
pub(super) fn note_change(tx: &Transaction<'_>, model: i64) -> Result<(), RegistryError> {
    tx.prepare_cached("UPDATE registry_change SET counter = counter + 1")?.execute([])?;
    tx.prepare_cached(
        "UPDATE registered_model SET change = (SELECT counter FROM registry_change) WHERE id = ?1",
    )?
    .execute([model])?;
    Ok(())
}

/// Takes the next number of a name for a version; numbers of deleted versions and of deleted models count.
pub(super) fn insert_version(
    tx: &Transaction<'_>,
    model: i64,
    name: &ModelName,
    new: &NewVersion,
    source: &str,
    now: &Stamp,
) -> Result<u64, RegistryError> {
    let version: u64 = tx
        .prepare_cached("SELECT coalesce(max(version), 0) + 1 FROM model_version WHERE name = ?1")?
        .query_row([name], |row| row.get(0))?;
    tx.prepare_cached(
        "INSERT INTO model_version (name, version, model, status, status_message, attempt, layout, source, run_id, parent_name,
             parent_version, comment, created_at, created_by, updated_at, updated_by)
         VALUES (?1, ?2, ?3, ?4, '', 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?11, ?12)",
    )?
    .execute((
        name,
        version,
        model,
        VersionStatus::Pending,
        new.layout,
        source,
        &new.run_id,
        new.parent.as_ref().map(|parent| &parent.name),
        new.parent.as_ref().map(|parent| parent.version),
        &new.comment,
        now.at,
        &now.by,
    ))?;
    let id = VersionId::new(name.clone(), version);
    new.tags.iter().try_for_each(|(key, value)| set_version_tag(tx, &id, key, value))?;
    Ok(version)
}

pub(super) fn insert_files(
    tx: &Transaction<'_>,
    id: &VersionId,
    files: &[FileDigest],
) -> Result<(), RegistryError> {
    let mut insert = tx.prepare_cached("INSERT INTO version_file VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for file in files {
        insert.execute((&id.name, id.version, &file.name, file.bytes, file.sha256.as_bytes().as_slice()))?;
    }
    Ok(())
}

/// The files that a version was made of.
pub(super) fn files(tx: &Transaction<'_>, id: &VersionId) -> Result<Vec<FileDigest>, DatabaseError> {
    let sql = "SELECT file, bytes, sha256 FROM version_file WHERE name = ?1 AND version = ?2 ORDER BY file";
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query((&id.name, id.version))?;
    let mut files = Vec::new();
    while let Some(row) = rows.next()? {
        let sha256 = hash(&row.get::<_, Vec<u8>>(2)?)?;
        files.push(FileDigest { name: row.get(0)?, bytes: row.get(1)?, sha256 });
    }
    Ok(files)
}

/// Makes a version a tombstone.
pub(super) fn bury_version(
    tx: &Transaction<'_>,
    name: &ModelName,
    version: u64,
    now: &Stamp,
) -> Result<(), RegistryError> {
    tx.prepare_cached("DELETE FROM model_alias WHERE name = ?1 AND version = ?2")?
        .execute((name, version))?;
    tx.prepare_cached("DELETE FROM version_tag WHERE name = ?1 AND version = ?2")?
        .execute((name, version))?;
    tx.prepare_cached(
        "UPDATE model_version SET deleted_at = ?3, updated_at = ?3, updated_by = ?4, source = NULL, run_id = NULL,
             status_message = '', comment = '' WHERE name = ?1 AND version = ?2",
    )?
    .execute((name, version, now.at, &now.by))?;
    Ok(())
}

pub(super) fn set_model_tag(
    tx: &Transaction<'_>,
    model: i64,
    key: &str,
    value: &str,
) -> Result<(), RegistryError> {
    tx.prepare_cached(
        "INSERT INTO model_tag VALUES (?1, ?2, ?3) ON CONFLICT (model, key) DO UPDATE SET value = excluded.value",
    )?
    .execute((model, key, value))?;
    Ok(())
}

pub(super) fn set_version_tag(
    tx: &Transaction<'_>,
    id: &VersionId,
    key: &str,
    value: &str,
) -> Result<(), RegistryError> {
    tx.prepare_cached(
        "INSERT INTO version_tag VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name, version, key) DO UPDATE SET value = excluded.value",
    )?
    .execute((&id.name, id.version, key, value))?;
    Ok(())
}
