//! Lines of bounded length, however long a line of the input is.

use std::io::{self, BufRead, ErrorKind};

/// What one line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Its bytes without the line break; `None` if there are more of them than may be.
    pub(super) bytes: Option<Vec<u8>>,
    /// Whether a line break ends it, and not the end of the input.
    pub(super) complete: bool,
}

/// Reads line by line; of one that is too long no more is kept than may be.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    limit: usize,
    number: u64,
    offset: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`, each of at most `limit` bytes.
    pub(super) fn new(input: R, limit: usize) -> Self {
        Self { input, limit, number: 0, offset: 0 }
    }

    /// Lines read so far.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let (mut kept, mut began, mut fits) = (Vec::new(), false, true);
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(began.then(|| self.line(fits.then_some(kept), false)));
            }
            began = true;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let piece = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            fits = fits && kept.len() + piece.len() <= self.limit;
            if fits {
                kept.extend_from_slice(piece);
            } else {
                kept = Vec::new();
            }
            let used = piece.len() + usize::from(end.is_some());
            self.input.consume(used);
            self.offset += used as u64;
            if end.is_some() {
                return Ok(Some(self.line(fits.then_some(kept), true)));
            }
        }
    }

    fn line(&mut self, bytes: Option<Vec<u8>>, complete: bool) -> Line {
        self.number += 1;
        Line { number: self.number, bytes, complete }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::BufReader;

    use super::*;

    fn read(text: &str, limit: usize, buffer: usize) -> Vec<(u64, Option<String>, bool)> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, text.as_bytes()), limit);
        let mut read = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let text = line.bytes.map(|bytes| {
                assert!(bytes.capacity() <= 2 * limit.max(buffer), "more is kept than may be");
                String::from_utf8(bytes).unwrap()
            });
            read.push((line.number, text, line.complete));
        }
        assert_eq!((lines.offset(), lines.number()), (text.len() as u64, read.len() as u64));
        read
    }

    #[test]
    fn lines_are_the_same_with_any_buffer_and_long_ones_are_skipped() {
        let long = "x".repeat(1000);
        let text = format!("ab\n\n{long}\ncdef\n{long}\ngh");
        for buffer in [1, 2, 3, 7, 64, 4096] {
            let some = |text: &str| Some(text.to_owned());
            let expected = [
                (1, some("ab"), true),
                (2, some(""), true),
                (3, None, true),
                (4, some("cdef"), true),
                (5, None, true),
                (6, some("gh"), false),
            ];
            assert_eq!(read(&text, 4, buffer), expected, "{buffer}");
            assert_eq!(read(&text, 1000, buffer)[2].1.as_deref(), Some(long.as_str()), "{buffer}");
            assert_eq!(read(&text, 999, buffer)[4].1, None, "{buffer}");
            assert_eq!(read("", 4, buffer), []);
        }
    }

    #[test]
    fn a_reader_that_fails_is_reported() {
        struct Fails;
        impl io::Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("unplugged"))
            }
        }
        let mut lines = Lines::new(BufReader::new(io::Read::chain("a\nb".as_bytes(), Fails)), 9);
        assert_eq!(lines.next().unwrap().unwrap().bytes.unwrap(), b"a");
        assert_eq!(lines.next().unwrap_err().to_string(), "unplugged");
    }
}
