//! Cuts a text into passages: whole paragraphs while they fit, else lines, else words.

use serde::{Deserialize, Serialize};

/// A stretch of a text that is embedded as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passage {
    /// Its first line, from 1 on.
    pub(crate) line: usize,
    /// What stands there.
    pub(crate) text: String,
}

/// A piece that is never cut further, and what stands between it and the one before.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    start: usize,
    line: usize,
    text: &'a str,
    /// Whether a paragraph begins here.
    opens: bool,
}

/// Passages of at most `most` characters. Where a paragraph is cut, the second part begins with the last lines of the
/// first, at most `overlap` characters, which are less than half a passage: what is said across the cut is found from
/// either side.
pub(crate) fn split(text: &str, most: usize, overlap: usize) -> Vec<Passage> {
    let pieces = pieces(text, most);
    let mut passages = Vec::new();
    let mut first = 0;
    while first < pieces.len() {
        let next = end(&pieces, first, text, most);
        passages.push(passage(&pieces[first..next], text));
        if next == pieces.len() {
            break;
        }
        // Back over whole pieces, as long as the next passage has room for something new behind them.
        let fits = |from: &usize| {
            length(&pieces[*from..next], text) <= overlap && length(&pieces[*from..=next], text) <= most
        };
        first = if pieces[next].opens { next } else { (first + 1..next).find(fits).unwrap_or(next) };
    }
    passages
}

/// Where the passage that begins with piece `first` ends: the last beginning of a paragraph that fits and leaves it at
/// least half full, else as far as it goes.
fn end(pieces: &[Piece<'_>], first: usize, text: &str, most: usize) -> usize {
    let fits = (first + 1..=pieces.len()).take_while(|&end| length(&pieces[first..end], text) <= most).last();
    let furthest = fits.unwrap_or(first + 1);
    if furthest == pieces.len() {
        return furthest;
    }
    let paragraph = (first + 1..=furthest).rev().find(|&end| pieces[end].opens);
    paragraph.filter(|&end| 2 * length(&pieces[first..end], text) >= most).unwrap_or(furthest)
}

/// Characters from the first piece to the last, with what stands between them.
fn length(pieces: &[Piece<'_>], text: &str) -> usize {
    span(pieces, text).chars().count()
}

fn span<'a>(pieces: &[Piece<'_>], text: &'a str) -> &'a str {
    match (pieces.first(), pieces.last()) {
        (Some(first), Some(last)) => &text[first.start..last.start + last.text.len()],
        _ => "",
    }
}

fn passage(pieces: &[Piece<'_>], text: &str) -> Passage {
    Passage { line: pieces.first().map_or(1, |piece| piece.line), text: span(pieces, text).to_owned() }
}

/// The lines that are not blank; a line that is too long by itself in pieces of words.
fn pieces(text: &str, most: usize) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut opens) = (0, true);
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let content = line.trim_end();
        if content.trim().is_empty() {
            opens = true;
        } else {
            let mut rest = content;
            while !rest.is_empty() {
                let piece = head(rest, most);
                let offset = start + content.len() - rest.len();
                if !piece.trim().is_empty() {
                    pieces.push(Piece { start: offset, line: at + 1, text: piece.trim_end(), opens });
                    opens = false;
                }
                // An indentation belongs to its line; what stands between two pieces belongs to neither.
                rest = rest[piece.len()..].trim_start();
            }
        }
        start += line.len();
    }
    pieces
}

/// At most `most` characters from the beginning of a line, up to the end of a word if there is one.
fn head(line: &str, most: usize) -> &str {
    let Some((cut, _)) = line.char_indices().nth(most) else { return line };
    let space = line[..cut].char_indices().rev().find(|(_, c)| c.is_whitespace());
    let word = space.map(|(at, c)| at + c.len_utf8()).filter(|&at| !line[..at].trim().is_empty());
    &line[..word.unwrap_or(cut)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str, most: usize, overlap: usize) -> Vec<(usize, String)> {
        split(text, most, overlap).into_iter().map(|passage| (passage.line, passage.text)).collect()
    }

    #[test]
    fn paragraphs_stay_together_while_they_fit() {
        let text = "# Title\n\nOne two three.\nFour.\n\nFive six seven eight.\n\nNine.\n";
        assert_eq!(texts(text, 1000, 0), [(1, text.trim_end().to_owned())]);
        assert_eq!(
            texts(text, 32, 0),
            [
                (1, "# Title\n\nOne two three.\nFour.".to_owned()),
                (6, "Five six seven eight.\n\nNine.".to_owned()),
            ]
        );
    }

    #[test]
    fn a_paragraph_that_does_not_fit_is_cut_at_lines_and_overlaps() {
        let text = "aaaa aaaa\nbbbb bbbb\ncccc cccc\ndddd dddd\n";
        assert_eq!(
            texts(text, 30, 10),
            [(1, "aaaa aaaa\nbbbb bbbb\ncccc cccc".to_owned()), (3, "cccc cccc\ndddd dddd".to_owned()),]
        );
    }

    #[test]
    fn a_line_that_does_not_fit_is_cut_at_words_and_a_word_anywhere() {
        assert_eq!(
            texts("one two three four", 10, 0),
            [(1, "one two".to_owned()), (1, "three four".to_owned())]
        );
        assert_eq!(texts("äöüäöüäöü", 4, 0).len(), 3);
        assert_eq!(texts(" \n\n\t\n", 10, 0), []);
    }

    #[test]
    fn wide_spaces_and_runs_of_spaces_are_cut_too() {
        let text = format!("aä\u{3000}aä\u{3000}{}b", " ".repeat(20));
        assert_eq!(texts(&text, 5, 0), [(1, "aä\u{3000}aä".to_owned()), (1, "b".to_owned())]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn every_word_is_in_a_passage_and_no_passage_is_too_long(
            separators in proptest::collection::vec(0usize..7, 0..80),
            most in 10usize..80,
            overlap in 0usize..40,
        ) {
            // Every word is another one: where a passage begins is where its text is found.
            let spaces = [" ", "  ", "\n", "\n\n", "\u{3000}", " \n\t\n", "\r\n"];
            let text: String =
                separators.iter().zip(0..).map(|(&at, number)| format!("‹ß{number}›{}", spaces[at])).collect();
            let mut done = 0;
            for passage in split(&text, most, overlap.min(most / 2 - 1)) {
                prop_assert!(passage.text.chars().count() <= most);
                let Some(from) = text.find(&passage.text) else {
                    return Err(TestCaseError::fail("a passage that is not in the text"));
                };
                // They go forward, and nothing but space lies between two of them.
                prop_assert!(from + passage.text.len() > done);
                prop_assert!(from < done || text[done..from].trim().is_empty());
                prop_assert_eq!(text[..from].matches('\n').count() + 1, passage.line);
                done = from + passage.text.len();
            }
            prop_assert!(text[done..].trim().is_empty());
        }
    }
}
