//! Calls of DeepSeek: tags around a name and a fenced block of JSON.

use super::event::Event;
use super::json::{Scan, ValueScanner, is_space};
use super::outside::Outside;
use super::tools::Tools;

const CALLS_BEGIN: &str = "<｜tool▁calls▁begin｜>";
const CALLS_END: &str = "<｜tool▁calls▁end｜>";
const CALL_BEGIN: &str = "<｜tool▁call▁begin｜>";
const KIND: &str = "function<｜tool▁sep｜>";
const FENCE: &str = "```json";
/// The ends of a call, white space left out: the fence is sometimes forgotten.
const CALL_ENDS: [&str; 2] = ["```<｜tool▁call▁end｜>", "<｜tool▁call▁end｜>"];

/// Reads calls of [`ToolFormat::DeepSeek`](crate::chat::ToolFormat::DeepSeek).
#[derive(Debug)]
pub(super) struct DeepSeekCalls {
    tools: Tools,
    outside: Outside,
    state: State,
    /// What is shown if it is no call.
    unread: String,
}

/// Where in the block of calls; the text is the beginning of what has to come there.
#[derive(Debug)]
enum State {
    Outside,
    /// Before a call or, behind at least one, before the end of all.
    Call {
        any: bool,
        tag: String,
    },
    Kind(String),
    /// The name, up to the end of its line.
    Name(String),
    Fence(String, String),
    /// Behind the fence.
    Arguments(String),
    Value(ValueScanner),
    End(String),
}

impl DeepSeekCalls {
    /// `spelled`: whether the marker may be spelled in text.
    pub(super) fn new(tools: Tools, spelled: bool) -> Self {
        let outside = Outside::new(spelled.then_some(CALLS_BEGIN));
        Self { tools, outside, state: State::Outside, unread: String::new() }
    }

    pub(super) fn push(&mut self, next: char, out: &mut Vec<Event>) {
        match std::mem::replace(&mut self.state, State::Outside) {
            State::Outside => {
                if let Some(unread) = self.outside.push(next, out) {
                    self.unread = unread;
                    self.state = State::Call { any: false, tag: String::new() };
                }
            }
            State::Value(scanner) => self.value(next, scanner, out),
            state => {
                self.unread.push(next);
                match self.step(next, state, out) {
                    Some(state) => self.state = state,
                    None => self.fail(out),
                }
            }
        }
    }

    /// The state behind `next`; `None` where that may not come.
    fn step(&mut self, next: char, state: State, out: &mut Vec<Event>) -> Option<State> {
        match state {
            State::Call { any, tag } if tag.is_empty() && is_space(next) => Some(State::Call { any, tag }),
            State::Call { any, mut tag } => {
                tag.push(next);
                match tag.as_str() {
                    CALL_BEGIN => Some(State::Kind(String::new())),
                    CALLS_END if any => {
                        self.unread.clear();
                        self.outside.close();
                        Some(State::Outside)
                    }
                    CALLS_BEGIN if any => Some(State::Call { any, tag: String::new() }),
                    part => {
                        let possible = CALL_BEGIN.starts_with(part)
                            || any && (CALLS_END.starts_with(part) || CALLS_BEGIN.starts_with(part));
                        possible.then_some(State::Call { any, tag })
                    }
                }
            }
            State::Kind(mut tag) => {
                tag.push(next);
                if tag == KIND {
                    return Some(State::Name(String::new()));
                }
                KIND.starts_with(tag.as_str()).then_some(State::Kind(tag))
            }
            State::Name(name) if next == '\n' => {
                let name = name.trim_end_matches(is_space);
                self.tools.has(name).then(|| State::Fence(name.to_owned(), String::new()))
            }
            State::Name(mut name) => {
                name.push(next);
                let possible = self.tools.begins(&name) || self.tools.has(name.trim_end_matches(is_space));
                possible.then_some(State::Name(name))
            }
            State::Fence(name, tag) if tag.is_empty() && is_space(next) => Some(State::Fence(name, tag)),
            State::Fence(name, mut tag) => {
                tag.push(next);
                if tag == FENCE {
                    return Some(State::Arguments(name));
                }
                FENCE.starts_with(tag.as_str()).then_some(State::Fence(name, tag))
            }
            State::Arguments(name) if is_space(next) => Some(State::Arguments(name)),
            State::Arguments(name) if next == '{' => {
                out.push(Event::Call { name });
                self.value(next, ValueScanner::default(), out);
                Some(std::mem::replace(&mut self.state, State::Outside))
            }
            State::End(tag) if is_space(next) => Some(State::End(tag)),
            State::End(mut tag) => {
                tag.push(next);
                if CALL_ENDS.contains(&tag.as_str()) {
                    self.unread.clear();
                    return Some(State::Call { any: true, tag: String::new() });
                }
                CALL_ENDS.iter().any(|end| end.starts_with(tag.as_str())).then_some(State::End(tag))
            }
            State::Arguments(_) | State::Outside | State::Value(_) => None,
        }
    }

    fn value(&mut self, next: char, mut scanner: ValueScanner, out: &mut Vec<Event>) {
        match scanner.push(next) {
            scan @ (Scan::Part | Scan::Last) => {
                self.unread.clear();
                Event::arguments(next.encode_utf8(&mut [0; 4]), out);
                self.state =
                    if scan == Scan::Part { State::Value(scanner) } else { State::End(String::new()) };
            }
            Scan::Behind | Scan::Wrong => {
                self.unread.push(next);
                self.fail(out);
            }
        }
    }

    pub(super) fn marker(&mut self, token: &str, out: &mut Vec<Event>) {
        if token == CALLS_BEGIN && matches!(self.state, State::Outside) {
            self.unread = self.outside.open(token, out);
            self.state = State::Call { any: false, tag: String::new() };
        } else {
            token.chars().for_each(|next| self.push(next, out));
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        match self.state {
            State::Outside => self.outside.finish(out),
            // The end of a call that is given.
            State::Call { any: true, .. } | State::End(_) | State::Value(_) => {}
            _ => self.outside.show(&std::mem::take(&mut self.unread), out),
        }
    }

    /// What is held back is text.
    fn fail(&mut self, out: &mut Vec<Event>) {
        self.state = State::Outside;
        self.outside.fail(std::mem::take(&mut self.unread), out);
    }
}
