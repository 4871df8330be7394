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
            _ => Err(wrong(value.to_string(), "`rope_type` default, linear or llama3")),
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
            let scaled = self.scale(frequency);
            factors.map_or(scaled, |factors| scaled / factors[i])
        };
        Ok((0..half).map(frequency).collect())
    }

    fn scale(&self, frequency: f32) -> f32 {
        match self.scaling {
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
    #![allow(clippy::unwrap_used)]
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
}
