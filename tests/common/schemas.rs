//! Random JSON schemas of the subset that constrained decoding accepts, the same for the same seed.
//!
//! No part of a test binary of its own: `mod schemas;` with a `#[path]` to this file.

use serde_json::{Map, Value, json};

/// A random schema of an object, with at most 40 keys. Every schema can be satisfied.
pub(super) fn schema(seed: u64) -> Value {
    let mut generator = Generator { state: seed, keys: 40 };
    let mut schema = generator.object(0);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema
}

struct Generator {
    state: u64,
    /// Keys that may still be used.
    keys: usize,
}

impl Generator {
    /// SplitMix64.
    fn below(&mut self, n: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn any(&mut self, depth: usize) -> Value {
        let mut schema = match self.below(if depth < 3 { 9 } else { 7 }) {
            0 => self.values(),
            1 | 2 => self.string(),
            3 => self.integer(),
            4 => self.number(),
            5 => json!({"type": "boolean"}),
            6 => return self.literals(),
            7 => self.array(depth),
            _ => self.object(depth),
        };
        if self.one_in(6)
            && let Some(name) = schema["type"].as_str().map(str::to_owned)
        {
            schema["type"] = if self.one_in(2) { json!([name, "null"]) } else { json!(["null", name]) };
            // A value of an enumeration has to be listed to be allowed, null too; the rest of the list is enough here.
        }
        if self.one_in(5) {
            schema["description"] = json!("A {\"note\"} of the author.");
        }
        schema
    }

    fn object(&mut self, depth: usize) -> Value {
        const NAMES: [&str; 10] =
            ["a", "id", "name", "two words", "größe", "q\"uote", "日本", "x-y", "back\\slash", "e\tf"];
        let mut properties = Map::new();
        let mut required = Vec::new();
        for _ in 0..self.below(5) {
            let name = match self.keys.checked_sub(1) {
                Some(left) => {
                    self.keys = left;
                    format!("{}{}", self.pick(&NAMES), self.below(3))
                }
                None => break,
            };
            if !properties.contains_key(&name) {
                if !self.one_in(3) {
                    required.push(json!(name));
                }
                let schema = self.any(depth + 1);
                properties.insert(name, schema);
            }
        }
        let (all, optional) = (properties.len(), properties.len() - required.len());
        let mut schema = json!({"type": "object", "properties": properties});
        if !required.is_empty() || self.one_in(2) {
            schema["required"] = json!(required);
        }
        match self.below(6) {
            0 if depth < 3 => schema["additionalProperties"] = self.any(depth + 2),
            1 => schema["additionalProperties"] = json!(true),
            2 | 3 => schema["additionalProperties"] = json!(false),
            _ => {}
        }
        // Only what is enforced for certain: counts that the properties keep in any case.
        if schema["additionalProperties"] == json!(false) && self.one_in(3) {
            schema["minProperties"] = json!(all - optional);
            schema["maxProperties"] = json!(all);
        }
        schema
    }

    fn array(&mut self, depth: usize) -> Value {
        let mut schema = json!({"type": "array", "items": self.any(depth + 1)});
        let min = self.below(4);
        if self.one_in(2) {
            schema["minItems"] = json!(min);
        }
        if self.one_in(2) {
            schema["maxItems"] = json!(min + self.below(4));
        }
        schema
    }

    fn string(&mut self) -> Value {
        let mut schema = json!({"type": "string"});
        if self.one_in(6) {
            schema["format"] = json!(self.pick(&["date", "time", "uuid", "ipv4", "email"]));
            return schema;
        }
        let min = self.below(4);
        if self.one_in(3) {
            schema["minLength"] = json!(min);
        }
        if self.one_in(2) {
            schema["maxLength"] = json!(min + self.below(20));
        }
        schema
    }

    fn integer(&mut self) -> Value {
        let mut schema = json!({"type": "integer"});
        let low = self.below(2_000) as i64 - 1_000;
        let high = low + self.below(5_000) as i64 + 10;
        if self.one_in(2) {
            schema[self.pick(&["minimum", "exclusiveMinimum"])] = json!(low);
        }
        if self.one_in(2) {
            schema[self.pick(&["maximum", "exclusiveMaximum"])] = json!(high);
        }
        if self.one_in(5) {
            schema["multipleOf"] = json!(1 + self.below(7));
        }
        schema
    }

    fn number(&mut self) -> Value {
        let mut schema = json!({"type": "number"});
        let low = (self.below(20_000) as f64 - 10_000.0) / 8.0;
        let high = low + (self.below(8_000) + 1) as f64 / 16.0;
        if self.one_in(2) {
            schema[self.pick(&["minimum", "exclusiveMinimum"])] = json!(low);
        }
        if self.one_in(2) {
            schema[self.pick(&["maximum", "exclusiveMaximum"])] = json!(high);
        }
        schema
    }

    /// Values of one type.
    fn values(&mut self) -> Value {
        match self.below(3) {
            0 => json!({"type": "string", "enum": ["red", "green", "", "new\nline", "日本\"", "/slash/"]}),
            1 => json!({"type": "integer", "enum": [0, -1, 17, 9_007_199_254_740_991_i64]}),
            _ => json!({"type": "number", "enum": [0.1, -2.5, 3, 1.0e-7]}),
        }
    }

    /// Values of any type.
    fn literals(&mut self) -> Value {
        if self.one_in(2) {
            return json!({"enum": ["a", 1, null, true, 2.5, ["x", []], {"k": {"l": [0]}}, {}]});
        }
        let value = match self.below(5) {
            0 => json!("fixed \"text\""),
            1 => json!(-12),
            2 => json!(false),
            3 => json!(null),
            _ => json!({"b": 1, "a": [1.25]}),
        };
        json!({"const": value})
    }
}
