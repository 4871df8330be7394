//! Calls of Llama 3.x: the whole answer is JSON.

use super::event::Event;
use super::json::is_space;
use super::object::{CallObject, Members, Progress};
use super::tools::Tools;

const MARKER: &str = "<|python_tag|>";

/// Reads calls of [`ToolFormat::Llama`](crate::chat::ToolFormat::Llama).
#[derive(Debug)]
pub(super) struct LlamaCalls {
    tools: Tools,
    /// The marker may be spelled in text.
    spelled: bool,
    state: State,
    /// What comes before an object: white space, the marker, separators.
    before: String,
    called: bool,
}

#[derive(Debug)]
enum State {
    /// Before an object; the beginning of a spelled marker.
    Before(String),
    Object(CallObject),
    Text,
}

impl LlamaCalls {
    pub(super) fn new(tools: Tools, spelled: bool) -> Self {
        Self { tools, spelled, state: State::Before(String::new()), before: String::new(), called: false }
    }

    pub(super) fn push(&mut self, next: char, out: &mut Vec<Event>) {
        match &mut self.state {
            State::Before(tag) if tag.is_empty() && (is_space(next) || (self.called && next == ';')) => {
                self.before.push(next);
            }
            State::Before(tag) if tag.is_empty() && next == '{' => {
                self.state = State::Object(CallObject::new(Members::NameFirst));
                self.push(next, out);
            }
            State::Before(tag) => {
                tag.push(next);
                let possible =
                    self.spelled && !self.before.contains(MARKER) && MARKER.starts_with(tag.as_str());
                if !possible {
                    self.fail(out);
                } else if tag.len() == MARKER.len() {
                    self.before.push_str(MARKER);
                    tag.clear();
                }
            }
            State::Object(object) => {
                let progress = object.push(next, &self.tools, out);
                if object.called() {
                    self.before.clear();
                    self.called = true;
                }
                match progress {
                    Progress::More => {}
                    Progress::Done => self.state = State::Before(String::new()),
                    Progress::Failed => self.fail(out),
                }
            }
            State::Text => Event::text(next.encode_utf8(&mut [0; 4]), out),
        }
    }

    pub(super) fn marker(&mut self, token: &str, out: &mut Vec<Event>) {
        match &self.state {
            State::Before(tag) if token == MARKER && tag.is_empty() && !self.before.contains(MARKER) => {
                self.before.push_str(token);
            }
            State::Before(_) => {
                self.fail(out);
                Event::text(token, out);
            }
            State::Object(_) | State::Text => token.chars().for_each(|next| self.push(next, out)),
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        let separators = self.before.chars().all(|c| is_space(c) || c == ';');
        match &self.state {
            State::Before(tag) if self.called && tag.is_empty() && separators => {}
            State::Object(object) if object.called() => {}
            State::Before(_) | State::Object(_) | State::Text => self.fail(out),
        }
    }

    /// What is held back is text, and so is all that follows.
    fn fail(&mut self, out: &mut Vec<Event>) {
        Event::text(&std::mem::take(&mut self.before), out);
        match std::mem::replace(&mut self.state, State::Text) {
            State::Before(tag) => Event::text(&tag, out),
            State::Object(object) => Event::text(&object.unread(), out),
            State::Text => {}
        }
    }
}
