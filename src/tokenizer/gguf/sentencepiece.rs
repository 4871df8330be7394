//! Pair merging by score, the algorithm of SentencePiece's byte-pair models.
//!
//! A text is a row of characters; of all neighbours that together spell a token, the pair whose token has the highest
//! score is joined first, the leftmost among equals, until no pair spells a token. Characters that are no token
//! become their UTF-8 bytes. (Kudo and Richardson 2018, "SentencePiece: A simple and language independent subword
//! tokenizer and detokenizer for Neural Text Processing".) Files list scores but no merges, and merges derived from
//! them would order equal pairs differently.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use tokenizers::normalizers::{Prepend, Replace, Sequence};
use tokenizers::{NormalizerWrapper, Token, TokenizerImpl};

use super::read;
use super::vocabulary::{TokenKind, Vocabulary};
use crate::tokenizer::TokenizerError;
use crate::tokenizer::bytes::byte_token;
use crate::tokenizer::decode::Decoder;
use crate::tokenizer::load::Parts;
use crate::tokenizer::model::TokenModel;
use crate::weights::Metadata;

/// What stands for a space in tokens.
const SPACE: &str = "\u{2581}";

/// The tokenizer of a `llama` vocabulary.
pub(super) fn parts(metadata: &Metadata) -> Result<Parts, TokenizerError> {
    let vocabulary = Vocabulary::read(metadata)?;
    let scores = metadata.require_f32_array("tokenizer.ggml.scores").map_err(read)?;
    if scores.len() != vocabulary.tokens.len() {
        return Err(TokenizerError::invalid(
            "tokenizer.ggml.scores",
            format!("has {} entries for {} tokens", scores.len(), vocabulary.tokens.len()),
        ));
    }
    let added_space = vocabulary.flag("tokenizer.ggml.add_space_prefix", true)?;
    let mut pieces = HashMap::new();
    let mut bytes = Box::new([None; 256]);
    for ((id, token, kind), &score) in vocabulary.iter().zip(scores.iter()) {
        match (kind, byte_token(token)) {
            (TokenKind::Byte, Some(byte)) => bytes[usize::from(byte)] = Some(id),
            (TokenKind::Normal | TokenKind::UserDefined, _) if !token.is_empty() => {
                pieces.insert(token.to_owned(), Piece { id, score });
            }
            _ => {}
        }
    }
    let unknown = vocabulary.first_id(&["tokenizer.ggml.unknown_token_id"])?;
    let ids = vocabulary.iter().map(|(id, token, _)| (token.to_owned(), id)).collect();
    let tokens = vocabulary.tokens.to_vec();
    let model = ScoredPairs { tokens, ids, pieces, bytes, unknown };
    let mut pipeline = TokenizerImpl::new(TokenModel::Scored(model));
    let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
    if added_space {
        normalizers.push(Prepend::new(SPACE.to_owned()).into());
    }
    let replace = Replace::new(" ", SPACE).map_err(|e| TokenizerError::invalid("tokenizer.ggml.model", e))?;
    normalizers.push(replace.into());
    pipeline
        .with_normalizer(Some(Sequence::new(normalizers)))
        .map_err(|e| TokenizerError::invalid("tokenizer.ggml.model", e))?;
    vocabulary.add_to(&mut pipeline)?;
    let decoder = Decoder::sentencepiece(added_space);
    Ok(Parts { pipeline, frame: vocabulary.frame(true, false)?, decoder })
}

/// A vocabulary whose tokens have scores.
#[derive(Debug)]
pub(in crate::tokenizer) struct ScoredPairs {
    /// Every token by its id.
    tokens: Vec<String>,
    /// Every token's id.
    ids: HashMap<String, u32>,
    /// The tokens that text can be joined into.
    pieces: HashMap<String, Piece>,
    /// The ids of the byte tokens.
    bytes: Box<[Option<u32>; 256]>,
    /// What stands for a character that is no token and whose bytes are none.
    unknown: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    id: u32,
    score: f32,
}

/// A stretch of text that is one token so far, linked to its neighbours.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    end: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that spell a token. `end` tells whether they are still the stretch they were.
struct Candidate {
    score: f32,
    left: usize,
    right: usize,
    start: usize,
    end: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.start.cmp(&self.start)).then(other.end.cmp(&self.end))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

impl ScoredPairs {
    pub(in crate::tokenizer) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(in crate::tokenizer) fn vocabulary(&self) -> HashMap<String, u32> {
        self.ids.clone()
    }

    pub(in crate::tokenizer) fn token_to_id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    pub(in crate::tokenizer) fn id_to_token(&self, id: u32) -> Option<String> {
        usize::try_from(id).ok().and_then(|id| self.tokens.get(id)).cloned()
    }

    /// The tokens of `text`; time grows as n log n.
    pub(in crate::tokenizer) fn tokenize(&self, text: &str) -> Vec<Token> {
        let mut symbols = self.join(text);
        let mut tokens = Vec::new();
        // Unknown characters in a row are one unknown token.
        let mut unknown: Option<(usize, usize)> = None;
        let mut at = (!symbols.is_empty()).then_some(0);
        while let Some(symbol) = at.and_then(|index| symbols.get_mut(index)).copied() {
            at = symbol.next;
            let stretch = text.get(symbol.start..symbol.end).unwrap_or_default();
            let offsets = (symbol.start, symbol.end);
            let bytes = || stretch.bytes().map(|b| self.bytes[usize::from(b)]).collect::<Option<Vec<u32>>>();
            let ids = match self.pieces.get(stretch) {
                Some(piece) => vec![piece.id],
                None => match bytes() {
                    Some(ids) => ids,
                    None => {
                        unknown = Some((unknown.map_or(offsets.0, |u| u.0), offsets.1));
                        continue;
                    }
                },
            };
            self.close_unknown(&mut unknown, text, &mut tokens);
            tokens.extend(ids.into_iter().map(|id| self.token(id, offsets)));
        }
        self.close_unknown(&mut unknown, text, &mut tokens);
        tokens
    }

    fn close_unknown(&self, unknown: &mut Option<(usize, usize)>, text: &str, tokens: &mut Vec<Token>) {
        if let (Some(offsets), Some(id)) = (unknown.take(), self.unknown) {
            let value = text.get(offsets.0..offsets.1).unwrap_or_default().to_owned();
            tokens.push(Token::new(id, value, offsets));
        }
    }

    fn token(&self, id: u32, offsets: (usize, usize)) -> Token {
        Token::new(id, self.id_to_token(id).unwrap_or_default(), offsets)
    }

    /// Joins characters into tokens. The result is a list linked from the first entry on.
    fn join(&self, text: &str) -> Vec<Symbol> {
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(index, (start, character))| Symbol {
                start,
                end: start + character.len_utf8(),
                previous: index.checked_sub(1),
                next: Some(index + 1),
            })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.next = None;
        }
        let mut queue: BinaryHeap<Candidate> =
            (1..symbols.len()).filter_map(|right| self.candidate(text, &symbols, right - 1, right)).collect();
        while let Some(pair) = queue.pop() {
            let (Some(&left), Some(&right)) = (symbols.get(pair.left), symbols.get(pair.right)) else {
                continue;
            };
            // Either side has been joined with something else since: a joined right side is empty.
            if left.next != Some(pair.right) || left.start != pair.start || right.end != pair.end {
                continue;
            }
            if let Some(symbol) = symbols.get_mut(pair.left) {
                symbol.end = right.end;
                symbol.next = right.next;
            }
            if let Some(symbol) = symbols.get_mut(pair.right) {
                *symbol = Symbol { start: right.end, end: right.end, previous: None, next: None };
            }
            if let Some(next) = right.next {
                if let Some(symbol) = symbols.get_mut(next) {
                    symbol.previous = Some(pair.left);
                }
                queue.extend(self.candidate(text, &symbols, pair.left, next));
            }
            if let Some(previous) = left.previous {
                queue.extend(self.candidate(text, &symbols, previous, pair.left));
            }
        }
        symbols
    }

    fn candidate(&self, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Candidate> {
        let (start, end) = (symbols.get(left)?.start, symbols.get(right)?.end);
        let piece = self.pieces.get(text.get(start..end)?)?;
        Some(Candidate { score: piece.score, left, right, start, end })
    }
}
