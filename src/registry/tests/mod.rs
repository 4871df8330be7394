#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod aliases;
mod files;
mod logs;
mod names;
mod properties;
mod sharing;
mod versions;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

use super::{ModelName, ModelUri, ModelVersion, NewModel, NewVersion, Registry, RegistryError, VersionId};
use crate::clock::ManualClock;
use crate::database::Database;
use crate::weights::LoadProgress;

/// A registry in a directory of its own, with model files beside it.
struct Bench {
    dir: TempDir,
    clock: Arc<ManualClock>,
    registry: Registry,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::at("2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap()));
        let registry = open(dir.path(), &clock);
        Self { dir, clock, registry }
    }

    /// The same registry as another process has it.
    fn again(&self) -> Registry {
        open(self.dir.path(), &self.clock)
    }

    /// Model files that differ with `seed`.
    fn files(&self, seed: u8) -> PathBuf {
        let path = self.dir.path().join(format!("files-{seed}"));
        write_model(&path, seed);
        path
    }

    fn model(&self, model: &str) -> ModelName {
        let name = name(model);
        self.registry.create_model(&name, &NewModel::default(), "ann").unwrap();
        name
    }

    fn ready(&self, name: &ModelName, seed: u8) -> Arc<ModelVersion> {
        let new = NewVersion::at(self.files(seed));
        self.registry.register(name, &new, "ann", &mut go_on).unwrap()
    }
}

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Registry {
    Registry::new(&Database::open(&dir.join("runtime.db")).unwrap(), clock.clone()).unwrap()
}

/// A directory with the least that is a model.
fn write_model(path: &Path, seed: u8) {
    fs::create_dir_all(path).unwrap();
    let data = [seed; 64];
    let tensor = TensorView::new(Dtype::F32, vec![4, 4], &data).unwrap();
    fs::write(path.join("model.safetensors"), safetensors::serialize([("w", tensor)], None).unwrap())
        .unwrap();
    fs::write(path.join("config.json"), format!("{{\"seed\": {seed}}}")).unwrap();
}

fn name(model: &str) -> ModelName {
    format!("main.default.{model}").parse().unwrap()
}

fn uri(text: &str) -> ModelUri {
    text.parse().unwrap()
}

fn go_on(_: LoadProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Fails unless `error` is one line that has all of `parts` in it.
#[track_caller]
fn assert_says(error: &RegistryError, parts: &[&str]) {
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in: {line}");
    }
}
