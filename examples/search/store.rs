//! An index on disk: a folder with `index.json` and the files of the graph.
//!
//! `index.json` is written last, under another name first, and has the digests of the graph's files: whatever
//! interrupts a save leaves an index that is recognized as damaged and made anew, never one that is half old.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::common::Failure;
use super::graph::{FILES, Graph};
use super::index::{Index, Indexed, Settings};

const NAME: &str = "index.json";
/// Of `index.json`; another one is not read.
const FORMAT: u32 = 1;

/// What `index.json` says, with borrowed or owned fields.
#[derive(Serialize, Deserialize)]
struct Manifest<S, F> {
    format: u32,
    settings: S,
    files: F,
    /// Digests of the graph's files; none of an index without passages.
    graph: Vec<String>,
}

/// Writes an index into a folder, which is made where it is missing.
pub(crate) fn save(index: &Index, folder: &Path) -> Result<(), Failure> {
    write(index, folder)
        .map_err(|error| format!("the index cannot be saved to {}: {error}", folder.display()).into())
}

fn write(index: &Index, folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    let graph = if index.passages() == 0 {
        Vec::new()
    } else {
        index.graph.save(folder)?;
        digests(folder)?
    };
    let manifest = Manifest { format: FORMAT, settings: &index.settings, files: &index.files, graph };
    let part = folder.join(format!("{NAME}.part"));
    let mut out = BufWriter::new(File::create(&part)?);
    serde_json::to_writer(&mut out, &manifest)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    Ok(fs::rename(&part, folder.join(NAME))?)
}

/// Reads the index of a folder; `None` when there is none yet.
///
/// # Errors
/// Files that cannot be read, or are not what was saved.
pub(crate) fn load(folder: &Path) -> Result<Option<Index>, Failure> {
    let file = match File::open(folder.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| format!("{}: {error}", folder.join(NAME).display()))?,
    };
    let damaged = |why: &dyn std::fmt::Display| {
        format!("the index in {} cannot be used: {why}; --rebuild makes it anew", folder.display())
    };
    let manifest: Manifest<Settings, Vec<Indexed>> =
        serde_json::from_reader(BufReader::new(file)).map_err(|error| damaged(&error))?;
    let Manifest { format, settings, files, graph: expected } = manifest;
    if format != FORMAT {
        return Err(damaged(&format!("its format is {format}, this program reads {FORMAT}")).into());
    }
    let graph = if expected.is_empty() {
        Graph::build(&[])
    } else {
        // The graph's own reader ends the program over a damaged file.
        if digests(folder).map_err(|error| damaged(&error))? != expected {
            return Err(damaged(&"the graph's files are not those that were saved with it").into());
        }
        Graph::load(folder)?
    };
    let index = Index { settings, files, graph };
    let (vectors, passages) = (index.graph.len(), index.passages());
    if vectors != passages {
        return Err(damaged(&format!("it has {vectors} vectors for {passages} passages")).into());
    }
    Ok(Some(index))
}

/// SHA-256 of each of the graph's files.
fn digests(folder: &Path) -> io::Result<Vec<String>> {
    let digest = |name: &&str| Ok(hexadecimal(&fs::read(folder.join(name))?));
    FILES.iter().map(digest).collect()
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::files::Stamp;
    use crate::passages::Passage;

    fn index() -> Index {
        let settings = Settings { model: "m@1".into(), passage: 800, overlap: 100 };
        let passage = |line: usize| Passage { line, text: format!("text {line}") };
        let file = |path: &str, lines: &[usize]| Indexed {
            path: path.into(),
            stamp: Stamp { modified: 7, bytes: 9 },
            digest: "00".into(),
            passages: lines.iter().map(|&line| passage(line)).collect(),
        };
        let vectors = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]].map(|vector: [f32; 2]| vector.to_vec());
        Index {
            settings,
            files: vec![file("a", &[1, 5]), file("b", &[]), file("c", &[2])],
            graph: Graph::build(&vectors),
        }
    }

    #[test]
    fn what_was_saved_comes_back_and_answers_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/index");
        assert!(load(&path).unwrap().is_none());
        let before = index();
        // The second time over files that are there.
        for _ in 0..2 {
            save(&before, &path).unwrap();
            let after = load(&path).unwrap().unwrap();
            assert_eq!((&after.settings, &after.files), (&before.settings, &before.files));
            assert_eq!(after.graph.vectors(), before.graph.vectors());
            let hits = after.nearest(&[-0.8, 0.6], 2);
            assert_eq!(hits, before.nearest(&[-0.8, 0.6], 2));
            let found: Vec<_> = hits.iter().map(|hit| (hit.path, hit.passage.line)).collect();
            assert_eq!(found, [("c", 2), ("a", 5)]);
        }
        let empty = Index { files: Vec::new(), graph: Graph::build(&[]), ..index() };
        save(&empty, &path).unwrap();
        assert_eq!(load(&path).unwrap().unwrap().nearest(&[1.0, 0.0], 3), []);
    }

    #[test]
    fn a_damaged_index_is_an_error_that_says_what_to_do() {
        for name in [NAME, FILES[0], FILES[1]] {
            let folder = tempfile::tempdir().unwrap();
            save(&index(), folder.path()).unwrap();
            let path = folder.path().join(name);
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(bytes.len() / 2);
            fs::write(&path, &bytes).unwrap();
            let error = load(folder.path()).err().unwrap().to_string();
            assert!(error.contains("--rebuild"), "{error}");
        }
    }
}
