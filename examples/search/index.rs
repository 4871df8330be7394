//! The index: files, their passages, and a graph over the passages' vectors.

use serde::{Deserialize, Serialize};

use super::files::Stamp;
use super::graph::Graph;
use super::passages::Passage;

/// What decides the passages and their vectors: an index made with others is of no use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The exact version of the encoder.
    pub(crate) model: String,
    /// The most characters of a passage.
    pub(crate) passage: usize,
    /// The most characters that two passages have in common.
    pub(crate) overlap: usize,
}

/// A file in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Indexed {
    /// Its path from the folder on.
    pub(crate) path: String,
    pub(crate) stamp: Stamp,
    /// SHA-256 of its contents, in hexadecimal digits.
    pub(crate) digest: String,
    pub(crate) passages: Vec<Passage>,
}

/// The index of a folder.
pub(crate) struct Index {
    pub(crate) settings: Settings,
    /// In order of path. The passages of all files, in this order, have the numbers 0, 1, ... in the graph.
    pub(crate) files: Vec<Indexed>,
    pub(crate) graph: Graph,
}

/// A passage that was found.
#[derive(Debug, PartialEq)]
pub(crate) struct Hit<'a> {
    /// The cosine between its vector and the question's.
    pub(crate) score: f32,
    pub(crate) path: &'a str,
    pub(crate) passage: &'a Passage,
}

impl Index {
    /// How many passages there are.
    pub(crate) fn passages(&self) -> usize {
        self.files.iter().map(|file| file.passages.len()).sum()
    }

    /// The passages nearest to a vector of unit length, nearest first.
    pub(crate) fn nearest(&self, vector: &[f32], count: usize) -> Vec<Hit<'_>> {
        let found = self.graph.nearest(vector, count);
        found.into_iter().filter_map(|(number, score)| self.hit(number, score)).collect()
    }

    fn hit(&self, mut number: usize, score: f32) -> Option<Hit<'_>> {
        for file in &self.files {
            match file.passages.get(number) {
                Some(passage) => return Some(Hit { score, path: &file.path, passage }),
                None => number -= file.passages.len(),
            }
        }
        None
    }
}
