//! The tokens of a model as a grammar sees them: bytes, control tokens, the ends of an answer.

use std::collections::HashMap;
use std::sync::Arc;

use llguidance::earley::perf::ParserPerfCounters;
use llguidance::earley::{BiasComputer, ParserRecognizer, SlicedBiasComputer};
use llguidance::toktrie::{ApproximateTokEnv, INVALID_TOKEN, SimpleVob, TokEnv, TokRxInfo, TokTrie};

use super::error::{GrammarError, one_line};
use crate::chat::ToolFormat;
use crate::mailbox::guarded;
use crate::tokenizer::Tokenizer;

/// The most rows: the trie keeps ids in 24 bits.
const MAX_ROWS: usize = (1 << 24) - 1;
/// Longer tokens are never allowed: the trie's depth is limited.
const MAX_TOKEN_BYTES: usize = 512;
/// No byte of UTF-8. Before a name it marks a control token, which no text can spell.
const CONTROL: u8 = TokTrie::SPECIAL_TOKEN_MARKER;

/// The vocabulary of one model, prepared for grammars. Build it once per model, and only when a grammar is asked for: with
/// 128,000 tokens it takes half a second and 40 MB.
///
/// Special tokens and the markers of tool calls are control tokens: text never spells them, and only a grammar that
/// names them allows them. Tokens that stand for no text are never allowed.
pub struct Vocabulary {
    pub(super) env: TokEnv,
    pub(super) slices: SlicedBiasComputer,
    pub(super) counters: Arc<ParserPerfCounters>,
    pub(super) first: Option<FirstToken>,
    stop: Vec<u32>,
    markers: HashMap<&'static str, u32>,
    rows: usize,
}

impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vocabulary")
            .field("rows", &self.rows)
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

impl Vocabulary {
    /// Prepares the tokens of a model with `rows` logits per row. Any of `stop_tokens` ends an answer.
    ///
    /// # Errors
    /// There are no stop tokens, one of them is not below `rows`, or there are fewer rows than tokens.
    pub fn new(tokenizer: &Tokenizer, rows: usize, stop_tokens: &[u32]) -> Result<Self, GrammarError> {
        let refuse = |reason: String| GrammarError::Vocabulary { reason };
        if rows == 0 || rows > MAX_ROWS {
            return Err(refuse(format!("{rows} rows of logits; 1 to {MAX_ROWS} are accepted")));
        }
        let mut stop = stop_tokens.to_vec();
        stop.sort_unstable();
        stop.dedup();
        if stop.is_empty() {
            return Err(refuse("the model names no token that ends an answer".into()));
        }
        if let Some(token) = stop.iter().find(|token| **token as usize >= rows) {
            return Err(refuse(format!("stop token {token} is not one of {rows} rows")));
        }
        let markers: HashMap<&'static str, u32> = ToolFormat::ALL
            .iter()
            .flat_map(|format| format.markers())
            .filter_map(|marker| Some((*marker, tokenizer.token_to_id(marker)?)))
            .filter(|(_, id)| (*id as usize) < rows)
            .collect();
        let control: Vec<u32> = markers.values().chain(&stop).copied().collect();
        let words: Vec<Vec<u8>> = (0_u32..).take(rows).map(|id| word(tokenizer, id, &control)).collect();
        let first = strips_first_space(tokenizer, &words);
        guarded(|| Self::build(words, first, stop, markers))
            .unwrap_or_else(|reason| Err(GrammarError::Engine { reason: one_line(&reason) }))
    }

    fn build(
        words: Vec<Vec<u8>>,
        strips_first_space: bool,
        stop: Vec<u32>,
        markers: HashMap<&'static str, u32>,
    ) -> Result<Self, GrammarError> {
        let rows = words.len();
        // The end of an answer is this module's own matter, not the trie's.
        let info = TokRxInfo::new(u32::try_from(rows).unwrap_or(u32::MAX), INVALID_TOKEN);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words)));
        let slices = SlicedBiasComputer::new(&env, &slices())
            .map_err(|e| GrammarError::Engine { reason: one_line(&e.to_string()) })?;
        let first = strips_first_space.then(|| FirstToken::new(&info, words));
        Ok(Self { env, slices, counters: Arc::new(ParserPerfCounters::new()), first, stop, markers, rows })
    }

    /// Logits per row.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The tokens that end an answer, sorted.
    pub fn stop_tokens(&self) -> &[u32] {
        &self.stop
    }

    /// The token of a marker of tool calls, where the vocabulary has one.
    pub(super) fn marker(&self, spelling: &str) -> Option<u32> {
        self.markers.get(spelling).copied()
    }

    /// The bytes that the engine takes for a token: those of its text, or the name of a control token.
    pub(super) fn bytes(&self, token: u32) -> Vec<u8> {
        self.env.tok_trie().decode_raw(&[token])
    }
}

/// Sets of tokens that are taken as one where a grammar allows all of their texts: what strings are made of. Of the
/// engine's own four, one is of white space, which is not generated here, and one more length makes sets of short strings
/// hardly quicker; each costs a quarter of a second and ten megabytes for 128,000 tokens.
pub(super) fn slices() -> Vec<String> {
    [r#"[^"\\\x00-\x1F\x7F]{1,10}"#, r#"[^"\\\x00-\x1F\x7F]+"#].map(str::to_owned).to_vec()
}

/// What the trie holds for a token; nothing for tokens that are never allowed.
fn word(tokenizer: &Tokenizer, id: u32, control: &[u32]) -> Vec<u8> {
    let bytes = match tokenizer.token_bytes(id) {
        Some(bytes) if !control.contains(&id) => {
            // Text is UTF-8, which never has this byte.
            if bytes.contains(&CONTROL) { Vec::new() } else { bytes }
        }
        _ => match tokenizer.id_to_token(id) {
            Some(name) => [&[CONTROL], name.as_bytes()].concat(),
            None => Vec::new(),
        },
    };
    if bytes.len() > MAX_TOKEN_BYTES { Vec::new() } else { bytes }
}

/// Whether decoding takes one space from the beginning of a text, as SentencePiece does.
fn strips_first_space(tokenizer: &Tokenizer, words: &[Vec<u8>]) -> bool {
    let spaced =
        (0_u32..).zip(words).find(|(_, word)| word.starts_with(b" ") && word.len() > 1 && word.is_ascii());
    spaced.is_some_and(|(id, word)| {
        tokenizer.decode(&[id], true).is_ok_and(|text| Some(text.as_bytes()) == word.get(1..))
    })
}

/// The tokens as they read at the very beginning of a text, where decoding takes one leading space away.
pub(super) struct FirstToken {
    trie: TokTrie,
    /// Tokens of a single space: at the beginning they stand for nothing.
    nothing: Vec<u32>,
}

impl FirstToken {
    fn new(info: &TokRxInfo, mut words: Vec<Vec<u8>>) -> Self {
        let mut nothing = Vec::new();
        for (id, word) in (0_u32..).zip(&mut words) {
            if word.first() == Some(&b' ') {
                word.remove(0);
                if word.is_empty() {
                    nothing.push(id);
                }
            }
        }
        Self { trie: TokTrie::from(info, &words), nothing }
    }

    /// The bytes that the token adds as the first of a text, out of those it adds elsewhere.
    pub(super) fn bytes(word: &[u8]) -> &[u8] {
        word.strip_prefix(b" ").unwrap_or(word)
    }
}

impl BiasComputer for FirstToken {
    fn compute_bias(&self, recognizer: &mut ParserRecognizer<'_>, start: &[u8]) -> SimpleVob {
        let mut set = self.trie.alloc_token_set();
        self.trie.add_bias(recognizer, &mut set, start);
        for id in &self.nothing {
            set.allow_token(*id);
        }
        set
    }

    fn trie(&self) -> &TokTrie {
        &self.trie
    }
}
