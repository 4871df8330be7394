//! Where vectors go.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use model_runtime::runtime::EmbeddingRow;
use serde::Serialize;

use super::common::Failure;
use super::input::Line;
use super::npy::NpyWriter;

/// A JSON line.
#[derive(Serialize)]
struct Record<'a> {
    line: u64,
    text: &'a str,
    embedding: &'a [f32],
    tokens: usize,
    truncated: bool,
}

/// Takes vectors in the order of their lines.
pub(crate) enum Output {
    /// A JSON object per line.
    Json(Box<dyn Write>),
    /// The vectors alone.
    Npy(NpyWriter),
}

impl Output {
    /// NumPy's format by the name's ending, else JSON lines; on the standard output without a name.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Json(Box::new(BufWriter::new(io::stdout().lock())))) };
        let opened = if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy")) {
            NpyWriter::create(path).map(Self::Npy)
        } else {
            File::create(path).map(|file| Self::Json(Box::new(BufWriter::new(file))))
        };
        opened.map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// One line's vector.
    pub(crate) fn push(&mut self, line: &Line, row: EmbeddingRow, vector: &[f32]) -> io::Result<()> {
        match self {
            Self::Npy(writer) => writer.push(vector),
            Self::Json(out) => {
                let record = Record {
                    line: line.number,
                    text: &line.text,
                    embedding: vector,
                    tokens: row.tokens,
                    truncated: row.truncated,
                };
                serde_json::to_writer(&mut *out, &record)?;
                out.write_all(b"\n")
            }
        }
    }

    /// Makes what was taken so far visible: somebody may be reading along.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Npy(_) => Ok(()),
            Self::Json(out) => out.flush(),
        }
    }

    /// The end.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Npy(writer) => writer.finish(),
            Self::Json(mut out) => out.flush(),
        }
    }
}
