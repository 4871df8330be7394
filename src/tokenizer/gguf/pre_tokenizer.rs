//! The kinds of pre-tokenizer that `tokenizer.ggml.pre` names: how a text is cut into words before pairs are merged.
//!
//! GGUF files name the kind instead of carrying its patterns. The patterns are those of the tokenizer.json of the
//! models that the kinds are named after, or, where none is public, what llama.cpp documents for the kind.

use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior};

use crate::tokenizer::TokenizerError;

/// GPT-4's words: letters with one other character before them, at most three digits, runs of signs, line ends.
const DIGITS_BY_THREE: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// The same with every digit by itself.
const DIGITS_ALONE: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Words that begin with a capital are their own, digits alone, a slash may follow signs.
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
const CHINESE_AND_KANA: &str = r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+";
const DEEPSEEK_V3_WORDS: &str = concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Letters that have a case, but for the blocks that the model's own list of ranges leaves out.
const CASED_LETTERS: &str = concat!(
    r"\s?[\p{Lu}\p{Ll}\p{Lt}&&[^\x{1C89}-\x{1C8A}\x{2D00}-\x{2D2F}\x{A78F}-\x{A7FF}\x{AB30}-\x{AB6F}",
    r"\x{10570}-\x{105BF}\x{10D40}-\x{10D8F}\x{16E40}-\x{16EFF}\x{1D400}-\x{1DFFF}]]+",
);
const ASCII_AND_WIDE_SIGNS: &str =
    r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+";
const CHINESE_AND_OTHER_SCRIPTS: &str = r"[\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+";

/// What a kind stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Its names.
    names: &'static [&'static str],
    /// Patterns, one after the other; each match is a word of its own.
    patterns: &'static [&'static str],
    /// Whether the words that are left are cut by GPT-2's pattern.
    gpt2: bool,
    /// Whether the text is brought into composed form (NFC) first.
    pub(super) composed: bool,
    /// Whether a word that is a token is that token, whatever the merges say.
    pub(super) whole_words: bool,
    /// Whether a text begins with the beginning-of-sequence token when the file does not say.
    pub(super) begins: bool,
}

const PLAIN: Kind =
    Kind { names: &[], patterns: &[], gpt2: false, composed: false, whole_words: false, begins: false };

const KINDS: &[Kind] = &[
    Kind { names: &["default"], patterns: &[r"[\p{P}\$\+<=>\^~\|]+"], gpt2: true, ..PLAIN },
    Kind {
        names: &["llama-bpe", "llama3", "llama-v3"],
        patterns: &[DIGITS_BY_THREE],
        whole_words: true,
        begins: true,
        ..PLAIN
    },
    Kind { names: &["dbrx"], patterns: &[DIGITS_BY_THREE], whole_words: true, ..PLAIN },
    Kind { names: &["gpt-2"], gpt2: true, ..PLAIN },
    Kind { names: &["mpt", "olmo"], gpt2: true, composed: true, ..PLAIN },
    Kind {
        names: &["starcoder", "refact", "smollm", "codeshell"],
        patterns: &[r"\p{N}"],
        gpt2: true,
        ..PLAIN
    },
    Kind { names: &["command-r"], patterns: &[r"\p{N}"], gpt2: true, composed: true, ..PLAIN },
    Kind {
        names: &["qwen2", "deepseek-r1-qwen", "stablelm2"],
        patterns: &[DIGITS_ALONE],
        composed: true,
        ..PLAIN
    },
    Kind { names: &["tekken"], patterns: &[TEKKEN], whole_words: true, begins: true, ..PLAIN },
    Kind {
        names: &["deepseek-v3"],
        patterns: &[r"\p{N}{1,3}", CHINESE_AND_KANA, DEEPSEEK_V3_WORDS],
        ..PLAIN
    },
    Kind {
        names: &["deepseek-llm"],
        patterns: &[
            r"[\r\n]",
            CASED_LETTERS,
            ASCII_AND_WIDE_SIGNS,
            r"\s+$",
            CHINESE_AND_OTHER_SCRIPTS,
            r"\p{N}+",
        ],
        ..PLAIN
    },
    Kind {
        names: &["deepseek-coder"],
        patterns: &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CHINESE_AND_OTHER_SCRIPTS, r"\p{N}"],
        ..PLAIN
    },
    Kind { names: &["falcon"], patterns: &[r"[\p{P}\$\+<=>\^~\|`]+"], gpt2: true, ..PLAIN },
];

/// Architectures whose files were written before the kind had a key, and the kind that their models have.
const BEFORE_THE_KEY: &[(&str, &str)] = &[("gptneox", "mpt"), ("mpt", "mpt"), ("gpt2", "gpt-2")];

impl Kind {
    /// The kind called `name`; without a name, that of the architecture, or else `default`.
    pub(super) fn find(name: Option<&str>, architecture: &str) -> Result<Self, TokenizerError> {
        let name = name.unwrap_or_else(|| {
            BEFORE_THE_KEY.iter().find(|(a, _)| *a == architecture).map_or("default", |(_, kind)| kind)
        });
        KINDS.iter().find(|kind| kind.names.contains(&name)).copied().ok_or_else(|| {
            let known: Vec<&str> = KINDS.iter().flat_map(|kind| kind.names).copied().collect();
            TokenizerError::unsupported("tokenizer.ggml.pre", name, known.join(", "))
        })
    }

    /// The pre-tokenizer: the patterns, then bytes in the byte-level alphabet.
    pub(super) fn build(&self) -> Result<PreTokenizerWrapper, TokenizerError> {
        let mut steps = Vec::with_capacity(self.patterns.len() + 2);
        for pattern in self.patterns {
            let pattern = SplitPattern::Regex((*pattern).to_owned());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                .map_err(|e| TokenizerError::invalid("tokenizer.ggml.pre", e))?;
            steps.push(PreTokenizerWrapper::Split(split));
        }
        steps.push(PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, self.gpt2)));
        Ok(PreTokenizerWrapper::Sequence(Sequence::new(steps)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::*;

    fn words(name: &str, text: &str) -> Vec<String> {
        let mut cut = PreTokenizedString::from(text);
        Kind::find(Some(name), "").unwrap().build().unwrap().pre_tokenize(&mut cut).unwrap();
        cut.get_splits(OffsetReferential::Original, OffsetType::Byte)
            .into_iter()
            .map(|(_, (start, end), _)| text[start..end].to_owned())
            .collect()
    }

    #[test]
    fn every_kind_has_patterns_that_compile_and_lose_nothing() {
        let text = "Hello  world's 12345 ½ ÄÖü\r\n\r\n  def f(x): return x+1\t한국어 日本語のテスト e\u{301} 😁 \u{1D400}";
        for kind in KINDS {
            for name in kind.names {
                assert_eq!(words(name, text).concat(), text, "{name}");
                assert_eq!(words(name, ""), Vec::<String>::new(), "{name}");
            }
        }
    }

    #[test]
    fn kinds_differ_where_their_models_do() {
        assert_eq!(words("llama-bpe", "12345 a!b"), ["123", "45", " a", "!b"]);
        assert_eq!(words("qwen2", "12 a"), ["1", "2", " a"]);
        assert_eq!(words("gpt-2", "12345 a!b's"), ["12345", " a", "!", "b", "'s"]);
        assert_eq!(words("starcoder", "12 a"), ["1", "2", " a"]);
        assert_eq!(words("tekken", "HelloWorld"), ["Hello", "World"]);
        assert_eq!(words("deepseek-llm", "abc123"), ["abc", "123"]);
        assert_eq!(words("deepseek-coder", "abc12"), ["abc", "1", "2"]);
    }

    #[test]
    fn an_unknown_kind_names_the_known_ones() {
        let error = Kind::find(Some("nonsense"), "llama").unwrap_err().to_string();
        assert!(
            error.contains("nonsense") && error.contains("llama-bpe") && error.contains("qwen2"),
            "{error}"
        );
        assert!(Kind::find(None, "gptneox").unwrap().composed);
        assert_eq!(Kind::find(None, "llama").unwrap().names, ["default"]);
    }
}
