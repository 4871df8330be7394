//! The answers of LlamaGuard models, which classify a conversation.

use crate::protocol::Classification;

/// Reads the answer of a LlamaGuard model: `safe`, or `unsafe` and on the next line the categories, separated by commas.
/// White space around is ignored. `None` where it is neither, as an answer that was cut off.
pub fn classification(text: &str) -> Option<Classification> {
    let mut lines = text.trim().lines().map(str::trim).filter(|line| !line.is_empty());
    let verdict = lines.next()?;
    let categories = lines.next();
    if lines.next().is_some() {
        return None;
    }
    match (verdict, categories) {
        ("safe", None) => Some(Classification { safe: true, categories: Vec::new() }),
        ("unsafe", None) => Some(Classification { safe: false, categories: Vec::new() }),
        ("unsafe", Some(list)) => {
            let categories = list.split(',').map(category).collect::<Option<_>>()?;
            Some(Classification { safe: false, categories })
        }
        _ => None,
    }
}

/// One category: a letter and a number.
fn category(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.strip_prefix(|first: char| first.is_ascii_uppercase())?;
    let numbered = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    numbered.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(bool, String)> {
        classification(text).map(|found| (found.safe, found.categories.join(" ")))
    }

    #[test]
    fn verdicts_are_read() {
        assert_eq!(read("\n\nsafe"), Some((true, String::new())));
        assert_eq!(read("unsafe\nS1"), Some((false, "S1".to_owned())));
        assert_eq!(read(" unsafe \n S1, S10,S14 \n"), Some((false, "S1 S10 S14".to_owned())));
        assert_eq!(read("unsafe\r\n\r\nO3"), Some((false, "O3".to_owned())));
        assert_eq!(read("unsafe"), Some((false, String::new())));
    }

    #[test]
    fn what_is_no_verdict_is_none() {
        for text in [
            "",
            "  ",
            "uns",
            "unsafe\nS",
            "unsafe\nS1,",
            "unsafe\nS1\nmore",
            "safe\nS1",
            "It is safe.",
            "unsafe\nviolence",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
