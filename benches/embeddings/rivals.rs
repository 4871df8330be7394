//! Figures of other engines, read from what their runs printed.

use std::fs;
use std::path::PathBuf;

use super::Failure;
use super::arguments::Precision;
use super::workload::Workload;

/// Figures of other engines at the same work on the same machine.
#[derive(Debug, Default)]
pub(crate) struct Rivals {
    rates: Vec<(String, Workload, f64)>,
    /// Megabytes.
    peaks: Vec<(String, f64)>,
}

impl Rivals {
    /// Reads figures; lines that say something else are passed over.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, Failure> {
        let mut rivals = Self::default();
        for path in files {
            let text = fs::read_to_string(path)
                .map_err(|error| format!("--rivals {} cannot be read: {error}", path.display()))?;
            text.lines().for_each(|line| rivals.add(line));
        }
        if rivals.rates.is_empty() && !files.is_empty() {
            return Err("the files of --rivals have no line like `NAME len=16 batch=8: 9 tok/s`".into());
        }
        Ok(rivals)
    }

    fn add(&mut self, line: &str) {
        let Some((name, rest)) = line.split_once(' ') else { return };
        if let Some(peak) = rest.strip_prefix("peakRSS ") {
            self.peaks.extend(number_before(peak, "MB").map(|peak| (name.to_owned(), peak)));
            return;
        }
        let workload = if rest.starts_with("mixed(") { Some(Workload::Mixed) } else { batch(rest) };
        if let (Some(workload), Some(rate)) = (workload, number_before(rest, "tok/s")) {
            self.rates.push((name.to_owned(), workload, rate));
        }
    }

    /// The fastest of a precision at a workload.
    pub(crate) fn fastest(&self, precision: Precision, workload: &Workload) -> Option<(&str, f64)> {
        let of =
            self.rates.iter().filter(|(name, at, _)| at == workload && name.ends_with(&precision.name()));
        of.max_by(|a, b| a.2.total_cmp(&b.2)).map(|(name, _, rate)| (name.as_str(), *rate))
    }

    /// Megabytes that the engine had at most.
    pub(crate) fn peak(&self, name: &str) -> Option<f64> {
        self.peaks.iter().find(|(of, _)| of == name).map(|(_, peak)| *peak)
    }
}

/// `len=16 batch=8: …`.
fn batch(text: &str) -> Option<Workload> {
    let (length, rest) = text.strip_prefix("len=")?.split_once(" batch=")?;
    let (texts, _) = rest.split_once(':')?;
    Some(Workload::Batch { texts: texts.parse().ok()?, length: length.parse().ok()? })
}

/// The number in front of a unit.
fn number_before(text: &str, unit: &str) -> Option<f64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|&word| word == unit)?;
    words.get(at.checked_sub(1)?)?.parse().ok()
}
