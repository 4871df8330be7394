//! Guessing the tokens that come next by looking up what followed before (Saxena, "Prompt Lookup Decoding", 2023),
//! and telling which of the guesses were right.
//!
//! A draft is a guess at the tokens that will be sampled next. One step computes the logits after the newest token
//! and after each token of its draft; a draft's token stands if it is the one that is sampled from the row before it
//! (Leviathan et al., "Fast Inference from Transformers via Speculative Decoding", 2023, with a draft that is
//! certain of itself). A draw depends on its position, so what is sampled is what plain decoding samples: drafts
//! change how many tokens a step yields, never which.

use super::step::{Judgement, Verdict};

/// The most tokens of one draft.
pub const MAX_DRAFT_TOKENS: usize = 16;

/// Sequences and drafts of a step together are at most this many, or there are no drafts. A step takes hardly longer
/// for a few rows more, because reading the weights is most of it; beyond this many each further one costs its full
/// share. It also bounds the memory for logits.
pub(crate) const MAX_VERIFIED_ROWS: usize = 32;

/// So many of the text's last tokens must stand at an earlier place too for a draft to be taken from there.
const SHORTEST: usize = 2;

/// Of several such places the one counts where most of the last tokens are the same, so many being enough, and of
/// equals the latest.
const LONGEST: usize = 4;

/// How many earlier places are looked at, the latest first: the bound on the cost of one look-up.
const CANDIDATES: usize = 32;

/// Steps without a draft after drafts of one token have failed too.
const PAUSE: usize = 16;

/// The drafts of one sequence.
///
/// How long they are follows what became of them: one that stands as a whole doubles the length, up to what was
/// asked for; any other leaves the larger of half the length and what stood of it. When nothing is left, there are no
/// drafts for [`PAUSE`] steps and then one of one token. So a text that never repeats itself costs a row more in one
/// of [`PAUSE`] + 1 steps.
#[derive(Debug)]
pub(crate) struct PromptLookup {
    places: Places,
    most: usize,
    length: usize,
    pause: usize,
}

impl PromptLookup {
    /// Drafts of up to `most` tokens, at least 1.
    pub(crate) fn new(most: usize) -> Self {
        Self { places: Places::default(), most, length: most, pause: 0 }
    }

    /// Makes room for a text of so many tokens, so that no step allocates.
    pub(crate) fn reserve(&mut self, tokens: usize) {
        self.places.reserve(tokens);
    }

    /// Appends a draft of at most `most` tokens to `tokens` and returns how many they are.
    pub(crate) fn propose(&mut self, tokens: &mut Vec<u32>, most: usize) -> usize {
        if most == 0 {
            return 0;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return 0;
        }
        self.places.extend(tokens);
        let Some(from) = self.places.find(tokens) else { return 0 };
        let length = self.length.min(most);
        for at in from..from + length {
            // Where the draft begins near the text's end it goes on with itself: the text has a period.
            tokens.push(tokens[at]);
        }
        length
    }

    /// Takes up that the first `accepted` tokens of a draft of `proposed` stood.
    pub(crate) fn learn(&mut self, proposed: usize, accepted: usize) {
        if proposed == 0 {
            return;
        }
        self.length = if accepted == proposed {
            (self.length * 2).min(self.most)
        } else {
            accepted.max(self.length / 2)
        };
        if self.length == 0 {
            self.length = 1;
            self.pause = PAUSE;
        }
    }
}

/// Judges rows until one does not confirm its draft: row 0 is the one before the first of `drafts`.
pub(crate) fn verify(drafts: &[u32], mut judge: impl FnMut(usize) -> Verdict) -> Judgement {
    for (accepted, draft) in drafts.iter().enumerate() {
        match judge(accepted) {
            Verdict::Token(token) if token == *draft => {}
            verdict => return Judgement { accepted, verdict },
        }
    }
    Judgement { accepted: drafts.len(), verdict: judge(drafts.len()) }
}

/// Where each pair of tokens occurred, as hash chains (the match finder of Deflate, RFC 1951, section 4): 4 bytes per
/// token and a table, and nothing to be moved when the text grows.
#[derive(Debug, Default)]
struct Places {
    /// By the hash of a pair: the position after its latest occurrence, 0 for none.
    heads: Vec<u32>,
    /// By position: the position after the pair of the same hash before it.
    links: Vec<u32>,
}

impl Places {
    fn reserve(&mut self, tokens: usize) {
        if self.heads.is_empty() {
            self.heads = vec![0; tokens.clamp(1 << 6, 1 << 16)];
        }
        self.links.reserve_exact(tokens.saturating_sub(self.links.len()));
    }

    /// The slot of the pair that stands before position `at`.
    fn slot(&self, tokens: &[u32], at: usize) -> Option<usize> {
        let pair = tokens.get(at.checked_sub(SHORTEST)?..at)?;
        let key = pair.iter().fold(0, |key, token| key << 32 | u64::from(*token));
        // Fibonacci hashing: the high bits of the product with 2^64 divided by the golden ratio.
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some(((u128::from(hash) * self.heads.len() as u128) >> 64) as usize)
    }

    /// Takes up all positions that have a token and were not yet taken up.
    fn extend(&mut self, tokens: &[u32]) {
        for at in self.links.len()..tokens.len() {
            let slot = self.slot(tokens, at).and_then(|slot| self.heads.get_mut(slot));
            self.links.push(slot.map_or(0, |head| std::mem::replace(head, at as u32)));
        }
    }

    /// The position after the best earlier occurrence of what `tokens` end with.
    fn find(&self, tokens: &[u32]) -> Option<usize> {
        let mut at = *self.heads.get(self.slot(tokens, tokens.len())?)? as usize;
        let (mut best, mut longest) = (None, SHORTEST - 1);
        for _ in 0..CANDIDATES {
            if at == 0 || longest == LONGEST {
                break;
            }
            let before = tokens[..at].iter().rev().zip(tokens.iter().rev());
            let same = before.take(LONGEST).take_while(|(earlier, last)| earlier == last).count();
            if same > longest {
                (best, longest) = (Some(at), same);
            }
            at = self.links[at] as usize;
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The draft after `text` in one go.
    fn draft(text: &[u32], most: usize) -> Vec<u32> {
        let mut lookup = PromptLookup::new(MAX_DRAFT_TOKENS);
        lookup.reserve(text.len());
        let mut tokens = text.to_vec();
        let proposed = lookup.propose(&mut tokens, most);
        assert_eq!(tokens.len(), text.len() + proposed);
        tokens.split_off(text.len())
    }

    #[test]
    fn a_draft_is_what_followed_the_longest_and_then_the_latest_match() {
        assert_eq!(draft(&[1, 2, 3, 4, 5, 1, 2], 3), [3, 4, 5]);
        assert_eq!(draft(&[1, 2, 3, 9, 2, 3, 8, 1, 2, 3], 2), [9, 2], "three tokens, though two came later");
        assert_eq!(draft(&[1, 2, 3, 1, 2, 4, 1, 2], 1), [4], "the latest of equals");
        assert_eq!(draft(&[1, 2, 3, 9, 3], 4), [0; 0], "one token alone is no match");
        assert_eq!(draft(&[7, 8, 7, 8], 5), [7, 8, 7, 8, 7], "a period goes on");
        assert_eq!(draft(&[6, 6, 6], 4), [6, 6, 6, 6]);
        for short in [&[][..], &[1], &[1, 1]] {
            assert_eq!(draft(short, 4), [0; 0]);
        }
    }

    #[test]
    fn the_length_follows_what_became_of_the_drafts() {
        let mut lookup = PromptLookup::new(8);
        let mut tokens = vec![1, 2, 3, 4, 5, 1, 2, 3, 4, 5];
        lookup.reserve(64);
        let mut propose = |stands: usize| {
            let proposed = lookup.propose(&mut tokens, usize::MAX);
            tokens.truncate(10);
            lookup.learn(proposed, stands.min(proposed));
            proposed
        };
        assert_eq!([5, 9, 0, 0, 0].map(&mut propose), [8, 5, 8, 4, 2]);
        assert_eq!(propose(0), 1);
        for _ in 0..PAUSE {
            assert_eq!(propose(0), 0, "a pause");
        }
        assert_eq!([0, 9].map(&mut propose), [1, 0], "and another after one more token in vain");
        for _ in 1..PAUSE {
            assert_eq!(propose(0), 0);
        }
        assert_eq!([9, 9, 9, 9, 9].map(&mut propose), [1, 2, 4, 8, 8]);
    }

    #[test]
    fn verification_ends_at_the_first_row_that_says_something_else() {
        let rows = [5, 6, 7, 8];
        let judged = |drafts: &[u32]| {
            let mut seen = 0;
            let judgement = verify(drafts, |row| {
                assert_eq!(row, seen, "each row once and in order");
                seen += 1;
                if rows[row] == 8 { Verdict::Stop } else { Verdict::Token(rows[row]) }
            });
            (judgement.accepted, matches!(judgement.verdict, Verdict::Stop), seen)
        };
        assert_eq!(judged(&[]), (0, false, 1));
        assert_eq!(judged(&[9, 6]), (0, false, 1));
        assert_eq!(judged(&[5, 9, 7]), (1, false, 2));
        assert_eq!(judged(&[5, 6]), (2, false, 3));
        assert_eq!(judged(&[5, 6, 7, 8]), (3, true, 4), "a draft does not outlive its text's end");
    }

    /// The rule in its own words.
    fn from_the_rule(text: &[u32]) -> Option<usize> {
        let ends = |at: &usize, length: usize| {
            *at >= length && text.len() >= length && text[at - length..*at] == text[text.len() - length..]
        };
        (SHORTEST..=LONGEST).rev().find_map(|length| (1..text.len()).rev().find(|at| ends(at, length)))
    }

    proptest! {
        /// However the text has grown; it is short enough that no chain is longer than the bound.
        #[test]
        fn what_is_found_is_what_the_rule_says(text in vec(0u32..5, 0..30), steps in vec(1usize..6, 0..30)) {
            let mut places = Places::default();
            places.reserve(text.len());
            let mut known = 0;
            for step in steps.into_iter().chain([text.len()]) {
                known = (known + step).min(text.len());
                places.extend(&text[..known]);
                prop_assert_eq!(places.find(&text[..known]), from_the_rule(&text[..known]));
            }
        }
    }
}
