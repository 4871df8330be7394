//! Stop strings in a stream: nothing of a stop string is ever shown, wherever the pieces of the stream are cut.

/// Passes text through until a stop string is met, holding back what may be the beginning of one.
#[derive(Debug, Default)]
pub(super) struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

/// What may be shown, and whether the text is complete.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) text: String,
    pub(super) stopped: bool,
}

impl StopMatcher {
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self { stops, held: String::new() }
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &str) -> Passed {
        self.held.push_str(piece);
        // The stop string that begins first wins.
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.held.truncate(at);
            return Passed { text: std::mem::take(&mut self.held), stopped: true };
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        Passed { text: std::mem::replace(&mut self.held, rest), stopped: false }
    }

    /// What was held back, when no more text comes.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length of the longest end of `text` that is a beginning of `stop`, but not all of it.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    let fits = |&len: &usize| stop.is_char_boundary(len) && text.ends_with(&stop[..len]);
    (1..=longest).rev().find(fits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The text before the first stop string.
    fn reference(text: &str, stops: &[String]) -> (String, bool) {
        match stops.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            Some(at) => (text[..at].to_string(), true),
            None => (text.to_string(), false),
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_text_before_the_stop(
            pieces in prop::collection::vec("[abé]{0,4}", 0..12),
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
        ) {
            let mut matcher = StopMatcher::new(stops.clone());
            let (mut shown, mut stopped) = (String::new(), false);
            for piece in &pieces {
                let passed = matcher.push(piece);
                shown.push_str(&passed.text);
                if passed.stopped {
                    stopped = true;
                    break;
                }
            }
            if !stopped {
                shown.push_str(&matcher.finish());
            }
            let whole = pieces.concat();
            let (text, found) = reference(&whole, &stops);
            prop_assert_eq!(stopped, found);
            // Of two stop strings that overlap, the one that is complete first may end the text before the other one.
            prop_assert!(shown.starts_with(&text), "{:?} {:?}", shown, text);
            if !found {
                prop_assert_eq!(shown, text);
            } else {
                prop_assert!(!stops.iter().any(|stop| shown.contains(stop.as_str())));
            }
        }
    }

    #[test]
    fn a_beginning_of_a_stop_string_is_held_back_and_released() {
        let mut matcher = StopMatcher::new(vec!["\n\n".into(), "END".into()]);
        assert_eq!(matcher.push("one\n"), Passed { text: "one".into(), stopped: false });
        assert_eq!(matcher.push("two EN"), Passed { text: "\ntwo ".into(), stopped: false });
        assert_eq!(matcher.push("DLESS"), Passed { text: String::new(), stopped: true });
        let mut matcher = StopMatcher::new(vec!["END".into()]);
        assert_eq!(matcher.push("E"), Passed { text: String::new(), stopped: false });
        assert_eq!(matcher.finish(), "E");
    }
}
