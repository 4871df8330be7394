//! Whether a version's files are still the same.

use super::*;
use crate::error::{Error, ErrorKind};
use crate::registry::Layout;
use crate::weights::{Checkpoint, Fingerprint};

fn fingerprint(path: &Path) -> Fingerprint {
    Checkpoint::open(path).unwrap().fingerprint(&mut go_on).unwrap()
}

#[test]
fn files_that_changed_are_refused_by_name() {
    let bench = Bench::new();
    let name = bench.model("m");
    let version = bench.ready(&name, 1);
    let path = bench.files(1);
    bench.registry.verify(&version, &fingerprint(&path)).unwrap();
    let hash = |file: &str| {
        let files = bench.registry.files(&version).unwrap();
        files.iter().find(|known| known.name == file).unwrap().sha256.to_string()
    };

    // Of the same size.
    fs::write(path.join("config.json"), "{\"seed\": 2}").unwrap();
    let error = bench.registry.verify(&version, &fingerprint(&path)).unwrap_err();
    assert_says(
        &error,
        &[
            "files-1",
            "\"config.json\"",
            "models:/main.default.m/1",
            "expected 11 bytes",
            &hash("config.json"),
        ],
    );
    assert_eq!(Error::from(error).kind(), ErrorKind::InvalidModel);

    write_model(&path, 1);
    fs::write(path.join("tokenizer.json"), "{}").unwrap();
    let error = bench.registry.verify(&version, &fingerprint(&path)).unwrap_err();
    assert_says(&error, &["\"tokenizer.json\"", "expected no such file, found 2 bytes"]);

    fs::remove_file(path.join("tokenizer.json")).unwrap();
    fs::remove_file(path.join("config.json")).unwrap();
    let error = bench.registry.verify(&version, &fingerprint(&path)).unwrap_err();
    assert_says(&error, &["\"config.json\"", "found no such file"]);

    write_model(&path, 3);
    fs::write(path.join("config.json"), "{\"seed\": 1}").unwrap();
    let error = bench.registry.verify(&version, &fingerprint(&path)).unwrap_err();
    assert_says(&error, &["\"model.safetensors\"", &hash("model.safetensors")]);

    write_model(&path, 1);
    bench.again().verify(&version, &fingerprint(&path)).unwrap();
}

#[test]
fn a_version_that_was_never_hashed_is_not_compared() {
    let bench = Bench::new();
    let name = bench.model("m");
    let registration = bench.registry.begin_version(&name, &NewVersion::at(bench.files(1)), "ann").unwrap();
    let pending = bench.registry.version(registration.id()).unwrap();
    assert!(bench.registry.files(&pending).unwrap().is_empty());
    let error = bench.registry.verify(&pending, &fingerprint(&bench.files(1))).unwrap_err();
    assert!(matches!(error, RegistryError::NotReady { .. }), "{error}");
}

#[test]
fn adapters_and_gguf_files_are_versions_too() {
    let bench = Bench::new();
    let name = bench.model("m");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let adapter = NewVersion::adapter_at(data.join("lora/llama3-qv"));
    let adapter = bench.registry.register(&name, &adapter, "ann", &mut go_on).unwrap();
    assert_eq!(adapter.layout, Layout::Adapter);
    let files: Vec<_> = bench.registry.files(&adapter).unwrap().into_iter().map(|file| file.name).collect();
    assert_eq!(files, ["adapter_config.json", "adapter_model.safetensors"]);

    let gguf = NewVersion::at(data.join("gguf/tiny-llama-256-Q4_0.gguf"));
    let gguf = bench.registry.register(&name, &gguf, "ann", &mut go_on).unwrap();
    let error =
        bench.registry.verify(&gguf, &fingerprint(&data.join("gguf/tiny-llama-256-Q4_K.gguf"))).unwrap_err();
    assert_says(&error, &["tiny-llama-256-Q4_0.gguf", "gguf-00000"]);
}
