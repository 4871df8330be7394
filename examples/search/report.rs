//! What was found, for people and for programs.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::json;

use super::index::Hit;

/// Cells of a score's bar, and lines of an excerpt.
const CELLS: usize = 10;
const LINES: usize = 4;
/// The most characters of a line of an excerpt.
const WIDTH: usize = 120;

/// The passages found for a question.
pub(crate) struct Report<'a> {
    pub(crate) question: &'a str,
    pub(crate) hits: &'a [Hit<'a>],
    /// Whether the reader is a terminal.
    pub(crate) colours: bool,
}

impl Report<'_> {
    /// For people: a bar, the score, the place and an excerpt with the question's words in bold.
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let words = words(self.question);
        for hit in self.hits {
            let (offset, lines) = excerpt(&hit.passage.text, &words);
            writeln!(out, "{} {:.3}  {}:{}", bar(hit.score), hit.score, hit.path, hit.passage.line + offset)?;
            for line in lines {
                let cut: Cow<'_, str> = match line.char_indices().nth(WIDTH) {
                    Some((at, _)) => format!("{}…", &line[..at]).into(),
                    None => line.into(),
                };
                let shown = if self.colours { highlighted(&cut, &words) } else { cut.into_owned() };
                writeln!(out, "    {shown}")?;
            }
            writeln!(out)?;
        }
        if self.hits.is_empty() { writeln!(out, "the folder has no text to search") } else { Ok(()) }
    }

    /// For programs: an object on a line.
    pub(crate) fn json(&self, out: &mut impl Write) -> io::Result<()> {
        let passages: Vec<_> = self
            .hits
            .iter()
            .map(|hit| {
                let (line, text) = (hit.passage.line, &hit.passage.text);
                json!({"score": hit.score, "file": hit.path, "line": line, "text": text})
            })
            .collect();
        writeln!(out, "{}", json!({"question": self.question, "passages": passages}))?;
        out.flush()
    }
}

/// A score from 0 to 1 in eighths of a cell.
fn bar(score: f32) -> String {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (score.clamp(0.0, 1.0) * (8 * CELLS) as f32).round() as usize;
    let part = Some(PARTS[eighths % 8]).filter(|part| *part != ' ');
    let full: String = std::iter::repeat_n('█', eighths / 8).chain(part).collect();
    format!("{full:<CELLS$}")
}

/// The words of a question that are worth looking for, in lower case.
fn words(question: &str) -> Vec<String> {
    let words = question.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| word.chars().count() > 3).map(str::to_lowercase).collect()
}

/// The lines of a passage with the most of these words, and how many lines stand before them.
fn excerpt<'a>(text: &'a str, words: &[String]) -> (usize, Vec<&'a str>) {
    let lines: Vec<&str> = text.lines().collect();
    let found = |line: &&str| places(line, words).len();
    let last = lines.len().saturating_sub(LINES);
    let from =
        (0..=last).rev().max_by_key(|&from| lines[from..].iter().take(LINES).map(found).sum::<usize>());
    let from = from.unwrap_or_default();
    let from = from + lines[from..].iter().take_while(|line| line.trim().is_empty()).count();
    let mut shown: Vec<&str> = lines[from..].iter().take(LINES).copied().collect();
    while shown.last().is_some_and(|line| line.trim().is_empty()) {
        shown.pop();
    }
    (from, shown)
}

/// Where words of the line begin like one of these: from and to, in bytes.
fn places(line: &str, words: &[String]) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let mut from = 0;
    for part in line.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_') {
        let word = part.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let lower = word.to_lowercase();
        if words.iter().any(|wanted| lower.starts_with(wanted.as_str())) {
            places.push((from, from + word.len()));
        }
        from += part.len();
    }
    places
}

/// The line with these words in bold.
fn highlighted(line: &str, words: &[String]) -> String {
    let (mut shown, mut done) = (String::with_capacity(line.len()), 0);
    for (from, to) in places(line, words) {
        shown.push_str(&line[done..from]);
        shown.push_str("\x1b[1;33m");
        shown.push_str(&line[from..to]);
        shown.push_str("\x1b[0m");
        done = to;
    }
    shown.push_str(&line[done..]);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_score() {
        for (score, drawn) in [
            (0.0, "          "),
            (1.2, "██████████"),
            (0.5, "█████     "),
            (0.0625, "▋         "),
            (-1.0, "          "),
        ] {
            assert_eq!(bar(score), drawn);
        }
    }

    #[test]
    fn words_of_the_question_are_highlighted_where_words_begin() {
        let wanted = words("When do Blocks run out?");
        assert_eq!(wanted, ["when", "blocks"]);
        assert_eq!(
            highlighted("blocks; unblocks, Blocks_2.", &wanted),
            "\x1b[1;33mblocks\x1b[0m; unblocks, \x1b[1;33mBlocks_2\x1b[0m."
        );
    }

    #[test]
    fn an_excerpt_is_where_the_words_are() {
        let text = "a\n\nb\nc\n\nd blocks\ne\nf blocks\ng\nh\ni";
        assert_eq!(excerpt(text, &words("blocks")), (5, vec!["d blocks", "e", "f blocks", "g"]));
        assert_eq!(excerpt("a\n\nb", &words("blocks")), (0, vec!["a", "", "b"]));
        assert_eq!(excerpt("", &[]), (0, vec![]));
    }
}
