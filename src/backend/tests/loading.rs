//! Matrices of ranges and transposes, as both backends load them.

use super::*;

/// Experts as three checkpoints store them: rows of one tensor, and rows of one tensor that are used transposed.
struct Experts<'a> {
    x: &'a [f32],
    weights: &'a Weights,
    experts: usize,
    dtype: DType,
}

impl Question for Experts<'_> {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32> {
        let checkpoint = self.weights.open();
        let tensor = |name: &str| checkpoint.tensor(name).unwrap();
        let width = tensor("v1").cols();
        let x = backend.activations(self.x, width);
        let mut answers = Vec::new();
        for expert in 0..self.experts {
            let ffn = tensor("v1").rows() / self.experts;
            let range = expert * ffn..(expert + 1) * ffn;
            let bias = Some(tensor("v1.bias"));
            let up = [MatrixPart::whole(tensor("v1")).rows(range.clone()).bias(bias)];
            let down = [MatrixPart::whole(tensor("w2")).rows(range).order(RowOrder::Transposed)];
            let bytes = |parts: &[MatrixPart<'_>]| -> (u64, u64) {
                let (parts, usage) = (parts.to_vec(), MatrixUse::Product);
                let source = MatrixSource { checkpoint: &checkpoint, parts, usage };
                assert_eq!(source.file_bytes(), (ffn * width * self.dtype.block_bytes()) as u64);
                (backend.matrix_bytes(&source).unwrap(), source.file_bytes())
            };
            // What is planned goes with the range, not with the tensor.
            let whole = [MatrixPart::whole(tensor("w2"))];
            let whole =
                MatrixSource { checkpoint: &checkpoint, parts: whole.to_vec(), usage: MatrixUse::Product };
            assert!(bytes(&up).0 < backend.matrix_bytes(&whole).unwrap());
            assert!(bytes(&down).0 < backend.matrix_bytes(&whole).unwrap());
            let hidden = backend.linear(&x, &backend.matrix(&checkpoint, &up)).unwrap();
            let y = backend.linear(&hidden, &backend.matrix(&checkpoint, &down)).unwrap();
            answers.extend(backend.values(&y));
        }
        answers
    }
}

#[test]
fn experts_are_ranges_and_transposes_of_tensors() {
    let (experts, ffn, width) = (5, 150, 136);
    for dtype in [DType::F32, DType::F16] {
        let mut weights = Weights::new(4);
        let v1 = wide(&weights.add("v1", &[experts * ffn, width], dtype));
        let bias = wide(&weights.add("v1.bias", &[experts * ffn], DType::F32));
        let w2 = wide(&weights.add("w2", &[experts, ffn, width], dtype));
        let x = Numbers(5).take(3 * width);
        let mut expected = Vec::new();
        for expert in 0..experts {
            let of = |tensor: &[f64]| tensor[expert * ffn * width..][..ffn * width].to_vec();
            let hidden = product(&wide(&x), &of(&v1), width);
            let biases = bias[expert * ffn..][..ffn].iter().cycle();
            let hidden: Vec<f64> = hidden.iter().zip(biases).map(|(x, b)| x + b).collect();
            let stored = of(&w2);
            let transposed: Vec<f64> = (0..width)
                .flat_map(|column| (0..ffn).map(move |row| (row, column)))
                .map(|(row, column)| stored[row * width + column])
                .collect();
            expected.extend(product(&hidden, &transposed, ffn));
        }
        ask(&Experts { x: &x, weights: &weights, experts, dtype }, 2e-5, &expected);
    }
}
