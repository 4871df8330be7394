//! Directories and split files whose parts do not fit together.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::build::{Gguf, SOUND, entry, safetensors, tensor};
use super::{assert_says, data};
use crate::error::{Error, ErrorKind};
use crate::weights::{Checkpoint, DType, Format, WeightsError};

const A: &str = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
const B: &str = r#"{"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;

/// A directory with two shards, of one tensor each, and `index`.
fn sharded(index: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("m-1.safetensors"), safetensors(A, 4)).unwrap();
    fs::write(dir.path().join("m-2.safetensors"), safetensors(B, 4)).unwrap();
    fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
    dir
}

#[test]
fn a_sound_index_joins_its_shards() {
    let dir = sharded(
        r#"{"metadata":{"total_size":8},"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#,
    );
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(checkpoint.format(), Format::HuggingFace);
    assert_eq!(checkpoint.tensors().map(|t| t.name()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(checkpoint.metadata().is_empty());
}

#[test]
fn damage_of_an_index_is_named() {
    let table: &[(&str, &str, &[&str])] = &[
        ("not JSON", "{", &["index.json", "EOF"]),
        ("no map", "{}", &["index.json", "weight_map"]),
        ("empty map", r#"{"weight_map":{}}"#, &["\"weight_map\"", "no tensor"]),
        ("map twice", r#"{"weight_map":{},"weight_map":{}}"#, &["duplicate field `weight_map`"]),
        ("no string", r#"{"weight_map":{"a":1}}"#, &["\"a\""]),
        ("deep", &"[".repeat(100_000), &["index.json"]),
        (
            "tensor twice",
            r#"{"weight_map":{"a":"m-1.safetensors","a":"m-2.safetensors"}}"#,
            &["\"a\"", "twice"],
        ),
        ("parent", r#"{"weight_map":{"a":"../x.safetensors"}}"#, &["tensor \"a\"", "\"../x.safetensors\""]),
        ("absolute", r#"{"weight_map":{"a":"/etc/passwd"}}"#, &["tensor \"a\"", "\"/etc/passwd\""]),
        (
            "missing shard",
            r#"{"weight_map":{"a":"m-1.safetensors","c":"m-3.safetensors"}}"#,
            &["tensor \"c\"", "\"m-3.safetensors\"", "missing"],
        ),
        (
            "not in the shard",
            r#"{"weight_map":{"a":"m-1.safetensors","c":"m-2.safetensors"}}"#,
            &["tensor \"c\"", "\"m-2.safetensors\"", "does not have it"],
        ),
        (
            "in the other shard",
            r#"{"weight_map":{"a":"m-2.safetensors","b":"m-1.safetensors"}}"#,
            &["tensor \"a\"", "\"m-2.safetensors\""],
        ),
    ];
    for (case, index, parts) in table {
        let error = Checkpoint::open(sharded(index).path()).expect_err(case).to_string();
        assert_says(case, &error, parts);
    }
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let dir = sharded(r#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#);
    fs::write(dir.path().join("m-2.safetensors"), safetensors(A, 4)).unwrap();
    let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
    assert_says(
        "twice",
        &error,
        &["m-2.safetensors", "tensor \"a\"", "the first time in", "m-1.safetensors"],
    );
}

#[test]
fn what_is_no_checkpoint_is_said_so() {
    let dir = TempDir::new().unwrap();
    let error = Checkpoint::open(dir.path()).unwrap_err();
    assert_says("empty directory", &error.to_string(), &["has neither model.safetensors nor"]);
    let error = Checkpoint::open(&dir.path().join("absent")).unwrap_err();
    assert_eq!(Error::from(error).kind(), ErrorKind::NotFound);
    fs::create_dir(dir.path().join("model.safetensors")).unwrap();
    let error = Checkpoint::open(dir.path()).unwrap_err();
    assert_says("a directory as weights", &error.to_string(), &["is not a regular file"]);
    let error = Checkpoint::open(&data("tiny/llama3/model.safetensors")).unwrap_err();
    assert_says("a safetensors file", &error.to_string(), &["does not start with \"GGUF\""]);
    assert_eq!(Error::from(error).kind(), ErrorKind::InvalidModel);
}

#[cfg(unix)]
#[test]
fn a_device_is_not_read() {
    let error = Checkpoint::open(Path::new("/dev/zero")).unwrap_err();
    assert_says("device", &error.to_string(), &["/dev/zero", "is not a regular file"]);
}

#[test]
fn companions_stay_inside_the_directory() {
    let checkpoint = Checkpoint::open(&data("tiny/llama3")).unwrap();
    assert!(checkpoint.read_small("config.json").unwrap().is_some());
    assert!(checkpoint.read_small("chat_template.jinja").unwrap().is_none());
    for name in ["", "..", "../llama2/config.json", "/etc/passwd", "a/../../b"] {
        let error = checkpoint.read_small(name).expect_err(name).to_string();
        assert_says(name, &error, &["does not lie inside the directory"]);
    }
}

/// Writes the parts of a split GGUF file: one tensor each.
fn split(dir: &Path, parts: &[(&str, u16, u16, &str)]) -> PathBuf {
    for (file_name, number, count, name) in parts {
        let mut file = Gguf::sound();
        file.entries.push(entry("split.no", 2, number.to_le_bytes()));
        file.entries.push(entry("split.count", 2, count.to_le_bytes()));
        file.entries.push(entry("split.tensors.count", 5, 2i32.to_le_bytes()));
        file.entries.push(entry("part", 2, number.to_le_bytes()));
        file.tensors = vec![tensor(name, &[2], 0, 0)];
        fs::write(dir.join(file_name), file.bytes()).unwrap();
    }
    dir.join(parts[0].0)
}

#[test]
fn a_split_file_opens_by_any_part() {
    let dir = TempDir::new().unwrap();
    let first =
        split(dir.path(), &[("m-00001-of-00002.gguf", 0, 2, "a"), ("m-00002-of-00002.gguf", 1, 2, "b")]);
    for path in [first, dir.path().join("m-00002-of-00002.gguf")] {
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.path(), path);
        assert_eq!(checkpoint.tensors().map(|t| t.name()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(checkpoint.metadata().require_u32("part").unwrap(), 0);
        let mut row = [0.0; 2];
        checkpoint.read_rows_f32(checkpoint.tensor("b").unwrap(), 0..1, &mut row).unwrap();
        assert_eq!(row, [1.0, -2.0]);
    }
}

#[test]
fn damage_of_a_split_file_is_named() {
    type Parts<'a> = &'a [(&'a str, u16, u16, &'a str)];
    let table: &[(&str, Parts<'_>, &[&str])] = &[
        ("missing part", &[("m-00001-of-00002.gguf", 0, 2, "a")], &["m-00002-of-00002.gguf", "open"]),
        ("name", &[("m.gguf", 0, 2, "a")], &["m.gguf", "-00001-of-00002.gguf"]),
        ("number", &[("m-00001-of-00002.gguf", 2, 2, "a")], &["\"split.no\"", "part 2 of 2"]),
        ("absurd count", &[("m-00001-of-65535.gguf", 0, 65535, "a")], &["\"split.count\"", "65535 parts"]),
        (
            "two first parts",
            &[("m-00001-of-00002.gguf", 0, 2, "a"), ("m-00002-of-00002.gguf", 0, 2, "b")],
            &["m-00002-of-00002.gguf", "\"split.no\"", "part 2 of 2"],
        ),
        (
            "counts that differ",
            &[("m-00001-of-00002.gguf", 0, 2, "a"), ("m-00002-of-00002.gguf", 1, 3, "b")],
            &["m-00002-of-00002.gguf", "\"split.no\""],
        ),
        (
            "a tensor in two parts",
            &[("m-00001-of-00002.gguf", 0, 2, "a"), ("m-00002-of-00002.gguf", 1, 2, "a")],
            &["m-00002-of-00002.gguf", "tensor \"a\"", "twice"],
        ),
        (
            "too few tensors",
            &[
                ("m-00001-of-00003.gguf", 0, 3, "a"),
                ("m-00002-of-00003.gguf", 1, 3, "b"),
                ("m-00003-of-00003.gguf", 2, 3, "c"),
            ],
            &["\"split.tensors.count\"", "says 2", "have 3"],
        ),
    ];
    for (case, parts, says) in table {
        let dir = TempDir::new().unwrap();
        let error = Checkpoint::open(&split(dir.path(), parts)).expect_err(case).to_string();
        assert_says(case, &error, says);
    }
}

#[test]
fn reading_a_type_that_is_not_decoded_names_the_tensor() {
    let header = r#"{"w":{"dtype":"F8_E5M2","shape":[2,2],"data_offsets":[0,4]}}"#;
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("model.safetensors"), safetensors(header, 4)).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let tensor = checkpoint.tensor("w").unwrap();
    assert_eq!(tensor.dtype(), DType::Other);
    let error = checkpoint.read_rows_f32(tensor, 0..2, &mut [0.0; 4]).unwrap_err();
    assert!(matches!(error, WeightsError::UnsupportedType { .. }));
    assert_says("f8", &error.to_string(), &["model.safetensors", "tensor \"w\"", "F8_E5M2", "BF16"]);
    assert_eq!(Error::from(error).kind(), ErrorKind::Unsupported);
}

#[test]
fn a_missing_tensor_is_named() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("model.safetensors"), safetensors(SOUND, 24)).unwrap();
    let error = Checkpoint::open(dir.path()).unwrap().tensor("lm_head.weight").unwrap_err();
    assert_says("missing", &error.to_string(), &["tensor \"lm_head.weight\" is missing"]);
}
