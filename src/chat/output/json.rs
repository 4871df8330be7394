//! Where a JSON value ends.

/// Finds the end of a JSON value in a text that comes character by character.
///
/// Brackets and strings are followed; what stands between them is not checked.
#[derive(Debug, Default)]
pub(super) struct ValueScanner {
    /// The closing brackets that are awaited.
    closing: Vec<char>,
    kind: Kind,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Unbegun,
    /// Between brackets, outside of strings.
    Structure,
    Text,
    /// Behind a backslash within a string.
    Escape,
    /// A number or a word.
    Scalar,
}

/// What a character is to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// A part of it.
    Part,
    /// Its last character.
    Last,
    /// The first one behind it.
    Behind,
    /// Nothing that may stand there.
    Wrong,
}

impl ValueScanner {
    /// Takes the next character; the first one begins the value.
    pub(super) fn push(&mut self, next: char) -> Scan {
        match (&self.kind, next) {
            (Kind::Text, '\\') => self.kind = Kind::Escape,
            (Kind::Text, '"') if self.closing.is_empty() => return Scan::Last,
            (Kind::Text, '"') => self.kind = Kind::Structure,
            (Kind::Escape, _) => self.kind = Kind::Text,
            (Kind::Text, _) => {}
            (Kind::Scalar, c) if c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.') => {}
            (Kind::Scalar, _) => return Scan::Behind,
            (_, '"') => self.kind = Kind::Text,
            (_, '{') => self.open('}'),
            (_, '[') => self.open(']'),
            (Kind::Structure, '}' | ']') => {
                if self.closing.pop() != Some(next) {
                    return Scan::Wrong;
                }
                if self.closing.is_empty() {
                    return Scan::Last;
                }
            }
            (Kind::Structure, _) => {}
            (Kind::Unbegun, c) if c.is_ascii_alphanumeric() || c == '-' => self.kind = Kind::Scalar,
            (Kind::Unbegun, _) => return Scan::Wrong,
        }
        Scan::Part
    }

    fn open(&mut self, closing: char) {
        self.kind = Kind::Structure;
        self.closing.push(closing);
    }
}

/// White space of JSON.
pub(super) fn is_space(next: char) -> bool {
    matches!(next, ' ' | '\n' | '\r' | '\t')
}
