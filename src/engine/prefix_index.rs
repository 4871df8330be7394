//! Which full blocks of tokens are in the cache, found by everything that stands before them.
//!
//! A trie: a node is one full block after one particular beginning. Its key is the identity of the node before it
//! and its own tokens, compared in full, and identities are never given twice. So a hit is exact: two beginnings
//! are the same node only if every token is the same, and colliding hashes cost time, never a wrong text.

use std::collections::HashMap;

use crate::backend::{AdapterId, BLOCK_TOKENS};

/// Identity of a node: a beginning that is a whole number of blocks long. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(u64);

impl NodeId {
    /// The empty beginning of texts that an adapter computes. Each has its own: keys and values are the adapter's, so
    /// no beginning is shared with another one, or with the model as it is.
    pub(crate) fn root(adapter: AdapterId) -> Self {
        Self(ROOTS | u64::from(adapter.0))
    }

    #[cfg(any(debug_assertions, test, fuzzing))]
    pub(crate) fn is_root(self) -> bool {
        self.0 >= ROOTS
    }
}

/// Roots stand above every identity that counting reaches.
const ROOTS: u64 = 1 << 63;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    parent: NodeId,
    tokens: [u32; BLOCK_TOKENS],
}

/// A node and the cache block that holds its keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) block: u32,
}

/// The trie over all shareable blocks.
#[derive(Debug)]
pub(crate) struct PrefixIndex {
    nodes: HashMap<Key, Node>,
    /// The node that lives in a block, for eviction: one place per block.
    keys: Vec<Option<Key>>,
    next_id: u64,
}

impl PrefixIndex {
    /// An index over blocks `0..blocks`, with all the memory that it will ever take: twice the room, because a table
    /// that is more than half full makes a new one of itself when its removals have to be tidied up.
    pub(crate) fn new(blocks: usize) -> Self {
        Self { nodes: HashMap::with_capacity(2 * blocks), keys: vec![None; blocks], next_id: 1 }
    }

    fn key(parent: NodeId, tokens: &[u32]) -> Option<Key> {
        Some(Key { parent, tokens: tokens.try_into().ok()? })
    }

    /// The block of `tokens` (exactly one block of them) after `parent`.
    pub(crate) fn child(&self, parent: NodeId, tokens: &[u32]) -> Option<Node> {
        self.nodes.get(&Self::key(parent, tokens)?).copied()
    }

    /// Adds a node for `tokens` after `parent`, living in `block`, unless there is one: the node that stands.
    /// `None` if `tokens` is not one full block.
    pub(crate) fn insert(&mut self, parent: NodeId, tokens: &[u32], block: u32) -> Option<Node> {
        let key = Self::key(parent, tokens)?;
        if let Some(node) = self.nodes.get(&key) {
            return Some(*node);
        }
        let node = Node { id: NodeId(self.next_id), block };
        self.next_id += 1;
        // A block that does not exist is nobody's mistake but the caller's; it is not made shareable.
        *self.keys.get_mut(block as usize)? = Some(key);
        self.nodes.insert(key, node);
        Some(node)
    }

    /// Whether a node lives in `block`.
    pub(crate) fn holds(&self, block: u32) -> bool {
        self.keys.get(block as usize).is_some_and(Option::is_some)
    }

    /// Forgets the node that lives in `block`. What came after it can no longer be found.
    pub(crate) fn remove(&mut self, block: u32) {
        if let Some(key) = self.keys.get_mut(block as usize).and_then(Option::take) {
            self.nodes.remove(&key);
        }
    }

    /// Forgets everything; identities go on from where they were.
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
        self.keys.fill(None);
    }

    /// Every node with its parent and block, in no order.
    #[cfg(any(debug_assertions, test, fuzzing))]
    pub(crate) fn entries(&self) -> impl Iterator<Item = (NodeId, Node)> + '_ {
        self.nodes.iter().map(|(key, node)| (key.parent, *node))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn root() -> NodeId {
        NodeId::root(AdapterId::BASE)
    }

    #[test]
    fn the_same_tokens_under_two_adapters_are_two_beginnings() {
        let mut index = PrefixIndex::new(16);
        let tokens = [1; BLOCK_TOKENS];
        let base = index.insert(root(), &tokens, 0).unwrap();
        for adapter in [1, 2, u32::MAX] {
            let root = NodeId::root(AdapterId(adapter));
            assert_eq!(index.child(root, &tokens), None);
            assert_ne!(index.insert(root, &tokens, adapter % 15 + 1).unwrap(), base);
        }
        assert_eq!(index.child(root(), &tokens), Some(base));
    }

    #[test]
    fn a_block_is_found_only_after_its_own_beginning() {
        let mut index = PrefixIndex::new(16);
        let (a, b) = ([1; BLOCK_TOKENS], [2; BLOCK_TOKENS]);
        let first = index.insert(root(), &a, 7).unwrap();
        let second = index.insert(first.id, &b, 8).unwrap();
        assert_eq!(index.child(first.id, &b), Some(second));
        assert_eq!(index.child(root(), &b), None);
        assert_eq!(index.insert(root(), &a, 9).unwrap(), first, "the first to come stays");
        assert!(!index.holds(9));
        assert_eq!(index.insert(root(), &a[1..], 9), None);
    }

    #[test]
    fn identities_are_not_reused_after_removal() {
        let mut index = PrefixIndex::new(16);
        let (a, b) = ([1; BLOCK_TOKENS], [2; BLOCK_TOKENS]);
        let first = index.insert(root(), &a, 0).unwrap();
        index.insert(first.id, &b, 1).unwrap();
        index.remove(0);
        let again = index.insert(root(), &a, 2).unwrap();
        assert_ne!(again.id, first.id);
        assert_eq!(index.child(again.id, &b), None, "the orphan is not found through its parent's successor");
        index.clear();
        assert!(index.insert(root(), &a, 2).unwrap().id > again.id);
        assert_eq!(index.entries().count(), 1);
    }
}
