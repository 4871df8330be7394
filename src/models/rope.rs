//! Rotary position embedding: the frequencies, and the scalings that stretch them.

use serde_json::Value;

use super::ModelError;

/// How the frequencies are made.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeSettings {
    /// The base of the geometric series.
    pub theta: f64,
    /// What stretches it.
    pub scaling: RopeScaling,
}

/// `rope_scaling` of `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// As trained.
    None,
    /// Position interpolation (Chen et al., 2023): every frequency divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1's: long wavelengths are divided, short ones kept, those between blended (the model card and
    /// reference code of Llama 3.1).
    Llama3 {
        /// The divisor of the long wavelengths.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` are long.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` are short.
        high_freq_factor: f64,
        /// The context of the model before it was stretched.
        original_positions: f64,
    },
    /// YaRN (Peng et al., 2023), as transformers computes it.
    Yarn(Yarn),
}

/// YaRN: frequencies that turn less than `beta_slow` times within the original context are divided by `factor`, those
/// that turn more than `beta_fast` times are kept, those between blended.
#[derive(Debug, Clone, PartialEq)]
pub struct Yarn {
    /// The divisor of the low frequencies.
    pub factor: f64,
    /// The context of the model before it was stretched.
    pub original_positions: f64,
    /// Turns from which a frequency is kept.
    pub beta_fast: f64,
    /// Turns up to which a frequency is divided.
    pub beta_slow: f64,
    /// Whether the edges of the blend are rounded outwards to whole frequencies.
    pub truncate: bool,
    /// What cosines and sines are multiplied by.
    pub attention_factor: f64,
    /// DeepSeek's `mscale_all_dim`: what its softmax scale is multiplied by comes from it.
    pub mscale_all_dim: Option<f64>,
}

impl Yarn {
    /// `0.1 * mscale * ln(factor) + 1`, and 1 where nothing is stretched.
    fn mscale(factor: f64, mscale: f64) -> f64 {
        if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
    }

    /// What DeepSeek's scores are multiplied by, besides the usual scale: the square of the `mscale` of all dimensions.
    pub fn score_factor(&self) -> f64 {
        self.mscale_all_dim.map_or(1.0, |all| Self::mscale(self.factor, all).powi(2))
    }

    fn from_json(
        value: &Value,
        number: &dyn Fn(&str) -> Result<f64, ModelError>,
    ) -> Result<Self, ModelError> {
        let optional = |key: &str| match value.get(key) {
            None | Some(Value::Null) => Ok(None),
            // 0 stands for what is not there.
            Some(zero) if zero.as_f64() == Some(0.0) => Ok(None),
            Some(_) => number(key).map(Some),
        };
        let factor = number("factor")?;
        let (mscale, mscale_all_dim) = (optional("mscale")?, optional("mscale_all_dim")?);
        let attention_factor = match (optional("attention_factor")?, mscale, mscale_all_dim) {
            (Some(given), ..) => given,
            (None, Some(mscale), Some(all)) => Self::mscale(factor, mscale) / Self::mscale(factor, all),
            _ => Self::mscale(factor, 1.0),
        };
        Ok(Self {
            factor,
            original_positions: number("original_max_position_embeddings")?,
            beta_fast: optional("beta_fast")?.unwrap_or(32.0),
            beta_slow: optional("beta_slow")?.unwrap_or(1.0),
            truncate: value.get("truncate").and_then(Value::as_bool).unwrap_or(true),
            attention_factor,
            mscale_all_dim,
        })
    }

    /// Frequency `i` of `dim / 2`, stretched.
    fn scale(&self, frequency: f32, theta: f64, i: usize, dim: usize) -> f32 {
        // The (broken) number of the frequency that turns so often within the original context.
        let number = |turns: f64| {
            dim as f64 * (self.original_positions / (turns * 2.0 * std::f64::consts::PI)).ln()
                / (2.0 * theta.ln())
        };
        let (mut low, mut high) = (number(self.beta_fast), number(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(dim as f64 - 1.0));
        if low == high {
            high += 0.001;
        }
        let divided = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
        let frequency = f64::from(frequency);
        (frequency / self.factor * divided + frequency * (1.0 - divided)) as f32
    }
}

impl RopeScaling {
    /// Reads `rope_scaling` (or the newer `rope_parameters`).
    ///
    /// # Errors
    /// A kind that is not supported, or numbers that are missing or make no sense.
    pub fn from_json(value: &Value) -> Result<Self, ModelError> {
        let wrong = |value: String, expected: &str| ModelError::Value {
            file: "config.json",
            key: "rope_scaling".into(),
            value,
            expected: expected.into(),
        };
        let number = |key: &str| -> Result<f64, ModelError> {
            let found = value.get(key).and_then(Value::as_f64).filter(|n| n.is_finite() && *n > 0.0);
            found.ok_or_else(|| wrong(value.to_string(), &format!("a positive `{key}`")))
        };
        let kind = value.get("rope_type").or_else(|| value.get("type")).and_then(Value::as_str);
        match kind {
            None if value.is_null() => Ok(Self::None),
            Some("default") => Ok(Self::None),
            Some("linear") => Ok(Self::Linear { factor: number("factor")? }),
            Some("llama3") => {
                let scaling = Self::Llama3 {
                    factor: number("factor")?,
                    low_freq_factor: number("low_freq_factor")?,
                    high_freq_factor: number("high_freq_factor")?,
                    original_positions: number("original_max_position_embeddings")?,
                };
                match scaling {
                    Self::Llama3 { low_freq_factor, high_freq_factor, .. }
                        if high_freq_factor <= low_freq_factor =>
                    {
                        Err(wrong(value.to_string(), "`high_freq_factor` above `low_freq_factor`"))
                    }
                    scaling => Ok(scaling),
                }
            }
            Some("yarn") => Yarn::from_json(value, &number).map(Self::Yarn),
            _ => Err(wrong(value.to_string(), "`rope_type` default, linear, llama3 or yarn")),
        }
    }
}

impl RopeSettings {
    /// The `head_dim / 2` angular frequencies. `factors` divide them one by one, as GGUF's `rope_freqs.weight` does.
    ///
    /// # Errors
    /// Factors of another length.
    pub fn frequencies(&self, head_dim: usize, factors: Option<&[f32]>) -> Result<Vec<f32>, ModelError> {
        let half = head_dim / 2;
        if let Some(factors) = factors.filter(|factors| factors.len() != half) {
            return Err(ModelError::Shape {
                tensor: "rope_freqs.weight".into(),
                found: vec![factors.len()],
                expected: vec![half],
            });
        }
        let frequency = |i: usize| {
            // transformers computes these in f32; so do we, to stay within rounding of the trained positions.
            let frequency = 1.0 / (self.theta as f32).powf((2 * i) as f32 / head_dim as f32);
            let scaled = self.scale(frequency, i, head_dim);
            factors.map_or(scaled, |factors| scaled / factors[i])
        };
        Ok((0..half).map(frequency).collect())
    }

    /// What cosines and sines are multiplied by.
    pub fn attention_factor(&self) -> f32 {
        match &self.scaling {
            RopeScaling::Yarn(yarn) => yarn.attention_factor as f32,
            _ => 1.0,
        }
    }

    fn scale(&self, frequency: f32, i: usize, head_dim: usize) -> f32 {
        match self.scaling {
            RopeScaling::Yarn(ref yarn) => yarn.scale(frequency, self.theta, i, head_dim),
            RopeScaling::None => frequency,
            RopeScaling::Linear { factor } => frequency / factor as f32,
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => {
                let wavelength = 2.0 * std::f64::consts::PI / f64::from(frequency);
                if wavelength < original_positions / high_freq_factor {
                    frequency
                } else if wavelength > original_positions / low_freq_factor {
                    frequency / factor as f32
                } else {
                    let smooth = (original_positions / wavelength - low_freq_factor)
                        / (high_freq_factor - low_freq_factor);
                    let frequency = f64::from(frequency);
                    ((1.0 - smooth) * frequency / factor + smooth * frequency) as f32
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn llama3_scaling_has_three_bands() {
        let plain = RopeSettings { theta: 500_000.0, scaling: RopeScaling::None };
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_positions: 8192.0,
        };
        let scaled = RopeSettings { scaling, ..plain.clone() }.frequencies(128, None).unwrap();
        let plain = plain.frequencies(128, None).unwrap();
        assert_eq!(scaled[0], plain[0]);
        assert_eq!(scaled[63], plain[63] / 8.0);
        assert!(scaled.iter().zip(&plain).any(|(s, p)| *s < *p && *s > p / 8.0));
    }

    #[test]
    fn factors_divide() {
        let settings = RopeSettings { theta: 10_000.0, scaling: RopeScaling::Linear { factor: 2.0 } };
        let frequencies = settings.frequencies(4, Some(&[1.0, 4.0])).unwrap();
        assert_eq!(frequencies[0], 0.5);
        assert!((frequencies[1] - 0.01 / 8.0).abs() < 1e-9);
        assert!(settings.frequencies(4, Some(&[1.0])).is_err());
    }

    fn yarn(json: serde_json::Value) -> Yarn {
        match RopeScaling::from_json(&json).unwrap() {
            RopeScaling::Yarn(yarn) => yarn,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn yarn_keeps_high_frequencies_and_divides_low_ones() {
        // DeepSeek V3's own numbers. Of 32 frequencies the blend begins after number
        // floor(64 ln(4096 / (32 * 2 pi)) / (2 ln 10000)) = 10 and ends with ceil(64 ln(4096 / 2 pi) / (2 ln 10000)) = 23.
        let scaling = yarn(serde_json::json!({
            "type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1,
            "mscale": 1.0, "mscale_all_dim": 1.0
        }));
        assert_eq!(scaling.attention_factor, 1.0);
        // 0.1 ln 40 + 1 = 1.368888, squared.
        assert!((scaling.score_factor() - 1.873_854).abs() < 1e-5, "{}", scaling.score_factor());
        let plain = RopeSettings { theta: 10_000.0, scaling: RopeScaling::None };
        let scaled = RopeSettings { scaling: RopeScaling::Yarn(scaling), ..plain.clone() };
        let (plain, scaled) = (plain.frequencies(64, None).unwrap(), scaled.frequencies(64, None).unwrap());
        for (at, (plain, scaled)) in plain.iter().zip(&scaled).enumerate() {
            let divided = (at as f32 - 10.0).clamp(0.0, 13.0) / 13.0;
            let expected = plain * (1.0 - divided) + plain / 40.0 * divided;
            assert!((scaled - expected).abs() <= 1e-6 * expected, "{at}: {scaled}, expected {expected}");
        }
    }

    #[test]
    fn yarn_without_mscale_has_the_factor_of_its_paper() {
        let plain =
            serde_json::json!({"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 64});
        let found = yarn(plain.clone());
        assert!((found.attention_factor - (0.1 * 4f64.ln() + 1.0)).abs() < 1e-12);
        assert_eq!((found.score_factor(), found.beta_fast, found.beta_slow), (1.0, 32.0, 1.0));
        for (key, value) in [("attention_factor", 1.5), ("beta_fast", -1.0), ("factor", 0.0)] {
            let mut changed = plain.clone();
            changed[key] = value.into();
            match RopeScaling::from_json(&changed) {
                Ok(RopeScaling::Yarn(yarn)) => assert_eq!(yarn.attention_factor, 1.5),
                Ok(other) => panic!("{other:?}"),
                Err(error) => assert!(error.to_string().contains(key), "{error}"),
            }
        }
    }
}
