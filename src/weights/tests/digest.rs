//! The hash over the files that define a model.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use tempfile::TempDir;

use super::data;
use crate::weights::{Checkpoint, Digest, LoadPhase, WeightsError};

fn digest(path: &Path) -> Digest {
    Checkpoint::open(path).unwrap().digest(&mut |_| ControlFlow::Continue(())).unwrap()
}

/// Copies the files of a directory.
fn copy(from: &Path) -> TempDir {
    let dir = TempDir::new().unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::write(dir.path().join(file.file_name()), fs::read(file.path()).unwrap()).unwrap();
    }
    dir
}

/// Versions are identified by it, so it may never change for the same files. Computed with Python's hashlib.
#[test]
fn the_digest_is_what_it_always_was() {
    assert_eq!(
        digest(&data("tiny/llama2")).to_string(),
        "e0bf7488816cbbbfb1435bead104ebbcc474d87e8ccb67fc5fc59f4be6d719d8"
    );
    assert_eq!(
        digest(&data("gguf/tiny-llama-256-Q4_0.gguf")).to_string(),
        "4996d414374b12f73739bee384a234a3347c2269e395aae1f0e80f7ba1e8a827"
    );
}

/// Sizes and hashes as Python's os and hashlib have them.
#[test]
fn a_fingerprint_names_each_file() {
    let checkpoint = Checkpoint::open(&data("gguf/tiny-llama-256-Q4_0.gguf")).unwrap();
    let fingerprint = checkpoint.fingerprint(&mut |_| ControlFlow::Continue(())).unwrap();
    let [file] = fingerprint.files() else { panic!("{fingerprint:?}") };
    assert_eq!((file.name.as_str(), file.bytes), ("gguf-00000", 608608));
    assert_eq!(file.sha256.to_string(), "b8647c7182f36c051f5e8e6e468c4a55eaa84f0ac289214b03fc30b72d16d25c");
    assert_eq!(fingerprint.digest(), digest(&data("gguf/tiny-llama-256-Q4_0.gguf")));

    let dir = copy(&data("tiny/llama2"));
    let read =
        || Checkpoint::open(dir.path()).unwrap().fingerprint(&mut |_| ControlFlow::Continue(())).unwrap();
    let before = read();
    assert!(before.files().is_sorted_by(|a, b| a.name < b.name));
    let config = dir.path().join("config.json");
    fs::write(&config, [fs::read(&config).unwrap(), b"\n".to_vec()].concat()).unwrap();
    let after = read();
    let pairs = before.files().iter().zip(after.files());
    let changed: Vec<_> =
        pairs.filter(|(a, b)| a != b).map(|(a, b)| (a.name.as_str(), b.bytes - a.bytes)).collect();
    assert_eq!(changed, [("config.json", 1)]);
}

#[test]
fn only_what_defines_the_model_counts() {
    let dir = copy(&data("tiny/llama2"));
    let before = digest(dir.path());
    fs::write(dir.path().join("README.md"), "hello").unwrap();
    fs::remove_file(dir.path().join("golden.json")).unwrap();
    assert_eq!(digest(dir.path()), before);
    for name in ["tokenizer_config.json", "generation_config.json", "model.safetensors.index.json"] {
        let path = dir.path().join(name);
        let content = fs::read(&path).unwrap();
        fs::write(&path, [&content[..], b"\n"].concat()).unwrap();
        assert_ne!(digest(dir.path()), before, "{name}");
        fs::write(&path, content).unwrap();
    }
    fs::write(dir.path().join("chat_template.jinja"), "{{ messages }}").unwrap();
    assert_ne!(digest(dir.path()), before);
}

#[test]
fn a_renamed_gguf_file_is_the_same_model() {
    let dir = TempDir::new().unwrap();
    let path = data("gguf/tiny-llama-256-Q4_0.gguf");
    fs::copy(&path, dir.path().join("other.gguf")).unwrap();
    assert_eq!(digest(&dir.path().join("other.gguf")), digest(&path));
}

#[test]
fn progress_reaches_the_total_and_can_cancel() {
    let checkpoint = Checkpoint::open(&data("tiny/llama2")).unwrap();
    let mut seen = Vec::new();
    checkpoint
        .digest(&mut |progress| {
            assert_eq!(progress.phase, LoadPhase::Digest);
            seen.push((progress.done_bytes, progress.total_bytes));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.first().unwrap().0, 0);
    let (done, total) = *seen.last().unwrap();
    assert_eq!(done, total);
    assert!(checkpoint.tensors().map(|t| t.bytes()).sum::<u64>() < total);

    let mut calls = 0;
    let error = checkpoint
        .digest(&mut |_| {
            calls += 1;
            if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap_err();
    assert!(matches!(error, WeightsError::Cancelled));
    assert_eq!(calls, 2);
}

#[test]
fn a_file_that_changes_meanwhile_is_an_error() {
    let dir = copy(&data("tiny/llama3"));
    let weights = dir.path().join("model.safetensors");
    let size = fs::metadata(&weights).unwrap().len();
    for new_size in [size / 2, size + 1] {
        fs::OpenOptions::new().write(true).open(&weights).unwrap().set_len(size).unwrap();
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        let mut calls = 0;
        let result = checkpoint.digest(&mut |_| {
            calls += 1;
            if calls == 1 {
                fs::OpenOptions::new().write(true).open(&weights).unwrap().set_len(new_size).unwrap();
            }
            ControlFlow::Continue(())
        });
        match result.unwrap_err() {
            WeightsError::Changed { path, expected, found } => {
                assert_eq!((path, expected, found), (weights.clone(), size, new_size));
            }
            error => panic!("{error}"),
        }
    }
}
