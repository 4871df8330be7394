//! Matrices hold what their tensors hold.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::ops::ControlFlow;
use std::path::Path;

use half::bf16;
use tempfile::TempDir;

use super::PanelType::{File, PerChannel};
use super::*;
use crate::backend::RowOrder;
use crate::backend::cpu::pack::Quantize;
use crate::backend::cpu::threads::Threads;
use crate::weights::{Checkpoint, DType};

/// What `Compute::Int8` asks for.
pub(in super::super) const PER_CHANNEL: Packing = Packing { quantize: Quantize::None, per_channel: true };

/// A number for every place of a tensor.
fn value(seed: usize, row: usize, k: usize) -> f32 {
    let mixed = (seed * 7919 + row * 104_729 + k * 1_299_709) % 65_537;
    mixed as f32 / 32_768.0 - 1.0
}

/// A directory with one safetensors file: F32 or BF16 tensors by name, shape and whether they are BF16.
pub(in super::super) fn directory(tensors: &[(&str, &[usize], bool)]) -> TempDir {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (seed, (name, shape, bfloat)) in tensors.iter().enumerate() {
        let start = data.len();
        let cols = *shape.last().unwrap();
        let rows = shape.iter().product::<usize>().checked_div(cols).unwrap_or(0);
        for (row, k) in (0..rows).flat_map(|row| (0..cols).map(move |k| (row, k))) {
            let value = value(seed, row, k);
            if *bfloat {
                data.extend(bf16::from_f32(value).to_le_bytes());
            } else {
                data.extend(value.to_le_bytes());
            }
        }
        let dtype = if *bfloat { "BF16" } else { "F32" };
        let entry = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]});
        header.insert((*name).to_owned(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let directory = TempDir::new().unwrap();
    let file = [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat();
    std::fs::write(directory.path().join("model.safetensors"), file).unwrap();
    directory
}

pub(in super::super) fn source<'a>(checkpoint: &'a Checkpoint, names: &[&str]) -> MatrixSource<'a> {
    let parts = names
        .iter()
        .map(|name| {
            let bias = checkpoint.get(&format!("{name}.bias"));
            MatrixPart::whole(checkpoint.tensor(name).unwrap()).bias(bias)
        })
        .collect();
    MatrixSource { checkpoint, parts, usage: MatrixUse::Product }
}

/// Loads without anybody who listens.
pub(in super::super) fn load(
    source: &MatrixSource<'_>,
    packing: Packing,
    threads: &Threads,
) -> Result<PackedMatrix, BackendError> {
    PackedMatrix::load(source, packing, threads, &mut |_| ControlFlow::Continue(()))
}

/// Loads, and compares every row with what the source says, bit for bit.
fn load_and_compare(source: &MatrixSource<'_>) -> PackedMatrix {
    let matrix = load(source, Packing::default(), &Threads::new(2)).unwrap();
    assert_eq!((matrix.rows(), matrix.cols()), (source.rows(), source.cols()));
    assert_eq!(planned_bytes(source, Packing::default()).unwrap(), matrix.bytes());
    let (mut expected, mut found) = (vec![0.0; source.cols()], vec![0.0; source.cols()]);
    let mut row = 0;
    for part in &source.parts {
        for of_part in 0..part.outputs() {
            source.read_f32(part, of_part..of_part + 1, &mut expected).unwrap();
            matrix.row(row, &mut found).unwrap();
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(&found) == bits(&expected), "{} row {of_part}", part.weight().name());
            row += 1;
        }
    }
    assert!(matrix.row(row, &mut found).is_err());
    matrix
}

fn shapes(matrix: &PackedMatrix) -> Vec<(PanelType, usize, usize)> {
    matrix.parts().iter().map(|part| (part.holds(), part.first_row(), part.rows())).collect()
}

#[test]
fn tensors_are_stacked_and_share_storage_where_panels_end() {
    let directory = directory(&[
        ("a", &[32, 20], false),
        ("b", &[7, 20], false),
        ("c", &[16, 20], false),
        ("d", &[5, 20], true),
        ("b.bias", &[7], true),
    ]);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let matrix = load_and_compare(&source(&checkpoint, &["a", "b", "c", "d"]));
    assert_eq!(
        shapes(&matrix),
        [(File(DType::F32), 0, 39), (File(DType::F32), 39, 16), (File(DType::BF16), 55, 5)]
    );
    assert_eq!(matrix.parts()[0].panels(), 3);
    assert_eq!(matrix.parts()[0].panels_from(2).len(), matrix.parts()[0].panel_bytes());
    let bias = matrix.bias().unwrap();
    assert_eq!(bias.len(), 60);
    for (row, found) in bias.iter().enumerate() {
        let of_b = row.checked_sub(32).filter(|row| *row < 7);
        let expected = of_b.map_or(0.0, |k| bf16::from_f32(value(4, 0, k)).to_f32());
        assert_eq!(*found, expected, "row {row}");
    }
    assert!(load_and_compare(&source(&checkpoint, &["c", "a"])).bias().is_none());
}

#[test]
fn interleaved_halves_are_put_back_with_their_bias() {
    let directory = directory(&[("q", &[36, 10], false), ("q.bias", &[36], false)]);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let mut source = source(&checkpoint, &["q"]);
    source.parts[0] = source.parts[0].order(RowOrder::InterleavedHalves { head_dim: 12 });
    let matrix = load_and_compare(&source);
    let mut row = [0.0; 10];
    matrix.row(13, &mut row).unwrap();
    // Of the second head, row 1: the second of the first half, stored behind the first of the second half.
    assert_eq!(row[3], value(0, 14, 3));
    assert_eq!(matrix.bias().unwrap()[13], value(1, 0, 14));
}

#[test]
fn every_gguf_file_is_packed_as_it_is_and_hardly_larger() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gguf");
    let mut seen = std::collections::HashSet::new();
    for name in ["Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0"] {
        let checkpoint = Checkpoint::open(&folder.join(format!("tiny-llama-256-{name}.gguf"))).unwrap();
        let (mut file, mut packed) = (0, 0);
        for tensor in checkpoint.tensors().filter(|tensor| tensor.shape().len() == 2) {
            let matrix = load_and_compare(&source(&checkpoint, &[tensor.name()]));
            file += tensor.bytes();
            packed += matrix.bytes();
            seen.insert(tensor.dtype());
            assert_eq!(matrix.parts()[0].holds(), File(tensor.dtype()));
        }
        assert!(packed as f64 <= 1.15 * file as f64, "{name}: {packed} bytes for {file}");
    }
    assert!([DType::Q4_0, DType::Q4K, DType::Q5K, DType::Q6K, DType::Q8_0].iter().all(|d| seen.contains(d)));
}

#[test]
fn pieces_of_many_panels_meet_without_gaps() {
    // 2 MB of rows: several pieces, the last one not full.
    let directory = directory(&[("wide", &[333, 1600], false)]);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    assert_eq!(load_and_compare(&source(&checkpoint, &["wide"])).parts()[0].panels(), 21);
}

#[test]
fn transposed_tensors_are_packed_in_pieces_too() {
    // 6 MB, which are two pieces, with a last panel that is not full; and an expert's rows of another one.
    let directory = directory(&[("tall", &[608, 2503], false), ("w2", &[3, 40, 50], true)]);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let tensor = |name: &str| MatrixPart::whole(checkpoint.tensor(name).unwrap());
    let mut source = source(&checkpoint, &["tall"]);
    source.parts = vec![tensor("tall").order(RowOrder::Transposed)];
    let matrix = load_and_compare(&source);
    assert_eq!(shapes(&matrix), [(File(DType::F32), 0, 2503)]);
    let mut row = [0.0; 608];
    for output in [0, 1743, 1744, 2502] {
        matrix.row(output, &mut row).unwrap();
        assert!((0..608).all(|k| row[k] == value(0, k, output)), "output {output}");
    }
    // Quantized as the same values are that lie as they are multiplied.
    let quantize = Packing { quantize: Quantize::To(DType::Q8_0), per_channel: false };
    let quantized = load(&source, quantize, &Threads::new(2)).unwrap();
    assert_eq!(planned_bytes(&source, quantize).unwrap(), quantized.bytes());
    quantized.row(1744, &mut row).unwrap();
    assert!((0..608).all(|k| (row[k] - value(0, k, 1744)).abs() < 0.006));

    source.parts =
        (0..3).map(|at| tensor("w2").rows(40 * at..40 * (at + 1)).order(RowOrder::Transposed)).collect();
    // Experts of 50 outputs end within a panel, so each has its own panels.
    assert_eq!(load_and_compare(&source).parts().len(), 3);
}

#[test]
fn routers_stay_as_they_are() {
    let directory = directory(&[("router", &[8, 256], false)]);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let mut source = source(&checkpoint, &["router"]);
    let quantized = Packing { quantize: Quantize::To(DType::Q8_0), per_channel: false };
    for (packing, expected) in [(quantized, File(DType::Q8_0)), (PER_CHANNEL, PanelType::PerChannel)] {
        for (usage, expected) in [(MatrixUse::Product, expected), (MatrixUse::Router, File(DType::F32))] {
            source.usage = usage;
            let matrix = load(&source, packing, &Threads::new(1)).unwrap();
            assert_eq!(shapes(&matrix), [(expected, 0, 8)]);
            assert_eq!(planned_bytes(&source, packing).unwrap(), matrix.bytes());
        }
    }
}

#[test]
fn floats_are_quantized_when_asked() {
    let directory = directory(&[
        ("a", &[20, 256], false),
        ("b", &[20, 256], true),
        ("narrow", &[20, 96], false),
        ("ragged", &[20, 100], false),
    ]);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let threads = Threads::new(2);
    for (format, allowed) in [(DType::Q8_0, 0.006), (DType::Q6K, 0.03), (DType::Q4K, 0.15)] {
        let quantize = Packing { quantize: Quantize::To(format), per_channel: false };
        let stacked = source(&checkpoint, &["a", "b"]);
        let matrix = load(&stacked, quantize, &threads).unwrap();
        assert_eq!(shapes(&matrix), [(File(format), 0, 20), (File(format), 20, 20)]);
        assert_eq!(planned_bytes(&stacked, quantize).unwrap(), matrix.bytes());
        let mut row = [0.0; 256];
        for index in 0..40 {
            matrix.row(index, &mut row).unwrap();
            for (k, found) in row.iter().enumerate() {
                let expected = value(index / 20, index % 20, k);
                assert!((found - expected).abs() < allowed, "{format} row {index}: {found}, {expected}");
            }
        }
        let narrow = load(&source(&checkpoint, &["narrow"]), quantize, &threads).unwrap();
        assert_eq!(narrow.parts()[0].holds(), File(DType::Q8_0));
        let ragged = source(&checkpoint, &["ragged"]);
        let error = load(&ragged, quantize, &threads).unwrap_err().to_string();
        assert!(error.contains("\"ragged\"") && error.contains("100"), "{error}");
        assert_eq!(planned_bytes(&ragged, quantize).unwrap_err().to_string(), error);
    }
}

#[test]
fn floats_that_are_multiplied_become_int8_when_asked() {
    let directory = directory(&[("a", &[32, 300], false), ("b", &[7, 300], true), ("b.bias", &[7], false)]);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let threads = Threads::new(2);
    let mut source = source(&checkpoint, &["a", "b"]);
    for usage in [MatrixUse::Product, MatrixUse::RowsAndProduct] {
        source.usage = usage;
        let matrix = load(&source, PER_CHANNEL, &threads).unwrap();
        // Tensors of different types become one.
        assert_eq!(shapes(&matrix), [(PerChannel, 0, 39)]);
        assert_eq!(planned_bytes(&source, PER_CHANNEL).unwrap(), matrix.bytes());
        assert!(matrix.bytes() as f64 <= 1.15 * (48 * 300) as f64 + 4.0 * 39.0, "{}", matrix.bytes());
        assert_eq!(matrix.bias().unwrap()[32..][..7], [0, 1, 2, 3, 4, 5, 6].map(|k| value(2, 0, k)));
        let mut row = [0.0; 300];
        for index in 0..39 {
            matrix.row(index, &mut row).unwrap();
            let expected: [f32; 300] = std::array::from_fn(|k| match index {
                0..32 => value(0, index, k),
                _ => bf16::from_f32(value(1, index - 32, k)).to_f32(),
            });
            let scale = expected.iter().fold(0.0f32, |max, x| max.max(x.abs())) / 127.0;
            for (k, (found, expected)) in row.iter().zip(expected).enumerate() {
                let distance = (found - expected).abs();
                assert!(distance <= 0.50001 * scale, "row {index} {k}: {found}, {expected}");
            }
        }
    }
    // What is only looked up, and what is quantized, stays what it is.
    source.usage = MatrixUse::Rows;
    let rows = load(&source, PER_CHANNEL, &threads).unwrap();
    assert_eq!(shapes(&rows), [(File(DType::F32), 0, 32), (File(DType::BF16), 32, 7)]);
    let gguf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gguf/tiny-llama-256-Q4_K.gguf");
    let gguf = Checkpoint::open(&gguf).unwrap();
    let quantized = load(&self::source(&gguf, &["blk.0.attn_k.weight"]), PER_CHANNEL, &threads).unwrap();
    assert_eq!(quantized.parts()[0].holds(), File(DType::Q4K));
}

#[test]
fn quantizing_comes_before_int8() {
    let directory = directory(&[("a", &[20, 256], false)]);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let packing = Packing { quantize: Quantize::To(DType::Q6K), per_channel: true };
    let matrix = load(&source(&checkpoint, &["a"]), packing, &Threads::new(1)).unwrap();
    assert_eq!(shapes(&matrix), [(File(DType::Q6K), 0, 20)]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let directory = directory(&[
        ("a", &[6, 20], false),
        ("b", &[6, 21], false),
        ("c", &[6, 20], false),
        ("c.bias", &[5], false),
        ("none", &[0, 20], false),
        ("flat", &[4, 0], false),
    ]);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let refused = |source: &MatrixSource<'_>| {
        let error = load(source, Packing::default(), &Threads::new(1)).unwrap_err();
        assert!(planned_bytes(source, Packing::default()).is_err());
        error.to_string()
    };
    let widths = refused(&source(&checkpoint, &["a", "b"]));
    assert_eq!(widths, "loading: the width of a stacked tensor is 21, expected 20");
    assert_eq!(refused(&source(&checkpoint, &["c"])), "loading: the length of a bias is 5, expected 6");
    for (head_dim, complaint) in [(0, "a head"), (3, "a head"), (4, "all heads")] {
        let mut source = source(&checkpoint, &["a"]);
        source.parts[0] = source.parts[0].order(RowOrder::InterleavedHalves { head_dim });
        assert!(refused(&source).contains(complaint));
    }
    // Nothing at all is a matrix too.
    for (name, rows) in [("none", 0), ("flat", 4)] {
        assert_eq!(load_and_compare(&source(&checkpoint, &[name])).rows(), rows);
        let int8 = load(&source(&checkpoint, &[name]), PER_CHANNEL, &Threads::new(1)).unwrap();
        assert_eq!(int8.rows(), rows);
    }
    let matrix = load(&source(&checkpoint, &["a"]), Packing::default(), &Threads::new(1)).unwrap();
    assert!(matrix.row(0, &mut [0.0; 19]).is_err());
}

#[test]
fn progress_is_heard_within_a_matrix_and_ends_it() {
    // Ten pieces of 1 MiB, and one of 128 KiB that has a round of its own unless both tensors become one format.
    let directory = directory(&[("tall", &[640, 4096], false), ("b", &[16, 4096], true)]);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let source = source(&checkpoint, &["tall", "b"]);
    let threads = Threads::new(1);
    let (first, tall, both) = (8 << 20, 10 << 20, (10 << 20) + (128 << 10));
    let quantized = Packing { quantize: Quantize::To(DType::Q8_0), per_channel: false };
    for (packing, expected) in [
        (Packing::default(), &[first, tall, both][..]),
        (quantized, &[first, both]),
        (PER_CHANNEL, &[first, both]),
    ] {
        let mut heard = Vec::new();
        PackedMatrix::load(&source, packing, &threads, &mut |done| {
            heard.push(done);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(heard, expected, "{packing:?}");
        assert_eq!(heard.last(), Some(&source.file_bytes()));
        let mut calls = 0;
        let cancelled = PackedMatrix::load(&source, packing, &threads, &mut |_| {
            calls += 1;
            ControlFlow::Break(())
        });
        assert!(matches!(cancelled, Err(BackendError::Weights(WeightsError::Cancelled))));
        assert_eq!(calls, 1);
    }
}
