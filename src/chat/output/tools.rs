//! The tools that a request offers.

/// The names of the tools on offer.
#[derive(Debug, Clone)]
pub(super) struct Tools(Vec<String>);

impl Tools {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Whether a tool has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|tool| tool == name)
    }

    /// Whether the name of a tool begins so.
    pub(super) fn begins(&self, name: &str) -> bool {
        self.0.iter().any(|tool| tool.starts_with(name))
    }

    /// The name that a JSON string gives, if a tool has it.
    pub(super) fn literal(&self, json: &str) -> Option<String> {
        serde_json::from_str::<String>(json).ok().filter(|name| self.has(name))
    }

    /// Whether an unfinished JSON string may become the name of a tool. Escapes are not looked into.
    pub(super) fn begins_literal(&self, json: &str) -> bool {
        match json.strip_prefix('"') {
            None => false,
            Some(name) if name.contains('\\') => true,
            Some(name) => match name.strip_suffix('"') {
                Some(name) => self.has(name),
                None => self.begins(name),
            },
        }
    }
}
