//! A deterministic language model whose next token depends on every token before it, read back through the cache.

use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;

use crate::backend::{AdapterId, BLOCK_TOKENS, Batch, Span};
use crate::engine::Executor;
use crate::error::{Error, ErrorKind, Result};

/// What the cache holds for one position: with the digest of everything up to it, so that a slot of another sequence
/// is told from one's own even where token and position are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    token: u32,
    position: usize,
    digest: u64,
}

/// What goes wrong in a step that has a certain token among its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Error,
    Panic,
    /// The logits of every row that ends in the token are not numbers.
    NotFinite,
    /// One logit too few.
    WrongLength,
}

/// Lets a test hold the model inside a step.
#[derive(Debug)]
pub struct Gate {
    /// Tells that a step has begun.
    pub entered: Receiver<()>,
    /// Lets one step go on; all of them, once it is dropped.
    pub permits: Sender<()>,
}

/// The shape of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRecord {
    pub rows: usize,
    pub spans: usize,
    /// Spans of one row.
    pub single: usize,
}

/// The toy model. Its cache is as large as the engine's and starts with garbage in every slot.
pub struct ToyModel {
    vocab: usize,
    slots: Vec<Slot>,
    logits: Vec<f32>,
    faults: Vec<(u32, Fault)>,
    gate: Option<(Sender<()>, Receiver<()>)>,
    log: Arc<Mutex<Vec<StepRecord>>>,
}

const GARBAGE: Slot = Slot { token: u32::MAX, position: usize::MAX, digest: u64::MAX };

/// The finalizer of SplitMix64: every bit of the input moves every bit of the output.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn extend(digest: u64, token: u32) -> u64 {
    mix(digest ^ mix(u64::from(token)))
}

/// The digest of no token: another one under each adapter, so that nothing of one passes for another's.
fn beginning(adapter: AdapterId) -> u64 {
    if adapter == AdapterId::BASE { 0 } else { mix(u64::from(adapter.0)) }
}

/// Anything from -4 to 4 for `next` after a text of that digest; 4 more for the one that `last` likes to be followed
/// by. So about every other token is the liked one and texts go in circles of four tokens, for a while.
fn logit(digest: u64, last: u32, next: usize) -> f32 {
    let liked = (last & !3) | (last.wrapping_add(1) & 3);
    let lead = if next == liked as usize { 4.0 } else { 0.0 };
    (mix(digest.wrapping_add(next as u64)) >> 40) as f32 / (1 << 21) as f32 - 4.0 + lead
}

impl ToyModel {
    pub fn new(vocab: usize, blocks: usize) -> Self {
        let (slots, logits) = (vec![GARBAGE; blocks * BLOCK_TOKENS], Vec::new());
        Self { vocab, slots, logits, faults: Vec::new(), gate: None, log: Arc::default() }
    }

    /// Adds a fault for steps with `token` in them.
    pub fn with_fault(mut self, token: u32, fault: Fault) -> Self {
        self.faults.push((token, fault));
        self
    }

    /// Holds every step until it is let through.
    pub fn gated(mut self) -> (Self, Gate) {
        let (enter, entered) = unbounded();
        let (permits, permit) = unbounded();
        self.gate = Some((enter, permit));
        (self, Gate { entered, permits })
    }

    /// The shapes of all steps so far, shared with the model.
    pub fn log(&self) -> Arc<Mutex<Vec<StepRecord>>> {
        self.log.clone()
    }

    /// What the model says after `context` under an adapter, computed without any cache.
    pub fn logits_after(vocab: usize, adapter: AdapterId, context: &[u32]) -> Vec<f32> {
        let digest = context.iter().fold(beginning(adapter), |digest, token| extend(digest, *token));
        let last = context.last().copied().unwrap_or_default();
        (0..vocab).map(|next| logit(digest, last, next)).collect()
    }

    /// The most likely token after `context` under an adapter, computed without any cache.
    pub fn greedy_after(vocab: usize, adapter: AdapterId, context: &[u32]) -> u32 {
        let logits = Self::logits_after(vocab, adapter, context);
        (0..vocab).max_by(|a, b| logits[*a].total_cmp(&logits[*b]).then(b.cmp(a))).unwrap() as u32
    }

    /// Overwrites the slots of the batch's rows, as a step that broke off may have left them.
    pub fn spoil_rows(&mut self, batch: &Batch) {
        for span in &batch.spans {
            for position in span.start..span.context_len() {
                let slot = self.slot(&batch.blocks[span.blocks.clone()], position);
                self.slots[slot] = GARBAGE;
            }
        }
    }

    /// Overwrites the whole cache.
    pub fn spoil_all(&mut self) {
        self.slots.fill(GARBAGE);
    }

    fn slot(&self, table: &[u32], position: usize) -> usize {
        table[position / BLOCK_TOKENS] as usize * BLOCK_TOKENS + position % BLOCK_TOKENS
    }

    /// Reads the context back from the cache and checks every slot of it.
    fn read(&self, batch: &Batch, span: &Span, positions: usize) -> Result<u64> {
        let table = &batch.blocks[span.blocks.clone()];
        let mut digest = beginning(span.adapter);
        for position in 0..positions {
            let found = self.slots[self.slot(table, position)];
            digest = extend(digest, found.token);
            if found != (Slot { token: found.token, position, digest }) {
                let message = format!("stale cache: position {position} of {positions} holds {found:?}");
                return Err(Error::new(ErrorKind::Internal, message));
            }
        }
        Ok(digest)
    }
}

impl Executor for ToyModel {
    fn vocab_size(&self) -> usize {
        self.vocab
    }

    fn execute(&mut self, batch: &Batch) -> Result<&[f32]> {
        if let Some((enter, permit)) = &self.gate {
            let _ = enter.send(());
            let _ = permit.recv();
        }
        let single = batch.spans.iter().filter(|span| span.len() == 1).count();
        self.log.lock().push(StepRecord { rows: batch.rows(), spans: batch.spans.len(), single });
        let fault = self.faults.iter().find(|(token, _)| batch.ids.contains(token)).copied();
        match fault {
            Some((_, Fault::Error)) => {
                self.spoil_rows(batch);
                return Err(Error::new(ErrorKind::Io, "the toy model was told to fail"));
            }
            Some((_, Fault::Panic)) => {
                self.spoil_all();
                panic!("the toy model was told to panic");
            }
            _ => {}
        }
        self.logits.clear();
        let mut wanted = batch.logit_rows.iter().copied().peekable();
        // All rows are written before any is read: a sequence may not rely on the order of spans.
        for span in &batch.spans {
            let table = &batch.blocks[span.blocks.clone()];
            let mut digest = self.read(batch, span, span.start)?;
            for (row, position) in span.rows.clone().zip(span.start..) {
                assert_eq!(batch.positions[row] as usize, position);
                digest = extend(digest, batch.ids[row]);
                let slot = self.slot(table, position);
                self.slots[slot] = Slot { token: batch.ids[row], position, digest };
            }
        }
        for span in &batch.spans {
            let table = &batch.blocks[span.blocks.clone()];
            self.read(batch, span, span.context_len())?;
            for (row, position) in span.rows.clone().zip(span.start..) {
                if wanted.next_if_eq(&(row as u32)).is_some() {
                    let Slot { token, digest, .. } = self.slots[self.slot(table, position)];
                    self.logits.extend((0..self.vocab).map(|next| logit(digest, token, next)));
                    if fault == Some((token, Fault::NotFinite)) {
                        let first = self.logits.len() - self.vocab;
                        self.logits[first] = f32::NAN;
                    }
                }
            }
        }
        assert_eq!(
            wanted.next(),
            None,
            "logits are wanted of rows that are not in the batch or out of order"
        );
        if matches!(fault, Some((_, Fault::WrongLength))) {
            self.logits.pop();
        }
        Ok(&self.logits)
    }
}
