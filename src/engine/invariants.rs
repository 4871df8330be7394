//! What must hold of a scheduler between any two operations, checked over an immutable snapshot.

use std::collections::HashSet;

use super::block_cache::blocks_for;
use super::draft::MAX_VERIFIED_ROWS;
use super::options::EngineOptions;
use super::prefix_index::{Node, NodeId};
use super::request::RequestId;
use super::scheduler::Scheduler;
use super::sequence::{Phase, Sequence};
use crate::backend::{BLOCK_TOKENS, Batch};
use crate::fairness::{Account, Arrival, CallerId, Callers, Rank};

/// A sequence as the validator sees it.
#[derive(Debug, Clone)]
pub(crate) struct SequenceSnapshot {
    pub(crate) id: RequestId,
    pub(crate) caller: CallerId,
    pub(crate) arrival: Arrival,
    pub(crate) account: Option<Account>,
    pub(crate) phase: Phase,
    /// Known ones; drafts are counted by themselves.
    pub(crate) tokens: usize,
    pub(crate) drafts: usize,
    /// Tokens that may still be generated.
    pub(crate) wanted: usize,
    pub(crate) computed: usize,
    pub(crate) planned: usize,
    /// Rows of the plan that score the prompt.
    pub(crate) scores: usize,
    pub(crate) shared: usize,
    pub(crate) table_len: usize,
    pub(crate) table: Vec<u32>,
}

impl SequenceSnapshot {
    fn of(sequence: &Sequence) -> Self {
        Self {
            id: sequence.id,
            caller: sequence.caller,
            arrival: sequence.arrival,
            account: sequence.account.clone(),
            phase: sequence.phase,
            tokens: sequence.tokens.len() - sequence.drafts,
            drafts: sequence.drafts,
            wanted: sequence.max_tokens - sequence.generated(),
            computed: sequence.computed,
            planned: sequence.planned,
            scores: sequence.scores(sequence.computed + sequence.planned - sequence.drafts),
            shared: sequence.shared,
            table_len: sequence.table_len(),
            table: sequence.table.clone(),
        }
    }

    fn rank(&self) -> Option<Rank> {
        self.account.as_ref().map(Account::rank)
    }
}

/// Everything that the invariants speak of, copied.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) options: EngineOptions,
    pub(crate) references: Vec<u32>,
    pub(crate) free: Vec<u32>,
    pub(crate) cached: Vec<u32>,
    pub(crate) cached_len: usize,
    pub(crate) index: Vec<(NodeId, Node)>,
    pub(crate) running: Vec<SequenceSnapshot>,
    pub(crate) preempted: Vec<SequenceSnapshot>,
    pub(crate) new: Vec<SequenceSnapshot>,
    pub(crate) callers: Callers,
    /// The running sequences of the planned step and their rows.
    pub(crate) participants: Vec<(usize, usize)>,
    /// How many of the last rows of each have logits because they score the prompt.
    pub(crate) scores: Vec<usize>,
    pub(crate) decode_rows: usize,
    pub(crate) draft_rows: usize,
    pub(crate) prefill_rows: usize,
    pub(crate) batch: Batch,
}

/// What was found wrong, in words.
pub(crate) type Violation = String;

macro_rules! require {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

impl Scheduler {
    /// A copy of the state for the validator.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (references, free, cached, index) = self.cache.parts();
        Snapshot {
            options: self.options.clone(),
            references: references.to_vec(),
            free: free.to_vec(),
            cached: (0..references.len() as u32).filter(|block| cached.contains(*block)).collect(),
            cached_len: cached.len(),
            index: index.entries().collect(),
            running: self.running.iter().map(SequenceSnapshot::of).collect(),
            preempted: self.queue.preempted().map(SequenceSnapshot::of).collect(),
            new: self.queue.new_ones().map(SequenceSnapshot::of).collect(),
            callers: self.callers.clone(),
            participants: self.step.participants.iter().map(|part| (part.index, part.rows)).collect(),
            scores: self.step.participants.iter().map(|part| part.scores).collect(),
            decode_rows: self.step.decode_rows,
            draft_rows: self.step.draft_rows,
            prefill_rows: self.step.prefill_rows,
            batch: self.step.batch.clone(),
        }
    }

    /// Checks all invariants.
    ///
    /// # Errors
    /// The first one that does not hold.
    pub(crate) fn validate(&self) -> Result<(), Violation> {
        self.snapshot().validate()
    }
}

impl Snapshot {
    /// Checks all invariants.
    ///
    /// # Errors
    /// The first one that does not hold.
    pub(crate) fn validate(&self) -> Result<(), Violation> {
        self.blocks()?;
        self.index()?;
        self.sequences()?;
        let waiting = self.new.iter().map(|sequence| (sequence.caller, sequence.arrival));
        let begun = self.running.iter().chain(&self.preempted).filter_map(|it| it.account.as_ref());
        self.callers.validate(waiting, begun)?;
        self.step()
    }

    /// Every block is owned exactly as often as it is counted, and is in exactly one state.
    fn blocks(&self) -> Result<(), Violation> {
        let total = self.options.blocks;
        require!(self.references.len() == total, "{} blocks instead of {total}", self.references.len());
        let mut owners = vec![0u32; total];
        for sequence in &self.running {
            let mut own = HashSet::new();
            for block in &sequence.table {
                require!((*block as usize) < total, "{:?} holds block {block} of {total}", sequence.id);
                require!(own.insert(*block), "{:?} holds block {block} twice", sequence.id);
                owners[*block as usize] += 1;
            }
        }
        require!(owners == self.references, "owners {owners:?} but references {:?}", self.references);
        let free: HashSet<u32> = self.free.iter().copied().collect();
        let cached: HashSet<u32> = self.cached.iter().copied().collect();
        require!(free.len() == self.free.len(), "a block is free twice");
        require!(
            cached.len() == self.cached_len,
            "{} cached blocks counted as {}",
            cached.len(),
            self.cached_len
        );
        let indexed: HashSet<u32> = self.index.iter().map(|(_, node)| node.block).collect();
        for block in 0..total as u32 {
            let used = self.references[block as usize] > 0;
            let states = [used, free.contains(&block), cached.contains(&block)];
            let count = states.iter().filter(|state| **state).count();
            require!(count == 1, "block {block} is used, free, cached: {states:?}");
            let found = indexed.contains(&block);
            require!(!free.contains(&block) || !found, "free block {block} can be found");
            require!(!cached.contains(&block) || found, "cached block {block} cannot be found");
        }
        Ok(())
    }

    /// The prefix index is a tree, one node per block, and what a node continues is there as long as the node.
    fn index(&self) -> Result<(), Violation> {
        require!(
            self.options.prefix_sharing || self.index.is_empty(),
            "sharing is off but blocks are shared"
        );
        let ids: HashSet<NodeId> = self.index.iter().map(|(_, node)| node.id).collect();
        let blocks: HashSet<u32> = self.index.iter().map(|(_, node)| node.block).collect();
        require!(ids.len() == self.index.len(), "an identity is given twice");
        require!(blocks.len() == self.index.len(), "two nodes live in one block");
        for (parent, node) in &self.index {
            require!(parent.is_root() || ids.contains(parent), "{node:?} has lost its parent {parent:?}");
        }
        Ok(())
    }

    /// Order, bounds and tables of the sequences.
    fn sequences(&self) -> Result<(), Violation> {
        let most = self.options.max_sequences;
        require!(self.running.len() <= most, "{} sequences run, at most {most} may", self.running.len());
        for line in [&self.running, &self.preempted] {
            require!(line.windows(2).all(|pair| pair[0].rank() < pair[1].rank()), "out of order: {line:?}");
            require!(line.iter().all(|sequence| sequence.account.is_some()), "let in for nothing: {line:?}");
        }
        let new = self.new.len();
        require!(
            self.new.iter().all(|sequence| sequence.account.is_none()),
            "charged in vain: {:?}",
            self.new
        );
        require!(
            new <= self.options.max_queue,
            "{new} requests wait, at most {} may",
            self.options.max_queue
        );
        for sequence in self.preempted.iter().chain(&self.new) {
            require!(sequence.table.is_empty(), "waiting {:?} holds blocks", sequence.id);
            require!(sequence.computed == 0 && sequence.planned == 0, "waiting {:?} has rows", sequence.id);
            require!(sequence.drafts == 0, "waiting {:?} has drafts", sequence.id);
        }
        let nodes: HashSet<u32> = self.index.iter().map(|(_, node)| node.block).collect();
        for sequence in &self.running {
            let SequenceSnapshot { id, tokens, drafts, wanted, computed, planned, shared, .. } = *sequence;
            require!(
                computed + planned <= tokens + drafts,
                "{id:?}: {computed} + {planned} rows of {tokens} tokens"
            );
            require!(
                drafts == 0 || (sequence.phase == Phase::Decode && planned == 1 + drafts),
                "{id:?}: {drafts} drafts in {planned} rows"
            );
            require!(drafts == 0 || drafts < wanted, "{id:?}: {drafts} drafts, {wanted} tokens are wanted");
            let left = tokens - computed.min(tokens);
            let fits = match sequence.phase {
                Phase::Prefill => left > 0,
                Phase::Decode => left == 1,
                Phase::Choosing => left == 0 && planned == 0,
            };
            require!(fits, "{id:?}: {left} tokens to compute in {:?}", sequence.phase);
            require!(
                sequence.table.len() == sequence.table_len,
                "{id:?}: {} blocks instead of {}",
                sequence.table.len(),
                sequence.table_len
            );
            require!(sequence.table.len() >= blocks_for(computed), "{id:?}: computed rows without a block");
            let full = if self.options.prefix_sharing { computed / BLOCK_TOKENS } else { 0 };
            require!(shared == full, "{id:?}: {shared} blocks shared of {full}");
            for (place, block) in sequence.table.iter().enumerate() {
                let found = nodes.contains(block);
                require!(found == (place < shared), "{id:?}: block {place} shared {found} of {shared}");
            }
            let writers = sequence.table[shared..].iter().all(|block| self.references[*block as usize] == 1);
            require!(writers, "{id:?} would write to a block that others hold");
        }
        Ok(())
    }

    /// The planned step: its budgets, its order, and that it is about the sequences.
    fn step(&self) -> Result<(), Violation> {
        let Self { options, batch, decode_rows, draft_rows, prefill_rows, .. } = self;
        let rows = batch.rows();
        require!(rows == decode_rows + prefill_rows, "{rows} rows: {decode_rows} + {prefill_rows}");
        require!(rows <= options.max_batch_tokens, "{rows} rows, at most {}", options.max_batch_tokens);
        require!(
            *decode_rows == 0 || prefill_rows + draft_rows <= options.max_prefill_tokens,
            "{prefill_rows} prefill rows and {draft_rows} drafts beside decodes, at most {}",
            options.max_prefill_tokens
        );
        require!(
            *draft_rows == 0 || self.running.len() + draft_rows <= MAX_VERIFIED_ROWS,
            "{draft_rows} drafts beside {} sequences, together at most {MAX_VERIFIED_ROWS}",
            self.running.len()
        );
        require!(batch.spans.len() == self.participants.len(), "spans and participants differ");
        let planned = self.running.iter().filter(|sequence| sequence.planned > 0).count();
        require!(planned == self.participants.len(), "{planned} sequences are planned");
        if planned > 0 {
            let decodes = self.running.iter().filter(|sequence| sequence.phase == Phase::Decode);
            require!(
                decodes.clone().all(|sequence| sequence.planned == 1 + sequence.drafts),
                "a decode is left out"
            );
            let rows: usize = decodes.map(|sequence| sequence.planned).sum();
            require!(rows == *decode_rows, "decode rows are not the decodes'");
        }
        let drafts: usize = self.running.iter().map(|sequence| sequence.drafts).sum();
        require!(drafts == *draft_rows, "{drafts} drafts counted as {draft_rows}");
        let (mut row, mut logit_rows) = (0, Vec::new());
        for ((span, (index, rows)), scores) in batch.spans.iter().zip(&self.participants).zip(&self.scores) {
            let Some(sequence) = self.running.get(*index) else { return Err(format!("no sequence {index}")) };
            let id = sequence.id;
            require!(
                span.rows == (row..row + rows) && *rows == sequence.planned,
                "{id:?}: rows {:?}",
                span.rows
            );
            require!(span.start == sequence.computed, "{id:?} starts at {}", span.start);
            let first_prefill = span.rows.start >= *decode_rows;
            require!(
                first_prefill == (sequence.phase == Phase::Prefill),
                "{id:?}: decodes do not come first"
            );
            let table = &batch.blocks[span.blocks.clone()];
            require!(table.len() == blocks_for(span.context_len()), "{id:?}: {} blocks", table.len());
            require!(sequence.table.starts_with(table), "{id:?}: another block table");
            row += rows;
            require!(*scores == sequence.scores, "{id:?}: {scores} scores, not {}", sequence.scores);
            let chooses = span.context_len() == sequence.tokens + sequence.drafts;
            let choices = if chooses { 1 + sequence.drafts } else { 0 };
            logit_rows.extend((row - choices - scores..row).map(|row| row as u32));
        }
        let most = options.logit_rows();
        require!(logit_rows.len() <= most, "{} rows of logits, at most {most}", logit_rows.len());
        require!(logit_rows == batch.logit_rows, "logits of {:?}, not {logit_rows:?}", batch.logit_rows);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::backend::AdapterId;
    use crate::engine::request::Request;
    use crate::engine::sampling::SamplingParams;
    use crate::engine::step::Verdict;

    type Damage = fn(&mut Snapshot);

    /// One sequence that decodes with drafts, one in prefill, one that waits, some cached blocks, and a planned step.
    fn snapshot() -> Snapshot {
        let options =
            EngineOptions { blocks: 12, max_sequences: 2, max_prefill_tokens: 16, ..Default::default() };
        let mut scheduler = Scheduler::new(options);
        let now = Duration::ZERO;
        for (id, prompt, max_tokens) in [(1, 20, 1), (2, 40, 9), (3, 40, 9), (4, 40, 9)] {
            let prompt = vec![id as u32; prompt];
            let mut request = Request {
                prompt,
                adapter: AdapterId::BASE,
                max_tokens,
                stop_tokens: Vec::new(),
                sampling: SamplingParams::greedy(),
                caller: CallerId(id as u32 % 2),
                priority: 0,
                prompt_lookup_tokens: 2,
                prompt_logprobs: None,
                deadline: None,
            };
            scheduler.submit(RequestId(id), &mut request, now).unwrap();
            scheduler.plan(now);
            let mut judgements =
                scheduler.step().samplers().map(|part| Verdict::Token(part.id.0 as u32).into()).collect();
            scheduler.commit(now, &mut judgements);
        }
        scheduler.plan(now);
        scheduler.snapshot()
    }

    #[test]
    fn every_kind_of_damage_is_found() {
        let sound = snapshot();
        assert_eq!(sound.validate(), Ok(()));
        assert!(
            sound.decode_rows == 3
                && sound.draft_rows == 2
                && sound.prefill_rows == 8
                && !sound.cached.is_empty()
        );
        assert_eq!((sound.new.len(), sound.preempted.len()), (1, 0));
        let damages: [(&str, Damage); 20] = [
            ("a reference too many", |s| s.references[s.running[0].table[0] as usize] += 1),
            ("a leaked block", |s| s.free.truncate(s.free.len() - 1)),
            ("a used block is free", |s| s.free.push(s.running[0].table[0])),
            ("a free block is cached", |s| s.cached.push(s.free[0])),
            ("a cached block without a node", |s| s.index.retain(|(_, node)| node.block != s.cached[0])),
            ("a node without its parent", |s| {
                let (root, _) = s.index.iter().copied().find(|(parent, _)| !parent.is_root()).unwrap();
                s.index.retain(|(_, node)| node.id != root);
            }),
            ("a table that is too short", |s| s.running[1].table.truncate(1)),
            ("a position that is not computed", |s| s.running[0].computed -= 1),
            ("the wrong order", |s| s.running.swap(0, 1)),
            ("too many sequences", |s| s.options.max_sequences = 1),
            ("too long a queue", |s| s.options.max_queue = 0),
            ("too big a step", |s| s.options.max_batch_tokens = 8),
            ("too long a pause", |s| s.options.max_prefill_tokens = 9),
            ("a draft too many", |s| s.running[0].drafts += 1),
            ("drafts that nobody wants", |s| s.running[0].wanted = 2),
            ("a draft whose row has no logits", |s| s.batch.logit_rows[1] = s.batch.logit_rows[0]),
            ("a request of another caller", |s| s.new[0].caller = CallerId(7)),
            ("a request that nobody is charged for", |s| s.running[0].account = None),
            ("a request that stands in line and runs", |s| {
                s.new[0].account = s.running[0].account.clone();
            }),
            ("another's block table", |s| s.batch.blocks[0] = s.running[1].table[0]),
        ];
        for (name, damage) in damages {
            let mut damaged = sound.clone();
            damage(&mut damaged);
            assert!(damaged.validate().is_err(), "{name}");
        }
    }
}
