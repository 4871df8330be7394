//! Whole products: every row alone has the bits that it has among many, across blocks of rows, formats and threads; and
//! each way to compute uses the kernels that it says.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::super::Level;
use super::super::kernels::kernels;
use super::super::matrix::tests::{PER_CHANNEL, directory, load, source};
use super::super::pack::Packing;
use super::*;
use crate::backend::{MatrixPart, MatrixSource, MatrixUse};
use crate::weights::Checkpoint;

/// More rows than a block has, and no multiple of a tile's.
const ROWS: usize = 449;

/// A tensor of a file in the repository.
fn matrix(file: &str, tensor: &str) -> PackedMatrix {
    rows_of_matrix(file, tensor, None)
}

/// Some rows of one.
fn rows_of_matrix(file: &str, tensor: &str, rows: Option<Range<usize>>) -> PackedMatrix {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    let checkpoint = Checkpoint::open(&path).unwrap();
    let weight = checkpoint.tensor(tensor).unwrap();
    let whole = MatrixPart::whole(weight);
    let parts = vec![rows.map_or(whole, |rows| whole.rows(rows))];
    let source = MatrixSource { checkpoint: &checkpoint, parts, usage: MatrixUse::Product };
    load(&source, Packing::default(), &Threads::new(1)).unwrap()
}

/// Three formats that want activations in three forms.
fn quantized() -> Vec<PackedMatrix> {
    let of = |format: &str, tensor: &str| matrix(&format!("gguf/tiny-llama-256-{format}.gguf"), tensor);
    vec![
        of("Q4_K", "blk.0.attn_k.weight"),
        of("Q6_K", "token_embd.weight"),
        of("Q8_0", "blk.0.attn_v.weight"),
    ]
}

/// 523 outputs: the last panel is not full.
fn bf16() -> PackedMatrix {
    matrix("tiny/llama3", "model.embed_tokens.weight")
}

/// Rows whose groups differ in size.
fn activations(arena: &Arc<Arena>, width: usize) -> Tensor {
    let mut x = arena.tensor(ROWS, width).unwrap();
    for (at, x) in x.as_mut_slice().iter_mut().enumerate() {
        let mixed = (at * 7919 + at / 32 * 104_729) % 65_537;
        *x = (mixed as f32 / 32_768.0 - 1.0) * (1 + at / 32 % 7) as f32;
    }
    x
}

struct Run {
    kernels: Kernels,
    threads: Threads,
    arena: Arc<Arena>,
}

impl Run {
    fn new(level: Level) -> Self {
        Self { kernels: kernels(level), threads: Threads::new(3), arena: Arena::new() }
    }

    fn bits(&self, compute: Compute, x: &Tensor, matrix: &PackedMatrix) -> Vec<u32> {
        let gemm = Gemm { kernels: &self.kernels, threads: &self.threads, arena: &self.arena, compute };
        let out = gemm.multiply(x, matrix).unwrap();
        assert_eq!((out.rows(), out.width()), (x.rows(), matrix.rows()));
        out.as_slice().iter().map(|value| value.to_bits()).collect()
    }

    /// Checks rows at the ends of tiles and blocks against themselves alone, and gives all rows.
    fn check(&self, compute: Compute, x: &Tensor, matrix: &PackedMatrix) -> Vec<u32> {
        let all = self.bits(compute, x, matrix);
        for row in [0, 1, 10, 11, 12, 13, 371, 372, 373, 383, 384, 385, ROWS - 2, ROWS - 1] {
            let mut alone = self.arena.tensor(1, x.width()).unwrap();
            alone.as_mut_slice().copy_from_slice(x.row(row));
            let expected = &all[row * matrix.rows()..][..matrix.rows()];
            assert!(self.bits(compute, &alone, matrix) == expected, "row {row} alone, {compute:?}");
        }
        all
    }
}

#[test]
fn rows_and_formats_do_not_depend_on_their_company() {
    let (matrices, stacked) = (quantized(), PackedMatrix::stacked(quantized()));
    for level in Level::supported() {
        let run = Run::new(level);
        let x = activations(&run.arena, stacked.cols());
        for compute in [Compute::Auto, Compute::F32] {
            let all = run.check(compute, &x, &stacked);
            let mut first = 0;
            for matrix in &matrices {
                let alone = run.bits(compute, &x, matrix);
                for (row, alone) in alone.chunks(matrix.rows()).enumerate() {
                    let among = &all[row * stacked.rows() + first..][..matrix.rows()];
                    assert!(among == alone, "{level:?} {compute:?} outputs from {first}, row {row}");
                }
                first += matrix.rows();
            }
        }
    }
}

#[test]
fn each_way_to_compute_uses_its_kernels() {
    let (quantized, bf16) = (PackedMatrix::stacked(quantized()), bf16());
    for level in Level::supported() {
        let run = Run::new(level);
        let x = activations(&run.arena, quantized.cols());
        let single = run.bits(Compute::F32, &x, &quantized);
        let int8 = run.bits(Compute::Int8, &x, &quantized);
        assert!(int8 != single, "{level:?}: int8 is f32");
        assert!(run.bits(Compute::Auto, &x, &quantized) == int8, "{level:?}: quantized weights by default");
        assert!(run.bits(Compute::Bf16, &x, &quantized) == single, "{level:?}: BF16 of quantized weights");

        let x = activations(&run.arena, bf16.cols());
        let single = run.check(Compute::F32, &x, &bf16);
        let dot = run.check(Compute::Bf16, &x, &bf16);
        assert_eq!(dot != single, run.kernels.bf16_dot.is_some(), "{level:?}: BF16 products");
        assert!(run.bits(Compute::Int8, &x, &bf16) == single, "{level:?}: int8 of float weights");
        let expected = if run.kernels.bf16_dot_is_fast { &dot } else { &single };
        assert!(run.bits(Compute::Auto, &x, &bf16) == *expected, "{level:?}: BF16 weights by default");
    }
}

/// Groups of very different sizes, one of them longer than a block; one matrix has two of them, one none.
const GROUPS: [(u32, u32); 6] = [(0, 1), (1, 14), (3, 400), (0, 2), (2, 12), (3, 25)];

fn groups() -> Vec<Group> {
    let mut first = 0;
    let group = |(matrix, rows)| {
        first += rows;
        Group { matrix, first: first - rows, rows }
    };
    GROUPS.into_iter().map(group).collect()
}

#[test]
fn groups_have_the_bits_of_their_products() {
    let of = |format: &str, tensor: &str| {
        // 40 outputs: the last panel is not full.
        rows_of_matrix(&format!("gguf/tiny-llama-256-{format}.gguf"), tensor, Some(8..48))
    };
    // Formats that want activations in several forms, and floats.
    let mixed = vec![
        of("Q4_K", "blk.0.attn_k.weight"),
        of("Q6_K", "token_embd.weight"),
        of("Q8_0", "blk.0.attn_v.weight"),
        of("Q4_K", "blk.0.attn_q.weight"),
        of("Q4_0", "blk.0.attn_q.weight"),
    ];
    let embedding =
        |first: usize| rows_of_matrix("tiny/llama3", "model.embed_tokens.weight", Some(first..first + 90));
    let floats: Vec<PackedMatrix> = [0, 90, 180, 270, 360].into_iter().map(embedding).collect();
    let groups = groups();
    let rows = groups.last().map_or(0, |group| group.range().end);
    // Any row may be wanted by several groups.
    let source: Vec<u32> = (0..rows).map(|row| (row * 31 % ROWS) as u32).collect();
    for level in Level::supported() {
        let run = Run::new(level);
        for (matrices, computes) in
            [(&mixed, &[Compute::Auto, Compute::F32][..]), (&floats, &[Compute::F32, Compute::Bf16])]
        {
            let x = activations(&run.arena, matrices[0].cols());
            let mut gathered = run.arena.tensor(rows, x.width()).unwrap();
            for (to, &from) in gathered.as_mut_slice().chunks_mut(x.width()).zip(&source) {
                to.copy_from_slice(x.row(from as usize));
            }
            for &compute in computes {
                let gemm = Gemm { kernels: &run.kernels, threads: &run.threads, arena: &run.arena, compute };
                let matrix = |number: usize| &matrices[number];
                let of = |source| Groups { groups: &groups, matrix: &matrix, source, shapes: Shapes::Equal };
                let found = gemm.multiply_groups(&x, &of(Some(&source))).unwrap();
                let again = gemm.multiply_groups(&gathered, &of(None)).unwrap();
                assert_eq!((found.rows(), found.width()), (rows, matrices[0].rows()));
                assert!(found.as_slice() == again.as_slice(), "{level:?} {compute:?}: gathered before");
                for group in &groups {
                    let mut alone = run.arena.tensor(group.rows as usize, x.width()).unwrap();
                    let range = group.range().start * x.width()..group.range().end * x.width();
                    alone.as_mut_slice().copy_from_slice(&gathered.as_slice()[range]);
                    let expected = gemm.multiply(&alone, matrix(group.matrix as usize)).unwrap();
                    let range = group.range().start * found.width()..group.range().end * found.width();
                    assert!(
                        found.as_slice()[range] == *expected.as_slice(),
                        "{level:?} {compute:?} {group:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn groups_of_other_shapes_are_refused() {
    let run = Run::new(Level::native());
    let gemm =
        Gemm { kernels: &run.kernels, threads: &run.threads, arena: &run.arena, compute: Compute::Auto };
    let (matrices, other) = (quantized(), bf16());
    let x = activations(&run.arena, matrices[0].cols());
    let line = |matrices: [&PackedMatrix; 2], shapes| {
        let group = |matrix: u32| Group { matrix, first: 3 * matrix, rows: 3 };
        let groups = Groups {
            groups: &[group(0), group(1)],
            matrix: &|number| matrices[number],
            source: None,
            shapes,
        };
        gemm.multiply_groups(&x, &groups).map(|_| ()).unwrap_err().to_string()
    };
    let equal = Shapes::Equal;
    assert_eq!(line([&matrices[0], &other], equal), "linear: input width is 256, expected 64");
    assert_eq!(line([&matrices[0], &matrices[1]], equal), "linear: output width is 512, expected 128");
    // Kernels for integers read whole rows, whatever else is asked for.
    let message = line([&matrices[0], &matrices[1]], Shapes::UpToWidest);
    assert!(message.contains("F32, F16 or BF16"), "{message}");
}

/// A row of activations as the portable kernels round it with one scale for 256 inputs.
fn rounded(x: &[f32]) -> Vec<f64> {
    let mut padded = x.to_vec();
    padded.resize(x.len().next_multiple_of(GROUP), 0.0);
    let groups = padded.len() / GROUP;
    let (mut q, mut scales, mut sums) = (vec![0; padded.len()], vec![0.0; groups], vec![0; 2 * groups]);
    (kernels(Level::Portable).quantize)(&padded, 8, &mut q, &mut scales, &mut sums);
    let value = |(k, q): (usize, &i8)| f64::from(*q) * f64::from(scales[k / GROUP]);
    q.iter().enumerate().map(value).take(x.len()).collect()
}

#[test]
fn float_weights_packed_as_int8() {
    const OUTPUTS: usize = 39;
    // No whole group, no whole block, and both with more than one block.
    for width in [20, 172, 700, 1056] {
        let directory = directory(&[("w", &[OUTPUTS, width], false)]);
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        let threads = Threads::new(1);
        let of = |packing| load(&source(&checkpoint, &["w"]), packing, &threads).unwrap();
        let (int8, single) = (of(PER_CHANNEL), of(Packing::default()));
        let both = PackedMatrix::stacked(vec![of(PER_CHANNEL), of(Packing::default())]);
        for level in Level::supported() {
            let run = Run::new(level);
            let x = activations(&run.arena, width);
            let found = run.check(Compute::Int8, &x, &int8);
            // What is packed as int8 is computed as int8.
            for compute in [Compute::Auto, Compute::F32, Compute::Bf16] {
                assert!(run.bits(compute, &x, &int8) == found, "{level:?} {compute:?}");
            }
            for (row, found) in found.chunks_exact(OUTPUTS).enumerate().step_by(7) {
                let x = rounded(x.row(row));
                for (output, found) in found.iter().enumerate() {
                    let mut weights = vec![0.0; width];
                    int8.row(output, &mut weights).unwrap();
                    let products = x.iter().zip(&weights).map(|(x, w)| x * f64::from(*w));
                    let (expected, magnitude) =
                        products.fold((0.0, 0.0), |(sum, all), term: f64| (sum + term, all + term.abs()));
                    let distance = (f64::from(f32::from_bits(*found)) - expected).abs();
                    assert!(distance <= 1e-6 * magnitude, "{level:?}, width {width}, row {row}: {distance}");
                }
            }
            let single = run.bits(Compute::F32, &x, &single);
            let both = run.check(Compute::F32, &x, &both);
            for (row, both) in both.chunks_exact(2 * OUTPUTS).enumerate() {
                let of_row = row * OUTPUTS..(row + 1) * OUTPUTS;
                assert!(both[..OUTPUTS] == found[of_row.clone()], "{level:?} row {row}");
                assert!(both[OUTPUTS..] == single[of_row], "{level:?} row {row}");
            }
        }
    }
}
