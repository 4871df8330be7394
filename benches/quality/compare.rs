//! How far one set of next-token distributions is from another.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use super::Failure;

/// Sums over the tokens of a text.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    tokens: usize,
    surprise: f64,
    divergence: f64,
    greatest: f64,
    agreed: usize,
}

/// What came out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// `exp` of the mean negative log-probability of the text's tokens.
    pub(crate) perplexity: f64,
    /// Mean Kullback-Leibler divergence from the reference, in nats.
    pub(crate) divergence: f64,
    /// The greatest of any token.
    pub(crate) greatest: f64,
    /// Share of tokens whose most likely successor is the reference's.
    pub(crate) agreed: f64,
}

/// The greatest logit's index (the lowest of equals), and the logarithm of the sum of all exponentials.
fn summary(logits: &[f32]) -> (usize, f64) {
    let mut best = 0;
    for (at, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = at;
        }
    }
    let highest = f64::from(logits[best]);
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - highest).exp()).sum();
    (best, highest + sum.ln())
}

impl Comparison {
    /// Takes rows of logits in: `targets` are the tokens that follow, one per row.
    pub(crate) fn add(&mut self, targets: &[u32], expected: &[f32], found: &[f32]) {
        let vocab = found.len() / targets.len().max(1);
        let rows = expected.chunks_exact(vocab.max(1)).zip(found.chunks_exact(vocab.max(1)));
        for (&target, (expected, found)) in targets.iter().zip(rows) {
            let ((best, total), (found_best, found_total)) = (summary(expected), summary(found));
            self.tokens += 1;
            self.surprise += found_total - f64::from(found[target as usize]);
            let divergence: f64 = (expected.iter().zip(found))
                .map(|(&p, &q)| {
                    let (p, q) = (f64::from(p) - total, f64::from(q) - found_total);
                    p.exp() * (p - q)
                })
                .sum();
            self.divergence += divergence;
            self.greatest = self.greatest.max(divergence);
            self.agreed += usize::from(best == found_best);
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        let tokens = self.tokens.max(1) as f64;
        Figures {
            perplexity: (self.surprise / tokens).exp(),
            // Rounding can leave less than nothing.
            divergence: (self.divergence / tokens).max(0.0),
            greatest: self.greatest,
            agreed: self.agreed as f64 / tokens,
        }
    }
}

/// Appends rows of logits.
pub(crate) fn save(file: &mut File, logits: &[f32]) -> Result<(), Failure> {
    let bytes: Vec<u8> = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
    Ok(file.write_all(&bytes)?)
}

/// Goes back to the first row.
pub(crate) fn rewind(file: &mut File) -> Result<(), Failure> {
    file.seek(SeekFrom::Start(0))?;
    Ok(())
}

/// Reads the next `len` logits.
pub(crate) fn load(file: &mut File, len: usize, out: &mut Vec<f32>) -> Result<(), Failure> {
    let mut bytes = vec![0; 4 * len];
    file.read_exact(&mut bytes)?;
    out.clear();
    out.extend(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    Ok(())
}
