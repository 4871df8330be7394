//! The paged cache's blocks: who holds which, and which can be had.
//!
//! A block is *used* (a sequence's table names it; several may), *cached* (nobody's, but its content is in the
//! prefix index) or *free*. Fresh blocks come from the free list, then from the cached ones, least recently used
//! first. A table is released from its end, so a block always becomes evictable before the one it continues.

use super::lru::Lru;
use super::prefix_index::{Node, NodeId, PrefixIndex};
use crate::backend::{AdapterId, BLOCK_TOKENS};

/// The number of blocks that hold `positions` positions.
pub(crate) fn blocks_for(positions: usize) -> usize {
    positions.div_ceil(BLOCK_TOKENS)
}

/// What an admission would take: a plan that holds nothing until it is committed.
#[derive(Debug)]
pub(crate) struct Reservation {
    /// Blocks found in the prefix index, from the sequence's beginning.
    pub(crate) shared: Vec<u32>,
    /// The last of them in the index.
    pub(crate) node: NodeId,
    /// Blocks that must be had besides.
    pub(crate) fresh: usize,
}

impl Default for Reservation {
    fn default() -> Self {
        Self { shared: Vec::new(), node: NodeId::root(AdapterId::BASE), fresh: 0 }
    }
}

/// The state of all blocks of one engine.
#[derive(Debug)]
pub(crate) struct BlockCache {
    references: Vec<u32>,
    free: Vec<u32>,
    cached: Lru,
    index: PrefixIndex,
    sharing: bool,
    /// Marks for counting distinct blocks: a block is marked if its entry is the current `mark`.
    marks: Vec<u64>,
    mark: u64,
}

impl BlockCache {
    /// A cache of `blocks` free blocks; `sharing`: whether full blocks become shareable.
    pub(crate) fn new(blocks: usize, sharing: bool) -> Self {
        Self {
            references: vec![0; blocks],
            free: (0..blocks as u32).rev().collect(),
            cached: Lru::new(blocks),
            index: PrefixIndex::new(if sharing { blocks } else { 0 }),
            sharing,
            marks: vec![0; blocks],
            mark: 0,
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.references.len()
    }

    /// Blocks that nobody uses: free ones and cached ones.
    pub(crate) fn available(&self) -> usize {
        self.free.len() + self.cached.len()
    }

    pub(crate) fn cached(&self) -> usize {
        self.cached.len()
    }

    pub(crate) fn used(&self) -> usize {
        self.total() - self.available()
    }

    /// Plans what a sequence of `tokens` would take that an adapter computes; `share`: what others have computed counts.
    /// The last token is never shared: somebody must compute its logits.
    pub(crate) fn plan(
        &self,
        adapter: AdapterId,
        tokens: &[u32],
        share: bool,
        reservation: &mut Reservation,
    ) {
        reservation.shared.clear();
        reservation.node = NodeId::root(adapter);
        let before_last = if share { &tokens[..tokens.len().saturating_sub(1)] } else { &[] };
        for node in self.find(adapter, before_last) {
            reservation.shared.push(node.block);
            reservation.node = node.id;
        }
        reservation.fresh = blocks_for(tokens.len()) - reservation.shared.len();
    }

    /// The shareable blocks of the beginning of `tokens`, one after the other.
    pub(crate) fn find(&self, adapter: AdapterId, tokens: &[u32]) -> impl Iterator<Item = Node> {
        let mut parent = NodeId::root(adapter);
        tokens.chunks_exact(BLOCK_TOKENS).map_while(move |block| {
            let node = self.index.child(parent, block)?;
            parent = node.id;
            Some(node)
        })
    }

    /// Holds a shareable block in `table`.
    pub(crate) fn hold(&mut self, block: u32, table: &mut Vec<u32>) {
        self.acquire(block);
        table.push(block);
    }

    /// How many blocks of `table` from its beginning are shareable.
    pub(crate) fn shareable(&self, table: &[u32]) -> usize {
        table.iter().take_while(|block| self.index.holds(**block)).count()
    }

    /// Whether `reservation` can be committed and `headroom` blocks are still to be had afterwards.
    pub(crate) fn fits(&self, reservation: &Reservation, headroom: usize) -> bool {
        let revived = reservation.shared.iter().filter(|block| self.cached.contains(**block)).count();
        self.available() >= revived + reservation.fresh + headroom
    }

    /// The number of distinct blocks in `tables`: what cannot be had while they stay.
    pub(crate) fn distinct<'a>(&mut self, tables: impl Iterator<Item = &'a [u32]>) -> usize {
        self.mark += 1;
        let mut count = 0;
        for block in tables.flatten() {
            let mark = &mut self.marks[*block as usize];
            count += usize::from(*mark != self.mark);
            *mark = self.mark;
        }
        count
    }

    /// Takes what `reservation` planned into the empty `table`. `false`: nothing is taken.
    pub(crate) fn commit(&mut self, reservation: &Reservation, table: &mut Vec<u32>) -> bool {
        debug_assert!(table.is_empty());
        if !self.fits(reservation, 0) {
            return false;
        }
        for block in &reservation.shared {
            self.acquire(*block);
            table.push(*block);
        }
        let blocks = table.len() + reservation.fresh;
        self.grow(table, blocks)
    }

    /// Appends fresh blocks until `table` has `blocks` of them. `false`: nothing is taken.
    pub(crate) fn grow(&mut self, table: &mut Vec<u32>, blocks: usize) -> bool {
        if blocks.saturating_sub(table.len()) > self.available() {
            return false;
        }
        while table.len() < blocks {
            let Some(block) = self.take() else { return false };
            table.push(block);
        }
        true
    }

    /// Gives back the last blocks of `table` until it has `blocks` of them.
    pub(crate) fn shrink(&mut self, table: &mut Vec<u32>, blocks: usize) {
        while table.len() > blocks
            && let Some(block) = table.pop()
        {
            self.release(block);
        }
    }

    fn take(&mut self) -> Option<u32> {
        let block = match self.free.pop() {
            Some(block) => block,
            None => {
                let block = self.cached.pop()?;
                self.index.remove(block);
                block
            }
        };
        self.references[block as usize] = 1;
        Some(block)
    }

    fn acquire(&mut self, block: u32) {
        let references = &mut self.references[block as usize];
        if *references == 0 {
            self.cached.remove(block);
        }
        *references += 1;
    }

    fn release(&mut self, block: u32) {
        let references = &mut self.references[block as usize];
        debug_assert!(*references > 0);
        *references -= 1;
        if *references == 0 {
            if self.index.holds(block) {
                self.cached.push(block);
            } else {
                self.free.push(block);
            }
        }
    }

    /// Gives back every block of `table`, the last one first.
    pub(crate) fn release_table(&mut self, table: &mut Vec<u32>) {
        self.shrink(table, 0);
    }

    /// The shareable block of `tokens` after `node`.
    pub(crate) fn child(&self, node: NodeId, tokens: &[u32]) -> Option<Node> {
        self.index.child(node, tokens)
    }

    /// Makes the computed block `slot`, which holds `tokens` after `node`, shareable. If another sequence was first,
    /// `slot` becomes its block and ours is given back: so whoever holds a block holds all that it continues.
    pub(crate) fn share(&mut self, node: NodeId, tokens: &[u32], slot: &mut u32) -> Option<NodeId> {
        if !self.sharing {
            return None;
        }
        let found = self.index.insert(node, tokens, *slot)?;
        self.adopt(found, slot);
        Some(found.id)
    }

    /// Puts the block of `node` in the place of `slot`, which is given back.
    pub(crate) fn adopt(&mut self, node: Node, slot: &mut u32) {
        if node.block != *slot {
            self.acquire(node.block);
            self.release(*slot);
            *slot = node.block;
        }
    }

    /// Forgets all contents: nothing computed so far will be shared. Tables stay as they are.
    pub(crate) fn flush(&mut self) {
        while let Some(block) = self.cached.pop() {
            self.free.push(block);
        }
        self.index.clear();
    }

    /// References per block, the free list, and the index: for the validator.
    #[cfg(any(debug_assertions, test, fuzzing))]
    pub(crate) fn parts(&self) -> (&[u32], &[u32], &Lru, &PrefixIndex) {
        (&self.references, &self.free, &self.cached, &self.index)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tokens(blocks: usize) -> Vec<u32> {
        (0..(blocks * BLOCK_TOKENS) as u32).collect()
    }

    /// Fills `table` with blocks for `tokens` and shares all full ones.
    fn store(cache: &mut BlockCache, tokens: &[u32]) -> Vec<u32> {
        let mut plan = Reservation::default();
        cache.plan(AdapterId::BASE, tokens, true, &mut plan);
        let mut table = Vec::new();
        assert!(cache.commit(&plan, &mut table));
        let mut node = NodeId::root(AdapterId::BASE);
        for (slot, block) in table.iter_mut().zip(tokens.chunks_exact(BLOCK_TOKENS)) {
            node = cache.share(node, block, slot).unwrap();
        }
        table
    }

    #[test]
    fn a_hit_leaves_the_last_token_to_compute() {
        let mut cache = BlockCache::new(8, true);
        let tokens = tokens(3);
        let mut table = store(&mut cache, &tokens);
        cache.release_table(&mut table);
        assert_eq!((cache.used(), cache.cached()), (0, 3));
        let mut plan = Reservation::default();
        cache.plan(AdapterId::BASE, &tokens, true, &mut plan);
        assert_eq!((plan.shared.len(), plan.fresh), (2, 1));
        cache.plan(AdapterId::BASE, &tokens[..33], true, &mut plan);
        assert_eq!((plan.shared.len(), plan.fresh), (2, 1));
    }

    #[test]
    fn the_end_of_a_chain_is_evicted_before_its_beginning() {
        let mut cache = BlockCache::new(4, true);
        let tokens = tokens(3);
        let mut table = store(&mut cache, &tokens);
        cache.release_table(&mut table);
        let mut other = Vec::new();
        assert!(cache.grow(&mut other, 2), "one free block and one evicted");
        let mut plan = Reservation::default();
        cache.plan(AdapterId::BASE, &[tokens.as_slice(), &[1]].concat(), true, &mut plan);
        assert_eq!(plan.shared.len(), 2);
        assert!(!cache.fits(&plan, 0), "both shared blocks would be revived and two more are missing");
        assert!(!cache.grow(&mut other, 5));
        assert_eq!(other.len(), 2);
    }

    #[test]
    fn whoever_comes_second_adopts_the_first_ones_block() {
        let mut cache = BlockCache::new(4, true);
        let tokens = tokens(1);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        assert!(cache.grow(&mut first, 1) && cache.grow(&mut second, 1));
        let node = cache.share(NodeId::root(AdapterId::BASE), &tokens, &mut first[0]).unwrap();
        assert_eq!(cache.share(NodeId::root(AdapterId::BASE), &tokens, &mut second[0]), Some(node));
        assert_eq!(first, second);
        assert_eq!((cache.used(), cache.available()), (1, 3));
        cache.release_table(&mut first);
        assert_eq!(cache.used(), 1, "the second still holds it");
        cache.release_table(&mut second);
        cache.flush();
        assert_eq!((cache.used(), cache.cached(), cache.available()), (0, 0, 4));
    }
}
