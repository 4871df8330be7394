//! Calls of the generic form: `<tool_call>{...}</tool_call>` in text.

use super::event::Event;
use super::json::is_space;
use super::object::{CallObject, Members, Progress};
use super::outside::Outside;
use super::tools::Tools;

const OPENING: &str = "<tool_call>";
const CLOSING: &str = "</tool_call>";

/// Reads calls of [`ToolFormat::Generic`](crate::chat::ToolFormat::Generic).
#[derive(Debug)]
pub(super) struct GenericCalls {
    tools: Tools,
    outside: Outside,
    state: State,
    /// What is shown if it is no call: the tag and white space behind it.
    before: String,
}

#[derive(Debug)]
enum State {
    Outside,
    Opened,
    Object(CallObject),
    /// Behind the object: white space and the beginning of the closing tag.
    Closing(String),
}

impl GenericCalls {
    pub(super) fn new(tools: Tools) -> Self {
        Self { tools, outside: Outside::new(Some(OPENING)), state: State::Outside, before: String::new() }
    }

    pub(super) fn push(&mut self, next: char, out: &mut Vec<Event>) {
        match &mut self.state {
            State::Outside => {
                if let Some(before) = self.outside.push(next, out) {
                    self.before = before;
                    self.state = State::Opened;
                }
            }
            State::Opened if is_space(next) => self.before.push(next),
            State::Opened => {
                self.state = State::Object(CallObject::new(Members::Any));
                self.push(next, out);
            }
            State::Object(object) => {
                let progress = object.push(next, &self.tools, out);
                if object.called() {
                    self.before.clear();
                }
                match progress {
                    Progress::More => {}
                    Progress::Done => self.state = State::Closing(String::new()),
                    Progress::Failed => {
                        let unread = self.unread();
                        self.outside.fail(unread, out);
                    }
                }
            }
            State::Closing(held) => {
                held.push(next);
                let tag = held.trim_start_matches(is_space);
                if tag == CLOSING {
                    self.outside.close();
                    self.state = State::Outside;
                } else if !CLOSING.starts_with(tag) {
                    // The tag is missing: all of this is outside.
                    let held = std::mem::take(held);
                    self.outside.close();
                    self.state = State::Outside;
                    held.chars().for_each(|next| self.push(next, out));
                }
            }
        }
    }

    pub(super) fn marker(&mut self, token: &str, out: &mut Vec<Event>) {
        token.chars().for_each(|next| self.push(next, out));
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        match self.state {
            State::Outside => self.outside.finish(out),
            State::Opened | State::Object(_) => {
                let called = matches!(&self.state, State::Object(object) if object.called());
                let unread = self.unread();
                if !called {
                    self.outside.show(&unread, out);
                }
            }
            State::Closing(_) => {}
        }
    }

    /// Leaves the call: what of it is not given as one.
    fn unread(&mut self) -> String {
        let mut unread = std::mem::take(&mut self.before);
        if let State::Object(object) = std::mem::replace(&mut self.state, State::Outside) {
            unread.push_str(&object.unread());
        }
        unread
    }
}
