//! What an answer consists of.

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Text for the reader.
    Text(String),
    /// What the model thinks before it answers.
    Reasoning(String),
    /// A tool call begins. Its arguments follow, until the next `Call` or the end.
    Call {
        /// The name of the function, one of those that were offered.
        name: String,
    },
    /// The next fragment of the last call's arguments. Put together, the fragments are their JSON text as the model
    /// wrote it.
    Arguments(String),
}

impl Event {
    /// Adds text, to the last event where that is text.
    pub(super) fn text(piece: &str, out: &mut Vec<Self>) {
        match out.last_mut() {
            _ if piece.is_empty() => {}
            Some(Self::Text(last)) => last.push_str(piece),
            _ => out.push(Self::Text(piece.to_owned())),
        }
    }

    /// Adds reasoning, to the last event where that is reasoning.
    pub(super) fn reasoning(piece: &str, out: &mut Vec<Self>) {
        match out.last_mut() {
            _ if piece.is_empty() => {}
            Some(Self::Reasoning(last)) => last.push_str(piece),
            _ => out.push(Self::Reasoning(piece.to_owned())),
        }
    }

    /// Adds a fragment of arguments, to the last event where that is one.
    pub(super) fn arguments(piece: &str, out: &mut Vec<Self>) {
        match out.last_mut() {
            _ if piece.is_empty() => {}
            Some(Self::Arguments(last)) => last.push_str(piece),
            _ => out.push(Self::Arguments(piece.to_owned())),
        }
    }
}
