//! Random damage never panics, and what is still accepted is consistent.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::build::{Gguf, SOUND, safetensors as file};
use crate::weights::{Checkpoint, TensorInfo, dequantize, gguf, safetensors};

/// What may happen to a file's bytes.
#[derive(Debug, Clone)]
enum Damage {
    Flip { at: usize, mask: u8 },
    Number { at: usize, value: u64 },
    Truncate { at: usize },
    Insert { at: usize, bytes: Vec<u8> },
    Repeat { from: usize, length: usize },
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0usize..1 << 16;
    let extreme = prop_oneof![
        any::<u64>(),
        Just(u64::MAX),
        Just(1 << 63),
        Just(1 << 32),
        0u64..64,
        (0u32..64).prop_map(|bit| 1 << bit)
    ];
    prop_oneof![
        4 => (at.clone(), 1u8..).prop_map(|(at, mask)| Damage::Flip { at, mask }),
        4 => (at.clone(), extreme).prop_map(|(at, value)| Damage::Number { at, value }),
        1 => at.clone().prop_map(|at| Damage::Truncate { at }),
        1 => (at.clone(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Damage::Insert { at, bytes }),
        1 => (at, 1usize..64).prop_map(|(from, length)| Damage::Repeat { from, length }),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let size = bytes.len();
    match damage {
        Damage::Flip { at, mask } => bytes[at % size] ^= mask,
        Damage::Number { at, value } => {
            for (byte, new) in bytes[at % size..].iter_mut().zip(value.to_le_bytes()) {
                *byte = new;
            }
        }
        Damage::Truncate { at } => bytes.truncate(at % size),
        Damage::Insert { at, bytes: new } => {
            bytes.splice(at % size..at % size, new.iter().copied());
        }
        Damage::Repeat { from, length } => {
            let from = from % size;
            let again = bytes[from..size.min(from + length)].to_vec();
            bytes.splice(from..from, again);
        }
    }
}

/// Accepted tensors lie inside the file, side by side, and decode.
fn check(bytes: &[u8], tensors: &[TensorInfo]) {
    let mut ranges = Vec::new();
    for tensor in tensors {
        let encoded = &bytes[tensor.offset() as usize..][..tensor.bytes() as usize];
        if tensor.dtype().is_supported() {
            assert_eq!(tensor.rows() * tensor.cols(), tensor.elements());
            let mut values = vec![0.0; tensor.elements()];
            dequantize(tensor.dtype(), encoded, &mut values).unwrap();
        }
        if tensor.bytes() > 0 {
            ranges.push((tensor.offset(), tensor.offset() + tensor.bytes()));
        }
    }
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{ranges:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gguf_headers(damages in prop::collection::vec(damage(), 1..4)) {
        let mut bytes = Gguf::sound().bytes();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        match gguf::parse(bytes.as_slice(), Path::new("m.gguf")) {
            Ok(header) => check(&bytes, &header.tensors),
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }

    #[test]
    fn safetensors_headers(damages in prop::collection::vec(damage(), 1..4)) {
        let mut bytes = file(SOUND, 24);
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        match safetensors::parse(bytes.as_slice(), Path::new("m")) {
            Ok(tensors) => check(&bytes, &tensors),
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }

    #[test]
    fn bytes_of_any_kind(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let gguf_like = [&b"GGUF\x03\0\0\0"[..], &bytes].concat();
        prop_assert!(gguf::parse(bytes.as_slice(), Path::new("m")).is_err() || bytes.starts_with(b"GGUF"));
        if let Ok(header) = gguf::parse(gguf_like.as_slice(), Path::new("m")) {
            check(&gguf_like, &header.tensors);
        }
        if let Ok(tensors) = safetensors::parse(bytes.as_slice(), Path::new("m")) {
            check(&bytes, &tensors);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Through files: what opens can be read to the end.
    #[test]
    fn damaged_files_open_and_read_or_fail(damages in prop::collection::vec(damage(), 1..3), which in any::<bool>()) {
        let dir = TempDir::new().unwrap();
        let (mut bytes, name) = match which {
            true => (Gguf::sound().bytes(), "model.gguf"),
            false => (file(SOUND, 24), "model.safetensors"),
        };
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        fs::write(dir.path().join(name), bytes).unwrap();
        let path = if which { dir.path().join(name) } else { dir.path().to_path_buf() };
        if let Ok(checkpoint) = Checkpoint::open(&path) {
            for tensor in checkpoint.tensors().filter(|tensor| tensor.dtype().is_supported()) {
                let mut values = vec![0.0; tensor.elements()];
                checkpoint.read_rows_f32(tensor, 0..tensor.rows(), &mut values).unwrap();
            }
        }
    }
}
