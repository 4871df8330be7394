//! An order of use over block numbers, as a doubly linked list in two arrays: no allocation, no search.

const ABSENT: u32 = u32::MAX;

/// Block numbers from the least to the most recently added. Each number is in it at most once.
#[derive(Debug)]
pub(crate) struct Lru {
    /// The neighbours of each block; the entry after the last block is the head and tail of the ring.
    previous: Vec<u32>,
    next: Vec<u32>,
    len: usize,
}

impl Lru {
    /// An empty order over blocks `0..blocks`.
    pub(crate) fn new(blocks: usize) -> Self {
        let ring = blocks as u32;
        let mut previous = vec![ABSENT; blocks + 1];
        let mut next = vec![ABSENT; blocks + 1];
        previous[blocks] = ring;
        next[blocks] = ring;
        Self { previous, next, len: 0 }
    }

    fn ring(&self) -> u32 {
        (self.next.len() - 1) as u32
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn contains(&self, block: u32) -> bool {
        self.next[block as usize] != ABSENT
    }

    /// Adds `block` as the most recently used.
    pub(crate) fn push(&mut self, block: u32) {
        debug_assert!(!self.contains(block));
        let ring = self.ring();
        let last = self.previous[ring as usize];
        self.next[last as usize] = block;
        self.previous[block as usize] = last;
        self.next[block as usize] = ring;
        self.previous[ring as usize] = block;
        self.len += 1;
    }

    /// Takes `block` out, wherever it stands.
    pub(crate) fn remove(&mut self, block: u32) {
        debug_assert!(self.contains(block));
        let (before, after) = (self.previous[block as usize], self.next[block as usize]);
        self.next[before as usize] = after;
        self.previous[after as usize] = before;
        self.next[block as usize] = ABSENT;
        self.previous[block as usize] = ABSENT;
        self.len -= 1;
    }

    /// Takes out the least recently used.
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let first = self.next[self.ring() as usize];
        if first == self.ring() {
            return None;
        }
        self.remove(first);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_first_and_removal_anywhere() {
        let mut lru = Lru::new(5);
        for block in [3, 0, 4, 1] {
            lru.push(block);
        }
        lru.remove(0);
        assert!(!lru.contains(0) && lru.contains(4));
        lru.push(0);
        let order: Vec<u32> = std::iter::from_fn(|| lru.pop()).collect();
        assert_eq!(order, [3, 4, 1, 0]);
        assert_eq!(lru.len(), 0);
    }
}
