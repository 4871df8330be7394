//! The ids of tool calls as Mistral's templates want them.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

/// How long an id is.
const LENGTH: usize = 9;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Gives every id of a conversation one of nine letters and digits.
///
/// One that has this form already stays. Others become a part of their digest: the same id is the same in every turn
/// of the conversation, so that its beginning stays what was computed before.
#[derive(Debug, Default)]
pub(super) struct CallIds {
    given: HashMap<String, String>,
    taken: HashSet<String>,
}

impl CallIds {
    pub(super) fn map(&mut self, id: &str) -> String {
        if let Some(given) = self.given.get(id) {
            return given.clone();
        }
        let fits = id.len() == LENGTH && id.bytes().all(|b| b.is_ascii_alphanumeric());
        let mut mapped = if fits { id.to_owned() } else { digest(id, 0) };
        let mut attempt = 0;
        while !self.taken.insert(mapped.clone()) {
            attempt += 1;
            mapped = digest(id, attempt);
        }
        self.given.insert(id.to_owned(), mapped.clone());
        mapped
    }
}

/// Letters and digits of the digest of an id.
fn digest(id: &str, attempt: u32) -> String {
    let mut hash = Sha256::new();
    hash.update(attempt.to_le_bytes());
    hash.update(id.as_bytes());
    hash.finalize().iter().take(LENGTH).map(|byte| char::from(ALPHABET[usize::from(*byte) % 62])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_nine_letters_and_digits_and_stay_apart() {
        let mut ids = CallIds::default();
        let names: Vec<String> = (0..500).map(|i| format!("call_{i}é")).collect();
        let mapped: Vec<String> = names.iter().map(|name| ids.map(name)).collect();
        for (index, id) in mapped.iter().enumerate() {
            assert_eq!(id.len(), LENGTH);
            assert!(id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
            assert_eq!(ids.map(&names[index]), *id);
            assert_eq!(CallIds::default().map(&names[index]), *id);
        }
        assert_eq!(mapped.iter().collect::<HashSet<_>>().len(), names.len());
    }

    #[test]
    fn an_id_that_fits_stays_unless_another_one_has_become_it() {
        let mut ids = CallIds::default();
        assert_eq!(ids.map("abcDEF123"), "abcDEF123");
        let mapped = ids.map("call_1");
        let collision = ids.map(&mapped);
        assert_ne!(collision, mapped);
        assert_eq!(ids.map(&mapped), collision);
        assert_eq!(ids.map("call_1"), mapped);
    }
}
