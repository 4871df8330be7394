//! What is read is what the tensor holds: ranges, orders, transposes, and their biases.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::backend::tests::Weights;
use crate::weights::{DType, WeightsError};

#[test]
fn interleaved_halves_are_put_back() {
    // Stored per head: 0, half, 1, half + 1, ...
    let order = RowOrder::InterleavedHalves { head_dim: 6 };
    let rows: Vec<usize> = (0..12).map(|row| order.stored_row(row)).collect();
    assert_eq!(rows, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
}

/// A part's matrix, as `f32` and from its encoding.
fn read(source: &MatrixSource<'_>, part: &MatrixPart<'_>, rows: std::ops::Range<usize>) -> Vec<f32> {
    let mut values = vec![f32::NAN; rows.len() * part.inputs()];
    source.read_f32(part, rows.clone(), &mut values).unwrap();
    let mut encoded = vec![0; rows.len() * part.row_bytes().unwrap()];
    source.read(part, rows, &mut encoded).unwrap();
    let mut decoded = vec![f32::NAN; values.len()];
    crate::weights::dequantize(part.weight().dtype(), &encoded, &mut decoded).unwrap();
    assert!(values.iter().zip(&decoded).all(|(a, b)| a.to_bits() == b.to_bits()));
    values
}

#[test]
fn rows_of_a_tensor_are_a_matrix() {
    // Three experts of six rows in one tensor; enough columns that a stripe of a transposed one is cut.
    let (experts, out, width) = (3, 6, 20);
    let mut weights = Weights::new(1);
    let stacked = weights.add("stacked", &[experts, out, width], DType::F32);
    let bias = weights.add("stacked.bias", &[experts * out], DType::F32);
    let checkpoint = weights.open();
    let tensor = |name: &str| checkpoint.tensor(name).unwrap();
    let source = MatrixSource { checkpoint: &checkpoint, parts: Vec::new(), usage: MatrixUse::Product };
    for order in [RowOrder::AsStored, RowOrder::InterleavedHalves { head_dim: 6 }] {
        for expert in 0..experts {
            let range = expert * out..(expert + 1) * out;
            let part = MatrixPart::whole(tensor("stacked")).rows(range).order(order);
            let part = part.bias(Some(tensor("stacked.bias")));
            assert_eq!((part.outputs(), part.inputs(), part.file_bytes()), (6, 20, 480));
            let row = |row: usize| expert * out + order.stored_row(row);
            let expected: Vec<f32> =
                (1..5).flat_map(|at| stacked[row(at) * width..][..width].to_vec()).collect();
            assert_eq!(read(&source, &part, 1..5), expected, "expert {expert}, {order:?}");
            let mut found = [0.0; 6];
            source.read_bias(&part, &mut found).unwrap();
            assert_eq!(found, std::array::from_fn(|at| bias[row(at)]), "expert {expert}, {order:?}");
        }
    }
}

#[test]
fn a_transposed_tensor_is_read_in_stripes() {
    // 200 columns of 400 rows are read in several stripes, one column at a time in one.
    let (rows, columns) = (900, 230);
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let mut weights = Weights::new(2);
        let stored = weights.add("w", &[3, rows / 3, columns], dtype);
        let bias = weights.add("bias", &[columns], dtype);
        let checkpoint = weights.open();
        let tensor = |name: &str| checkpoint.tensor(name).unwrap();
        let source = MatrixSource { checkpoint: &checkpoint, parts: Vec::new(), usage: MatrixUse::Product };
        let part = MatrixPart::whole(tensor("w")).rows(300..700).order(RowOrder::Transposed);
        let part = part.bias(Some(tensor("bias")));
        assert_eq!((part.outputs(), part.inputs()), (columns, 400));
        assert_eq!(part.file_bytes(), 400 * columns as u64 * dtype.block_bytes() as u64);
        for range in [0..columns, 7..207, 229..230, 5..5] {
            let expected: Vec<f32> = range
                .clone()
                .flat_map(|column| (300..700).map(move |row| (row, column)))
                .map(|(row, column)| stored[row * columns + column])
                .collect();
            assert!(read(&source, &part, range.clone()) == expected, "{dtype} columns {range:?}");
        }
        let mut found = vec![0.0; columns];
        source.read_bias(&part, &mut found).unwrap();
        assert_eq!(found, bias);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut weights = Weights::new(3);
    weights.add("w", &[6, 4], DType::F32);
    weights.add("bias", &[5], DType::F32);
    let checkpoint = weights.open();
    let tensor = |name: &str| checkpoint.tensor(name).unwrap();
    let refused = |parts: &[MatrixPart<'_>]| {
        let (parts, usage) = (parts.to_vec(), MatrixUse::Product);
        MatrixSource { checkpoint: &checkpoint, parts, usage }.check().unwrap_err()
    };
    let whole = MatrixPart::whole(tensor("w"));
    #[allow(clippy::reversed_empty_ranges)]
    for range in [0..7, 7..7, 4..3] {
        let error = refused(&[whole.rows(range.clone())]);
        assert!(matches!(error, BackendError::Weights(WeightsError::Rows { rows: 6, .. })), "{range:?}");
    }
    let line = |parts: &[MatrixPart<'_>]| refused(parts).to_string();
    let transposed = whole.order(RowOrder::Transposed);
    assert_eq!(line(&[whole, transposed]), "loading: the width of a stacked tensor is 6, expected 4");
    // A bias belongs to the whole tensor, also where only some rows are taken.
    let bias = whole.rows(0..5).bias(Some(tensor("bias")));
    assert_eq!(line(&[bias]), "loading: the length of a bias is 5, expected 6");
    let bias = transposed.bias(Some(tensor("bias")));
    assert_eq!(line(&[bias]), "loading: the length of a bias is 5, expected 4");
    let heads = whole.rows(0..5).order(RowOrder::InterleavedHalves { head_dim: 6 });
    assert_eq!(line(&[heads]), "loading: the rows of all heads is 5, expected 0");

    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("tests/data/gguf/tiny-llama-256-Q4_K.gguf");
    let checkpoint = crate::weights::Checkpoint::open(&path).unwrap();
    let part = MatrixPart::whole(checkpoint.tensor("blk.0.attn_k.weight").unwrap());
    let parts = vec![part.order(RowOrder::Transposed)];
    let source = MatrixSource { checkpoint: &checkpoint, parts, usage: MatrixUse::Product };
    let error = source.check().unwrap_err().to_string();
    let expected =
        "tensor \"blk.0.attn_k.weight\": Q4_K cannot be transposed; F32, F16, BF16 and F8_E4M3 can";
    assert!(error.ends_with(expected), "{error}");
    // Whoever reads columns without having checked hears it from the reader.
    let weight = checkpoint.tensor("blk.0.attn_k.weight").unwrap();
    assert!(checkpoint.read_columns(weight, 0..1, 0..16, &mut [0; 16]).is_err());
}
