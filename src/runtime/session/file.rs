//! A session as bytes.
//!
//! The magic number, the version of the format, the length of the header and the header as JSON, the tokens, the blocks,
//! and the SHA-256 of everything before it. All numbers are little-endian.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorKind, Result};

const MAGIC: [u8; 8] = *b"MRSESSN\n";

/// The version of the format that is written, and the only one that is read.
pub(super) const VERSION: u32 = 1;

/// A header is a few hundred bytes.
const MAX_HEADER: usize = 64 << 10;

const SUM: usize = 32;

/// What the bytes are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    /// The model, by the hash of its files, or by the version that its host gave it.
    pub(super) model: String,
    /// The adapter that computed it.
    pub(super) adapter: Option<String>,
    /// What the blocks' bytes mean.
    pub(super) cache: String,
    /// Tokens of the conversation.
    pub(super) tokens: usize,
    /// How many of them, from the beginning, are in the blocks.
    pub(super) cached_tokens: usize,
}

/// A session as it was kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept<'a> {
    pub(super) header: Header,
    pub(super) tokens: Vec<u32>,
    pub(super) blocks: &'a [u8],
}

/// Writes a session.
///
/// # Errors
/// No memory for the bytes.
pub(super) fn write(header: &Header, tokens: &[u32], blocks: &[u8]) -> Result<Vec<u8>> {
    let text = serde_json::to_vec(header).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("the header of a session does not print: {error}"))
    })?;
    let length = MAGIC.len() + 8 + text.len() + tokens.len() * 4 + blocks.len() + SUM;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| {
        Error::new(
            ErrorKind::InsufficientMemory,
            format!("there is no memory for a session of {length} bytes"),
        )
    })?;
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&text);
    bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
    bytes.extend_from_slice(blocks);
    let sum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&sum);
    Ok(bytes)
}

/// Reads a session.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for what is no session, is damaged, or is of another version of the format.
pub(super) fn read(bytes: &[u8]) -> Result<Kept<'_>> {
    let wrong = |what: &str| Error::invalid("session", format!("these bytes are no session: {what}"));
    let Some(rest) = bytes.strip_prefix(&MAGIC) else { return Err(wrong("they begin with something else")) };
    let (version, rest) = number(rest).ok_or_else(|| wrong("they end within the version"))?;
    if version != VERSION {
        let message = format!("the session is of format version {version}; accepted is {VERSION}");
        return Err(Error::invalid("session", message));
    }
    let Some((summed, sum)) = bytes.split_last_chunk::<SUM>() else {
        return Err(wrong("they are too short"));
    };
    if Sha256::digest(summed).as_slice() != sum {
        return Err(wrong("they are damaged, their checksum is another one"));
    }
    let rest = rest.strip_suffix(sum).ok_or_else(|| wrong("they are too short"))?;
    let (length, rest) = number(rest).ok_or_else(|| wrong("they end within the header"))?;
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_HEADER);
    let (text, rest) = length
        .and_then(|length| rest.split_at_checked(length))
        .ok_or_else(|| wrong("the header is longer than they are"))?;
    let header: Header =
        serde_json::from_slice(text).map_err(|error| wrong(&format!("the header is wrong: {error}")))?;
    let (ids, blocks) = header
        .tokens
        .checked_mul(4)
        .and_then(|length| rest.split_at_checked(length))
        .ok_or_else(|| wrong("there are fewer tokens than the header says"))?;
    if header.cached_tokens > header.tokens {
        return Err(wrong("more tokens are cached than there are"));
    }
    let (words, _) = ids.as_chunks::<4>();
    Ok(Kept { tokens: words.iter().map(|word| u32::from_le_bytes(*word)).collect(), header, blocks })
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (four, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*four), rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn header(tokens: usize, cached_tokens: usize) -> Header {
        Header { model: "sha256:00".into(), adapter: None, cache: "F16".into(), tokens, cached_tokens }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            tokens in proptest::collection::vec(any::<u32>(), 0..50),
            blocks in proptest::collection::vec(any::<u8>(), 0..200),
            adapter in proptest::option::of(".*"),
        ) {
            let header = Header { adapter, ..header(tokens.len(), tokens.len()) };
            let bytes = write(&header, &tokens, &blocks).unwrap();
            prop_assert_eq!(read(&bytes).unwrap(), Kept { header, tokens, blocks: &blocks });
        }

        #[test]
        fn any_damage_is_noticed(at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<prop::sample::Index>()) {
            let bytes = write(&header(3, 0), &[1, 2, 3], &[9; 40]).unwrap();
            let mut damaged = bytes.clone();
            *at.get_mut(&mut damaged) ^= 1 << bit;
            prop_assert_eq!(read(&damaged).unwrap_err().kind(), ErrorKind::InvalidRequest);
            prop_assert!(read(&bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn a_sound_checksum_does_not_make_sense_of_anything(mut bytes in proptest::collection::vec(any::<u8>(), 0..100), magic in any::<bool>()) {
            if magic {
                bytes.splice(0..0, [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat());
            }
            let sum = Sha256::digest(&bytes);
            bytes.extend_from_slice(&sum);
            prop_assert!(read(&bytes).is_err());
        }
    }

    #[test]
    fn another_version_is_named_with_ours() {
        let mut bytes = write(&header(0, 0), &[], &[]).unwrap();
        bytes[8] = 7;
        let error = read(&bytes).unwrap_err();
        assert_eq!(error.message(), "the session is of format version 7; accepted is 1");
        let lying = write(&header(usize::MAX, 0), &[], &[]).unwrap();
        assert!(read(&lying).unwrap_err().message().contains("fewer tokens"));
    }
}
