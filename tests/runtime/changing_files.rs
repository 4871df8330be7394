//! Files of a model that are cut, rewritten, replaced or taken away while they are read.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use model_runtime::{ErrorKind, ModelRuntime, ServeOptions};
use tempfile::TempDir;

use super::{gguf, greedy, runtime_with, stories, tiny};

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Cut,
    Emptied,
    Grown,
    Rewritten,
    Replaced,
    Deleted,
}

const FAULTS: [Fault; 6] =
    [Fault::Cut, Fault::Emptied, Fault::Grown, Fault::Rewritten, Fault::Replaced, Fault::Deleted];

impl Fault {
    fn befalls(self, file: &Path) {
        let bytes = fs::read(file).unwrap();
        let other = || bytes.iter().map(|byte| byte.wrapping_add(1)).collect::<Vec<u8>>();
        let resized = |len| File::options().write(true).open(file).unwrap().set_len(len).unwrap();
        match self {
            Self::Cut => resized(bytes.len() as u64 / 2),
            Self::Emptied => resized(0),
            Self::Grown => resized(bytes.len() as u64 + 4096),
            Self::Rewritten => fs::write(file, other()).unwrap(),
            Self::Replaced => {
                let beside = file.with_extension("new");
                fs::write(&beside, other()).unwrap();
                fs::rename(&beside, file).unwrap();
            }
            Self::Deleted => fs::remove_file(file).unwrap(),
        }
    }

    /// Whether the file that was opened is still there, whole.
    fn leaves_the_open_file(self) -> bool {
        matches!(self, Self::Replaced | Self::Deleted)
    }
}

/// A copy of a model whose files were written long ago.
fn copy(model: &Path) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let aged = |from: &Path, to: &Path| {
        fs::copy(from, to).unwrap();
        File::options().write(true).open(to).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    };
    let to = folder.path().join(model.file_name().unwrap());
    if model.is_file() {
        aged(model, &to);
    } else {
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(model).unwrap() {
            let from = entry.unwrap().path();
            if from.is_file() && !from.to_string_lossy().contains("golden") {
                aged(&from, &to.join(from.file_name().unwrap()));
            }
        }
    }
    (folder, to)
}

fn answer(runtime: &ModelRuntime, endpoint: &str) -> String {
    let mut request = greedy("Once upon a time", 12);
    request.model = endpoint.into();
    request.use_raw_prompt = true;
    runtime.complete(request).unwrap().choices[0].text.clone()
}

/// Serves a copy of `model` to which `fault` happens when the load reports its progress for the time number `at`: what came
/// of it, and how often it reported.
fn serve_while(
    runtime: &ModelRuntime,
    model: &Path,
    file: &str,
    fault: Option<Fault>,
    at: usize,
) -> (Result<(), model_runtime::Error>, usize) {
    let (_folder, path) = copy(model);
    let victim = if path.is_file() { path.clone() } else { path.join(file) };
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let options = ServeOptions::default().progress(move |_| {
        if counted.fetch_add(1, Ordering::SeqCst) == at
            && let Some(fault) = fault
        {
            fault.befalls(&victim);
        }
        ControlFlow::Continue(())
    });
    let served = runtime.serve("victim", path.as_path(), options).map(|_| ());
    (served, calls.load(Ordering::SeqCst))
}

#[test]
fn a_load_during_which_its_files_change_fails_or_serves_what_was_opened() {
    let runtime = runtime_with(ServeOptions::default());
    let alone = answer(&runtime, "stories");
    let models: [(PathBuf, &[&str]); 4] = [
        (stories(), &["model.safetensors", "config.json", "tokenizer.json"]),
        (tiny("llama2"), &["model-00002-of-00003.safetensors", "model.safetensors.index.json"]),
        (gguf("tiny-llama-256-Q4_K.gguf"), &[""]),
        (gguf("stories260K-F32.gguf"), &[""]),
    ];
    let (mut tried, mut refused) = (0, 0);
    for (model, files) in models {
        let (served, reports) = serve_while(&runtime, &model, "", None, 0);
        served.unwrap();
        let whole = answer(&runtime, "victim");
        runtime.remove("victim").unwrap();
        assert!(reports > 3, "{} reports", reports);
        for file in files {
            for fault in FAULTS {
                for at in 0..reports {
                    let (served, _) = serve_while(&runtime, &model, file, Some(fault), at);
                    let place = format!("{} {file}: {fault:?} at report {at} of {reports}", model.display());
                    tried += 1;
                    match served {
                        Ok(()) => {
                            assert!(fault.leaves_the_open_file(), "{place}: it was served");
                            assert_eq!(answer(&runtime, "victim"), whole, "{place}");
                            runtime.remove("victim").unwrap();
                        }
                        Err(error) => {
                            refused += 1;
                            let kind = error.kind();
                            let known =
                                [ErrorKind::Io, ErrorKind::InvalidModel, ErrorKind::NotFound].contains(&kind);
                            assert!(known, "{place}: {kind:?}: {error}");
                        }
                    }
                }
            }
        }
        assert_eq!(answer(&runtime, "stories"), alone, "others are answered as before");
    }
    assert!(tried > 100 && refused > tried / 2, "{tried} tried, {refused} refused");
}
