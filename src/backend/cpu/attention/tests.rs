//! Attention is the textbook formula, and a row's bits depend on its sequence alone.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::super::buffer::Arena;
use super::super::{Level, threads::Threads};
use super::*;
use crate::backend::{CacheEntry, CacheShape};

mod encoder;

/// A small generator, so that every run sees the same numbers.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 40) as f32 / (1u64 << 24) as f32) * 2.0 - 1.0
    }

    pub(super) fn take(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.next()).collect()
    }
}

/// How a sequence is fed to attention.
struct Feed<'a> {
    level: Level,
    threads: &'a Threads,
    kind: CacheType,
    attention: Attention,
    /// Other sequences of one row each, before and after.
    company: usize,
    /// What every slot holds before anything is written.
    stale: u8,
}

impl Feed<'_> {
    fn new<'a>(level: Level, threads: &'a Threads, kind: CacheType, attention: Attention) -> Feed<'a> {
        Feed { level, threads, kind, attention, company: 0, stale: 0 }
    }

    fn frequencies(&self) -> Vec<f32> {
        (0..self.attention.head_dim / 2).map(|i| 0.3f32.powi(i as i32)).collect()
    }

    /// Feeds `qkv` of one sequence in chunks and returns its outputs.
    fn outputs(&self, qkv: &[f32], chunks: &[usize]) -> Vec<f32> {
        let arena = Arena::new();
        let run = Run { level: self.level, threads: self.threads, arena: &arena };
        let width = self.attention.qkv_width();
        let total = qkv.len() / width;
        let blocks = total.div_ceil(BLOCK_TOKENS);
        assert_ne!(blocks % 7, 0, "the table would repeat blocks");
        let table: Vec<u32> = (0..blocks as u32).map(|b| (b * 7 + 3) % blocks as u32).collect();
        let Attention { heads, kv_heads, head_dim, .. } = self.attention;
        let shape = CacheShape {
            layers: 2,
            entry: CacheEntry::KeyValue { kv_heads, head_dim },
            blocks: blocks + 2 * self.company,
        };
        let mut cache = Cache::new(&shape, self.kind).unwrap();
        for pool in &mut cache.layers {
            for pool in [&mut pool.keys, &mut pool.values, &mut pool.key_scales, &mut pool.value_scales] {
                pool.as_mut_slice().fill(self.stale);
            }
        }
        let mut numbers = Numbers(9);
        let mut outputs = Vec::new();
        let mut start = 0;
        for &rows in chunks {
            let mut batch = Batch::default();
            let mut all = Vec::new();
            let mut others = |batch: &mut Batch, all: &mut Vec<f32>, first: usize| {
                for other in 0..self.company {
                    batch.push(&[0], 0, &[(blocks + first + other) as u32], 0);
                    all.extend(numbers.take(width));
                }
            };
            others(&mut batch, &mut all, 0);
            batch.push(&vec![0; rows], start, &table[..(start + rows).div_ceil(BLOCK_TOKENS)], 0);
            all.extend_from_slice(&qkv[start * width..(start + rows) * width]);
            others(&mut batch, &mut all, self.company);
            let rotary = Rotary::new(&arena, &self.frequencies(), 1.0, &batch.positions).unwrap();
            let rotary = head_dim.is_multiple_of(2).then_some(&rotary);
            let inputs = Inputs { qkv: &all, rotary, query_scales: None, attention: &self.attention };
            let mut out = vec![f32::NAN; batch.rows() * heads * head_dim];
            forward(run, inputs, &mut cache, 1, &batch, &mut out).unwrap();
            let of_row = heads * head_dim;
            outputs.extend_from_slice(&out[self.company * of_row..(self.company + rows) * of_row]);
            start += rows;
        }
        assert_eq!(start, total);
        outputs
    }

    /// The formula in `f64`.
    fn formula(&self, qkv: &[f32]) -> Vec<f64> {
        let Attention { heads, kv_heads, head_dim, scale, window, ref alibi } = self.attention;
        let width = self.attention.qkv_width();
        let rows: Vec<Vec<f64>> = qkv
            .chunks_exact(width)
            .enumerate()
            .map(|(position, row)| {
                let mut row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
                if head_dim.is_multiple_of(2) {
                    for head in row.chunks_exact_mut(head_dim).take(heads + kv_heads) {
                        for (pair, &frequency) in self.frequencies().iter().enumerate() {
                            let angle = f64::from(position as f32 * frequency);
                            let (x, y) = (head[pair], head[pair + head_dim / 2]);
                            head[pair] = x * angle.cos() - y * angle.sin();
                            head[pair + head_dim / 2] = y * angle.cos() + x * angle.sin();
                        }
                    }
                }
                row
            })
            .collect();
        let mut out = Vec::new();
        for (row, query) in rows.iter().enumerate() {
            let first = window.map_or(0, |window| (row + 1).saturating_sub(window));
            for head in 0..heads {
                let kv_head = head / (heads / kv_heads);
                let part = |row: &'_ [f64], at: usize| row[at * head_dim..(at + 1) * head_dim].to_vec();
                let query = part(query, head);
                let weights: Vec<f64> = (first..=row)
                    .map(|at| {
                        let key = part(&rows[at], heads + kv_head);
                        let dot: f64 = query.iter().zip(&key).map(|(q, k)| q * k).sum();
                        let slope = alibi.as_deref().map_or(0.0, |slopes| f64::from(slopes[head]));
                        (dot * f64::from(scale) - slope * (row - at) as f64).exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                let mut values = vec![0.0; head_dim];
                for (at, weight) in (first..=row).zip(&weights) {
                    let value = part(&rows[at], heads + kv_heads + kv_head);
                    values.iter_mut().zip(&value).for_each(|(sum, v)| *sum += weight / total * v);
                }
                out.extend(values);
            }
        }
        out
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn attention(heads: usize, kv_heads: usize, head_dim: usize, window: Option<usize>) -> Attention {
    Attention { heads, kv_heads, head_dim, scale: 1.3 / (head_dim as f32).sqrt(), window, alibi: None }
}

const KINDS: [(CacheType, f64); 4] = [
    (CacheType::F32, 4e-6),
    // Half an ulp of values below one, and what such errors of keys make of the weights.
    (CacheType::F16, 1.5e-3),
    (CacheType::Bf16, 1.2e-2),
    (CacheType::Q8, 1.2e-2),
];

#[test]
fn attention_is_the_textbook_formula_at_every_level() {
    let mut numbers = Numbers(3);
    let threads = Threads::new(2);
    for (heads, kv_heads, head_dim, window, total) in [
        (4, 2, 16, None, 140),
        (3, 1, 24, Some(5), 90),
        (2, 2, 64, Some(77), 140),
        (1, 1, 3, None, 70),
        (5, 1, 80, None, 33),
        (8, 2, 128, None, 20),
        (1, 1, 2, None, 1),
    ] {
        let attention = attention(heads, kv_heads, head_dim, window);
        let qkv = numbers.take(total * attention.qkv_width());
        for level in Level::supported() {
            for (kind, tolerance) in KINDS {
                let feed = Feed::new(level, &threads, kind, attention.clone());
                let expected = feed.formula(&qkv);
                let found = feed.outputs(&qkv, &[total]);
                let differences = expected.iter().zip(&found).map(|(e, &f)| (e - f64::from(f)).abs());
                let worst = differences.fold(0.0, |a: f64, b| if b > a || b.is_nan() { b } else { a });
                assert!(worst < tolerance, "{attention:?} {kind:?} {level:?}: {worst}");
            }
        }
    }
}

#[test]
fn same_bytes_for_every_chunking_company_and_number_of_threads() {
    let mut numbers = Numbers(2);
    let (one, three) = (Threads::new(1), Threads::new(3));
    for (heads, kv_heads, head_dim, window) in
        [(4, 2, 16, None), (8, 1, 8, None), (3, 1, 24, Some(12)), (2, 2, 64, Some(200)), (1, 1, 2, None)]
    {
        let attention = attention(heads, kv_heads, head_dim, window);
        let total = 300;
        let qkv = numbers.take(total * attention.qkv_width());
        for kind in [CacheType::F16, CacheType::Q8] {
            for level in Level::supported() {
                let mut feed = Feed::new(level, &one, kind, attention.clone());
                let whole = bits(&feed.outputs(&qkv, &[total]));
                for chunks in [vec![1; total], vec![7, 121, 1, 128, 43], vec![64, 128, 108], vec![299, 1]] {
                    for (threads, company) in [(&one, 0), (&three, 3)] {
                        (feed.threads, feed.company) = (threads, company);
                        let found = bits(&feed.outputs(&qkv, &chunks));
                        assert!(found == whole, "{attention:?} {kind:?} {level:?} {chunks:?} {company}");
                    }
                }
            }
        }
    }
}

#[test]
fn same_bytes_when_partitions_are_spread_over_threads() {
    let mut numbers = Numbers(5);
    let (one, four) = (Threads::new(1), Threads::new(4));
    let total = 2 * PARTITION + 150;
    for window in [None, Some(PARTITION + 40), Some(30)] {
        let attention = attention(2, 1, 16, window);
        let qkv = numbers.take(total * attention.qkv_width());
        let level = Level::native();
        let mut feed = Feed::new(level, &one, CacheType::F16, attention);
        let whole = bits(&feed.outputs(&qkv, &[total]));
        let mut chunks = vec![PARTITION, PARTITION - 30];
        chunks.extend([1; 60]);
        chunks.push(total - chunks.iter().sum::<usize>());
        for threads in [&one, &four] {
            feed.threads = threads;
            assert!(bits(&feed.outputs(&qkv, &chunks)) == whole, "{window:?} {} threads", threads.count());
        }
        // Against the formula too: here partitions are put together.
        let expected = feed.formula(&qkv);
        let last = feed.outputs(&qkv, &chunks).into_iter().zip(expected).skip(total);
        assert!(last.map(|(f, e)| (f64::from(f) - e).abs()).all(|d| d < 1.5e-3));
    }
}

#[test]
fn the_levels_agree_bit_for_bit() {
    let mut numbers = Numbers(7);
    let threads = Threads::new(2);
    let slopes: Arc<[f32]> = [0.5, 0.25, 0.1, 0.01].into();
    for (head_dim, window) in [(16, None), (40, Some(70)), (64, None)] {
        let mut attention = attention(4, 2, head_dim, window);
        let qkv = numbers.take(130 * attention.qkv_width());
        for (kind, _) in KINDS {
            for slopes in [None, Some(Arc::clone(&slopes))] {
                attention.alibi = slopes;
                let all: Vec<_> = Level::supported()
                    .map(|level| {
                        let feed = Feed::new(level, &threads, kind, attention.clone());
                        bits(&feed.outputs(&qkv, &[100, 1, 29]))
                    })
                    .collect();
                assert!(all.iter().all(|bits| *bits == all[0]), "{head_dim} {window:?} {kind:?}");
            }
        }
    }
}

#[test]
fn alibi_is_its_formula() {
    let threads = Threads::new(2);
    let alibi = Some([0.25, 0.0625, 0.015625, 0.00390625].into());
    let attention = Attention { alibi, ..attention(4, 2, 16, None) };
    let qkv = Numbers(8).take(150 * attention.qkv_width());
    for level in Level::supported() {
        let feed = Feed::new(level, &threads, CacheType::F32, attention.clone());
        let found = feed.outputs(&qkv, &[149, 1]);
        for (expected, found) in feed.formula(&qkv).into_iter().zip(found) {
            assert!((expected - f64::from(found)).abs() < 4e-6, "{expected} {found}");
        }
    }
}

#[test]
fn what_stale_slots_hold_does_not_matter() {
    let threads = Threads::new(2);
    for window in [None, Some(10)] {
        let attention = attention(3, 1, 24, window);
        let qkv = Numbers(4).take(75 * attention.qkv_width());
        for (kind, _) in KINDS {
            for level in Level::supported() {
                let mut feed = Feed::new(level, &threads, kind, attention.clone());
                let clean = bits(&feed.outputs(&qkv, &[3, 40, 1, 31]));
                // All bits set is NaN in every floating-point type, scales included.
                feed.stale = 0xff;
                assert!(bits(&feed.outputs(&qkv, &[3, 40, 1, 31])) == clean, "{kind:?} {level:?}");
            }
        }
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let threads = Threads::new(1);
    let attention = Attention { scale: 1.0, ..attention(1, 1, 2, None) };
    // Keys along the query with growing length: every position takes the whole weight.
    let qkv: Vec<f32> = (0..70).flat_map(|at| [100.0, 0.0, at as f32 * 50.0, 0.0, at as f32, 1.0]).collect();
    for level in Level::supported() {
        let arena = Arena::new();
        let run = Run { level, threads: &threads, arena: &arena };
        let mut cache = Cache::new(
            &CacheShape { layers: 1, entry: CacheEntry::KeyValue { kv_heads: 1, head_dim: 2 }, blocks: 5 },
            CacheType::F32,
        )
        .unwrap();
        let mut batch = Batch::default();
        batch.push(&[0; 70], 0, &[0, 1, 2, 3, 4], 0);
        let inputs = Inputs { qkv: &qkv, rotary: None, query_scales: None, attention: &attention };
        let mut out = vec![0.0; 140];
        forward(run, inputs, &mut cache, 0, &batch, &mut out).unwrap();
        let expected: Vec<f32> = (0..70).flat_map(|at| [at as f32, 1.0]).collect();
        assert_eq!(out, expected);
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let threads = Threads::new(1);
    let arena = Arena::new();
    let run = Run { level: Level::native(), threads: &threads, arena: &arena };
    let good = attention(1, 1, 2, None);
    let shape = CacheShape { layers: 1, entry: CacheEntry::KeyValue { kv_heads: 1, head_dim: 2 }, blocks: 2 };
    let mut cache = Cache::new(&shape, CacheType::F16).unwrap();
    let qkv = Numbers(4).take(17 * 6);
    let mut attempt = |attention: &Attention, layer: usize, table: &[u32], change: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::default();
        batch.push(&[0; 17], 0, table, 0);
        change(&mut batch);
        let inputs = Inputs { qkv: &qkv, rotary: None, query_scales: None, attention };
        forward(run, inputs, &mut cache, layer, &batch, &mut [0.0; 34]).is_ok()
    };
    assert!(attempt(&good, 0, &[1, 0], &|_| {}));
    assert!(!attempt(&good, 1, &[1, 0], &|_| {}));
    assert!(!attempt(&good, 0, &[1], &|_| {}));
    assert!(!attempt(&good, 0, &[1, 2], &|_| {}));
    assert!(!attempt(&good, 0, &[1, 0], &|batch| batch.spans[0].rows = 0..16));
    assert!(!attempt(&good, 0, &[1, 0], &|batch| batch.spans[0].start = usize::MAX - 3));
    assert!(!attempt(&good, 0, &[1, 0], &|batch| batch.spans[0].blocks = 0..3));
    for (heads, kv_heads, head_dim) in [(1, 1, 4), (1, 0, 2), (0, 1, 2), (3, 2, 2), (1, 1, 0), (2, 1, 1)] {
        let other = Attention { heads, kv_heads, head_dim, ..good.clone() };
        assert!(!attempt(&other, 0, &[1, 0], &|_| {}));
    }
    for (slopes, fits) in [(0, false), (1, true), (2, false)] {
        let alibi = Some(vec![0.5; slopes].into());
        assert_eq!(attempt(&Attention { alibi, ..good.clone() }, 0, &[1, 0], &|_| {}), fits);
    }
}

/// The reference backend on the same inputs: both are `f32`, and sum in different orders.
#[cfg(feature = "candle")]
#[test]
fn candle_finds_the_same() {
    use crate::backend::{Backend, alibi_slopes, candle::CandleBackend};
    use candle_core::{Device, Tensor};

    let threads = Threads::new(2);
    for (heads, kv_heads, head_dim, window, alibi) in [
        (4, 2, 64, None, false),
        (3, 1, 24, Some(12), false),
        (2, 2, 80, Some(150), false),
        (6, 2, 16, None, true),
        (3, 3, 24, Some(140), true),
        (1, 1, 8, None, true),
    ] {
        let alibi = alibi.then(|| alibi_slopes(heads, 8.0));
        let attention = Attention { alibi, ..attention(heads, kv_heads, head_dim, window) };
        let total = 200;
        let qkv = Numbers(11).take(total * attention.qkv_width());
        let reference = CandleBackend::cpu();
        let shape = CacheShape { layers: 1, entry: CacheEntry::KeyValue { kv_heads, head_dim }, blocks: 13 };
        let mut batch = Batch::default();
        batch.push(&vec![0; total], 0, &(0..13).collect::<Vec<u32>>(), 0);
        for level in Level::supported() {
            let feed = Feed::new(level, &threads, CacheType::F32, attention.clone());
            let rotary = reference.rotary(&feed.frequencies(), 1.0, &batch.positions).unwrap();
            let x = Tensor::from_slice(&qkv, (total, attention.qkv_width()), &Device::Cpu).unwrap();
            let mut cache = reference.new_cache(&shape).unwrap();
            let out = reference.attention(&x, Some(&rotary), &mut cache, 0, &batch, &attention).unwrap();
            let mut buffer = Vec::new();
            let expected = reference.read(&out, &mut buffer).unwrap();
            let found = feed.outputs(&qkv, &[150, 1, 49]);
            let differences = expected.iter().zip(&found).map(|(e, f)| (e - f).abs());
            let worst = differences.fold(0.0, f32::max);
            assert!(worst < 4e-6 && found.iter().all(|x| x.is_finite()), "{attention:?} {level:?}: {worst}");
        }
    }
}
