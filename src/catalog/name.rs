//! Names that people write in many ways.

/// A name as it is compared: without regard to case, and to spaces, hyphens, underscores and brackets except where
/// they keep two numbers apart. `Code Llama` is `CodeLlama`, `Mixtral-8x7B Instruct` is `mixtral_8x7b_instruct`, but
/// `Llama 3 2B` is not `Llama 32B`, and `3.1` is not `3-1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameKey(String);

impl NameKey {
    pub(crate) fn of(name: &str) -> Self {
        let mut key = String::with_capacity(name.len());
        let mut separated = false;
        for c in name.chars() {
            if matches!(c, ' ' | '\t' | '-' | '_' | '(' | ')' | '[' | ']') {
                separated = true;
                continue;
            }
            if separated && c.is_numeric() && key.ends_with(char::is_numeric) {
                key.push('-');
            }
            separated = false;
            key.extend(c.to_lowercase());
        }
        Self(key)
    }

    /// Whether nothing is left of the name, so that it names nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        NameKey::of(a) == NameKey::of(b)
    }

    #[test]
    fn case_and_separators_do_not_count() {
        assert!(same("Code Llama", "codellama"));
        assert!(same("Mixtral-8x7B Instruct", "mixtral-8x7b-instruct"));
        assert!(same("Meta Llama 3.1 70B", "Meta-Llama-3.1-70B"));
        assert!(same("GTE Large (English)", "gte_large_english"));
    }

    #[test]
    fn numbers_stay_apart() {
        assert!(!same("Llama 3 2B", "Llama 32B"));
        assert!(!same("Llama-3.1", "Llama-3-1"));
        assert!(!same("a/b", "ab"));
        assert!(same("Llama 3 2B", "llama_3-2b"));
    }
}
