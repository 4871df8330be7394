//! Tokens back to text: the steps of a decoder, each of which works on one token at a time.
//!
//! One definition serves whole sequences and streams, so that the pieces of a stream add up to the decoded whole. The
//! steps are those of a tokenizer.json (`Replace`, `ByteFallback`, `Fuse`, `Strip`, `ByteLevel`, `WordPiece`,
//! `Metaspace`, `BPEDecoder`, and `Sequence` of them). Text that a tokenizer produced decodes as other
//! implementations decode it. In one respect invalid input differs: of a run of byte tokens that is not UTF-8 as a
//! whole the valid characters are kept, and each other byte becomes U+FFFD, where elsewhere every byte of the run
//! does - a stream that has already shown a character cannot take it back.

use serde_json::Value;
use tokenizers::Decoder as _;
use tokenizers::normalizers::Replace;

use super::bytes::{Replacement, Utf8Stream, byte_level_bytes, byte_token};
use super::error::TokenizerError;

const KINDS: &str =
    "BPEDecoder, ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Sequence, Strip, WordPiece";
/// More steps than any real decoder has; bounds what one token costs.
const MAX_STEPS: usize = 16;

/// One step. `Strip` and `Swap` come in two forms because after fusing there is a single text instead of tokens.
#[derive(Debug)]
enum Step {
    /// Every occurrence of a string within a token.
    ReplaceText { from: String, to: String },
    /// Every match of a pattern within a token.
    ReplacePattern(Box<Replace>),
    /// `<0xNN>` tokens are bytes.
    ByteFallback,
    /// Tokens are bytes in the byte-level alphabet.
    ByteLevel,
    /// A word's later parts carry a prefix; other tokens are set apart by a space.
    WordPiece { prefix: String, cleanup: bool },
    /// A visible character stands for the space; the one before the first word is dropped where it was added.
    Metaspace { replacement: char, drop_first: bool },
    /// A suffix marks the end of a word.
    WordEnd { suffix: String },
    /// Characters cut from both ends of every token.
    StripToken { content: char, start: usize, stop: usize },
    /// Characters cut from both ends of the whole text.
    StripText { content: char, start: usize, stop: usize },
    /// No decoder at all: tokens joined by spaces.
    Spaces,
}

/// What a step remembers between tokens.
#[derive(Debug, Default)]
struct StepState {
    started: bool,
    bytes: Utf8Stream,
    held: Option<String>,
    stripped: usize,
    tail: usize,
}

/// A compiled decoder.
#[derive(Debug)]
pub(super) struct Decoder {
    steps: Vec<Step>,
}

/// Where a stream of tokens stands.
#[derive(Debug)]
pub(super) struct DecodeState {
    states: Vec<StepState>,
}

impl DecodeState {
    /// Whether the tokens so far end within a character.
    pub(super) fn within_character(&self) -> bool {
        self.states.iter().any(|state| !state.bytes.is_empty())
    }
}

impl Decoder {
    /// Compiles the `decoder` of a tokenizer.json; `null` joins tokens by spaces.
    pub(super) fn from_json(value: &Value) -> Result<Self, TokenizerError> {
        if value.is_null() {
            return Ok(Self { steps: vec![Step::Spaces] });
        }
        let mut parser = Parser { steps: Vec::new(), fused: false };
        parser.add(value, "decoder", 0)?;
        Ok(Self { steps: parser.steps })
    }

    /// The decoder of byte-level vocabularies.
    pub(super) fn byte_level() -> Self {
        Self { steps: vec![Step::ByteLevel] }
    }

    /// The decoder of SentencePiece vocabularies with byte tokens. `added_space`: encoding put a space before the
    /// text, which decoding takes away.
    pub(super) fn sentencepiece(added_space: bool) -> Self {
        let mut steps =
            vec![Step::ReplaceText { from: "\u{2581}".into(), to: " ".into() }, Step::ByteFallback];
        if added_space {
            steps.push(Step::StripText { content: ' ', start: 1, stop: 0 });
        }
        Self { steps }
    }

    /// The decoder of WordPiece vocabularies.
    pub(super) fn word_piece() -> Self {
        Self { steps: vec![Step::WordPiece { prefix: "##".into(), cleanup: true }] }
    }

    /// The state before the first token.
    pub(super) fn start(&self) -> DecodeState {
        DecodeState { states: self.steps.iter().map(|_| StepState::default()).collect() }
    }

    /// Takes one token and appends to `out` the text that is certain now.
    pub(super) fn push(
        &self,
        state: &mut DecodeState,
        token: String,
        out: &mut String,
    ) -> Result<(), TokenizerError> {
        run(&self.steps, &mut state.states, token, out)
    }

    /// Appends what is still held back. The state is as before the first token afterwards.
    pub(super) fn finish(&self, state: &mut DecodeState, out: &mut String) -> Result<(), TokenizerError> {
        for index in 0..self.steps.len() {
            let (Some(steps), Some(states)) = (self.steps.get(index..), state.states.get_mut(index..)) else {
                break;
            };
            if let ([step, steps @ ..], [own, states @ ..]) = (steps, states)
                && let Some(piece) = step.flush(own)
            {
                run(steps, states, piece, out)?;
            }
        }
        *state = self.start();
        Ok(())
    }

    /// The bytes that a token adds in the middle of a text.
    pub(super) fn token_bytes(&self, token: &str) -> Vec<u8> {
        let mut text = token.to_owned();
        for step in &self.steps {
            match step {
                Step::ByteLevel => return byte_level_bytes(&text),
                Step::ByteFallback => {
                    if let Some(byte) = byte_token(&text) {
                        return vec![byte];
                    }
                }
                // Both ends of the whole text are no business of a token in its middle.
                Step::StripText { .. } => {}
                Step::WordEnd { suffix } => text = text.replace(suffix, " "),
                step => {
                    let mut state = StepState { started: true, ..StepState::default() };
                    if let Ok(pieces) = step.advance(&mut state, text.clone()) {
                        text = pieces.into_iter().flatten().collect();
                    }
                }
            }
        }
        text.into_bytes()
    }
}

/// Sends a piece through `steps`. The depth of the recursion is the number of steps, at most [`MAX_STEPS`].
fn run(
    steps: &[Step],
    states: &mut [StepState],
    piece: String,
    out: &mut String,
) -> Result<(), TokenizerError> {
    let ([step, steps @ ..], [state, states @ ..]) = (steps, states) else {
        out.push_str(&piece);
        return Ok(());
    };
    for piece in step.advance(state, piece)?.into_iter().flatten() {
        run(steps, states, piece, out)?;
    }
    Ok(())
}

impl Step {
    /// What comes out when `piece` goes in: what had been held back, then the piece itself.
    fn advance(&self, state: &mut StepState, piece: String) -> Result<[Option<String>; 2], TokenizerError> {
        let first = !std::mem::replace(&mut state.started, true);
        Ok(match self {
            Self::ReplaceText { from, to } => [None, Some(piece.replace(from.as_str(), to))],
            Self::ReplacePattern(replace) => {
                let replaced = replace.decode(vec![piece]).map_err(|e| {
                    TokenizerError::invalid("decoder.pattern", format!("matching failed: {e}"))
                })?;
                [None, Some(replaced)]
            }
            Self::ByteFallback => match byte_token(&piece) {
                Some(byte) => {
                    let mut text = String::new();
                    state.bytes.push(&[byte], Replacement::PerByte, &mut text);
                    [None, (!text.is_empty()).then_some(text)]
                }
                None => [self.flush(state), Some(piece)],
            },
            Self::ByteLevel => {
                let mut text = String::new();
                state.bytes.push(&byte_level_bytes(&piece), Replacement::PerSequence, &mut text);
                [None, (!text.is_empty()).then_some(text)]
            }
            Self::WordPiece { prefix, cleanup } => {
                let mut text = match piece.strip_prefix(prefix.as_str()) {
                    _ if first => piece,
                    Some(rest) => rest.to_owned(),
                    None => format!(" {piece}"),
                };
                if *cleanup {
                    text = tidy(&text);
                }
                [None, Some(text)]
            }
            Self::Metaspace { replacement, drop_first } => {
                let space = if first && *drop_first { "" } else { " " };
                [None, Some(piece.replace(*replacement, space))]
            }
            Self::WordEnd { suffix } => {
                let before = state.held.replace(piece);
                [None, before.map(|b| b.replace(suffix, " "))]
            }
            Self::StripToken { content, start, stop } => [None, Some(strip(&piece, *content, *start, *stop))],
            Self::StripText { content, start, stop } => {
                let mut text = piece.as_str();
                while state.stripped < *start {
                    match text.strip_prefix(*content) {
                        Some(rest) => {
                            text = rest;
                            state.stripped += 1;
                        }
                        // The first other character ends the stripping; an empty piece decides nothing.
                        None if text.is_empty() => break,
                        None => state.stripped = *start,
                    }
                }
                if *stop == 0 || text.is_empty() {
                    return Ok([None, (!text.is_empty()).then(|| text.to_owned())]);
                }
                let kept = text.trim_end_matches(*content);
                let run = text[kept.len()..].chars().count();
                let mut out = String::new();
                // What was held back is inside the text now, unless the run of `content` goes on.
                let total = if kept.is_empty() { state.tail.saturating_add(run) } else { run };
                if !kept.is_empty() {
                    out.extend(std::iter::repeat_n(*content, state.tail));
                    out.push_str(kept);
                }
                state.tail = total.min(*stop);
                out.extend(std::iter::repeat_n(*content, total - state.tail));
                [None, (!out.is_empty()).then_some(out)]
            }
            Self::Spaces => [None, Some(if first { piece } else { format!(" {piece}") })],
        })
    }

    /// What was held back and no token will change any more.
    fn flush(&self, state: &mut StepState) -> Option<String> {
        match self {
            Self::ByteFallback | Self::ByteLevel => {
                if state.bytes.is_empty() {
                    return None;
                }
                let invalid = if matches!(self, Self::ByteLevel) {
                    Replacement::PerSequence
                } else {
                    Replacement::PerByte
                };
                let mut text = String::new();
                state.bytes.flush(invalid, &mut text);
                Some(text)
            }
            Self::WordEnd { suffix } => state.held.take().map(|h| h.replace(suffix, "")),
            _ => None,
        }
    }
}

/// Cuts at most `start` and `stop` times `content` from the ends of a token.
fn strip(token: &str, content: char, start: usize, stop: usize) -> String {
    let mut text = token;
    for _ in 0..start.min(token.len()) {
        let Some(rest) = text.strip_prefix(content) else { break };
        text = rest;
    }
    for _ in 0..stop.min(token.len()) {
        let Some(rest) = text.strip_suffix(content) else { break };
        text = rest;
    }
    text.to_owned()
}

/// Takes out the spaces that setting tokens apart put before punctuation and English contractions.
fn tidy(text: &str) -> String {
    if !text.contains(' ') {
        return text.to_owned();
    }
    const FROM_TO: [(&str, &str); 11] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" do not", " don't"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    FROM_TO.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

struct Parser {
    steps: Vec<Step>,
    /// Whether tokens have become one text.
    fused: bool,
}

impl Parser {
    fn add(&mut self, value: &Value, field: &str, depth: usize) -> Result<(), TokenizerError> {
        let kind = value
            .get("type")
            .and_then(Value::as_str)
            .ok_or_else(|| TokenizerError::invalid(field, format!("no type; expected one of {KINDS}")))?;
        if self.steps.len() >= MAX_STEPS || depth > MAX_STEPS {
            return Err(TokenizerError::invalid(field, format!("more than {MAX_STEPS} steps")));
        }
        let text = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(|| TokenizerError::invalid(format!("{field}.{name}"), "expected a string"))
        };
        let character = |name: &str| {
            let text = text(name)?;
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (Some(c), None) => Ok(c),
                _ => Err(TokenizerError::invalid(format!("{field}.{name}"), "expected one character")),
            }
        };
        let count = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
                .ok_or_else(|| TokenizerError::invalid(format!("{field}.{name}"), "expected a count"))
        };
        let step = match kind {
            "Sequence" => {
                let parts = value
                    .get("decoders")
                    .and_then(Value::as_array)
                    .ok_or_else(|| TokenizerError::invalid(format!("{field}.decoders"), "expected a list"))?;
                for (index, part) in parts.iter().enumerate() {
                    self.add(part, &format!("{field}.decoders[{index}]"), depth + 1)?;
                }
                return Ok(());
            }
            "Fuse" => {
                self.fused = true;
                return Ok(());
            }
            "Strip" => {
                let (content, start, stop) = (character("content")?, count("start")?, count("stop")?);
                if self.fused {
                    Step::StripText { content, start, stop }
                } else {
                    Step::StripToken { content, start, stop }
                }
            }
            "Replace" => {
                let pattern = value.get("pattern");
                match pattern.and_then(|p| p.get("String")).and_then(Value::as_str) {
                    Some("") => {
                        return Err(TokenizerError::invalid(format!("{field}.pattern"), "is empty"));
                    }
                    // In a text that arrives in pieces only a single character cannot straddle two of them.
                    Some(from) if !self.fused || from.chars().count() == 1 => {
                        Step::ReplaceText { from: from.to_owned(), to: text("content")? }
                    }
                    None if !self.fused => {
                        let replace = serde_json::from_value(value.clone())
                            .map_err(|e| TokenizerError::invalid(field, e))?;
                        Step::ReplacePattern(Box::new(replace))
                    }
                    _ => return Err(after_fuse(field, kind)),
                }
            }
            _ if self.fused => return Err(after_fuse(field, kind)),
            "ByteFallback" => Step::ByteFallback,
            "ByteLevel" => {
                self.fused = true;
                Step::ByteLevel
            }
            "WordPiece" => {
                let cleanup = value.get("cleanup").and_then(Value::as_bool).unwrap_or(true);
                Step::WordPiece { prefix: text("prefix")?, cleanup }
            }
            "Metaspace" => {
                let scheme = value.get("prepend_scheme").and_then(Value::as_str);
                let added = value.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(true);
                Step::Metaspace {
                    replacement: character("replacement")?,
                    drop_first: added && scheme != Some("never"),
                }
            }
            "BPEDecoder" => {
                let suffix = text("suffix")?;
                if suffix.is_empty() {
                    return Err(TokenizerError::invalid(format!("{field}.suffix"), "is empty"));
                }
                Step::WordEnd { suffix }
            }
            other => return Err(TokenizerError::unsupported(format!("{field}.type"), other, KINDS)),
        };
        self.steps.push(step);
        Ok(())
    }
}

fn after_fuse(field: &str, kind: &str) -> TokenizerError {
    TokenizerError::unsupported(
        format!("{field}.type"),
        format!("{kind} after Fuse or ByteLevel"),
        "Strip, and Replace of one character",
    )
}
