//! Which model something is: where its files come from, their hash, and what responses call it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::options::{ModelSource, ServeOptions};
use crate::error::{Error, Result};
use crate::registry::{Layout, ModelUri, ModelVersion, Registry, VersionId};
use crate::weights::{Checkpoint, Digest, LoadProgress};

/// Where the files of a model are.
pub(super) struct Located {
    pub(super) path: PathBuf,
    /// The registered version that they are.
    registered: Option<std::sync::Arc<ModelVersion>>,
}

/// Which model it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identified {
    /// The last part of its path, without an extension.
    stem: String,
    /// The registered version.
    pub(super) registered: Option<VersionId>,
    /// The hash of its files; none if nobody needs it.
    digest: Option<Digest>,
}

impl ModelSource {
    /// Finds the files; an alias is looked up now.
    pub(super) fn locate(&self, registry: &Registry) -> Result<Located> {
        match self {
            Self::Path(path) => Ok(Located { path: path.clone(), registered: None }),
            Self::Registered(uri) => {
                let version = registry.resolve_ready(&uri.parse::<ModelUri>()?)?;
                match (&version.source, version.layout) {
                    (Some(path), Layout::Model) => {
                        Ok(Located { path: path.clone(), registered: Some(version) })
                    }
                    _ => {
                        let message = format!("{} is an adapter; it is loaded beside a model", version.id);
                        Err(Error::invalid("model", message))
                    }
                }
            }
        }
    }
}

impl Located {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Hashes the files where the hash is needed, and holds a registered version to the hash that it has.
    pub(super) fn identify(
        &self,
        registry: &Registry,
        checkpoint: &Checkpoint,
        options: &ServeOptions,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Identified> {
        let stem = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("model").to_owned();
        let registered = self.registered.as_ref();
        let digest = match registered {
            Some(version) => {
                let fingerprint = checkpoint.fingerprint(progress)?;
                registry.verify(version, &fingerprint)?;
                Some(fingerprint.digest())
            }
            None if options.version.is_none() || options.base_id.is_some() => {
                Some(checkpoint.digest(progress)?)
            }
            None => None,
        };
        Ok(Identified { stem, registered: registered.map(|version| version.id.clone()), digest })
    }
}

impl Identified {
    /// What the history of updates calls it: the registered version, else the hash of its files.
    pub(super) fn record(&self) -> String {
        match (&self.registered, &self.digest) {
            (Some(version), _) => version.to_string(),
            (None, Some(digest)) => format!("sha256:{digest}"),
            (None, None) => self.stem.clone(),
        }
    }

    /// What tells it from other models: the hash of its files, or the `version` that its host has named.
    pub(super) fn model(&self, version: &str) -> String {
        match &self.digest {
            Some(digest) => format!("sha256:{digest}"),
            None => format!("version {version:?}"),
        }
    }

    /// What responses call it when nobody says otherwise: the registered version, else its name and the beginning of its
    /// hash.
    pub(super) fn default_version(&self) -> String {
        match (&self.registered, &self.digest) {
            (Some(version), _) => format!("{}/{}", version.name, version.version),
            (None, Some(digest)) => format!("{}@{}", self.stem, &digest.to_string()[..12]),
            (None, None) => self.stem.clone(),
        }
    }

    /// What a served entity is called when nobody says otherwise.
    pub(super) fn default_name(&self) -> String {
        match &self.registered {
            Some(version) => format!("{}-{}", version.name, version.version),
            None => self.stem.clone(),
        }
    }
}
