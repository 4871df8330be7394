//! Encoders: every row sees its text and nothing else, with the same bits alone and in company.

#![allow(clippy::single_range_in_vec_init)] // A list of one text is one range.

use std::ops::Range;

use super::super::super::{CpuBackend, CpuOptions};
use super::*;
use crate::backend::Backend;

const WIDTHS: [(usize, usize, usize); 4] = [(2, 2, 32), (3, 1, 24), (1, 1, 5), (4, 2, 64)];

/// The rows of texts of these lengths.
fn texts(lens: &[usize]) -> Vec<Range<usize>> {
    let ends = lens.iter().scan(0, |end, len| {
        *end += len;
        Some(*end)
    });
    ends.zip(lens).map(|(end, len)| end - len..end).collect()
}

/// What the rows of texts are: queries, keys and values, factors of the queries, and positions.
struct Rows {
    attention: Attention,
    qkv: Vec<f32>,
    query_scales: Vec<f32>,
    frequencies: Vec<f32>,
    texts: Vec<Range<usize>>,
}

impl Rows {
    fn new((heads, kv_heads, head_dim): (usize, usize, usize), lens: &[usize]) -> Self {
        let attention = attention(heads, kv_heads, head_dim, None);
        let texts = texts(lens);
        let rows = lens.iter().sum::<usize>();
        let mut numbers = Numbers(rows as u64);
        let qkv = numbers.take(rows * attention.qkv_width());
        let query_scales = numbers.take(rows).iter().map(|x| 1.2 + 0.3 * x).collect();
        let frequencies = match head_dim.is_multiple_of(2) {
            true => (0..head_dim / 2).map(|i| 0.3f32.powi(i as i32)).collect(),
            false => Vec::new(),
        };
        Self { attention, qkv, query_scales, frequencies, texts }
    }

    fn positions(&self) -> Vec<u32> {
        self.texts.iter().flat_map(|text| 0..text.len() as u32).collect()
    }

    /// One of the texts alone.
    fn alone(&self, text: &Range<usize>) -> Self {
        let width = self.attention.qkv_width();
        Self {
            attention: self.attention.clone(),
            qkv: self.qkv[text.start * width..text.end * width].to_vec(),
            query_scales: self.query_scales[text.clone()].to_vec(),
            frequencies: self.frequencies.clone(),
            texts: vec![0..text.len()],
        }
    }

    fn attend(&self, level: Level, threads: &Threads) -> Vec<f32> {
        let arena = Arena::new();
        // What the arena lends has been used before.
        arena.elements::<f32>(1 << 20).unwrap().as_mut_slice().fill(f32::NAN);
        let rotary = Rotary::new(&arena, &self.frequencies, 1.0, &self.positions()).unwrap();
        let rotary = (!self.frequencies.is_empty()).then_some(&rotary);
        let query_scales = Some(&self.query_scales[..]);
        let inputs = Inputs { qkv: &self.qkv, rotary, query_scales, attention: &self.attention };
        let mut out =
            vec![f32::NAN; self.query_scales.len() * self.attention.heads * self.attention.head_dim];
        full(Run { level, threads, arena: &arena }, inputs, &self.texts, &mut out).unwrap();
        out
    }

    /// The formula in `f64` for some rows, each `[heads * head_dim]`.
    fn formula(&self, rows: &[usize]) -> Vec<f64> {
        let Attention { heads, kv_heads, head_dim, scale, .. } = self.attention;
        let positions = self.positions();
        let part = |row: usize, at: usize, rotated: bool| -> Vec<f64> {
            let from = row * self.attention.qkv_width() + at * head_dim;
            let x: Vec<f64> = self.qkv[from..from + head_dim].iter().map(|&x| f64::from(x)).collect();
            let mut out = x.clone();
            for (pair, &frequency) in self.frequencies.iter().enumerate().filter(|_| rotated) {
                let angle = f64::from(positions[row] as f32 * frequency);
                let (first, second) = (x[pair], x[pair + head_dim / 2]);
                out[pair] = first * angle.cos() - second * angle.sin();
                out[pair + head_dim / 2] = second * angle.cos() + first * angle.sin();
            }
            out
        };
        let mut out = Vec::new();
        for &row in rows {
            let text = self.texts.iter().find(|text| text.contains(&row)).unwrap();
            let factor = f64::from(scale) * f64::from(self.query_scales[row]);
            for head in 0..heads {
                let kv_head = head / (heads / kv_heads);
                let query = part(row, head, true);
                let weight = |at: usize| {
                    let key = part(at, heads + kv_head, true);
                    let dot: f64 = query.iter().zip(&key).map(|(q, k)| q * k).sum();
                    (dot * factor).exp()
                };
                let weights: Vec<f64> = text.clone().map(weight).collect();
                let sum: f64 = weights.iter().sum();
                let mut exact = vec![0.0; head_dim];
                for (at, weight) in text.clone().zip(&weights) {
                    let value = part(at, heads + kv_heads + kv_head, false);
                    exact.iter_mut().zip(value).for_each(|(exact, v)| *exact += weight / sum * v);
                }
                out.extend(exact);
            }
        }
        out
    }

    fn assert_is_formula(&self, out: &[f32], rows: &[usize]) {
        let of_row = self.attention.heads * self.attention.head_dim;
        for (&row, exact) in rows.iter().zip(self.formula(rows).chunks_exact(of_row)) {
            for (exact, &found) in exact.iter().zip(&out[row * of_row..(row + 1) * of_row]) {
                let found = f64::from(found);
                assert!((exact - found).abs() < 4e-6, "{:?}, row {row}: {exact} {found}", self.texts);
            }
        }
    }
}

#[test]
fn every_row_sees_its_whole_text_and_nothing_else() {
    let (one, three) = (Threads::new(1), Threads::new(3));
    for widths in WIDTHS {
        let rows = Rows::new(widths, &[70, 1, 16, 0, 300, 2]);
        let of_row = rows.attention.heads * rows.attention.head_dim;
        let mut expected: Option<Vec<f32>> = None;
        for level in Level::supported() {
            for threads in [&one, &three] {
                let together = rows.attend(level, threads);
                for text in &rows.texts {
                    let alone = rows.alone(text).attend(level, threads);
                    assert!(bits(&alone) == bits(&together[text.start * of_row..text.end * of_row]));
                }
                assert!(bits(expected.get_or_insert(together.clone())) == bits(&together), "{level:?}");
            }
        }
        let all: Vec<usize> = (0..rows.query_scales.len()).collect();
        rows.assert_is_formula(&expected.unwrap(), &all);
    }
}

#[test]
fn texts_of_every_length_equal_the_formula() {
    let threads = Threads::new(2);
    let lens: Vec<usize> = (1..=80).chain([127, 128, 129, 511, 512, 513]).collect();
    let rows = Rows::new((2, 1, 16), &lens);
    let out = rows.attend(Level::native(), &threads);
    let some: Vec<usize> = rows.texts.iter().flat_map(|text| [text.start, text.end - 1]).collect();
    rows.assert_is_formula(&out, &some);
}

#[test]
fn same_bytes_for_a_long_text_alone_in_company_and_on_any_threads() {
    let (one, three) = (Threads::new(1), Threads::new(3));
    let rows = Rows::new((2, 2, 32), &[40, 8192, 3]);
    let text = rows.texts[1].clone();
    let of_row = rows.attention.heads * rows.attention.head_dim;
    let together = rows.attend(Level::native(), &three);
    let alone = rows.alone(&text).attend(Level::native(), &one);
    assert!(bits(&alone) == bits(&together[text.start * of_row..text.end * of_row]));
    rows.assert_is_formula(&together, &[40, 40 + 4095, 40 + 8191]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let backend = CpuBackend::new(CpuOptions::default().threads(1)).unwrap();
    let good = attention(1, 1, 2, None);
    let qkv = backend.arena.tensor(4, 6).unwrap();
    let attempt = |texts: &[Range<usize>], scales: Option<&[f32]>, attention: &Attention| {
        backend.encoder_attention(&qkv, None, texts, scales, attention).map(|out| (out.rows(), out.width()))
    };
    assert_eq!(attempt(&[0..3, 3..3, 3..4], Some(&[1.0; 4]), &good).unwrap(), (4, 2));
    for texts in [&[0..3][..], &[0..5], &[0..2, 3..4], &[0..3, 2..4], &[1..4], &[]] {
        assert!(attempt(texts, None, &good).is_err(), "{texts:?}");
    }
    assert!(attempt(&[0..4], Some(&[1.0; 3]), &good).is_err());
    assert!(attempt(&[0..4], None, &Attention { window: Some(2), ..good.clone() }).is_err());
    let alibi = Some([0.5].into());
    let error = attempt(&[0..4], None, &Attention { alibi, ..good }).unwrap_err();
    assert_eq!(error.to_string(), "encoder_attention: number of ALiBi slopes is 1, expected 0");
}

/// The reference backend on the same inputs, through the interface that models use.
#[cfg(feature = "candle")]
#[test]
fn candle_finds_the_same() {
    use crate::backend::candle::CandleBackend;
    use candle_core::{Device, Tensor};

    let (ours, reference) = (CpuBackend::new(CpuOptions::default()).unwrap(), CandleBackend::cpu());
    for widths in [(4, 2, 64), (3, 1, 24), (2, 2, 80)] {
        let rows = Rows::new(widths, &[1, 200, 0, 17, 128, 129]);
        let width = rows.attention.qkv_width();
        let mut qkv = ours.arena.tensor(rows.query_scales.len(), width).unwrap();
        qkv.as_mut_slice().copy_from_slice(&rows.qkv);
        let x = Tensor::from_slice(&rows.qkv, (rows.query_scales.len(), width), &Device::Cpu).unwrap();
        for query_scales in [None, Some(&rows.query_scales[..])] {
            let rotary = ours.rotary(&rows.frequencies, 1.0, &rows.positions()).unwrap();
            let found = ours
                .encoder_attention(&qkv, Some(&rotary), &rows.texts, query_scales, &rows.attention)
                .unwrap();
            let rotary = reference.rotary(&rows.frequencies, 1.0, &rows.positions()).unwrap();
            let attend = |x: &Tensor, rotary, texts: &[Range<usize>], scales| {
                let out =
                    reference.encoder_attention(x, Some(rotary), texts, scales, &rows.attention).unwrap();
                out.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            let expected = attend(&x, &rotary, &rows.texts, query_scales);
            let differences = expected.iter().zip(found.as_slice()).map(|(e, f)| (e - f).abs());
            let worst = differences.fold(0.0, f32::max);
            assert!(worst < 4e-6 && found.as_slice().iter().all(|x| x.is_finite()), "{widths:?}: {worst}");
            assert_eq!(expected.len(), found.as_slice().len());
            // The reference too gives a text the same bits without the others.
            let text = rows.texts[1].clone();
            let positions: Vec<u32> = (0..text.len() as u32).collect();
            let rotary = reference.rotary(&rows.frequencies, 1.0, &positions).unwrap();
            let x = x.narrow(0, text.start, text.len()).unwrap();
            let alone =
                attend(&x, &rotary, &[0..text.len()], query_scales.map(|scales| &scales[text.clone()]));
            let of_row = rows.attention.heads * rows.attention.head_dim;
            assert!(bits(&alone) == bits(&expected[text.start * of_row..text.end * of_row]));
        }
    }
    let qkv = Tensor::zeros((4, 6), candle_core::DType::F32, &Device::Cpu).unwrap();
    let good = attention(1, 1, 2, None);
    let windowed = Attention { window: Some(2), ..good.clone() };
    for (texts, scales, attention) in
        [(0..3, None, &good), (1..4, None, &good), (0..4, Some(&[1.0][..]), &good), (0..4, None, &windowed)]
    {
        assert!(reference.encoder_attention(&qkv, None, &[texts], scales, attention).is_err());
    }
}
