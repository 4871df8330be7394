//! Damage to the files of a model that knows what they mean: values of JSON, of the header of safetensors and of the numbers of a
//! GGUF header are replaced by others of their kind or of another one, and lengths are kept right where that leads deeper.
//!
//! No part of a test binary of its own: `mod mutations;` with a `#[path]` to this file.

use serde_json::{Map, Value, json};

/// Where choices come from: a seed, or the bytes of a fuzzer.
pub(crate) struct Choices<'a> {
    bytes: &'a [u8],
    state: u64,
}

impl<'a> Choices<'a> {
    /// The bytes first, then what follows from them.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let state =
            bytes.iter().fold(0x9E37_79B9, |state: u64, byte| state.rotate_left(7) ^ u64::from(*byte));
        Self { bytes, state }
    }

    fn next(&mut self) -> u64 {
        if let Some((first, rest)) = self.bytes.split_first_chunk::<4>() {
            self.bytes = rest;
            return u64::from(u32::from_le_bytes(*first));
        }
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Damages a file by its name.
pub(crate) fn damage(name: &str, bytes: &mut Vec<u8>, choices: &mut Choices<'_>) {
    for _ in 0..=choices.below(3) {
        if name.ends_with(".json") {
            damage_json(bytes, choices);
        } else if name.ends_with(".safetensors") {
            damage_safetensors(bytes, choices);
        } else {
            damage_gguf(bytes, choices);
        }
    }
}

fn damage_json(bytes: &mut Vec<u8>, choices: &mut Choices<'_>) {
    if let Ok(mut value) = serde_json::from_slice::<Value>(bytes) {
        change(&mut value, choices);
        *bytes = value.to_string().into_bytes();
    }
}

fn damage_safetensors(bytes: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return };
    let length = u64::from_le_bytes(*length) as usize;
    let Some((header, data)) = rest.split_at_checked(length) else { return };
    let mut data = data.to_vec();
    let mut header = header.to_vec();
    match choices.below(4) {
        0 => {
            data.truncate(choices.below(data.len() + 1));
        }
        1 => {
            // Weights of which some are infinite or no numbers.
            for _ in 0..=choices.below(64) {
                let at = choices.below(data.len().saturating_sub(4));
                if let Some(four) = data.get_mut(at..at + 4) {
                    four.copy_from_slice(
                        &[[0, 0, 0x80, 0x7F], [0, 0, 0xC0, 0x7F], [0xFF; 4]][choices.below(3)],
                    );
                }
            }
        }
        _ => damage_json(&mut header, choices),
    }
    *bytes = (header.len() as u64).to_le_bytes().into_iter().chain(header).chain(data).collect();
}

/// The numbers of the header: lengths of texts and lists, kinds, counts, dimensions, offsets.
fn damage_gguf(bytes: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let header = bytes.len().min(24 << 10);
    match choices.below(6) {
        0 => bytes.truncate(choices.below(bytes.len() + 1)),
        1 => {
            let at = choices.below(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << choices.below(8);
            }
        }
        kind => {
            let (at, wide) = (choices.below(header), kind % 2 == 0);
            let special = [
                0,
                1,
                2,
                3,
                7,
                8,
                9,
                12,
                31,
                32,
                255,
                256,
                4096,
                1 << 31,
                u64::from(u32::MAX),
                1 << 40,
                u64::MAX,
            ];
            let number = special[choices.below(special.len())].to_le_bytes();
            let number = if wide { &number[..] } else { &number[..4] };
            if let Some(place) = bytes.get_mut(at..at + number.len()) {
                place.copy_from_slice(number);
            }
        }
    }
}

/// Changes one value somewhere in a tree.
fn change(value: &mut Value, choices: &mut Choices<'_>) {
    match value {
        Value::Object(members) if !members.is_empty() && choices.below(8) != 0 => {
            let at = choices.below(members.len());
            let Some(key) = members.keys().nth(at).cloned() else { return };
            match choices.below(12) {
                0 => drop(members.remove(&key)),
                1 => {
                    let moved = members.remove(&key).unwrap_or_default();
                    members.insert(format!("{key}x"), moved);
                }
                _ => {
                    if let Some(inner) = members.get_mut(&key) {
                        change(inner, choices);
                    }
                }
            }
        }
        Value::Array(all) if !all.is_empty() && choices.below(8) != 0 => {
            let at = choices.below(all.len());
            match choices.below(8) {
                0 => drop(all.remove(at)),
                1 => all.push(all[at].clone()),
                _ => change(&mut all[at], choices),
            }
        }
        other => *other = replacement(other, choices),
    }
}

fn replacement(old: &Value, choices: &mut Choices<'_>) -> Value {
    let near = old.as_i64().unwrap_or(0);
    let all = [
        json!(near.wrapping_add(1)),
        json!(near.wrapping_sub(1)),
        json!(near.wrapping_mul(2)),
        json!(-near),
        json!(0),
        json!(1),
        json!(-1),
        json!(i64::from(i32::MAX)),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(0.5),
        json!(-0.0),
        json!(1e300),
        json!(1e-300),
        json!(true),
        Value::Null,
        json!(""),
        json!("x"),
        json!("\u{0}"),
        json!("F64"),
        json!("a".repeat(5000)),
        json!([]),
        json!([0, 0]),
        json!([u64::MAX, 1]),
        Value::Object(Map::new()),
        json!({ "rope_type": "yarn", "factor": 0 }),
    ];
    all[choices.below(all.len())].clone()
}
