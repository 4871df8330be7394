//! Rows keep their bits in any company, and attention equals the textbook formula.

#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};

use super::super::{Attention, BLOCK_TOKENS, Backend, Batch, CacheEntry, CacheShape, alibi_slopes};
use super::linear::Matrix;
use super::{Cache, CandleBackend};

/// A small generator, so that every run sees the same numbers.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 40) as f32 / (1u64 << 24) as f32) * 2.0 - 1.0
    }

    fn tensor(&mut self, rows: usize, cols: usize) -> Tensor {
        let values: Vec<f32> = (0..rows * cols).map(|_| self.next()).collect();
        Tensor::from_vec(values, (rows, cols), &Device::Cpu).unwrap()
    }
}

fn bits(x: &Tensor) -> Vec<u32> {
    x.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|v| v.to_bits()).collect()
}

#[test]
fn same_bytes_linear_for_every_number_of_rows() {
    let mut numbers = Numbers(1);
    for (width, outputs) in [(3, 7), (64, 1), (64, 64), (172, 128), (1000, 37), (1500, 129), (600, 700)] {
        let matrix = Matrix::new(&numbers.tensor(outputs, width)).unwrap();
        let x = numbers.tensor(140, width);
        let together = bits(&matrix.apply(&x).unwrap());
        for rows in [1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 64, 65, 100] {
            for first in [0, 1, 39] {
                let some = bits(&matrix.apply(&x.narrow(0, first, rows).unwrap()).unwrap());
                let range = first * outputs..(first + rows) * outputs;
                assert_eq!(some, together[range], "{width} -> {outputs}, {rows} rows from {first}");
            }
        }
    }
}

/// Feeds `qkv` of one sequence in chunks, beside other sequences, and returns the bits of its outputs.
fn chunked(qkv: &Tensor, attention: &Attention, chunks: &[usize], company: usize) -> Vec<u32> {
    let backend = CandleBackend::cpu();
    let total = qkv.dim(0).unwrap();
    let blocks = total.div_ceil(BLOCK_TOKENS);
    let shape = CacheShape {
        layers: 1,
        entry: CacheEntry::KeyValue { kv_heads: attention.kv_heads, head_dim: attention.head_dim },
        blocks: blocks + company,
    };
    let mut cache: Cache = backend.new_cache(&shape).unwrap();
    let table: Vec<u32> = (0..blocks as u32).map(|b| (b * 7 + 3) % blocks as u32).collect();
    // 7 must not divide the number of blocks, or the table would repeat blocks.
    assert_ne!(blocks % 7, 0);
    let mut numbers = Numbers(9);
    let mut outputs = Vec::new();
    let mut start = 0;
    for &rows in chunks {
        let mut batch = Batch::default();
        let mut parts = Vec::new();
        for other in 0..company {
            batch.push(&[0], 0, &[(blocks + other) as u32], 0);
            parts.push(numbers.tensor(1, attention.qkv_width()));
        }
        let ids = vec![0; rows];
        batch.push(&ids, start, &table[..(start + rows).div_ceil(BLOCK_TOKENS)], 0);
        parts.push(qkv.narrow(0, start, rows).unwrap());
        let all = Tensor::cat(&parts, 0).unwrap();
        let frequencies: Vec<f32> = (0..attention.head_dim / 2).map(|i| 0.3f32.powi(i as i32)).collect();
        let rotary = backend.rotary(&frequencies, 1.0, &batch.positions).unwrap();
        let out = backend.attention(&all, Some(&rotary), &mut cache, 0, &batch, attention).unwrap();
        outputs.extend(bits(&out.narrow(0, company, rows).unwrap()));
        start += rows;
    }
    assert_eq!(start, total);
    outputs
}

#[test]
fn same_bytes_attention_for_every_chunking() {
    let mut numbers = Numbers(2);
    for (heads, kv_heads, head_dim, window) in
        [(4, 2, 16, None), (8, 8, 8, None), (3, 1, 24, Some(12)), (2, 2, 64, Some(200)), (1, 1, 2, None)]
    {
        let alibi = (heads > 3).then(|| alibi_slopes(heads, 8.0));
        let attention = Attention { heads, kv_heads, head_dim, scale: 0.3, window, alibi };
        let total = 300;
        let qkv = numbers.tensor(total, attention.qkv_width());
        let whole = chunked(&qkv, &attention, &[total], 0);
        for chunks in [vec![1; total], vec![7, 121, 1, 128, 43], vec![128, 128, 44], vec![299, 1]] {
            assert_eq!(chunked(&qkv, &attention, &chunks, 0), whole, "{attention:?} {chunks:?}");
            assert_eq!(chunked(&qkv, &attention, &chunks, 3), whole, "{attention:?} {chunks:?} in company");
        }
    }
}

#[test]
fn attention_is_the_textbook_formula() {
    let mut numbers = Numbers(3);
    for (window, slopes) in [(None, [0.0; 2]), (Some(5), [0.0; 2]), (None, [0.25, 0.125])] {
        let alibi = (slopes[0] > 0.0).then(|| slopes.map(|slope| slope as f32).into());
        let attention = Attention { heads: 2, kv_heads: 1, head_dim: 4, scale: 0.5, window, alibi };
        let total = 140;
        let qkv = numbers.tensor(total, attention.qkv_width());
        let rows: Vec<Vec<f32>> = qkv.to_vec2().unwrap();
        let backend = CandleBackend::cpu();
        let shape =
            CacheShape { layers: 1, entry: CacheEntry::KeyValue { kv_heads: 1, head_dim: 4 }, blocks: 9 };
        let mut cache = backend.new_cache(&shape).unwrap();
        let mut batch = Batch::default();
        batch.push(&vec![0; total], 0, &[4, 2, 0, 1, 3, 8, 7, 6, 5], 0);
        let out = backend.attention(&qkv, None, &mut cache, 0, &batch, &attention).unwrap();
        let out: Vec<Vec<f32>> = out.to_vec2().unwrap();
        for (row, found) in out.iter().enumerate() {
            for head in 0..2 {
                let query = &rows[row][head * 4..head * 4 + 4];
                let first = window.map_or(0, |w: usize| (row + 1).saturating_sub(w));
                let weight = |at: usize| {
                    let dot: f32 = query.iter().zip(&rows[at][8..12]).map(|(q, k)| q * k).sum();
                    (f64::from(dot) * 0.5 - slopes[head] * (row - at) as f64).exp()
                };
                let sum: f64 = (first..=row).map(weight).sum();
                for d in 0..4 {
                    let value: f64 = (first..=row).map(|at| weight(at) * f64::from(rows[at][12 + d])).sum();
                    let difference = (value / sum - f64::from(found[head * 4 + d])).abs();
                    assert!(difference < 1e-5, "row {row} head {head}: {difference}");
                }
            }
        }
    }
}

#[test]
fn block_tables_are_checked() {
    let backend = CandleBackend::cpu();
    let attention = Attention { heads: 1, kv_heads: 1, head_dim: 2, scale: 1.0, window: None, alibi: None };
    let mut cache = backend
        .new_cache(&CacheShape {
            layers: 1,
            entry: CacheEntry::KeyValue { kv_heads: 1, head_dim: 2 },
            blocks: 2,
        })
        .unwrap();
    let qkv = Numbers(4).tensor(17, 6);
    for table in [&[0u32][..], &[0, 2]] {
        let mut batch = Batch::default();
        batch.push(&[0; 17], 0, table, 0);
        assert!(backend.attention(&qkv, None, &mut cache, 0, &batch, &attention).is_err(), "{table:?}");
    }
}

#[test]
fn a_matrix_is_its_parts_stacked_with_biases_and_rows_in_order() {
    use std::ops::ControlFlow;

    use super::super::{BackendError, MatrixPart, MatrixSource, MatrixUse, RowOrder};
    use crate::weights::{Checkpoint, WeightsError};
    use safetensors::tensor::{Dtype, TensorView};

    let mut numbers = Numbers(5);
    let mut values = |count: usize| -> Vec<f32> { (0..count).map(|_| numbers.next()).collect() };
    let (weight, bias, other) = (values(24), values(6), values(8));
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let stored = [
        ("a.weight", vec![6, 4], bytes(&weight)),
        ("a.bias", vec![6], bytes(&bias)),
        ("b.weight", vec![2, 4], bytes(&other)),
    ];
    let views = stored
        .iter()
        .map(|(name, shape, data)| (*name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    let folder = tempfile::tempdir().unwrap();
    safetensors::serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let tensor = |name: &str| checkpoint.tensor(name).unwrap();
    let order = RowOrder::InterleavedHalves { head_dim: 6 };
    let source = MatrixSource {
        checkpoint: &checkpoint,
        parts: vec![
            MatrixPart::whole(tensor("a.weight")).bias(Some(tensor("a.bias"))).order(order),
            MatrixPart::whole(tensor("b.weight")),
        ],
        usage: MatrixUse::Product,
    };
    let matrix = CandleBackend::cpu().load_matrix(&source, &mut |_| ControlFlow::Continue(())).unwrap();
    let mut heard = Vec::new();
    let cancelled = CandleBackend::cpu().load_matrix(&source, &mut |done| {
        heard.push(done);
        if done > 96 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(cancelled, Err(BackendError::Weights(WeightsError::Cancelled))));
    assert_eq!((heard, source.file_bytes()), (vec![96, 128], 128));
    let x = Numbers(6).tensor(3, 4);
    let found: Vec<Vec<f32>> = matrix.apply(&x).unwrap().to_vec2().unwrap();
    for (x, found) in x.to_vec2::<f32>().unwrap().iter().zip(&found) {
        let dot = |row: &[f32]| -> f32 { row.iter().zip(x).map(|(w, x)| w * x).sum() };
        for (at, found) in found.iter().enumerate() {
            let expected = match at {
                0..6 => {
                    let row = order.stored_row(at);
                    dot(&weight[row * 4..row * 4 + 4]) + bias[row]
                }
                _ => dot(&other[(at - 6) * 4..(at - 5) * 4]),
            };
            assert!((found - expected).abs() < 1e-6, "output {at}: {found}, expected {expected}");
        }
    }
}
