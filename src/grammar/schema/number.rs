//! Numbers and their ranges.

use serde_json::{Map, Value, json};

use super::shown;
use crate::grammar::error::GrammarError;

/// The largest integer up to which every integer is an exact number of JSON (RFC 8259, section 6). What is generated
/// stays within: longer numbers read differently from parser to parser, and digits come to an end.
pub(super) const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

/// A range and what its numbers are multiples of.
struct Range {
    low: f64,
    high: f64,
    above_low: bool,
    below_high: bool,
    multiple_of: Option<f64>,
}

pub(super) fn number(keywords: &Map<String, Value>, path: &str) -> Result<Map<String, Value>, GrammarError> {
    let range = Range::read(keywords, path)?;
    let open = range.above_low || range.below_high;
    if range.low > range.high || (open && range.low == range.high) {
        return Err(range.empty(path));
    }
    if let Some(step) = range.multiple_of {
        let mut first = (range.low / step).ceil() * step;
        if range.above_low && first <= range.low {
            first += step;
        }
        if first > range.high || (range.below_high && first >= range.high) {
            return Err(range.empty(path));
        }
    }
    let mut normal = Map::new();
    let bound = |exclusive: bool, inclusive: &str, keyword: &str| {
        if exclusive { keyword.to_owned() } else { inclusive.to_owned() }
    };
    normal.insert(bound(range.above_low, "minimum", "exclusiveMinimum"), json!(range.low));
    normal.insert(bound(range.below_high, "maximum", "exclusiveMaximum"), json!(range.high));
    if let Some(step) = range.multiple_of {
        normal.insert("multipleOf".into(), json!(step));
    }
    Ok(normal)
}

pub(super) fn integer(keywords: &Map<String, Value>, path: &str) -> Result<Map<String, Value>, GrammarError> {
    let range = Range::read(keywords, path)?;
    let mut low = range.low.ceil();
    let mut high = range.high.floor();
    if range.above_low && low <= range.low {
        low += 1.0;
    }
    if range.below_high && high >= range.high {
        high -= 1.0;
    }
    let step = range.multiple_of.unwrap_or(1.0);
    if step.fract() != 0.0 {
        let reason = format!("is {step}; for integers it must be an integer");
        return Err(GrammarError::schema(format!("{path}.multipleOf"), reason));
    }
    if (low / step).ceil() * step > high {
        return Err(range.empty(path));
    }
    let mut normal = Map::new();
    normal.insert("minimum".into(), json!(low as i64));
    normal.insert("maximum".into(), json!(high as i64));
    if range.multiple_of.is_some() {
        normal.insert("multipleOf".into(), json!(step as i64));
    }
    Ok(normal)
}

impl Range {
    fn read(keywords: &Map<String, Value>, path: &str) -> Result<Self, GrammarError> {
        let read = |keyword: &str| match keywords.get(keyword) {
            None => Ok(None),
            Some(value) => value.as_f64().filter(|n| n.is_finite()).map(Some).ok_or_else(|| {
                GrammarError::schema(
                    format!("{path}.{keyword}"),
                    format!("is {}; a number is accepted", shown(value)),
                )
            }),
        };
        let (minimum, above) = (read("minimum")?, read("exclusiveMinimum")?);
        let (maximum, below) = (read("maximum")?, read("exclusiveMaximum")?);
        let mut range =
            Self { low: -MAX_EXACT, high: MAX_EXACT, above_low: false, below_high: false, multiple_of: None };
        for (bound, exclusive) in [(minimum, false), (above, true)] {
            if let Some(bound) = bound.filter(|b| *b > range.low || (*b == range.low && exclusive)) {
                (range.low, range.above_low) = (bound, exclusive);
            }
        }
        for (bound, exclusive) in [(maximum, false), (below, true)] {
            if let Some(bound) = bound.filter(|b| *b < range.high || (*b == range.high && exclusive)) {
                (range.high, range.below_high) = (bound, exclusive);
            }
        }
        range.multiple_of = read("multipleOf")?;
        if let Some(step) = range.multiple_of.filter(|step| *step <= 0.0) {
            let reason = format!("is {step}; a number above 0 is accepted");
            return Err(GrammarError::schema(format!("{path}.multipleOf"), reason));
        }
        Ok(range)
    }

    fn empty(&self, path: &str) -> GrammarError {
        let step = self.multiple_of.map(|step| format!(" that is a multiple of {step}")).unwrap_or_default();
        GrammarError::schema(
            path,
            format!(
                "no number lies between {} and {}{step}, within what JSON is exact for",
                self.low, self.high
            ),
        )
    }
}
