//! Compares this library with reference outputs of other implementations.
//!
//! Runs every item in the repository's own `tests/data` and, when `MODEL_RUNTIME_GOLDENS=DIR[:DIR...]` is set, every
//! item under those roots too. One line per item: `ran PATH`, `skipped PATH: why` or `FAILED PATH: why`.

#![allow(clippy::print_stdout, clippy::exit)]

mod causal;
mod dialects;
mod embeddings;
mod encoder_files;
mod gguf_files;
mod gguf_vocab;
mod lora;
mod models;
mod sampling;
mod templates;
mod tokenizers;

use std::path::{Path, PathBuf};

/// What became of one item.
pub(crate) enum Verdict {
    /// Compared, and equal within the stated tolerance.
    Ran,
    /// Not for this version of the library, and why.
    Skipped(String),
}

/// `Err` is a difference.
pub(crate) type Outcome = Result<Verdict, String>;

type Run = fn(&Path) -> Outcome;

/// Every item below `root`: its path and what runs it.
fn items(root: &Path) -> Vec<(PathBuf, Run)> {
    let mut found: Vec<(PathBuf, Run)> = Vec::new();
    found.extend(model_folders(&root.join("tiny")));
    found.extend(model_folders(&root.join("real")));
    for item in children(&root.join("gguf")) {
        if item.extension().is_some_and(|e| e == "gguf") {
            found.push((item, gguf_files::run));
        }
    }
    for item in children(&root.join("lora")) {
        if item.is_dir() {
            found.push((item, lora::run));
        }
    }
    for item in children(&root.join("training")) {
        if item.extension().is_some_and(|e| e == "json") {
            found.push((item, lora::trained));
        }
    }
    for item in children(&root.join("tokenizers/golden")) {
        found.push((item, tokenizers::run));
    }
    for item in children(&root.join("gguf-vocab")) {
        if item.extension().is_some_and(|e| e == "gguf") {
            found.push((item, gguf_vocab::run));
        }
    }
    for item in children(&root.join("templates")) {
        if item.extension().is_some_and(|e| e == "json") {
            if item.file_stem().is_some_and(|stem| stem != "chat-golden") {
                found.push((item.clone(), dialects::others));
            }
            found.push((item, templates::run));
        } else if item.extension().is_some_and(|e| e == "jinja") {
            found.push((item, dialects::run));
        }
    }
    for item in children(&root.join("sampling")) {
        found.push((item, sampling::run));
    }
    found
}

/// The model folders in `folder` that have goldens.
fn model_folders(folder: &Path) -> Vec<(PathBuf, Run)> {
    let has_golden = |item: &PathBuf| item.join("golden.json").is_file();
    let golden = |item: PathBuf| match encoder_files::file(&item) {
        Some(_) => (item, encoder_files::run as Run),
        None => (item, models::run as Run),
    };
    children(folder).into_iter().filter(has_golden).map(golden).collect()
}

/// The entries of a folder in order of name; none when it does not exist.
pub(crate) fn children(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

/// Reads a JSON file.
pub(crate) fn json(path: &Path) -> Result<serde_json::Value, String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display()))
}

fn main() {
    // The test runner's own flags (`--list`, `--nocapture`, ...) have no meaning here; a bare word filters by path.
    let filter: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut roots = vec![repository.join("tests/data")];
    if let Some(list) = std::env::var_os("MODEL_RUNTIME_GOLDENS") {
        roots.extend(std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()));
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for root in roots {
        let mut items = items(&root);
        if root.starts_with(repository) {
            // The repository's trained models are where the examples find them.
            items.extend(model_folders(&repository.join("examples/models")));
        }
        if items.is_empty() {
            println!("FAILED {}: no goldens found here", root.display());
            failed += 1;
        }
        for (path, run) in items {
            let shown = path.display().to_string();
            if !filter.iter().all(|word| shown.contains(word.as_str())) {
                continue;
            }
            match run(&path) {
                Ok(Verdict::Ran) => {
                    passed += 1;
                    println!("ran {shown}");
                }
                Ok(Verdict::Skipped(why)) => {
                    skipped += 1;
                    println!("skipped {shown}: {why}");
                }
                Err(why) => {
                    failed += 1;
                    println!("FAILED {shown}: {why}");
                }
            }
        }
    }
    println!("goldens: {passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 {
        std::process::exit(1);
    }
}
