//! One answer under a grammar: what may follow, what came, and back again.

use std::sync::Arc;

use llguidance::earley::{BiasComputer, Parser, ParserError};

use super::error::{GrammarError, one_line};
use super::vocabulary::{FirstToken, Vocabulary};
use crate::mailbox::guarded;

/// The state of one answer.
///
/// Before each token [`allowed`](Self::allowed) gives the set of those that may follow; the one that was chosen goes to
/// [`accept`](Self::accept). A clone is independent of its origin. After an error that is not
/// [`NotAllowed`](GrammarError::NotAllowed) or [`Rollback`](GrammarError::Rollback) every further call gives that error.
pub struct Matcher {
    vocabulary: Arc<Vocabulary>,
    parser: Parser,
    /// One bit per row, valid where `fresh`.
    mask: Vec<u32>,
    fresh: bool,
    /// Bytes that each accepted token gave to the parser.
    lengths: Vec<usize>,
    /// Whether the first token is the first of a text.
    begins: bool,
    /// Whether the answer may end here.
    accepting: bool,
    /// Whether nothing but the end can follow.
    complete: bool,
    /// Whether a stop token came.
    ended: bool,
    failed: Option<GrammarError>,
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Matcher")
            .field("tokens", &self.lengths.len())
            .field("complete", &self.complete)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Clone for Matcher {
    /// With caches of its own: what goes wrong in one does not reach the other.
    fn clone(&self) -> Self {
        Self {
            vocabulary: Arc::clone(&self.vocabulary),
            // A panic leaves a lock behind that cannot be taken again, and a parser that is not used any more.
            parser: if self.failed.is_some() { self.parser.clone() } else { self.parser.deep_clone() },
            mask: self.mask.clone(),
            lengths: self.lengths.clone(),
            failed: self.failed.clone(),
            ..*self
        }
    }
}

impl Matcher {
    /// A matcher at the beginning of the grammar. `begins`: its first token is the first of a text.
    pub(super) fn new(
        vocabulary: Arc<Vocabulary>,
        parser: Parser,
        begins: bool,
    ) -> Result<Self, GrammarError> {
        let mask = vec![0; vocabulary.rows().div_ceil(32)];
        let mut matcher = Self {
            vocabulary,
            parser,
            mask,
            fresh: false,
            lengths: Vec::new(),
            begins,
            accepting: false,
            complete: false,
            ended: false,
            failed: None,
        };
        matcher.guard(Self::look)?;
        Ok(matcher)
    }

    /// The tokens that may follow: bit `t % 32` of word `t / 32` for token `t`, one bit per row of logits.
    ///
    /// There is always at least one. Where the answer may end, all stop tokens are in it, elsewhere none of them.
    /// Computed once per position.
    ///
    /// # Errors
    /// No token can follow, or a limit is reached.
    pub fn allowed(&mut self) -> Result<&[u32], GrammarError> {
        if !self.fresh || self.failed.is_some() {
            self.guard(Self::compute)?;
            self.fresh = true;
        }
        Ok(&self.mask)
    }

    /// Takes a token of the set. A stop token ends the answer.
    ///
    /// # Errors
    /// [`GrammarError::NotAllowed`] leaves everything as it was.
    pub fn accept(&mut self, token: u32) -> Result<(), GrammarError> {
        let refused = GrammarError::NotAllowed { token, position: self.lengths.len() };
        if !self.allows(token)? {
            return Err(refused);
        }
        if self.vocabulary.stop_tokens().contains(&token) {
            self.lengths.push(0);
            self.ended = true;
            self.complete = true;
            self.fresh = false;
            return Ok(());
        }
        self.guard(|matcher| matcher.advance(token))
    }

    /// Whether nothing but the end can follow, so that the caller may end without another step. It may be found only by
    /// [`allowed`](Self::allowed): then the set holds the stop tokens alone.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether the answer may end here.
    pub fn may_end(&self) -> bool {
        self.accepting
    }

    /// Takes back the last `tokens` tokens; the matcher is as if they had never come.
    ///
    /// # Errors
    /// [`GrammarError::Rollback`]: there are not so many. Everything is as it was.
    pub fn rollback(&mut self, tokens: usize) -> Result<(), GrammarError> {
        let position = self.lengths.len();
        let kept = position.checked_sub(tokens).ok_or(GrammarError::Rollback { tokens, position })?;
        if tokens == 0 {
            return Ok(());
        }
        self.guard(|matcher| {
            let bytes = matcher.lengths.drain(kept..).sum();
            matcher.parser.rollback(bytes).map_err(engine)?;
            // The engine keys its last set by the length of the text, which another text may have as well.
            matcher.parser.invalidate_bias_cache();
            matcher.ended = false;
            matcher.look()
        })
    }

    /// Makes the engine panic.
    #[cfg(test)]
    pub(super) fn panic(&mut self) -> Result<(), GrammarError> {
        self.guard(|matcher| matcher.parser.test_trigger_lexer_error().map_err(engine))
    }

    /// Whether `token` is of the set; computes the set only where the engine cannot tell without.
    fn allows(&mut self, token: u32) -> Result<bool, GrammarError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if (token as usize) >= self.vocabulary.rows() || self.ended {
            return Ok(false);
        }
        if self.vocabulary.stop_tokens().contains(&token) {
            return Ok(self.accepting);
        }
        if self.fresh || self.at_first().is_some() {
            let mask = self.allowed()?;
            return Ok(mask.get(token as usize / 32).is_some_and(|word| word >> (token % 32) & 1 == 1));
        }
        let mut valid = 0;
        self.guard(|matcher| {
            valid = matcher.parser.validate_tokens(&[token]);
            matcher.check()
        })?;
        Ok(valid == 1)
    }

    /// How tokens read here, where it is not as they read within a text.
    fn at_first(&self) -> Option<&FirstToken> {
        if self.begins && self.lengths.is_empty() { self.vocabulary.first.as_ref() } else { None }
    }

    fn compute(&mut self) -> Result<(), GrammarError> {
        let vocabulary = Arc::clone(&self.vocabulary);
        self.mask.fill(0);
        if !self.ended {
            let computer: &dyn BiasComputer = match &vocabulary.first {
                Some(first) if self.begins && self.lengths.is_empty() => first,
                _ => &vocabulary.slices,
            };
            let set = self.parser.compute_bias(computer, &[]);
            self.check()?;
            for (word, allowed) in self.mask.iter_mut().zip(set.as_slice()) {
                *word = *allowed;
            }
            // A row that does not fill its last word.
            let (full, rest) = (vocabulary.rows() / 32, vocabulary.rows() % 32);
            if let Some(last) = self.mask.get_mut(full) {
                *last &= (1 << rest) - 1;
            }
        }
        self.set_stop_tokens(false);
        let ends = self.accepting || self.ended;
        if self.mask.iter().all(|word| *word == 0) {
            if !ends {
                return Err(GrammarError::DeadEnd { position: self.lengths.len() });
            }
            self.complete = true;
        }
        if ends {
            self.set_stop_tokens(true);
        }
        Ok(())
    }

    fn set_stop_tokens(&mut self, allowed: bool) {
        for token in self.vocabulary.stop_tokens() {
            if let Some(word) = self.mask.get_mut(*token as usize / 32) {
                let bit = 1 << (token % 32);
                *word = if allowed { *word | bit } else { *word & !bit };
            }
        }
    }

    fn advance(&mut self, token: u32) -> Result<(), GrammarError> {
        let word = self.vocabulary.bytes(token);
        let first = self.at_first().is_some();
        let bytes = if first { FirstToken::bytes(&word) } else { &word };
        let before = self.parser.get_bytes().len();
        // The token is of the set: what the engine refuses now is the size of its own state.
        let backtrack = self.parser.apply_token(bytes, token).map_err(|e| GrammarError::TooComplex {
            position: self.lengths.len(),
            reason: one_line(&e.to_string()),
        })?;
        self.check()?;
        if backtrack != 0 {
            return Err(GrammarError::Engine { reason: format!("{backtrack} bytes of hidden text") });
        }
        self.lengths.push(self.parser.get_bytes().len().saturating_sub(before));
        if first {
            // The set of the first token must not be taken for that of the second.
            self.parser.invalidate_bias_cache();
        }
        self.look()
    }

    /// Finds out whether the answer may end, or must.
    fn look(&mut self) -> Result<(), GrammarError> {
        self.accepting = self.parser.is_accepting();
        self.check()?;
        self.complete = self.accepting && !self.parser.can_advance();
        self.fresh = false;
        Ok(())
    }

    /// The limits that the parser reached, if it did.
    fn check(&self) -> Result<(), GrammarError> {
        match self.parser.get_error() {
            None => Ok(()),
            Some(ParserError::LexerError(reason) | ParserError::ParserError(reason)) => {
                Err(GrammarError::TooComplex { position: self.lengths.len(), reason: one_line(&reason) })
            }
            Some(ParserError::Cancelled) => Err(engine("cancelled")),
        }
    }

    /// Runs the engine: its errors and its panics end this matcher and nothing else.
    fn guard(&mut self, run: impl FnOnce(&mut Self) -> Result<(), GrammarError>) -> Result<(), GrammarError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = guarded(|| run(self)).unwrap_or_else(|reason| Err(engine(reason)));
        self.failed = result.as_ref().err().cloned();
        result
    }
}

fn engine(reason: impl std::fmt::Display) -> GrammarError {
    GrammarError::Engine { reason: one_line(&reason.to_string()) }
}
