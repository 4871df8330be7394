//! The lines of a text, one after the other, with their numbers.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::common::Failure;

/// A line and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1 on.
    pub(crate) number: u64,
    /// Without its end.
    pub(crate) text: String,
    /// Bytes of the input up to its end.
    pub(crate) offset: u64,
}

/// Reads lines; holds one of them.
pub(crate) struct Lines<R> {
    reader: R,
    skip_empty: bool,
    number: u64,
    offset: u64,
}

impl Lines<Box<dyn BufRead>> {
    /// The lines of a file, or of the standard input, and how many bytes they have if that is known.
    pub(crate) fn open(path: Option<&Path>, skip_empty: bool) -> Result<(Self, Option<u64>), Failure> {
        let Some(path) = path else {
            return Ok((Self::new(Box::new(io::stdin().lock()), skip_empty), None));
        };
        let named = |error: io::Error| format!("{}: {error}", path.display());
        let file = File::open(path).map_err(named)?;
        let metadata = file.metadata().map_err(named)?;
        // A pipe with a name has no length.
        let bytes = metadata.is_file().then_some(metadata.len());
        Ok((Self::new(Box::new(BufReader::with_capacity(1 << 16, file)), skip_empty), bytes))
    }
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R, skip_empty: bool) -> Self {
        Self { reader, skip_empty, number: 0, offset: 0 }
    }

    /// The next line that has something to embed.
    fn read(&mut self) -> Result<Option<Line>, Failure> {
        loop {
            let mut bytes = Vec::new();
            self.number += 1;
            let number = self.number;
            let read = self
                .reader
                .read_until(b'\n', &mut bytes)
                .map_err(|error| format!("line {number}: {error}"))?;
            if read == 0 {
                return Ok(None);
            }
            self.offset += read as u64;
            let mut text = String::from_utf8(bytes)
                .map_err(|error| format!("line {number} is not UTF-8: {}", error.utf8_error()))?;
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
            if !text.trim().is_empty() {
                return Ok(Some(Line { number, text, offset: self.offset }));
            }
            if !self.skip_empty {
                return Err(format!("line {number} is empty; --skip-empty leaves such lines out").into());
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_have_numbers_and_no_ends() {
        let lines = Lines::new(&b"a\r\n\n  \nb b\nc"[..], true).map(Result::unwrap);
        let found: Vec<_> = lines.map(|line| (line.number, line.text, line.offset)).collect();
        assert_eq!(found, [(1, "a".into(), 3), (4, "b b".into(), 11), (5, "c".into(), 12)]);
    }

    #[test]
    fn errors_name_the_line() {
        for (input, named) in [(&b"a\n\nb"[..], "line 2 is empty"), (b"a\nb\n\xff\n", "line 3 is not UTF-8")]
        {
            let error = Lines::new(input, false).find_map(Result::err).unwrap().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
