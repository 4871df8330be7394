//! Conversations that are kept: what their computed beginning was, out of a runtime and into another.

mod file;

use std::path::Path;
use std::sync::Arc;

use super::ModelRuntime;
use super::entity::Entity;
use super::generation::GenerationEntity;
use crate::backend::AdapterId;
use crate::engine::SavedBlocks;
use crate::error::{Error, ErrorKind, Result};
use file::Header;

/// A conversation as the model has it: the tokens of a prompt and of its answer, whose keys and values its endpoint may
/// hold in its cache.
///
/// To go on with it, send a request that begins with its tokens: the next turn of a chat does. A clone is a fork: both go
/// their own ways, and what they have in common is in the cache once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub(super) endpoint: String,
    pub(super) adapter: Option<String>,
    pub(super) tokens: Vec<u32>,
}

impl Session {
    /// A conversation of an endpoint, by its tokens.
    pub fn new(endpoint: impl Into<String>, tokens: Vec<u32>) -> Self {
        Self { endpoint: endpoint.into(), adapter: None, tokens }
    }

    /// Computed with this adapter of the endpoint.
    #[must_use]
    pub fn adapter(mut self, name: impl Into<String>) -> Self {
        self.adapter = Some(name.into());
        self
    }

    /// The endpoint that has it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its tokens: the prompt's, with everything that the chat template added, and those of the answer.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }
}

/// What became of a session that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The conversation.
    pub session: Session,
    /// Tokens from its beginning that need not be computed again, as long as the cache has room for them.
    pub cached_tokens: usize,
}

impl ModelRuntime {
    /// A session as bytes: its tokens and what its endpoint's cache holds of them, in whole blocks. What has been evicted
    /// meanwhile is left out, and computed again by whoever goes on with it. Blocks the caller while it copies; other
    /// requests are served meanwhile.
    ///
    /// The bytes are for the same model, adapter, kind of cache and instruction set: then whatever is generated is the
    /// same, to the bit, as if the conversation had never been away.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an endpoint or adapter that is not there; [`ErrorKind::Unsupported`] for an endpoint that
    /// does not generate, or does not share blocks; no memory for the bytes.
    pub fn save_session(&self, session: &Session) -> Result<Vec<u8>> {
        let entity = self.conversing(&session.endpoint)?;
        let generation = entity.served.generation("sessions")?;
        let adapter = adapter(generation, session.adapter.as_deref())?;
        let saved = generation.engine().save(adapter, &session.tokens)?;
        let header = Header {
            model: entity.recipe.identified.model(&entity.recipe.version),
            adapter: session.adapter.clone(),
            cache: saved.format,
            tokens: session.tokens.len(),
            cached_tokens: saved.tokens,
        };
        file::write(&header, &session.tokens, &saved.bytes)
    }

    /// As [`save_session`](Self::save_session), into a file, which is complete or not there.
    ///
    /// # Errors
    /// As [`save_session`](Self::save_session), and [`ErrorKind::Io`] naming the file.
    pub fn save_session_to(&self, session: &Session, path: impl AsRef<Path>) -> Result<()> {
        let (path, bytes) = (path.as_ref(), self.save_session(session)?);
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let write = std::fs::write(&unfinished, bytes).and_then(|()| std::fs::rename(&unfinished, path));
        write.map_err(|error| {
            let _ = std::fs::remove_file(&unfinished);
            unwritable(path, error)
        })
    }

    /// Puts a session back into an endpoint's cache.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for bytes that are damaged or no session; [`ErrorKind::Conflict`] for one of another model
    /// or cache, naming both; otherwise as [`save_session`](Self::save_session). [`ErrorKind::Overloaded`]: running requests
    /// hold the whole cache.
    pub fn restore_session(&self, endpoint: &str, bytes: &[u8]) -> Result<Restored> {
        let kept = file::read(bytes)?;
        let entity = self.conversing(endpoint)?;
        let generation = entity.served.generation("sessions")?;
        let own = entity.recipe.identified.model(&entity.recipe.version);
        if kept.header.model != own {
            let message =
                format!("the session is of model {}, endpoint `{endpoint}` serves {own}", kept.header.model);
            return Err(Error::new(ErrorKind::Conflict, message).with_param("session"));
        }
        let adapter = adapter(generation, kept.header.adapter.as_deref())?;
        let vocab = generation.info().vocab_size;
        if let Some(token) = kept.tokens.iter().find(|token| **token as usize >= vocab) {
            let message = format!("the session has token {token}; the vocabulary has ids 0 to {}", vocab - 1);
            return Err(Error::invalid("session", message));
        }
        let saved = SavedBlocks {
            format: kept.header.cache,
            tokens: kept.header.cached_tokens,
            bytes: kept.blocks.to_vec(),
        };
        let cached_tokens = generation
            .engine()
            .restore(adapter, &kept.tokens, &saved)
            .map_err(|error| error.with_param("session"))?;
        let session =
            Session { endpoint: endpoint.into(), adapter: kept.header.adapter, tokens: kept.tokens };
        Ok(Restored { session, cached_tokens })
    }

    /// As [`restore_session`](Self::restore_session), from a file.
    ///
    /// # Errors
    /// As [`restore_session`](Self::restore_session), and [`ErrorKind::Io`] naming the file.
    pub fn restore_session_from(&self, endpoint: &str, path: impl AsRef<Path>) -> Result<Restored> {
        let path = path.as_ref();
        let unreadable = |error: std::io::Error| {
            Error::new(ErrorKind::Io, format!("session {}: {error}", path.display())).with_source(error)
        };
        // A pipe would wait for its other end, and a device might never end.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            let message = format!("session {} is not a regular file", path.display());
            return Err(Error::invalid("path", message));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        self.restore_session(endpoint, &bytes)
    }
}

impl ModelRuntime {
    /// What has the sessions of an endpoint: the main entity, where there are several.
    fn conversing(&self, endpoint: &str) -> Result<Arc<Entity>> {
        Ok(Arc::clone(self.inner.endpoints.find(endpoint)?.configuration().main()))
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("session {} cannot be written: {error}", path.display()))
        .with_source(error)
}

/// The number of the adapter that computes a session.
fn adapter(entity: &GenerationEntity, name: Option<&str>) -> Result<AdapterId> {
    match name {
        Some(name) => Ok(entity.adapters().find(&entity.info().name, name)?.id),
        None => Ok(AdapterId::BASE),
    }
}
