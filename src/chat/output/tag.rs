//! A tag in a text that comes in pieces.

/// Looks for a tag; holds back only what may be its beginning.
#[derive(Debug)]
pub(super) struct TagSearch {
    tag: &'static str,
    held: String,
}

impl TagSearch {
    pub(super) fn new(tag: &'static str) -> Self {
        Self { tag, held: String::new() }
    }

    pub(super) fn tag(&self) -> &'static str {
        self.tag
    }

    /// Takes the next character. Text that is no part of the tag goes to `passed`. True when the tag is complete.
    pub(super) fn push(&mut self, next: char, passed: &mut String) -> bool {
        self.held.push(next);
        while !self.tag.starts_with(self.held.as_str()) {
            passed.push(self.held.remove(0));
        }
        let complete = self.held.len() == self.tag.len();
        if complete {
            self.held.clear();
        }
        complete
    }

    /// Whether something is held back.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// What was held back, when it is no tag after all.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}
