//! Brings an index up to date with its folder.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::common::Failure;
use super::embed::Embedder;
use super::files::{self, Stamp};
use super::graph::Graph;
use super::index::{Index, Indexed, Settings};
use super::passages::split;
use super::store::hexadecimal;

/// What an update did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    files: usize,
    passages: usize,
    /// Files whose passages were embedded, and how many passages those were.
    embedded_files: usize,
    embedded_passages: usize,
    removed: usize,
    /// Files that were written again with the same contents.
    touched: usize,
    /// Files that are not UTF-8.
    skipped: usize,
    time: Duration,
}

impl Changes {
    /// Whether the index is another one than before.
    pub(crate) fn any(&self) -> bool {
        self.embedded_files + self.removed + self.touched > 0
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        write!(
            f,
            "{} passages of {} files; {} passages of {} files embedded, {} files removed, in {seconds:.2} s",
            self.passages, self.files, self.embedded_passages, self.embedded_files, self.removed
        )?;
        if self.skipped > 0 {
            write!(f, "; {} files are not UTF-8", self.skipped)?;
        }
        Ok(())
    }
}

/// A file as it is now: with the vectors it had, or without any.
struct Current {
    file: Indexed,
    vectors: Option<Vec<Vec<f32>>>,
}

/// The index of `folder` as it is now. Of `saved`, made with the same settings, comes whatever has not changed.
pub(crate) fn run(
    saved: Option<Index>,
    settings: Settings,
    folder: &Path,
    endings: &[String],
    embedder: &Embedder<'_>,
) -> Result<(Index, Changes), Failure> {
    let started = Instant::now();
    let (mut before, graph) = match saved {
        Some(index) => {
            let vectors = index.graph.vectors();
            (by_path(index.files, vectors), Some(index.graph))
        }
        None => (HashMap::new(), None),
    };
    let mut changes = Changes::default();
    let mut current = Vec::new();
    for (path, stamp) in files::list(folder, endings)? {
        let known = before.remove(&path);
        match read(folder, path, stamp, known, &settings, &mut changes)? {
            Some(file) => current.push(file),
            None => changes.skipped += 1,
        }
    }
    changes.removed = before.len();
    embed(&mut current, embedder, &mut changes)?;
    let (mut files, mut vectors) = (Vec::with_capacity(current.len()), Vec::new());
    for Current { file, vectors: mut own } in current {
        vectors.append(own.as_mut().unwrap_or(&mut Vec::new()));
        files.push(file);
    }
    // Building the graph takes a small part of the time of embedding: any change makes a new one.
    let graph = match graph {
        Some(graph) if changes.embedded_files + changes.removed == 0 => graph,
        _ => Graph::build(&vectors),
    };
    let index = Index { settings, files, graph };
    (changes.files, changes.passages) = (index.files.len(), index.passages());
    changes.time = started.elapsed();
    Ok((index, changes))
}

/// The files of an index with their vectors.
fn by_path(files: Vec<Indexed>, vectors: Vec<Vec<f32>>) -> HashMap<String, Current> {
    let mut vectors = vectors.into_iter();
    let with = |file: Indexed| {
        let own = vectors.by_ref().take(file.passages.len()).collect();
        (file.path.clone(), Current { file, vectors: Some(own) })
    };
    files.into_iter().map(with).collect()
}

/// A file as it is now; `None` when it is not UTF-8.
fn read(
    folder: &Path,
    path: String,
    stamp: Stamp,
    known: Option<Current>,
    settings: &Settings,
    changes: &mut Changes,
) -> Result<Option<Current>, Failure> {
    if let Some(same) = known.as_ref()
        && stamp.known()
        && same.file.stamp == stamp
    {
        return Ok(known);
    }
    let bytes = fs::read(folder.join(&path)).map_err(|error| format!("{path}: {error}"))?;
    let digest = hexadecimal(&bytes);
    if let Some(mut same) = known
        && same.file.digest == digest
    {
        changes.touched += 1;
        same.file.stamp = stamp;
        return Ok(Some(same));
    }
    let Ok(text) = String::from_utf8(bytes) else { return Ok(None) };
    let passages = split(&text, settings.passage, settings.overlap);
    Ok(Some(Current { file: Indexed { path, stamp, digest, passages }, vectors: None }))
}

/// Makes the vectors that are missing.
fn embed(files: &mut [Current], embedder: &Embedder<'_>, changes: &mut Changes) -> Result<(), Failure> {
    let missing = files.iter().filter(|file| file.vectors.is_none());
    let texts: Vec<&str> = missing
        .clone()
        .flat_map(|current| current.file.passages.iter().map(|passage| passage.text.as_str()))
        .collect();
    (changes.embedded_files, changes.embedded_passages) = (missing.count(), texts.len());
    let mut made = embedder.passages(&texts)?.into_iter();
    for current in files.iter_mut().filter(|current| current.vectors.is_none()) {
        current.vectors = Some(made.by_ref().take(current.file.passages.len()).collect());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::FileTimes;
    use std::time::SystemTime;

    use model_runtime::ModelRuntime;

    use super::*;
    use crate::encoder::{self, MINILM};

    #[test]
    fn only_what_changed_is_embedded_again() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = ModelRuntime::builder().build().unwrap();
        let served = encoder::load(&runtime, Path::new(MINILM), None).unwrap();
        let embedder = Embedder::new(&runtime, None);
        let settings = Settings { model: served.version, passage: 200, overlap: 20 };
        let write = |name: &str, text: &str, age: u64| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_times(FileTimes::new().set_modified(time)).unwrap();
        };
        let update = |saved| {
            let (index, mut changes) =
                run(saved, settings.clone(), folder.path(), &["md".into()], &embedder).unwrap();
            changes.time = Duration::ZERO;
            (index, changes)
        };
        let of = |question: &str, index: &Index| {
            index.nearest(&embedder.question(question).unwrap(), 1)[0].path.to_owned()
        };
        write("bread.md", "Bread is baked in an oven.", 60);
        write("paris.md", "Paris is the capital of France.", 60);
        fs::write(folder.path().join("bytes.md"), b"\xff").unwrap();
        let (index, changes) = update(None);
        let all = Changes {
            files: 2,
            passages: 2,
            embedded_files: 2,
            embedded_passages: 2,
            skipped: 1,
            ..Changes::default()
        };
        assert_eq!(changes, all);
        assert_eq!(of("How do I make a loaf?", &index), "bread.md");
        let none = Changes { embedded_files: 0, embedded_passages: 0, ..all };
        let (index, changes) = update(Some(index));
        assert_eq!((changes.any(), changes), (false, none));
        // Written again as it was, written anew, added and removed.
        write("bread.md", "Bread is baked in an oven.", 30);
        write("paris.md", "The moon goes round the earth.", 30);
        write("rome.md", "Rome is the capital of Italy.", 30);
        let (index, changes) = update(Some(index));
        let found = (changes.embedded_files, changes.touched, changes.removed);
        assert_eq!((found, changes.passages), ((2, 1, 0), 3));
        assert_eq!(of("Which city governs a country?", &index), "rome.md");
        assert_eq!(of("How do I make a loaf?", &index), "bread.md");
        fs::remove_file(folder.path().join("rome.md")).unwrap();
        let (index, changes) = update(Some(index));
        assert_eq!((changes.embedded_files, changes.removed, index.files.len()), (0, 1, 2));
        assert_eq!(of("astronomy", &index), "paris.md");
    }
}
