//! Versions of registered models.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

use super::Registry;
use super::error::RegistryError;
use super::model::Stamp;
use super::name::VersionId;
use super::rows;
use super::tag::Tags;
use crate::weights::Digest;

/// Implements the names of an enum in SQL and in sentences.
macro_rules! stored_names {
    ($type:ident, $($variant:ident => $name:literal),+ $(,)?) => {
        impl $type {
            /// The name in JSON and in sentences.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                match value.as_str()? {
                    $($name => Ok(Self::$variant),)+
                    other => Err(FromSqlError::Other(format!("unknown name {other:?}").into())),
                }
            }
        }
    };
}

/// How far the registration of a version has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VersionStatus {
    /// Its number is taken; its files are being hashed, or were when the process died.
    Pending,
    /// It can be served.
    Ready,
    /// Its files could not be read, or the registration was cancelled.
    Failed,
}

stored_names!(VersionStatus, Pending => "pending", Ready => "ready", Failed => "failed");

/// What the files of a version are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layout {
    /// A whole model: a Hugging Face directory or a GGUF file.
    #[default]
    Model,
    /// An adapter of low rank, in the layout of PEFT.
    Adapter,
}

stored_names!(Layout, Model => "model", Adapter => "adapter");

/// A version. Its files and its origin never change; its comment and tags may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ModelVersion {
    /// Which one.
    pub id: VersionId,
    /// How far its registration has come.
    pub status: VersionStatus,
    /// Why it failed.
    pub status_message: String,
    /// What its files are.
    pub layout: Layout,
    /// Where its files lie; forgotten when it is deleted.
    pub source: Option<PathBuf>,
    /// The run that made it; forgotten when it is deleted.
    pub run_id: Option<String>,
    /// The version that it was trained from.
    pub parent: Option<VersionId>,
    /// The version that it is a copy of.
    pub copied_from: Option<VersionId>,
    /// The hash over its files, once it is ready.
    pub digest: Option<Digest>,
    /// What there is to say about it.
    pub comment: String,
    /// Tags.
    pub tags: Tags,
    /// When its number was taken.
    pub created: Stamp,
    /// When its status or its comment last changed.
    pub updated: Stamp,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
}

/// A version to be registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NewVersion {
    /// Where its files lie.
    pub source: PathBuf,
    /// What its files are.
    #[serde(default)]
    pub layout: Layout,
    /// The run that made it.
    #[serde(default)]
    pub run_id: Option<String>,
    /// The version that it was trained from.
    #[serde(default)]
    pub parent: Option<VersionId>,
    /// What there is to say about it.
    #[serde(default)]
    pub comment: String,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

impl NewVersion {
    /// A model whose files lie at `source`.
    pub fn at(source: impl Into<PathBuf>) -> Self {
        Self { source: source.into(), ..Self::default() }
    }

    /// An adapter whose files lie at `source`.
    pub fn adapter_at(source: impl Into<PathBuf>) -> Self {
        Self { layout: Layout::Adapter, ..Self::at(source) }
    }

    /// Says which run made it.
    pub fn run(mut self, id: impl Into<String>) -> Self {
        self.run_id = Some(id.into());
        self
    }

    /// Says what it was trained from.
    pub fn trained_from(mut self, parent: VersionId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Says what there is to say.
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

impl Registry {
    /// Changes the comment of a version.
    ///
    /// # Errors
    /// No such version.
    pub fn update_version(&self, id: &VersionId, comment: &str, by: &str) -> Result<(), RegistryError> {
        let now = self.clock.wall();
        self.change(&id.name, |tx, _| {
            rows::live_version(tx, id)?;
            tx.prepare_cached(
                "UPDATE model_version SET comment = ?3, updated_at = ?4, updated_by = ?5 WHERE name = ?1 AND version = ?2",
            )?
            .execute((&id.name, id.version, comment, now, by))?;
            Ok(())
        })
    }

    /// Deletes a version with its aliases and tags, a pending one too. Its number stays used; where its files lie is
    /// forgotten, the files themselves are not touched.
    ///
    /// # Errors
    /// No such version.
    pub fn delete_version(&self, id: &VersionId, by: &str) -> Result<(), RegistryError> {
        let now = Stamp { at: self.clock.wall(), by: by.into() };
        self.change(&id.name, |tx, _| {
            rows::live_version(tx, id)?;
            rows::bury_version(tx, &id.name, id.version, &now)
        })
    }
}
