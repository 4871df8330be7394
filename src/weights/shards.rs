//! Models that are spread over several files.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::WeightsError;
use super::file::SourceFile;
use super::gguf::Metadata;
use super::safetensors::UniqueStrings;

/// More than the largest published models have, several times over.
const MAX_SHARDS: usize = 4096;
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The index of a sharded Hugging Face checkpoint: which file has which tensor.
pub(super) struct ShardIndex {
    /// The shards' names, sorted.
    pub(super) files: Vec<String>,
    /// Tensor and shard.
    pub(super) tensors: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct IndexFile {
    #[serde(rename = "metadata")]
    _metadata: Option<IgnoredAny>,
    weight_map: UniqueStrings,
}

impl ShardIndex {
    /// Reads `model.safetensors.index.json`. Every shard must be named plainly: an index that points out of its
    /// directory is refused.
    pub(super) fn read(file: &SourceFile) -> Result<Self, WeightsError> {
        let path = file.path();
        let bytes = file.read_all(MAX_INDEX_BYTES)?;
        let index: IndexFile =
            serde_json::from_slice(&bytes).map_err(|e| WeightsError::file(path, e.to_string()))?;
        let tensors = index.weight_map.0;
        for (tensor, shard) in &tensors {
            if !is_plain_file_name(shard) {
                let problem =
                    format!("the index puts it into {shard:?}; names of files beside the index are accepted");
                return Err(WeightsError::tensor(path, tensor, problem));
            }
        }
        let mut files: Vec<String> = tensors.iter().map(|(_, shard)| shard.clone()).collect();
        files.sort_unstable();
        files.dedup();
        if files.is_empty() {
            return Err(WeightsError::key(path, "weight_map", "it names no tensor"));
        }
        if files.len() > MAX_SHARDS {
            let problem = format!("it names {} files; up to {MAX_SHARDS} are accepted", files.len());
            return Err(WeightsError::key(path, "weight_map", problem));
        }
        Ok(Self { files, tensors })
    }
}

/// One name, neither a path nor `..`; refused are the separators of all systems and what Windows reads as a drive.
fn is_plain_file_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(components.next(), Some(Component::Normal(part)) if part == name)
        && components.next().is_none()
        && !name.contains(['/', '\\', ':', '\0'])
}

/// Which part of a split GGUF file this is: (number from 0, number of parts); `None` for a file that is whole.
pub(super) fn gguf_split(metadata: &Metadata) -> Result<Option<(usize, usize)>, WeightsError> {
    const COUNT: &str = "split.count";
    const NUMBER: &str = "split.no";
    let Some(count) = metadata.u32(COUNT)?.filter(|&count| count > 1) else { return Ok(None) };
    let count = count as usize;
    if count > MAX_SHARDS {
        let problem = format!("{count} parts; up to {MAX_SHARDS} are accepted");
        return Err(WeightsError::key(metadata.path(), COUNT, problem));
    }
    let number = metadata.require_u32(NUMBER)? as usize;
    if number >= count {
        let problem = format!("part {number} of {count}; 0 to {} are accepted", count - 1);
        return Err(WeightsError::key(metadata.path(), NUMBER, problem));
    }
    Ok(Some((number, count)))
}

/// The paths of all parts of a split GGUF file, of which `path` is part `number` of `count`: they are called
/// `PREFIX-00001-of-00003.gguf` and so on.
pub(super) fn gguf_parts(path: &Path, number: usize, count: usize) -> Result<Vec<PathBuf>, WeightsError> {
    let part = |number: usize| format!("-{:05}-of-{count:05}.gguf", number + 1);
    let name = path.file_name().and_then(|name| name.to_str());
    let prefix = name.and_then(|name| name.strip_suffix(&part(number))).ok_or_else(|| {
        let problem = format!(
            "is part {} of {count} by its metadata; a name that ends in {:?} is needed",
            number + 1,
            part(number)
        );
        WeightsError::file(path, problem)
    })?;
    Ok((0..count).map(|number| path.with_file_name(format!("{prefix}{}", part(number)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_shards() {
        assert!(is_plain_file_name("model-00001-of-00002.safetensors"));
        for name in ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", "C:x", "a/", "./a", "a\0b"] {
            assert!(!is_plain_file_name(name), "{name:?}");
        }
    }
}
