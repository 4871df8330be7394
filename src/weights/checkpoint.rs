//! A model's files, opened and checked.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use super::companions::Companions;
use super::dequant::dequantize;
use super::digest::{Digest, Fingerprint, fingerprint};
use super::dtype::DType;
use super::error::WeightsError;
use super::file::SourceFile;
use super::gguf::{self, Metadata};
use super::progress::LoadProgress;
use super::safetensors;
use super::shards::{ShardIndex, gguf_parts, gguf_split};
use super::tensor::TensorInfo;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// What defines a Hugging Face model beside its weights, as far as it is there.
const DEFINING: [&str; 10] = [
    "1_Pooling/config.json",
    "chat_template.jinja",
    "config.json",
    "config_sentence_transformers.json",
    "generation_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
];
/// The weights of an adapter in the layout of PEFT.
const ADAPTER: &str = "adapter_model.safetensors";
/// What defines such an adapter beside its weights.
const DEFINING_ADAPTER: [&str; 1] = ["adapter_config.json"];
/// The largest published tokenizer.json takes about 35 MB.
const MAX_COMPANION_BYTES: u64 = 256 << 20;
/// Encoded bytes that are held at a time while rows are decoded.
const DECODE_BYTES: usize = 256 << 10;

/// The layout of a model's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// A directory with safetensors, config.json and tokenizer.json.
    HuggingFace,
    /// GGUF, one file or several parts.
    Gguf,
}

/// A model's files: open handles, checked descriptions of all tensors, reads by position.
///
/// Reading takes `&self` from any number of threads at once.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    format: Format,
    files: Vec<SourceFile>,
    index_file: Option<SourceFile>,
    companions: Companions,
    /// Files that count in the digest beside the weights.
    defining: &'static [&'static str],
    tensors: Vec<TensorInfo>,
    by_name: HashMap<String, usize>,
    metadata: Metadata,
}

impl Checkpoint {
    /// Opens a Hugging Face directory or a GGUF file and checks all headers; no tensor is read.
    ///
    /// In a directory `model.safetensors` comes first, then `model.safetensors.index.json` with its shards; tensors
    /// of a shard that the index does not mention are there as well. Of a split GGUF file any part may be given.
    ///
    /// # Errors
    /// [`WeightsError`] naming the file, and the tensor or key at fault.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let kind = std::fs::metadata(path).map_err(|e| WeightsError::io(path, "open", e))?;
        if kind.is_dir() { Self::open_directory(path) } else { Self::open_gguf(path) }
    }

    /// Opens an adapter's directory in the layout of PEFT, `adapter_config.json` and `adapter_model.safetensors`, and
    /// checks the header; no tensor is read.
    ///
    /// # Errors
    /// [`WeightsError`] naming the file, and the tensor at fault.
    pub fn open_adapter(path: &Path) -> Result<Self, WeightsError> {
        let kind = std::fs::metadata(path).map_err(|e| WeightsError::io(path, "open", e))?;
        let weights = path.join(ADAPTER);
        if !kind.is_dir() || !exists(&weights)? {
            let problem =
                format!("is no directory with {ADAPTER}, which is where an adapter's weights are read from");
            return Err(WeightsError::file(path, problem));
        }
        let mut checkpoint = Self { defining: &DEFINING_ADAPTER, ..Self::empty(path, Format::HuggingFace) };
        checkpoint.add_safetensors(&weights)?;
        Ok(checkpoint)
    }

    fn empty(path: &Path, format: Format) -> Self {
        Self {
            path: path.to_path_buf(),
            format,
            files: Vec::new(),
            index_file: None,
            companions: Companions::of(path),
            defining: &DEFINING,
            tensors: Vec::new(),
            by_name: HashMap::new(),
            metadata: Metadata::new(path),
        }
    }

    fn open_directory(path: &Path) -> Result<Self, WeightsError> {
        let mut checkpoint = Self::empty(path, Format::HuggingFace);
        let single = path.join(SINGLE);
        if exists(&single)? {
            checkpoint.add_safetensors(&single)?;
            return Ok(checkpoint);
        }
        let index = path.join(INDEX);
        if !exists(&index)? {
            let problem = format!("has neither {SINGLE} nor {INDEX}");
            return Err(WeightsError::file(path, problem));
        }
        let file = SourceFile::open(&index)?;
        let shards = ShardIndex::read(&file)?;
        for shard in &shards.files {
            let shard_path = path.join(shard);
            if !exists(&shard_path)? {
                // Named by a tensor that needs it: that is what the index says, and what will be missing.
                let tensor = shards.tensors.iter().find(|(_, of)| of == shard).map_or("", |(name, _)| name);
                let problem = format!("the index puts it into {shard:?}, which is missing");
                return Err(WeightsError::tensor(&index, tensor, problem));
            }
            checkpoint.add_safetensors(&shard_path)?;
        }
        for (tensor, shard) in &shards.tensors {
            let found = checkpoint.get(tensor).and_then(|info| checkpoint.files.get(info.file));
            if found.is_none_or(|file| file.path().file_name().is_none_or(|name| name != shard.as_str())) {
                let problem = format!("the index puts it into {shard:?}, which does not have it");
                return Err(WeightsError::tensor(&index, tensor, problem));
            }
        }
        checkpoint.index_file = Some(file);
        Ok(checkpoint)
    }

    fn open_gguf(path: &Path) -> Result<Self, WeightsError> {
        let mut checkpoint = Self::empty(path, Format::Gguf);
        let file = SourceFile::open(path)?;
        let header = gguf::parse(&file, path)?;
        let Some((number, count)) = gguf_split(&header.metadata)? else {
            checkpoint.metadata = header.metadata;
            checkpoint.add(file, header.tensors)?;
            return Ok(checkpoint);
        };
        let mut given = Some((file, header));
        for (part, part_path) in gguf_parts(path, number, count)?.into_iter().enumerate() {
            let (file, header) = match given.take_if(|_| part == number) {
                Some(given) => given,
                None => {
                    let file = SourceFile::open(&part_path)?;
                    let header = gguf::parse(&file, &part_path)?;
                    (file, header)
                }
            };
            if gguf_split(&header.metadata)? != Some((part, count)) {
                let problem = format!("it does not say that this is part {} of {count}", part + 1);
                return Err(WeightsError::key(&part_path, "split.no", problem));
            }
            if part == 0 {
                checkpoint.metadata = header.metadata;
            }
            checkpoint.add(file, header.tensors)?;
        }
        const TOTAL: &str = "split.tensors.count";
        if let Some(total) = checkpoint.metadata.u64(TOTAL)?
            && total != checkpoint.tensors.len() as u64
        {
            let problem = format!("it says {total} tensors; the parts have {}", checkpoint.tensors.len());
            return Err(WeightsError::key(checkpoint.metadata.path(), TOTAL, problem));
        }
        Ok(checkpoint)
    }

    fn add_safetensors(&mut self, path: &Path) -> Result<(), WeightsError> {
        let file = SourceFile::open(path)?;
        let tensors = safetensors::parse(&file, path)?;
        self.add(file, tensors)
    }

    /// Takes in one file with its tensors, whose names no other file may have.
    fn add(&mut self, file: SourceFile, tensors: Vec<TensorInfo>) -> Result<(), WeightsError> {
        let number = self.files.len();
        for mut tensor in tensors {
            tensor.file = number;
            match self.by_name.entry(tensor.name.clone()) {
                Entry::Vacant(slot) => {
                    slot.insert(self.tensors.len());
                    self.tensors.push(tensor);
                }
                Entry::Occupied(slot) => {
                    let first = self.tensors.get(*slot.get()).and_then(|first| self.files.get(first.file));
                    let first = first.map(|file| file.path().display().to_string()).unwrap_or_default();
                    let problem = format!("is described twice, the first time in {first}");
                    return Err(WeightsError::tensor(file.path(), &tensor.name, problem));
                }
            }
        }
        self.files.push(file);
        Ok(())
    }

    /// The layout of the files.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensor called `name`, if there is one.
    pub fn get(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(*self.by_name.get(name)?)
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    /// [`WeightsError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo, WeightsError> {
        self.get(name)
            .ok_or_else(|| WeightsError::MissingTensor { path: self.path.clone(), tensor: name.to_owned() })
    }

    /// All tensors, file by file.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        self.tensors.iter()
    }

    /// The key/value pairs of a GGUF file (of its first part); empty for a Hugging Face directory.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// A companion file of a Hugging Face directory, such as `config.json`; `None` when it is absent, and always for
    /// GGUF.
    ///
    /// # Errors
    /// [`WeightsError::File`] for a name that leads out of the directory or a file of more than 256 MiB,
    /// [`WeightsError::Io`] when reading fails.
    pub fn read_small(&self, file_name: &str) -> Result<Option<Vec<u8>>, WeightsError> {
        if self.format != Format::HuggingFace {
            return Ok(None);
        }
        self.companions.open(file_name)?.map(|file| file.read_all(MAX_COMPANION_BYTES)).transpose()
    }

    /// Reads whole rows as they lie in the file. `out` must have room for exactly
    /// `rows.len() * tensor.row_bytes()` bytes.
    ///
    /// # Errors
    /// [`WeightsError::UnsupportedType`] for [`DType::Other`], [`WeightsError::Rows`], [`WeightsError::Buffer`], or
    /// what reading met.
    pub fn read_rows(
        &self,
        tensor: &TensorInfo,
        rows: Range<usize>,
        out: &mut [u8],
    ) -> Result<(), WeightsError> {
        let (file, offset, bytes) = self.locate(tensor, &rows)?;
        self.check_buffer(tensor, "bytes", bytes, out.len())?;
        file.read(out, offset)
    }

    /// Reads some columns of some rows as they lie in the file, row by row, one positional read for each. `out` must have
    /// room for exactly `rows.len() * columns.len()` elements.
    ///
    /// # Errors
    /// As for [`Checkpoint::read_rows`], and [`WeightsError::Tensor`] for columns that the tensor does not have and for
    /// types whose blocks are more than one element.
    pub fn read_columns(
        &self,
        tensor: &TensorInfo,
        rows: Range<usize>,
        columns: Range<usize>,
        out: &mut [u8],
    ) -> Result<(), WeightsError> {
        if columns == (0..tensor.cols()) {
            return self.read_rows(tensor, rows, out);
        }
        let (file, offset, _) = self.locate(tensor, &rows)?;
        let (dtype, cols) = (tensor.dtype(), tensor.cols());
        if dtype.block_elements() != 1 || columns.start > columns.end || columns.end > cols {
            let Range { start, end } = columns;
            let problem = format!("columns {start}..{end} of {cols} cannot be read from {dtype} alone");
            return Err(WeightsError::tensor(file.path(), tensor.name(), problem));
        }
        let (size, width) = (dtype.block_bytes(), columns.len() * dtype.block_bytes());
        self.check_buffer(tensor, "bytes", rows.len() as u64 * width as u64, out.len())?;
        for (row, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
            file.read(out, offset + ((row * cols + columns.start) * size) as u64)?;
        }
        Ok(())
    }

    /// Reads whole rows and widens them to `f32`. `out` must have room for exactly `rows.len() * tensor.cols()`
    /// elements.
    ///
    /// # Errors
    /// As for [`Checkpoint::read_rows`].
    pub fn read_rows_f32(
        &self,
        tensor: &TensorInfo,
        rows: Range<usize>,
        out: &mut [f32],
    ) -> Result<(), WeightsError> {
        let (file, mut offset, bytes) = self.locate(tensor, &rows)?;
        let elements = rows.len() as u64 * tensor.cols() as u64;
        self.check_buffer(tensor, "elements", elements, out.len())?;
        let dtype = tensor.dtype();
        // Rows are whole blocks and lie one behind the other, so pieces of whole blocks need not respect rows.
        let blocks = DECODE_BYTES / dtype.block_bytes();
        let mut buffer = vec![0; bytes.min((blocks * dtype.block_bytes()) as u64) as usize];
        for piece in out.chunks_mut(blocks * dtype.block_elements()) {
            let encoded = &mut buffer[..piece.len() / dtype.block_elements() * dtype.block_bytes()];
            file.read(encoded, offset)?;
            dequantize(dtype, encoded, piece)?;
            offset += encoded.len() as u64;
        }
        Ok(())
    }

    /// The digest of [`Checkpoint::fingerprint`].
    ///
    /// # Errors
    /// As for [`Checkpoint::fingerprint`].
    pub fn digest(
        &self,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Digest, WeightsError> {
        self.fingerprint(progress).map(|fingerprint| fingerprint.digest())
    }

    /// The SHA-256 of each file that defines the model: the weights and, in a Hugging Face directory, the index,
    /// config.json, generation_config.json, tokenizer.json, tokenizer_config.json, special_tokens_map.json,
    /// chat_template.jinja and the files of the sentence-transformers layout as far as they are there. Of an adapter: its
    /// weights and its configuration.
    ///
    /// Files count under their names, in order of name; the parts of a GGUF file count under their number, so that
    /// renaming the file does not change the model. `progress` is called after every mebibyte.
    ///
    /// # Errors
    /// [`WeightsError::Cancelled`] when `progress` says so, [`WeightsError::Changed`] when a file is cut or grows
    /// meanwhile, [`WeightsError::Rewritten`] when it is written to, [`WeightsError::Io`] when reading fails.
    pub fn fingerprint(
        &self,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Fingerprint, WeightsError> {
        let mut companions = Vec::new();
        if self.format == Format::HuggingFace {
            for name in self.defining.iter().copied() {
                companions.extend(self.companions.open(name)?.map(|file| (name.to_owned(), file)));
            }
        }
        let mut files: Vec<(String, &SourceFile)> = Vec::new();
        for (number, file) in self.files.iter().enumerate() {
            files.push((self.digest_name(number, file), file));
        }
        files.extend(self.index_file.iter().map(|file| (INDEX.to_owned(), file)));
        files.extend(companions.iter().map(|(name, file)| (name.clone(), &**file)));
        fingerprint(files, progress)
    }

    /// Refuses a model of which a file was written to since it was opened: what was read of it may be of two models, and its
    /// digest of a third. Asked when everything is read. A file that another has replaced by taking its name counts as unchanged:
    /// what was opened is still there.
    ///
    /// # Errors
    /// [`WeightsError::Changed`] or [`WeightsError::Rewritten`], naming the file.
    pub fn check_unchanged(&self) -> Result<(), WeightsError> {
        self.files.iter().chain(&self.index_file).try_for_each(SourceFile::check_unchanged)?;
        self.companions.check_unchanged()
    }

    fn digest_name(&self, number: usize, file: &SourceFile) -> String {
        match (self.format, file.path().file_name()) {
            (Format::HuggingFace, Some(name)) => name.to_string_lossy().into_owned(),
            _ => format!("gguf-{number:05}"),
        }
    }

    /// Where the rows of a tensor lie: file, position, bytes. Refuses descriptions that are not this checkpoint's.
    fn locate(
        &self,
        tensor: &TensorInfo,
        rows: &Range<usize>,
    ) -> Result<(&SourceFile, u64, u64), WeightsError> {
        let file = match self.get(tensor.name()) {
            Some(own) if own == tensor => self.files.get(tensor.file),
            _ => None,
        };
        let Some(file) = file else {
            return Err(WeightsError::MissingTensor {
                path: self.path.clone(),
                tensor: tensor.name().to_owned(),
            });
        };
        let row_bytes = match tensor.row_bytes() {
            Some(row_bytes) if tensor.dtype() != DType::Other => row_bytes,
            _ => {
                return Err(WeightsError::UnsupportedType {
                    path: file.path().to_path_buf(),
                    tensor: tensor.name().to_owned(),
                    dtype: tensor.type_name().to_owned(),
                });
            }
        };
        if rows.start > rows.end || rows.end > tensor.rows() {
            return Err(WeightsError::Rows {
                tensor: tensor.name().to_owned(),
                start: rows.start,
                end: rows.end,
                rows: tensor.rows(),
            });
        }
        // Inside the tensor, whose end was checked against the file: none of this can overflow.
        Ok((file, tensor.offset + rows.start as u64 * row_bytes, rows.len() as u64 * row_bytes))
    }

    fn check_buffer(
        &self,
        tensor: &TensorInfo,
        unit: &'static str,
        expected: u64,
        found: usize,
    ) -> Result<(), WeightsError> {
        if expected == found as u64 {
            return Ok(());
        }
        Err(WeightsError::Buffer {
            what: format!("reading tensor {:?}", tensor.name()),
            unit,
            expected,
            found: found as u64,
        })
    }
}

/// Whether something is there; other failures than absence are errors.
fn exists(path: &Path) -> Result<bool, WeightsError> {
    path.try_exists().map_err(|e| WeightsError::io(path, "open", e))
}
