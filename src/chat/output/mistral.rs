//! Calls of Mistral: a marker and a JSON list, or a marker, a name, a second marker and the arguments.

use super::event::Event;
use super::json::{Scan, ValueScanner, is_space};
use super::object::{CallObject, Members, Progress};
use super::outside::Outside;
use super::tools::Tools;

const MARKER: &str = "[TOOL_CALLS]";
const ARGUMENTS: &str = "[ARGS]";

/// Reads calls of [`ToolFormat::Mistral`](crate::chat::ToolFormat::Mistral).
#[derive(Debug)]
pub(super) struct MistralCalls {
    tools: Tools,
    outside: Outside,
    state: State,
    /// What is shown if no call follows.
    unread: String,
}

#[derive(Debug)]
enum State {
    Outside,
    /// Behind the marker.
    Opened,
    /// Where an object of the list begins.
    Item,
    Object(CallObject),
    /// Behind an object of the list.
    Listed,
    /// A name up to the second marker.
    Name(String),
    /// Behind the second marker.
    Arguments,
    Value(ValueScanner),
}

impl MistralCalls {
    /// `spelled`: whether the marker may be spelled in text.
    pub(super) fn new(tools: Tools, spelled: bool) -> Self {
        let outside = Outside::new(spelled.then_some(MARKER));
        Self { tools, outside, state: State::Outside, unread: String::new() }
    }

    pub(super) fn push(&mut self, next: char, out: &mut Vec<Event>) {
        match std::mem::replace(&mut self.state, State::Outside) {
            State::Outside => {
                if let Some(unread) = self.outside.push(next, out) {
                    self.unread = unread;
                    self.state = State::Opened;
                }
                return;
            }
            State::Object(object) => return self.object(next, object, out),
            State::Value(scanner) => return self.value(next, scanner, out),
            other => self.state = other,
        }
        self.unread.push(next);
        match &mut self.state {
            State::Opened | State::Item | State::Listed | State::Arguments if is_space(next) => {}
            State::Opened if next == '[' => self.state = State::Item,
            State::Opened if self.tools.begins(next.encode_utf8(&mut [0; 4])) => {
                self.state = State::Name(next.to_string());
            }
            State::Item if next == '{' => {
                self.unread.pop();
                self.object(next, CallObject::new(Members::Any), out);
            }
            State::Listed if next == ',' => self.state = State::Item,
            State::Listed if next == ']' => {
                self.unread.clear();
                self.state = State::Outside;
                self.outside.close();
            }
            State::Name(text) => {
                text.push(next);
                // The marker begins at the last bracket: a name may have one as well.
                let (name, tag) = text.rfind('[').map_or((text.as_str(), ""), |at| text.split_at(at));
                if tag == ARGUMENTS && self.tools.has(name.trim_end_matches(is_space)) {
                    out.push(Event::Call { name: name.trim_end_matches(is_space).to_owned() });
                    self.unread.clear();
                    self.state = State::Arguments;
                } else {
                    let complete = self.tools.has(name.trim_end_matches(is_space));
                    if !(self.tools.begins(text) || complete && ARGUMENTS.starts_with(tag)) {
                        self.fail(out);
                    }
                }
            }
            State::Arguments if next == '{' => {
                self.unread.pop();
                self.value(next, ValueScanner::default(), out);
            }
            _ => self.fail(out),
        }
    }

    fn object(&mut self, next: char, mut object: CallObject, out: &mut Vec<Event>) {
        let progress = object.push(next, &self.tools, out);
        if object.called() {
            self.unread.clear();
        }
        match progress {
            Progress::More => self.state = State::Object(object),
            Progress::Done => self.state = State::Listed,
            Progress::Failed => {
                self.unread.push_str(&object.unread());
                self.fail(out);
            }
        }
    }

    fn value(&mut self, next: char, mut scanner: ValueScanner, out: &mut Vec<Event>) {
        match scanner.push(next) {
            scan @ (Scan::Part | Scan::Last) => {
                self.unread.clear();
                Event::arguments(next.encode_utf8(&mut [0; 4]), out);
                if scan == Scan::Part {
                    self.state = State::Value(scanner);
                } else {
                    self.state = State::Outside;
                    self.outside.close();
                }
            }
            Scan::Behind | Scan::Wrong => {
                self.unread.push(next);
                self.fail(out);
            }
        }
    }

    pub(super) fn marker(&mut self, token: &str, out: &mut Vec<Event>) {
        match self.state {
            State::Outside | State::Opened if token == MARKER => {
                let unread = std::mem::take(&mut self.unread);
                self.outside.show(&unread, out);
                self.unread = self.outside.open(token, out);
                self.state = State::Opened;
            }
            _ => token.chars().for_each(|next| self.push(next, out)),
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        match std::mem::replace(&mut self.state, State::Outside) {
            State::Outside => self.outside.finish(out),
            State::Object(object) if object.called() => {}
            State::Object(object) => {
                let unread = std::mem::take(&mut self.unread) + &object.unread();
                self.outside.show(&unread, out);
            }
            State::Opened | State::Name(_) => self.outside.show(&std::mem::take(&mut self.unread), out),
            // Of a list that has begun, only brackets and commas; of a call that is given, white space.
            State::Item if self.unread.contains(MARKER) => {
                self.outside.show(&std::mem::take(&mut self.unread), out);
            }
            State::Item | State::Listed | State::Arguments | State::Value(_) => {}
        }
    }

    /// What is held back is text.
    fn fail(&mut self, out: &mut Vec<Event>) {
        self.state = State::Outside;
        self.outside.fail(std::mem::take(&mut self.unread), out);
    }
}
