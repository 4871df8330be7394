//! Writes small files, sound ones and ones that lie.

/// A GGUF file in parts; every part may contradict the others.
#[derive(Clone)]
pub(super) struct Gguf {
    pub(super) magic: [u8; 4],
    pub(super) version: u32,
    pub(super) tensor_count: Option<u64>,
    pub(super) entry_count: Option<u64>,
    pub(super) entries: Vec<Entry>,
    pub(super) tensors: Vec<Tensor>,
    pub(super) alignment: usize,
    pub(super) data: Vec<u8>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) tag: u32,
    pub(super) value: Vec<u8>,
}

#[derive(Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    /// Innermost first, as in the file.
    pub(super) dimensions: Vec<u64>,
    pub(super) kind: u32,
    pub(super) offset: u64,
}

pub(super) fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

pub(super) fn entry(key: &str, tag: u32, value: impl Into<Vec<u8>>) -> Entry {
    Entry { key: string(key), tag, value: value.into() }
}

/// The start of an array value: element type and count.
pub(super) fn array(tag: u32, count: u64, elements: &[u8]) -> Vec<u8> {
    [&tag.to_le_bytes()[..], &count.to_le_bytes(), elements].concat()
}

pub(super) fn tensor(name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Tensor {
    Tensor { name: name.into(), dimensions: dimensions.into(), kind, offset }
}

impl Gguf {
    /// Two tensors, `a` (F32, 2 rows of 4) at 0 and `b` (Q4_0, one row of 32) at 32, and some metadata.
    pub(super) fn sound() -> Self {
        let values = [1.0f32, -2.0, 3.5, 0.0, 5.0, 6.0, 7.0, 8.0];
        let mut data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        // Scale 1.0; every value 8 + 1 in the low half, 8 - 8 in the high half.
        data.extend([0x00, 0x3c]);
        data.extend([0x09; 16]);
        Self {
            magic: *b"GGUF",
            version: 3,
            tensor_count: None,
            entry_count: None,
            entries: vec![
                entry("general.architecture", 8, string("llama")),
                entry("llama.block_count", 4, 2u32.to_le_bytes()),
                entry("tokenizer.ggml.tokens", 9, array(8, 2, &[string("x"), string("yz")].concat())),
            ],
            tensors: vec![tensor("a", &[4, 2], 0, 0), tensor("b", &[32], 2, 32)],
            alignment: 32,
            data,
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.magic);
        out.extend(self.version.to_le_bytes());
        out.extend(self.tensor_count.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.entry_count.unwrap_or(self.entries.len() as u64).to_le_bytes());
        for entry in &self.entries {
            out.extend(&entry.key);
            out.extend(entry.tag.to_le_bytes());
            out.extend(&entry.value);
        }
        for tensor in &self.tensors {
            out.extend(string(&tensor.name));
            out.extend((tensor.dimensions.len() as u32).to_le_bytes());
            tensor.dimensions.iter().for_each(|size| out.extend(size.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out.extend(&self.data);
        out
    }
}

/// A safetensors file with `header` as it stands and `data` zero bytes behind it.
pub(super) fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.resize(out.len() + data, 0);
    out
}

/// A sound header: `a`, F32 of 2 rows of 2, then `b`, BF16 of 4 elements; 24 bytes in all.
pub(super) const SOUND: &str = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]}}"#;
