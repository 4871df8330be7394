//! One tool call as a JSON object with `name` and `arguments`.

use super::event::Event;
use super::json::{Scan, ValueScanner, is_space};
use super::tools::Tools;

/// Which members a call's object may begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Members {
    /// Any: a marker has said that it is a call.
    Any,
    /// `name`, possibly behind `"type": "function"`: only by these it is told from an answer in JSON.
    NameFirst,
}

/// How far an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Done,
    /// It is no call, or goes on in a way that no call does.
    Failed,
}

/// Reads a call from its opening brace on.
#[derive(Debug)]
pub(super) struct CallObject {
    members: Members,
    state: State,
    /// The characters that are not yet given as a call.
    unread: String,
    called: bool,
    /// Arguments that came before the name.
    early: Option<String>,
    /// Whether the arguments are complete.
    arguments: bool,
}

#[derive(Debug)]
enum State {
    Brace,
    /// A member, or, where none came yet, the end.
    Key {
        first: bool,
    },
    /// Within a member's name, quotes included.
    InKey(String, ValueScanner),
    Colon(Member),
    Value(Member),
    InValue(Member, String, ValueScanner),
    Comma,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Type,
    Name,
    Arguments,
    Other,
}

impl CallObject {
    pub(super) fn new(members: Members) -> Self {
        Self {
            members,
            state: State::Brace,
            unread: String::new(),
            called: false,
            early: None,
            arguments: false,
        }
    }

    /// Whether the call is given.
    pub(super) fn called(&self) -> bool {
        self.called
    }

    /// What is not given as a call, once it failed or no more comes.
    pub(super) fn unread(self) -> String {
        self.unread
    }

    /// Takes the next character. Nothing more may come after `Done` and `Failed`.
    pub(super) fn push(&mut self, next: char, tools: &Tools, out: &mut Vec<Event>) -> Progress {
        self.unread.push(next);
        match std::mem::replace(&mut self.state, State::Comma) {
            State::Brace if next == '{' => self.state = State::Key { first: true },
            State::Key { first } if is_space(next) => self.state = State::Key { first },
            State::Key { .. } if next == '"' => {
                let mut scanner = ValueScanner::default();
                scanner.push(next);
                self.state = State::InKey(next.to_string(), scanner);
            }
            State::InKey(key, scanner) => return self.key(next, key, scanner),
            State::Colon(member) if is_space(next) => self.state = State::Colon(member),
            State::Colon(member) if next == ':' => self.state = State::Value(member),
            State::Value(member) if is_space(next) => self.state = State::Value(member),
            State::Value(member) => {
                return self.value(next, member, String::new(), ValueScanner::default(), tools, out);
            }
            State::InValue(member, text, scanner) => {
                return self.value(next, member, text, scanner, tools, out);
            }
            State::Comma if is_space(next) => {}
            State::Comma if next == ',' => self.state = State::Key { first: false },
            State::Comma if next == '}' && self.called => {
                if !self.arguments {
                    Event::arguments("{}", out);
                }
                self.unread.clear();
                return Progress::Done;
            }
            _ => return Progress::Failed,
        }
        Progress::More
    }

    fn key(&mut self, next: char, mut key: String, mut scanner: ValueScanner) -> Progress {
        key.push(next);
        if scanner.push(next) == Scan::Last {
            let Ok(key) = serde_json::from_str::<String>(&key) else { return Progress::Failed };
            let member = match key.as_str() {
                "name" if !self.called => Member::Name,
                "arguments" | "parameters" if !self.arguments && self.early.is_none() => Member::Arguments,
                "type" if !self.called && self.members == Members::NameFirst => Member::Type,
                _ => Member::Other,
            };
            let begins = matches!(member, Member::Name | Member::Type);
            if !begins && !self.called && self.members == Members::NameFirst {
                return Progress::Failed;
            }
            self.state = State::Colon(member);
            return Progress::More;
        }
        let possible = ["\"name\"", "\"type\""].iter().any(|known| known.starts_with(key.as_str()));
        if !self.called && self.members == Members::NameFirst && !possible && !key.contains('\\') {
            return Progress::Failed;
        }
        self.state = State::InKey(key, scanner);
        Progress::More
    }

    fn value(
        &mut self,
        next: char,
        member: Member,
        mut text: String,
        mut scanner: ValueScanner,
        tools: &Tools,
        out: &mut Vec<Event>,
    ) -> Progress {
        let scan = scanner.push(next);
        if scan == Scan::Wrong {
            return Progress::Failed;
        }
        if scan != Scan::Behind {
            if member == Member::Arguments && self.called {
                // All that comes before the arguments is said by the call.
                self.unread.clear();
                Event::arguments(next.encode_utf8(&mut [0; 4]), out);
            } else if member != Member::Other {
                text.push(next);
            }
            let possible = match member {
                Member::Name => tools.begins_literal(&text),
                Member::Type => "\"function\"".starts_with(text.as_str()),
                Member::Arguments | Member::Other => true,
            };
            if !possible {
                return Progress::Failed;
            }
        }
        if scan == Scan::Part {
            self.state = State::InValue(member, text, scanner);
            return Progress::More;
        }
        match member {
            Member::Name => {
                let Some(name) = tools.literal(&text) else { return Progress::Failed };
                out.push(Event::Call { name });
                self.called = true;
                self.unread.clear();
                if let Some(early) = self.early.take() {
                    Event::arguments(&early, out);
                    self.arguments = true;
                }
            }
            Member::Arguments if self.called => self.arguments = true,
            Member::Arguments => self.early = Some(text),
            Member::Type | Member::Other => {}
        }
        self.state = State::Comma;
        if scan == Scan::Behind {
            self.unread.pop();
            return self.push(next, tools, out);
        }
        Progress::More
    }
}
