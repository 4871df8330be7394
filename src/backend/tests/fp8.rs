//! Weights in 8-bit floats with scales of blocks, as both backends load them.

use super::*;
use crate::backend::cpu::{Compute, Quantize};
use crate::weights::e4m3;

const ROWS: usize = 84;
const COLS: usize = 200;

/// Codes of `w` and the scales `w_scale_inv` of its blocks, which are ragged at both edges; the weights they mean.
fn weights(block: [usize; 2], scale: f32) -> (Weights, Vec<f32>) {
    let mut weights = Weights::new(7);
    // All codes but NaN.
    let codes: Vec<u8> = (0..ROWS * COLS)
        .map(|at| (at * 37 % 251) as u8)
        .map(|c| if c & 0x7f == 0x7f { 1 } else { c })
        .collect();
    let across = COLS.div_ceil(block[1]);
    let shape = [ROWS.div_ceil(block[0]), across];
    let scales: Vec<f32> =
        Numbers(8).take(shape[0] * across).iter().map(|x| scale * (1.0 + x / 2.0)).collect();
    let scales = weights.put("w_scale_inv", &shape, DType::F32, &scales);
    weights.raw("w", &[ROWS, COLS], "F8_E4M3", &codes);
    let of = |at: usize| scales[at / COLS / block[0] * across + at % COLS / block[1]];
    let values = codes.iter().enumerate().map(|(at, code)| e4m3(*code) * of(at)).collect();
    (weights, values)
}

fn part<'a>(checkpoint: &'a Checkpoint, block: [usize; 2]) -> MatrixPart<'a> {
    let tensor = checkpoint.tensor("w_scale_inv").unwrap();
    let [rows, cols] = block;
    MatrixPart::whole(checkpoint.tensor("w").unwrap()).scales(Some(BlockScales { tensor, rows, cols }))
}

struct Products<'a> {
    weights: &'a Weights,
    block: [usize; 2],
    x: &'a [f32],
    /// For the transposed range, whose rows are its inputs.
    narrow: &'a [f32],
}

/// Rows that begin inside a block of any of the sizes tried, of whole heads.
const RANGE: std::ops::Range<usize> = 20..68;

impl Question for Products<'_> {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32> {
        let checkpoint = self.weights.open();
        let whole = part(&checkpoint, self.block);
        let heads = whole.rows(RANGE).order(RowOrder::InterleavedHalves { head_dim: 12 });
        let transposed = whole.rows(RANGE).order(RowOrder::Transposed);
        let mut answers = Vec::new();
        for (x, parts) in
            [(self.x, vec![whole, heads]), (self.x, vec![heads]), (self.narrow, vec![transposed])]
        {
            let matrix = backend.matrix(&checkpoint, &parts);
            let width = parts[0].inputs();
            let y = backend.linear(&backend.activations(x, width), &matrix).unwrap();
            answers.extend(backend.values(&y));
            // Rows that are looked up are the weights themselves.
            let rows = backend.embed(&matrix, &[0, parts[0].outputs() as u32 - 1]).unwrap();
            answers.extend(backend.values(&rows));
        }
        answers
    }
}

#[test]
fn scales_belong_to_blocks_in_every_order() {
    // Whole groups of both sizes; blocks whose edges cut every group; one block for all.
    for block in [[32, 32], [128, 128], [16, 64], [24, 40], [512, 512]] {
        let (weights, stored) = weights(block, 0.01);
        let (x, narrow) = (Numbers(9).take(5 * COLS), Numbers(10).take(5 * RANGE.len()));
        let row = |row: usize| wide(&stored[row * COLS..][..COLS]);
        let rows = |rows: &mut dyn Iterator<Item = usize>| rows.flat_map(row).collect::<Vec<f64>>();
        let order = RowOrder::InterleavedHalves { head_dim: 12 };
        let heads = rows(&mut (0..RANGE.len()).map(|at| RANGE.start + order.stored_row(at)));
        let stacked = [rows(&mut (0..ROWS)), heads.clone()].concat();
        let transposed: Vec<f64> = (0..COLS)
            .flat_map(|column| RANGE.map(move |row| (row, column)))
            .map(|(row, column)| f64::from(stored[row * COLS + column]))
            .collect();
        let mut expected = Vec::new();
        for (x, matrix, width, last) in [
            (&x, &stacked, COLS, ROWS - 1),
            (&x, &heads, COLS, RANGE.len() - 1),
            (&narrow, &transposed, RANGE.len(), COLS - 1),
        ] {
            expected.extend(product(&wide(x), matrix, width));
            expected.extend(&matrix[..width]);
            expected.extend(&matrix[last * width..][..width]);
        }
        ask(&Products { weights: &weights, block, x: &x, narrow: &narrow }, 2e-5, &expected);
    }
}

#[test]
fn the_copy_in_memory_is_hardly_larger_than_the_file() {
    let (rows, cols) = (256, 1024);
    let mut weights = Weights::new(1);
    weights.raw("w", &[rows, cols], "F8_E4M3", &vec![0x38; rows * cols]);
    weights.put("w_scale_inv", &[2, 8], DType::F32, &[1.0; 16]);
    let checkpoint = weights.open();
    let source = |order| {
        let parts = vec![part(&checkpoint, [128, 128]).order(order)];
        MatrixSource { checkpoint: &checkpoint, parts, usage: MatrixUse::Product }
    };
    let backend = CpuBackend::new(CpuOptions::default().threads(1)).unwrap();
    for order in [RowOrder::AsStored, RowOrder::Transposed] {
        let bytes = backend.matrix_bytes(&source(order)).unwrap();
        assert!(bytes as f64 <= 1.04 * (rows * cols) as f64, "{order:?}: {bytes}");
    }
}

#[test]
fn eight_bit_floats_are_quantized_on_request() {
    let block = [32, 32];
    let (weights, stored) = weights(block, 0.01);
    let checkpoint = weights.open();
    let options = CpuOptions::default().threads(1).quantize(Quantize::To(DType::Q8_0));
    let backend = CpuBackend::new(options).unwrap();
    // Its rows are no multiple of 32 wide; its columns are of 64.
    let transposed = part(&checkpoint, block).rows(0..64).order(RowOrder::Transposed);
    let matrix = backend.matrix(&checkpoint, &[transposed]);
    let rows = backend.values(&backend.embed(&matrix, &[0, 199]).unwrap());
    for (at, found) in rows.iter().enumerate() {
        let expected = stored[at % 64 * COLS + if at < 64 { 0 } else { 199 }];
        // Half a step of the largest weight.
        assert!((found - expected).abs() < 448.0 * 0.015 / 250.0, "{at}: {found}, {expected}");
    }
    // Int8 with a scale per output, for products: half a step of a row's largest weight, at most.
    let backend = CpuBackend::new(CpuOptions::default().threads(1).compute(Compute::Int8)).unwrap();
    let matrix = backend.matrix(&checkpoint, &[part(&checkpoint, block)]);
    let rows = backend.values(&backend.embed(&matrix, &[40]).unwrap());
    for (found, expected) in rows.iter().zip(&stored[40 * COLS..]) {
        assert!((found - expected).abs() < 448.0 * 0.015 / 250.0, "{found}, {expected}");
    }
    assert_ne!(rows, stored[40 * COLS..41 * COLS]);
    let backend =
        CpuBackend::new(CpuOptions::default().threads(1).quantize(Quantize::To(DType::Q8_0))).unwrap();
    let source = MatrixSource {
        checkpoint: &checkpoint,
        parts: vec![part(&checkpoint, block)],
        usage: MatrixUse::Product,
    };
    let refused = backend.matrix_bytes(&source).unwrap_err().to_string();
    assert!(refused.contains("\"w\"") && refused.contains("200"), "{refused}");
}

#[test]
fn scales_that_do_not_fit_are_named() {
    let mut store = weights([32, 32], 1.0).0;
    store.put("nan_scale_inv", &[3, 7], DType::F32, &[f32::NAN; 21]);
    store.put("huge_scale_inv", &[3, 7], DType::F32, &[1e38; 21]);
    store.raw("codes_scale_inv", &[3, 7], "F8_E4M3", &[0; 21]);
    store.add("plain", &[4, 8], DType::F32);
    let checkpoint = store.open();
    let tensor = |name: &str| checkpoint.tensor(name).unwrap();
    let with = |scales: &str, rows, cols| {
        let scales = BlockScales { tensor: tensor(scales), rows, cols };
        MatrixPart::whole(tensor("w")).scales(Some(scales))
    };
    let plain = BlockScales { tensor: tensor("w_scale_inv"), rows: 32, cols: 32 };
    let backend = CpuBackend::new(CpuOptions::default().threads(1)).unwrap();
    for (part, says) in [
        (MatrixPart::whole(tensor("w")), &["\"w\"", "without scales"][..]),
        (MatrixPart::whole(tensor("plain")).scales(Some(plain)), &["\"plain\"", "F8_E4M3"]),
        (with("w_scale_inv", 16, 32), &["\"w_scale_inv\"", "[3, 7]", "[84, 200]", "16 by 32", "[6, 7]"]),
        (with("w_scale_inv", 0, 32), &["\"w_scale_inv\"", "0 by 32"]),
        (with("w_scale_inv", usize::MAX, 32), &["\"w_scale_inv\"", "[1, 7]"]),
        (with("codes_scale_inv", 32, 32), &["\"codes_scale_inv\"", "F8_E4M3", "BF16"]),
        (with("nan_scale_inv", 32, 32), &["\"nan_scale_inv\"", "NaN"]),
        (with("huge_scale_inv", 32, 32), &["\"huge_scale_inv\"", "1000000"]),
    ] {
        let source = MatrixSource { checkpoint: &checkpoint, parts: vec![part], usage: MatrixUse::Product };
        let error = backend.load_matrix(&source, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
        assert!(says.iter().all(|word| error.contains(word)) && !error.contains('\n'), "{says:?}: {error}");
        #[cfg(feature = "candle")]
        {
            let backend = candle::CandleBackend::cpu();
            let found = backend.load_matrix(&source, &mut |_| ControlFlow::Continue(())).unwrap_err();
            assert_eq!(found.to_string(), error);
        }
    }
}
