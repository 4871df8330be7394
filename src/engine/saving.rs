//! What the cache holds of a text, out of one engine and into another.
//!
//! Blocks are read and written a few at a time between two steps, so that nobody waits for long. Nothing is held
//! meanwhile: what has been evicted when its turn comes is not there, and ends the beginning that can be kept.

use crossbeam::channel::{Sender, bounded};

use super::handle::Engine;
use super::prefix_index::NodeId;
use super::scheduler::Scheduler;
use super::worker::{Message, Worker};
use crate::backend::{AdapterId, BLOCK_TOKENS};
use crate::error::{Error, ErrorKind, Result};
use crate::mailbox::{guarded, shutting_down};

/// So many bytes are copied between two steps, or one block if that is larger.
const BYTES_PER_TURN: usize = 4 << 20;

/// The computed beginning of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedBlocks {
    /// What the bytes mean ([`Executor::cache_format`](super::Executor::cache_format)).
    pub format: String,
    /// How many tokens from the beginning, a whole number of blocks.
    pub tokens: usize,
    /// The blocks one after the other, all of the same size.
    pub bytes: Vec<u8>,
}

/// Wants blocks of a text read, as many as a turn has room for.
pub(crate) struct ReadBlocks {
    pub(crate) adapter: AdapterId,
    pub(crate) tokens: Vec<u32>,
    /// Blocks that were read already.
    pub(crate) from: usize,
    pub(crate) reply: Sender<Result<SavedBlocks>>,
}

/// Wants blocks of a text written.
pub(crate) struct WriteBlocks {
    pub(crate) adapter: AdapterId,
    /// Up to the last block that is to be written.
    pub(crate) tokens: Vec<u32>,
    /// The first block that is to be written; those before it are there.
    pub(crate) from: usize,
    pub(crate) format: String,
    pub(crate) bytes: Vec<u8>,
    /// Tokens from the beginning that are there now.
    pub(crate) reply: Sender<Result<usize>>,
}

/// Blocks of so many bytes that are copied in one turn.
fn blocks_per_turn(block_bytes: usize) -> usize {
    (BYTES_PER_TURN / block_bytes.max(1)).max(1)
}

impl Engine {
    /// What the cache holds of the beginning of `tokens` as computed under `adapter`: whole blocks, possibly none.
    /// Blocks the caller until all of it is copied; other requests are served meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where blocks are not shared or cannot be copied; no memory for the bytes; the engine was
    /// shut down; [`ErrorKind::Internal`] on the engine's own thread, which cannot wait for itself.
    pub fn save(&self, adapter: AdapterId, tokens: &[u32]) -> Result<SavedBlocks> {
        let mut saved = SavedBlocks::default();
        loop {
            let from = saved.tokens / BLOCK_TOKENS;
            let ask = |reply| Message::Read(ReadBlocks { adapter, tokens: tokens.to_vec(), from, reply });
            let next = self.ask(ask)?;
            if next.tokens == 0 {
                saved.format = next.format;
                return Ok(saved);
            }
            saved.tokens += next.tokens;
            saved.bytes.extend_from_slice(&next.bytes);
        }
    }

    /// Puts what was [saved](Self::save) of `tokens` into the cache, where requests find it that begin alike; it stays as
    /// long as the cache has room for it. Returns how many tokens from the beginning are there. What was there before
    /// stays.
    ///
    /// # Errors
    /// As [`save`](Self::save); [`ErrorKind::Conflict`] for another format of the cache, naming both;
    /// [`ErrorKind::InvalidRequest`] for bytes that are not those of the blocks; [`ErrorKind::Overloaded`] where running
    /// requests hold so much of the cache that nothing fits.
    pub fn restore(&self, adapter: AdapterId, tokens: &[u32], saved: &SavedBlocks) -> Result<usize> {
        let blocks = saved.tokens / BLOCK_TOKENS;
        let whole = saved.tokens.is_multiple_of(BLOCK_TOKENS) && saved.tokens <= tokens.len();
        if !whole || (blocks > 0 && !saved.bytes.len().is_multiple_of(blocks)) {
            let (bytes, of) = (saved.bytes.len(), saved.tokens);
            let message = format!("{bytes} saved bytes are not the blocks of {of} tokens");
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        if blocks == 0 {
            return Ok(0);
        }
        let size = saved.bytes.len() / blocks;
        let turn = blocks_per_turn(size);
        let mut there = 0;
        for from in (0..blocks).step_by(turn) {
            let end = (from + turn).min(blocks);
            let (tokens, bytes) = (&tokens[..end * BLOCK_TOKENS], &saved.bytes[from * size..end * size]);
            there = self.ask(|reply| {
                let (tokens, bytes, format) = (tokens.to_vec(), bytes.to_vec(), saved.format.clone());
                Message::Write(WriteBlocks { adapter, tokens, from, format, bytes, reply })
            })?;
            if there < end * BLOCK_TOKENS {
                break;
            }
        }
        Ok(there)
    }

    fn ask<T>(&self, message: impl FnOnce(Sender<Result<T>>) -> Message) -> Result<T> {
        if self.is_worker() {
            let message =
                "a session is saved or restored by the engine's own thread, which cannot wait for itself";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let (reply, answer) = bounded(1);
        self.send(message(reply))?;
        answer.recv().unwrap_or_else(|_| Err(shutting_down()))
    }
}

impl Worker {
    /// Copies blocks of a text that others have computed.
    pub(super) fn read_blocks(&self, wanted: &ReadBlocks) -> Result<SavedBlocks> {
        let format = self.cache_format()?;
        let found = self.scheduler.find_blocks(wanted.adapter, &wanted.tokens);
        let mut saved = SavedBlocks { format, ..SavedBlocks::default() };
        let mut turn = 1;
        for block in found.iter().skip(wanted.from) {
            if saved.tokens / BLOCK_TOKENS >= turn {
                break;
            }
            guarded(|| self.executor.read_block(*block, &mut saved.bytes)).map_err(copy_panicked)??;
            saved.tokens += BLOCK_TOKENS;
            turn = blocks_per_turn(saved.bytes.len() / (saved.tokens / BLOCK_TOKENS));
        }
        Ok(saved)
    }

    /// Puts blocks of a text where requests find them.
    pub(super) fn write_blocks(&mut self, given: &WriteBlocks) -> Result<usize> {
        let format = self.cache_format()?;
        if format != given.format {
            let message = format!("the session's cache is {:?}, this one is {format:?}", given.format);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let blocks = given.tokens.len() / BLOCK_TOKENS - given.from;
        let size = given.bytes.len() / blocks.max(1);
        let executor = &mut self.executor;
        let write = |place: usize, block: u32| {
            let at = (place - given.from) * size;
            guarded(|| executor.write_block(block, &given.bytes[at..at + size])).map_err(copy_panicked)?
        };
        self.scheduler.restore_blocks(given.adapter, &given.tokens, given.from, write)
    }

    fn cache_format(&self) -> Result<String> {
        let sharing = self.scheduler.shares_blocks();
        self.executor.cache_format().filter(|_| sharing).ok_or_else(|| {
            let message = "sessions need a model whose cache can be saved, and prefix_sharing";
            Error::new(ErrorKind::Unsupported, message)
        })
    }
}

fn copy_panicked(panic: String) -> Error {
    Error::new(ErrorKind::Internal, format!("copying blocks of the cache panicked: {panic}"))
}

impl Scheduler {
    /// Whether full blocks are shared at all.
    fn shares_blocks(&self) -> bool {
        self.options.prefix_sharing
    }

    /// The shareable blocks that hold the beginning of `tokens`.
    fn find_blocks(&self, adapter: AdapterId, tokens: &[u32]) -> Vec<u32> {
        self.cache.find(adapter, tokens).map(|node| node.block).collect()
    }

    /// Makes blocks `from..` of `tokens`, whole blocks, shareable, each written by `write`, which is told its place in the
    /// text. Returns how many tokens from the beginning are shareable.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] where there is no block to be had at all; what `write` reports.
    fn restore_blocks(
        &mut self,
        adapter: AdapterId,
        tokens: &[u32],
        from: usize,
        mut write: impl FnMut(usize, u32) -> Result<()>,
    ) -> Result<usize> {
        let (mut table, mut node) = (Vec::new(), NodeId::root(adapter));
        let mut result = Ok(());
        for (place, block) in tokens.chunks_exact(BLOCK_TOKENS).enumerate() {
            if let Some(known) = self.cache.child(node, block) {
                self.cache.hold(known.block, &mut table);
                node = known.id;
                continue;
            }
            // What came before has been evicted meanwhile, or the cache is full.
            if place < from || !self.cache.grow(&mut table, place + 1) {
                break;
            }
            let Some(slot) = table.last_mut() else { break };
            result = write(place, *slot);
            if result.is_err() {
                break;
            }
            let Some(shared) = self.cache.share(node, block, slot) else { break };
            node = shared;
        }
        // The last first, so that the end of a text is evicted before its beginning.
        let restored = self.cache.shareable(&table) * BLOCK_TOKENS;
        self.cache.release_table(&mut table);
        self.verify();
        result?;
        if restored == 0 {
            let message = "the cache has no room for the session: running requests hold all of it";
            return Err(Error::new(ErrorKind::Overloaded, message));
        }
        Ok(restored)
    }
}
