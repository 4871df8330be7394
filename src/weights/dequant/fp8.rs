//! 8-bit floats E4M3 as "FP8 Formats for Deep Learning" (Micikevicius et al., 2022) defines them.

/// The value of every code: sign, 4 bits of exponent (bias 7), 3 bits of mantissa. There are no infinities; all seven
/// bits set are NaN.
static VALUES: [f32; 256] = values();

/// The value of a code.
pub(crate) fn e4m3(code: u8) -> f32 {
    VALUES[usize::from(code)]
}

const fn values() -> [f32; 256] {
    let mut values = [0.0; 256];
    let mut code = 0;
    while code < 256 {
        let (exponent, mantissa) = (code as u32 >> 3 & 15, code as u32 & 7);
        let magnitude = match (exponent, mantissa) {
            (15, 7) => f32::NAN,
            // Subnormal: eighths of 2^-6.
            (0, _) => mantissa as f32 / 512.0,
            // From bias 7 to bias 127, and from 3 bits of mantissa to 23.
            _ => f32::from_bits((exponent + 120) << 23 | mantissa << 20),
        };
        values[code] = if code < 128 { magnitude } else { -magnitude };
        code += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_value_of_the_definition() {
        for code in 0..=255u8 {
            let sign = if code & 0x80 == 0 { 1.0f64 } else { -1.0 };
            let (exponent, mantissa) = (i32::from(code >> 3 & 15), f64::from(code & 7));
            let found = e4m3(code);
            if code & 0x7f == 0x7f {
                assert!(found.is_nan(), "{code:#04x}: {found}");
                continue;
            }
            let expected = match exponent {
                0 => sign * 2f64.powi(-6) * (mantissa / 8.0),
                _ => sign * 2f64.powi(exponent - 7) * (1.0 + mantissa / 8.0),
            };
            assert_eq!(f64::from(found), expected, "{code:#04x}");
            assert_eq!(found.is_sign_negative(), code >= 0x80, "{code:#04x}");
        }
        // The paper's table 1: largest number, smallest normal one, smallest subnormal one.
        assert_eq!([0x7e, 0x08, 0x01].map(e4m3), [448.0, 2f32.powi(-6), 2f32.powi(-9)]);
    }
}
