//! Latent attention and products per head, against their formulas.

use super::*;
use crate::backend::cpu::CacheType;

/// A sequence of latents, keys and queries, fed in chunks, after and before other sequences.
struct Latents {
    attention: LatentAttention,
    total: usize,
    chunks: Vec<usize>,
    /// Other sequences of one row each.
    company: usize,
    queries: Vec<f32>,
    rope_queries: Vec<f32>,
    latents: Vec<f32>,
    rope_keys: Vec<f32>,
}

impl Latents {
    fn new(heads: usize, rank: usize, rope_dim: usize, total: usize) -> Self {
        let mut numbers = Numbers(total as u64);
        let scale = 1.7 / ((rank + rope_dim) as f32).sqrt();
        Self {
            attention: LatentAttention { heads, rank, rope_dim, scale },
            total,
            chunks: vec![total],
            company: 0,
            queries: numbers.take(total * heads * rank),
            rope_queries: numbers.take(total * heads * rope_dim),
            latents: numbers.take(total * rank),
            rope_keys: numbers.take(total * rope_dim),
        }
    }

    fn frequencies(&self) -> Vec<f32> {
        (0..self.attention.rope_dim / 2).map(|i| 0.3f32.powi(i as i32)).collect()
    }

    /// The formula in `f64`.
    fn expected(&self) -> Vec<f64> {
        let LatentAttention { heads, rank, rope_dim, scale } = self.attention;
        let rotated = |x: &[f32], position: usize| -> Vec<f64> {
            let (x, half) = (wide(x), rope_dim / 2);
            let angle = |i: usize| f64::from(position as f32 * self.frequencies()[i % half]);
            let turned = |i: usize| if i < half { -x[i + half] } else { x[i - half] };
            (0..rope_dim).map(|i| x[i] * angle(i).cos() + turned(i) * angle(i).sin()).collect()
        };
        let keys: Vec<Vec<f64>> =
            (0..self.total).map(|at| rotated(&self.rope_keys[at * rope_dim..][..rope_dim], at)).collect();
        let latent = |at: usize| wide(&self.latents[at * rank..][..rank]);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut out = Vec::new();
        for row in 0..self.total {
            for head in (0..heads).map(|head| row * heads + head) {
                let query = wide(&self.queries[head * rank..][..rank]);
                let rope_query = rotated(&self.rope_queries[head * rope_dim..][..rope_dim], row);
                let weights: Vec<f64> = (0..=row)
                    .map(|at| {
                        (f64::from(scale) * (dot(&query, &latent(at)) + dot(&rope_query, &keys[at]))).exp()
                    })
                    .collect();
                let sum: f64 = weights.iter().sum();
                let mut value = vec![0.0; rank];
                for (at, weight) in weights.iter().enumerate() {
                    value.iter_mut().zip(latent(at)).for_each(|(value, c)| *value += weight / sum * c);
                }
                out.extend(value);
            }
        }
        out
    }
}

impl Question for Latents {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32> {
        let LatentAttention { heads, rank, rope_dim, .. } = self.attention;
        let blocks = self.total.div_ceil(BLOCK_TOKENS);
        let entry = CacheEntry::Latent { rank, rope_dim };
        let mut cache =
            backend.new_cache(&CacheShape { layers: 2, entry, blocks: blocks + self.company }).unwrap();
        let table: Vec<u32> = (0..blocks as u32).rev().collect();
        let (mut answers, mut start) = (Vec::new(), 0);
        for &len in &self.chunks {
            let mut batch = Batch::default();
            for other in 0..self.company {
                batch.push(&[0], 0, &[(blocks + other) as u32], 0);
            }
            batch.push(&vec![0; len], start, &table[..(start + len).div_ceil(BLOCK_TOKENS)], 0);
            let rows = |values: &[f32], width: usize| {
                let mut all = Numbers(3).take(self.company * width);
                all.extend(&values[start * width..][..len * width]);
                backend.activations(&all, width)
            };
            let inputs = LatentInputs {
                queries: &rows(&self.queries, heads * rank),
                rope_queries: &rows(&self.rope_queries, heads * rope_dim),
                latents: &rows(&self.latents, rank),
                rope_keys: &rows(&self.rope_keys, rope_dim),
            };
            let rotary = backend.rotary(&self.frequencies(), 1.0, &batch.positions).unwrap();
            let out = backend.latent_attention(&inputs, &rotary, &mut cache, 1, &batch, &self.attention);
            let out = backend.values(&out.unwrap());
            answers.extend(&out[self.company * heads * rank..]);
            start += len;
        }
        answers
    }
}

/// Widths of whole vectors and others, more heads than a task takes, a context of several partitions.
fn cases() -> [Latents; 4] {
    [
        Latents::new(4, 16, 8, 70),
        Latents::new(3, 24, 2, 100),
        Latents::new(40, 33, 6, 37),
        Latents::new(2, 64, 16, 600),
    ]
}

#[test]
fn latent_attention_is_its_formula() {
    for latents in cases() {
        // The cache in half precision decides what can be asked of the CPU.
        ask(&latents, 3e-3, &latents.expected());
    }
}

#[test]
fn latents_are_kept_in_every_type() {
    for latents in cases() {
        let expected = latents.expected();
        for (cache, tolerance) in
            [(CacheType::F32, 4e-6), (CacheType::F16, 3e-3), (CacheType::Bf16, 2e-2), (CacheType::Q8, 2e-2)]
        {
            let all: Vec<Vec<f32>> = Level::supported()
                .map(|level| CpuOptions::default().level(level).threads(2).cache(cache))
                .map(|options| latents.ask(&CpuBackend::new(options).unwrap()))
                .collect();
            for (found, expected) in all[0].iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() < tolerance, "{cache:?}: {found}, {expected}");
            }
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert!(all.iter().all(|found| bits(found) == bits(&all[0])), "{cache:?}: levels differ");
        }
    }
}

#[test]
fn same_bytes_of_latents_for_every_chunking_and_company() {
    let bits = |x: Vec<f32>| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for mut latents in cases() {
        let backend = |cache| CpuBackend::new(CpuOptions::default().threads(3).cache(cache)).unwrap();
        for backend in [CacheType::F16, CacheType::Q8].map(backend) {
            latents.chunks = vec![latents.total];
            latents.company = 0;
            let whole = bits(latents.ask(&backend));
            let total = latents.total;
            for chunks in [vec![1; total], vec![5, 17, total - 22], vec![total - 1, 1]] {
                (latents.chunks, latents.company) = (chunks, 3);
                assert!(bits(latents.ask(&backend)) == whole, "{:?}", latents.chunks);
            }
        }
        #[cfg(feature = "candle")]
        {
            let backend = candle::CandleBackend::cpu();
            (latents.chunks, latents.company) = (vec![latents.total], 0);
            let whole = bits(latents.ask(&backend));
            (latents.chunks, latents.company) = (vec![5, 17, latents.total - 22], 2);
            assert!(bits(latents.ask(&backend)) == whole);
        }
    }
}

#[test]
fn a_latent_is_stored_once() {
    let entry = CacheEntry::Latent { rank: 512, rope_dim: 64 };
    let shape = CacheShape { layers: 61, entry, blocks: 10 };
    for (cache, of_token) in [(CacheType::F16, 576 * 2), (CacheType::F32, 576 * 4), (CacheType::Q8, 576 + 8)]
    {
        let backend = CpuBackend::new(CpuOptions::default().threads(1).cache(cache)).unwrap();
        assert_eq!(backend.cache_bytes(&shape), Some(61 * 10 * 16 * of_token), "{cache:?}");
    }
}

#[test]
fn what_does_not_fit_latent_attention_is_an_error() {
    let backend = CpuBackend::new(CpuOptions::default().threads(1)).unwrap();
    let good = Latents::new(2, 16, 4, 3);
    let attempt = |attention: LatentAttention, entry: CacheEntry, rotary: usize, table: &[u32]| {
        let mut cache = backend.new_cache(&CacheShape { layers: 1, entry, blocks: 2 }).unwrap();
        let mut batch = Batch::default();
        batch.push(&[0; 3], 0, table, 0);
        let inputs = LatentInputs {
            queries: &backend.activations(&good.queries, 32),
            rope_queries: &backend.activations(&good.rope_queries, 8),
            latents: &backend.activations(&good.latents, 16),
            rope_keys: &backend.activations(&good.rope_keys, 4),
        };
        let rotary = backend.rotary(&vec![0.5; rotary], 1.0, &batch.positions).unwrap();
        backend.latent_attention(&inputs, &rotary, &mut cache, 0, &batch, &attention).is_ok()
    };
    let (fits, entry) = (good.attention, CacheEntry::Latent { rank: 16, rope_dim: 4 });
    assert!(attempt(fits, entry, 2, &[1]));
    assert!(!attempt(fits, entry, 2, &[2]));
    assert!(!attempt(fits, entry, 2, &[]));
    assert!(!attempt(fits, entry, 1, &[1]));
    assert!(!attempt(fits, CacheEntry::Latent { rank: 8, rope_dim: 4 }, 2, &[1]));
    assert!(!attempt(fits, CacheEntry::KeyValue { kv_heads: 1, head_dim: 16 }, 2, &[1]));
    assert!(!attempt(LatentAttention { heads: 4, rank: 8, ..fits }, entry, 2, &[1]));
    assert!(!attempt(LatentAttention { heads: 0, ..fits }, entry, 2, &[1]));
}

struct PerHead<'a> {
    x: &'a [f32],
    weights: &'a [Vec<f32>],
    width: usize,
}

impl Question for PerHead<'_> {
    fn ask<B: Backend>(&self, backend: &B) -> Vec<f32> {
        let matrices: Vec<_> = self.weights.iter().map(|of| backend.stored(of, self.width)).collect();
        let x = backend.activations(self.x, self.width * matrices.len());
        backend.values(&backend.per_head(x, &matrices).unwrap())
    }
}

#[test]
fn every_head_has_its_matrix() {
    for (heads, width, outputs) in [(1, 7, 3), (4, 16, 24), (5, 33, 17)] {
        let mut numbers = Numbers(heads as u64);
        let weights: Vec<Vec<f32>> = (0..heads).map(|_| numbers.take(width * outputs)).collect();
        for rows in [1, 2, 40] {
            let x = numbers.take(rows * heads * width);
            let mut expected = Vec::new();
            for line in x.chunks(heads * width) {
                for (part, weights) in line.chunks(width).zip(&weights) {
                    expected.extend(product(&wide(part), &wide(weights), width));
                }
            }
            ask(&PerHead { x: &x, weights: &weights, width }, 1e-5, &expected);
        }
    }
    let backend = CpuBackend::new(CpuOptions::default().threads(1)).unwrap();
    let matrices: Vec<_> = (0..3).map(|_| backend.stored(&[1.0; 8], 4)).collect();
    assert!(backend.per_head(backend.activations(&[1.0; 10], 10), &matrices).is_err());
    assert!(backend.per_head(backend.activations(&[1.0; 15], 15), &matrices).is_err());
}
