//! Text around tool calls.

use super::event::Event;
use super::json::is_space;
use super::tag::TagSearch;

/// The text outside of calls. White space that stands only between calls, before the first one or behind the last one
/// is dropped; so it is held back until something else comes.
#[derive(Debug)]
pub(super) struct Outside {
    /// What begins calls in plain text.
    opening: Option<TagSearch>,
    /// White space at the beginning or right behind a call; `None` once there is text.
    space: Option<String>,
    called: bool,
}

impl Outside {
    /// Calls begin with `tag` in the text, or with a marker only.
    pub(super) fn new(tag: Option<&'static str>) -> Self {
        Self { opening: tag.map(TagSearch::new), space: Some(String::new()), called: false }
    }

    /// Takes the next character. When the tag is complete: what is to be shown if no call follows.
    pub(super) fn push(&mut self, next: char, out: &mut Vec<Event>) -> Option<String> {
        let begun = self.opening.as_ref().is_some_and(TagSearch::holds);
        match &mut self.space {
            Some(space) if is_space(next) && !begun => {
                space.push(next);
                return None;
            }
            _ => {}
        }
        let Some(search) = &mut self.opening else {
            self.show(next.encode_utf8(&mut [0; 4]), out);
            return None;
        };
        let mut passed = String::new();
        let complete = search.push(next, &mut passed);
        let tag = search.tag();
        self.show(&passed, out);
        complete.then(|| self.space.take().unwrap_or_default() + tag)
    }

    /// A marker begins calls here. Returns what is to be shown if no call follows.
    pub(super) fn open(&mut self, marker: &str, out: &mut Vec<Event>) -> String {
        let held = self.opening.as_mut().map(TagSearch::take).unwrap_or_default();
        self.show(&held, out);
        self.space.take().unwrap_or_default() + marker
    }

    /// Shows what turned out to be text.
    pub(super) fn show(&mut self, text: &str, out: &mut Vec<Event>) {
        if !text.is_empty() {
            Event::text(&self.space.take().unwrap_or_default(), out);
            Event::text(text, out);
        }
    }

    /// What seemed a call is text, but for its last character, at which this was seen: a tag may begin with it.
    pub(super) fn fail(&mut self, mut unread: String, out: &mut Vec<Event>) {
        let last = unread.pop();
        self.show(&unread, out);
        self.space = None;
        if let Some(last) = last {
            // One character completes no tag.
            let _ = self.push(last, out);
        }
    }

    /// Calls have ended here.
    pub(super) fn close(&mut self) {
        self.called = true;
        self.space = Some(String::new());
    }

    /// What was held back when no more comes.
    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        let held = self.opening.as_mut().map(TagSearch::take).unwrap_or_default();
        if !held.is_empty() || !self.called {
            Event::text(&self.space.take().unwrap_or_default(), out);
        }
        Event::text(&held, out);
    }
}
