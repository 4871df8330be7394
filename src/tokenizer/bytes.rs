//! Bytes of tokens: the byte-level alphabet, byte tokens, and UTF-8 that arrives in pieces.

/// The byte that a character of the byte-level alphabet stands for.
///
/// The alphabet was introduced with GPT-2: printable Latin-1 characters stand for themselves, the other 68 bytes are
/// moved, in order, to U+0100 and up, so that a vocabulary holds no white space or control characters.
pub(super) fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match code {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => u8::try_from(code).ok(),
        // 0x00..=0x20 are 33 bytes, 0x7F..=0xA0 are 34, 0xAD is the last.
        0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        0x121..=0x142 => u8::try_from(code - 0x121 + 0x7F).ok(),
        0x143 => Some(0xAD),
        _ => None,
    }
}

/// The bytes of a token written in the byte-level alphabet. A token with any other character (an added token such as
/// `<｜User｜>`) is text as it stands, the rule of the byte-level decoder.
pub(super) fn byte_level_bytes(token: &str) -> Vec<u8> {
    token.chars().map(byte_of).collect::<Option<Vec<u8>>>().unwrap_or_else(|| token.as_bytes().to_vec())
}

/// The byte of a token of the form `<0xNN>`, in either case of the digits.
pub(super) fn byte_token(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// How bytes that are no UTF-8 are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replacement {
    /// One U+FFFD for each maximal invalid sequence, as `String::from_utf8_lossy` does.
    PerSequence,
    /// One U+FFFD for each byte, as decoders with byte tokens do.
    PerByte,
}

/// Turns a stream of bytes into text, holding back the at most three bytes of a character that is not complete yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Utf8Stream {
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// Appends to `out` all text that is certain after `bytes`.
    pub(super) fn push(&mut self, bytes: &[u8], invalid: Replacement, out: &mut String) {
        self.pending.extend_from_slice(bytes);
        let mut rest = self.pending.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    out.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, tail) = rest.split_at(error.valid_up_to());
                    out.push_str(std::str::from_utf8(valid).unwrap_or_default());
                    rest = tail;
                    let Some(length) = error.error_len() else { break };
                    replace(length, invalid, out);
                    rest = rest.get(length..).unwrap_or_default();
                }
            }
        }
        let kept = rest.len();
        let total = self.pending.len();
        self.pending.drain(..total - kept);
    }

    /// Gives up on an incomplete character: no byte that follows can complete it.
    pub(super) fn flush(&mut self, invalid: Replacement, out: &mut String) {
        if !self.pending.is_empty() {
            replace(self.pending.len(), invalid, out);
            self.pending.clear();
        }
    }

    /// Whether no incomplete character is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

fn replace(bytes: usize, invalid: Replacement, out: &mut String) {
    let count = match invalid {
        Replacement::PerSequence => 1,
        Replacement::PerByte => bytes,
    };
    out.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, count));
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_alphabet_is_a_bijection_with_the_bytes() {
        let pairs: Vec<(char, u8)> =
            (0..0x200).filter_map(char::from_u32).filter_map(|c| Some((c, byte_of(c)?))).collect();
        assert_eq!(pairs.len(), 256);
        assert_eq!(pairs.iter().map(|p| p.1).collect::<HashSet<_>>().len(), 256);
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
        assert_eq!(byte_of(' '), None);
    }

    #[test]
    fn byte_tokens_have_exactly_two_digits() {
        assert_eq!(byte_token("<0x0A>"), Some(10));
        assert_eq!(byte_token("<0xff>"), Some(255));
        for other in ["<0x0>", "<0x0AA>", "<0x+A>", "0x0A", "<0xé>", "<0x>", ""] {
            assert_eq!(byte_token(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_split_of_any_bytes_reads_like_the_whole(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 0..12),
        ) {
            let whole: Vec<u8> = chunks.concat();
            let mut stream = Utf8Stream::default();
            let mut text = String::new();
            for chunk in &chunks {
                stream.push(chunk, Replacement::PerSequence, &mut text);
                prop_assert!(stream.pending.len() < 4);
            }
            stream.flush(Replacement::PerSequence, &mut text);
            prop_assert_eq!(text, String::from_utf8_lossy(&whole));
        }

        #[test]
        fn text_is_never_replaced(text in any::<String>(), at in any::<prop::sample::Index>()) {
            let bytes = text.as_bytes();
            let (left, right) = bytes.split_at(at.index(bytes.len() + 1));
            let mut stream = Utf8Stream::default();
            let mut out = String::new();
            stream.push(left, Replacement::PerByte, &mut out);
            prop_assert!(text.starts_with(&out));
            stream.push(right, Replacement::PerByte, &mut out);
            prop_assert!(stream.is_empty());
            prop_assert_eq!(out, text);
        }
    }
}
