//! Tokenizers rebuilt from the metadata of a GGUF file.

pub(super) mod sentencepiece;
