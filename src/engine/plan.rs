//! Planning a step: decodes first, then who is let in, then prefill chunks up to the bounds, drafts in the rest.

use std::time::Duration;

use super::block_cache::blocks_for;
use super::draft::MAX_VERIFIED_ROWS;
use super::scheduler::Scheduler;
use super::sequence::{ANSWER_SERVICE, PROMPT_SERVICE, Phase, Sequence};
use super::step::{Participant, Step};
use crate::backend::BLOCK_TOKENS;
use crate::fairness::{Account, Rank};

impl Scheduler {
    /// Ends what was cancelled or is late, and plans the next step; an empty step means that there is nothing to do.
    /// `now` is the clock's monotonic time. A plan that is not empty must be committed or rolled back.
    pub(crate) fn plan(&mut self, now: Duration) -> &Step {
        debug_assert!(self.step.is_empty(), "the last step was neither committed nor rolled back");
        self.reap(now);
        self.plan_decodes();
        self.admit();
        self.plan_prefill();
        self.plan_drafts();
        self.fill(now);
        self.verify();
        &self.step
    }

    /// One row for every decode, each with the block it needs. When blocks run out, whoever stands last gives way.
    fn plan_decodes(&mut self) {
        let mut index = 0;
        while index < self.running.len() {
            if self.running[index].phase == Phase::Decode {
                let blocks = blocks_for(self.running[index].computed + 1);
                while let Some(sequence) = self.running.get_mut(index) {
                    if self.cache.grow(&mut sequence.table, blocks) {
                        sequence.planned = 1;
                        break;
                    }
                    // The last one may be this one: then there is no sequence at `index` any more.
                    self.preempt(self.running.len() - 1);
                }
            }
            index += 1;
        }
    }

    /// The most prefill rows of this step.
    fn prefill_budget(&self) -> usize {
        let decodes = self.running.iter().filter(|sequence| !sequence.is_prefill()).count();
        let rest = self.options.max_batch_tokens.saturating_sub(decodes);
        if decodes == 0 { rest } else { rest.min(self.options.max_prefill_tokens) }
    }

    /// Lets waiting sequences in, strictly in their order, while the step has room for their prefill. Nobody
    /// overtakes a sequence for which there are not enough blocks, or it might wait for ever.
    fn admit(&mut self) {
        while let Some(rank) = self.queue.first(&self.callers) {
            let place = self.running.partition_point(|sequence| sequence.rank() < Some(rank));
            let before = self.running[..place].iter().filter(|sequence| sequence.is_prefill());
            let prefill: usize = before.map(Sequence::remaining).sum();
            if prefill >= self.prefill_budget() || !self.make_room(rank) {
                return;
            }
            let Some(mut sequence) = self.queue.take(rank) else { return };
            if !self.cache.commit(&self.reservation, &mut sequence.table) {
                self.queue.push(sequence);
                return;
            }
            if sequence.account.is_none() {
                let cost = self.cost(&sequence, self.reservation.shared.len() * BLOCK_TOKENS);
                sequence.account = Some(self.callers.begin(sequence.caller, rank, cost));
            }
            sequence.shared = self.reservation.shared.len();
            sequence.node = self.reservation.node;
            sequence.computed = sequence.shared * BLOCK_TOKENS;
            self.stats.prefix_hit_tokens += sequence.computed as u64;
            if sequence.timings.preemptions == 0 {
                sequence.timings.cached_tokens = sequence.computed;
                // All the memory a sequence will need, so that its decode steps allocate nothing.
                sequence.tokens.reserve_exact(sequence.max_tokens);
                let most = sequence.prompt_len + sequence.max_tokens;
                sequence.table.reserve(blocks_for(most));
                if let Some(lookup) = &mut sequence.lookup {
                    lookup.reserve(most);
                }
            }
            self.running.insert(place, sequence);
            // As above, for the tables of all in one batch.
            let tables = self.running.iter().map(|sequence| sequence.table.capacity());
            self.step.batch.blocks.reserve(tables.sum());
        }
    }

    /// What a new sequence is expected to take, `found` positions of which others have computed. They are not charged:
    /// what is shared among callers is computing, and whoever came first has paid for that.
    fn cost(&self, sequence: &Sequence, found: usize) -> u64 {
        let answer = self.callers.expected_answer(sequence.caller).min(sequence.max_tokens);
        (sequence.prompt_len - found) as u64 * PROMPT_SERVICE + answer as u64 * ANSWER_SERVICE
    }

    /// Plans the reservation of the queue's first sequence, of this rank, and, if it stands before running ones that are
    /// in its way, takes their places; never in vain.
    ///
    /// Of its own caller's it may displace all that stand behind it: their order is that of priority and arrival. Of
    /// another's only what stands behind it by at least what was done for it, so that what is computed twice is less
    /// than the unfairness that it makes good, and by half of what the cheaper of the two costs, as forecasts are not
    /// exact. Ranks never change and only so many ever stand before any one, so nobody is displaced for ever; and who was
    /// displaced, being worse by that much, does not displace in turn.
    fn make_room(&mut self, rank: Rank) -> bool {
        let Some(head) = self.queue.get(rank) else { return false };
        let price = head.account.as_ref().map_or_else(|| self.cost(head, 0), Account::charged);
        let caller = head.caller;
        let yields = |sequence: &Sequence| {
            sequence.account.as_ref().is_some_and(|account| {
                let apart = (price.min(account.charged()) / 2).max(account.served());
                let apart = if sequence.caller == caller { 0 } else { apart };
                rank < account.rank() && rank.leads(account.rank(), apart)
            })
        };
        let running = self.running.len();
        let crowded = running >= self.options.max_sequences || self.cache.available() <= running;
        if crowded && !self.running.iter().any(yields) {
            return false;
        }
        // Who scores its prompt computes all of it.
        self.cache.plan(head.adapter, &head.tokens, !head.is_scoring(), &mut self.reservation);
        // A block for each running sequence to grow into is left, or the newcomer would soon be preempted. The best
        // standing sequence alone needs none.
        let has_room = |scheduler: &Self| {
            scheduler.running.len() < scheduler.options.max_sequences
                && scheduler.cache.fits(&scheduler.reservation, scheduler.running.len())
        };
        if has_room(self) {
            return true;
        }
        let stays = |sequence: &&Sequence| !yields(sequence);
        let staying = self.running.iter().filter(stays).count();
        let kept = self.running.iter().filter(stays).map(|sequence| sequence.table.as_slice());
        let shared = std::iter::once(self.reservation.shared.as_slice());
        let held = self.cache.distinct(kept.chain(shared));
        if staying >= self.options.max_sequences
            || held + self.reservation.fresh + staying > self.cache.total()
        {
            return false;
        }
        for index in (0..running).rev() {
            if yields(&self.running[index]) {
                // It stands behind the queue's first, which therefore stays the first.
                self.preempt(index);
                if has_room(self) {
                    return true;
                }
            }
        }
        false
    }

    /// Prefill chunks in order of standing until the budget is spent.
    fn plan_prefill(&mut self) {
        let mut budget = self.prefill_budget();
        // Logits of one row are for every sequence; those that score their prompt share the rest.
        let mut logits = self.options.logit_rows().saturating_sub(self.running.len());
        for sequence in self.running.iter_mut().filter(|sequence| sequence.is_prefill()) {
            // What another sequence has computed since this one was let in need not be computed again.
            while !sequence.is_scoring()
                && sequence.computed == sequence.shared * BLOCK_TOKENS
                && sequence.remaining() > BLOCK_TOKENS
            {
                let tokens = &sequence.tokens[sequence.computed..sequence.computed + BLOCK_TOKENS];
                let Some(node) = self.cache.child(sequence.node, tokens) else { break };
                self.cache.adopt(node, &mut sequence.table[sequence.shared]);
                sequence.node = node.id;
                sequence.shared += 1;
                sequence.computed += BLOCK_TOKENS;
                self.stats.prefix_hit_tokens += BLOCK_TOKENS as u64;
                if sequence.timings.preemptions == 0 {
                    sequence.timings.cached_tokens += BLOCK_TOKENS;
                }
            }
            sequence.planned = sequence.remaining().min(budget);
            if sequence.is_scoring() && sequence.planned > 0 {
                // Rows that were scored before they were preempted need none.
                let known = sequence.scored.saturating_sub(sequence.computed);
                sequence.planned = sequence.planned.min(known + logits + 1);
                logits -= (sequence.planned - known.min(sequence.planned)).saturating_sub(1);
            }
            budget -= sequence.planned;
        }
    }

    /// Drafts for the decodes that ask for them, an equal share for each, out of what the step has left: rows beside
    /// the decodes that prefill does not use, and blocks that nobody holds. Those are given back when the step is
    /// over, so that drafts keep nobody out and preempt nobody; at most they evict a cached block sooner.
    fn plan_drafts(&mut self) {
        let (mut asking, mut prefill, mut scores) = (0, 0, 0);
        for sequence in &self.running {
            match sequence.phase {
                Phase::Decode => asking += usize::from(sequence.lookup.is_some()),
                Phase::Prefill => {
                    prefill += sequence.planned;
                    scores += sequence.scores(sequence.computed + sequence.planned);
                }
                Phase::Choosing => {}
            }
        }
        let left = self.prefill_budget().saturating_sub(prefill);
        let mut budget = left.min(MAX_VERIFIED_ROWS.saturating_sub(self.running.len() + scores));
        for sequence in self.running.iter_mut().filter(|sequence| sequence.phase == Phase::Decode) {
            let Some(lookup) = &mut sequence.lookup else { continue };
            let share = budget.div_ceil(asking);
            asking -= 1;
            // The row behind the last draft yields a token too.
            let wanted = sequence.max_tokens - (sequence.tokens.len() - sequence.prompt_len) - 1;
            let next = sequence.computed + 1;
            let room = (sequence.table.len() + self.cache.available()) * BLOCK_TOKENS - next;
            let drafts = lookup.propose(&mut sequence.tokens, share.min(wanted).min(room));
            sequence.drafts = drafts;
            sequence.planned += drafts;
            budget -= drafts;
            let grown = self.cache.grow(&mut sequence.table, blocks_for(next + drafts));
            debug_assert!(grown, "there was room");
        }
    }

    /// Writes the planned rows into the batch, decodes first.
    fn fill(&mut self, now: Duration) {
        let step = &mut self.step;
        for phase in [Phase::Decode, Phase::Prefill] {
            for (index, sequence) in self.running.iter_mut().enumerate() {
                if sequence.phase != phase || sequence.planned == 0 {
                    continue;
                }
                let end = sequence.computed + sequence.planned;
                let scores = sequence.scores(end - sequence.drafts);
                let choices = if end == sequence.tokens.len() { 1 + sequence.drafts } else { 0 };
                let logits = scores + choices;
                let table = &sequence.table[..blocks_for(end)];
                let ids = &sequence.tokens[sequence.computed..end];
                step.batch.push_adapted(sequence.adapter, ids, sequence.computed, table, logits);
                let rows = sequence.planned;
                step.participants.push(Participant { id: sequence.id, index, rows, logits, scores });
                match phase {
                    Phase::Decode => {
                        step.decode_rows += rows;
                        step.draft_rows += sequence.drafts;
                    }
                    Phase::Prefill | Phase::Choosing => step.prefill_rows += rows,
                }
                if sequence.timings.started.is_none() {
                    sequence.timings.started = Some(now);
                    self.stats.queue_wait.add(now.saturating_sub(sequence.timings.submitted));
                }
            }
        }
    }
}
