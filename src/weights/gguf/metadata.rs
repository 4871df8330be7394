//! Typed access to the metadata of a GGUF file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use super::value::{Array, Value};
use crate::weights::error::WeightsError;

/// The key/value pairs of a GGUF file; empty for other formats.
///
/// The getters without `require_` answer `None` for an absent key, and an error that names key and file for a value
/// of another type. Integers are accepted in every width that the value fits.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    path: PathBuf,
    entries: HashMap<String, Value>,
}

impl Metadata {
    /// No entries yet; errors name `path`.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), entries: HashMap::new() }
    }

    /// Adds an entry.
    ///
    /// A key may come twice only with the very same single value, which real files do (the repetition changes
    /// nothing); arrays and differing values are refused, because readers would disagree about which one counts.
    ///
    /// # Errors
    /// [`WeightsError::Key`] for a repeated key.
    pub fn insert(&mut self, key: String, value: Value) -> Result<(), WeightsError> {
        match self.entries.entry(key) {
            Entry::Vacant(slot) => {
                slot.insert(value);
                Ok(())
            }
            Entry::Occupied(slot) if value.is_scalar() && *slot.get() == value => Ok(()),
            Entry::Occupied(slot) => Err(WeightsError::key(
                &self.path,
                slot.key(),
                "is there twice with different values or as an array",
            )),
        }
    }

    /// The file that the entries come from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of `key`, whatever its type.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// A string.
    ///
    /// # Errors
    /// [`WeightsError::Key`] when the value has another type; so for all getters.
    pub fn str(&self, key: &str) -> Result<Option<&str>, WeightsError> {
        self.typed(key, "a string", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// An integer that fits `u32`.
    pub fn u32(&self, key: &str) -> Result<Option<u32>, WeightsError> {
        self.typed(key, "an integer from 0 to 4294967295", |value| value.as_integer()?.try_into().ok())
    }

    /// An integer that fits `u64`.
    pub fn u64(&self, key: &str) -> Result<Option<u64>, WeightsError> {
        self.typed(key, "an integer that is not negative", |value| value.as_integer()?.try_into().ok())
    }

    /// A float.
    pub fn f32(&self, key: &str) -> Result<Option<f32>, WeightsError> {
        self.typed(key, "a float", |value| match *value {
            Value::F32(number) => Some(number),
            Value::F64(number) => Some(number as f32),
            _ => None,
        })
    }

    /// A boolean.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, WeightsError> {
        self.typed(key, "a bool", |value| match *value {
            Value::Bool(flag) => Some(flag),
            _ => None,
        })
    }

    /// An array of strings.
    pub fn str_array(&self, key: &str) -> Result<Option<&[String]>, WeightsError> {
        self.typed(key, "an array of strings", |value| match value {
            Value::Array(Array::String(strings)) => Some(strings.as_slice()),
            _ => None,
        })
    }

    /// An array of floats.
    pub fn f32_array(&self, key: &str) -> Result<Option<Cow<'_, [f32]>>, WeightsError> {
        self.typed(key, "an array of floats", |value| match value {
            Value::Array(Array::F32(numbers)) => Some(Cow::Borrowed(numbers.as_slice())),
            Value::Array(Array::F64(numbers)) => Some(numbers.iter().map(|&number| number as f32).collect()),
            _ => None,
        })
    }

    /// An array of integers that all fit `i32`.
    pub fn i32_array(&self, key: &str) -> Result<Option<Cow<'_, [i32]>>, WeightsError> {
        self.typed(key, "an array of integers that fit i32", |value| match value {
            Value::Array(Array::I32(numbers)) => Some(Cow::Borrowed(numbers.as_slice())),
            Value::Array(array) => narrowed(array).map(Cow::Owned),
            _ => None,
        })
    }

    /// An array of integers that all fit `u32`.
    pub fn u32_array(&self, key: &str) -> Result<Option<Cow<'_, [u32]>>, WeightsError> {
        self.typed(key, "an array of integers that fit u32", |value| match value {
            Value::Array(Array::U32(numbers)) => Some(Cow::Borrowed(numbers.as_slice())),
            Value::Array(array) => narrowed(array).map(Cow::Owned),
            _ => None,
        })
    }

    /// An array of booleans.
    pub fn bool_array(&self, key: &str) -> Result<Option<&[bool]>, WeightsError> {
        self.typed(key, "an array of bools", |value| match value {
            Value::Array(Array::Bool(flags)) => Some(flags.as_slice()),
            _ => None,
        })
    }

    /// As [`Metadata::str`], an absent key being an error; so for all `require_` getters.
    ///
    /// # Errors
    /// [`WeightsError::MissingKey`], or [`WeightsError::Key`] for a value of another type.
    pub fn require_str(&self, key: &str) -> Result<&str, WeightsError> {
        self.present(key, self.str(key)?)
    }

    /// As [`Metadata::u32`], required.
    pub fn require_u32(&self, key: &str) -> Result<u32, WeightsError> {
        self.present(key, self.u32(key)?)
    }

    /// As [`Metadata::u64`], required.
    pub fn require_u64(&self, key: &str) -> Result<u64, WeightsError> {
        self.present(key, self.u64(key)?)
    }

    /// As [`Metadata::f32`], required.
    pub fn require_f32(&self, key: &str) -> Result<f32, WeightsError> {
        self.present(key, self.f32(key)?)
    }

    /// As [`Metadata::bool`], required.
    pub fn require_bool(&self, key: &str) -> Result<bool, WeightsError> {
        self.present(key, self.bool(key)?)
    }

    /// As [`Metadata::str_array`], required.
    pub fn require_str_array(&self, key: &str) -> Result<&[String], WeightsError> {
        self.present(key, self.str_array(key)?)
    }

    /// As [`Metadata::f32_array`], required.
    pub fn require_f32_array(&self, key: &str) -> Result<Cow<'_, [f32]>, WeightsError> {
        self.present(key, self.f32_array(key)?)
    }

    /// As [`Metadata::i32_array`], required.
    pub fn require_i32_array(&self, key: &str) -> Result<Cow<'_, [i32]>, WeightsError> {
        self.present(key, self.i32_array(key)?)
    }

    /// As [`Metadata::u32_array`], required.
    pub fn require_u32_array(&self, key: &str) -> Result<Cow<'_, [u32]>, WeightsError> {
        self.present(key, self.u32_array(key)?)
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        accepted: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, WeightsError> {
        let Some(value) = self.entries.get(key) else { return Ok(None) };
        match convert(value) {
            Some(converted) => Ok(Some(converted)),
            None => {
                let shown =
                    value.as_integer().map(|number| format!(" of value {number}")).unwrap_or_default();
                let problem = format!("it is {}{shown}; {accepted} is needed", value.kind());
                Err(WeightsError::key(&self.path, key, problem))
            }
        }
    }

    fn present<T>(&self, key: &str, value: Option<T>) -> Result<T, WeightsError> {
        value.ok_or_else(|| WeightsError::MissingKey { path: self.path.clone(), key: key.to_owned() })
    }
}

/// The integers of `array` in another width; `None` when one does not fit or they are no integers.
fn narrowed<T: TryFrom<i128>>(array: &Array) -> Option<Vec<T>> {
    fn all<T: TryFrom<i128>, S: Copy + Into<i128>>(numbers: &[S]) -> Option<Vec<T>> {
        numbers.iter().map(|&number| T::try_from(number.into()).ok()).collect()
    }
    match array {
        Array::U8(numbers) => all(numbers),
        Array::I8(numbers) => all(numbers),
        Array::U16(numbers) => all(numbers),
        Array::I16(numbers) => all(numbers),
        Array::U32(numbers) => all(numbers),
        Array::I32(numbers) => all(numbers),
        Array::U64(numbers) => all(numbers),
        Array::I64(numbers) => all(numbers),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn sample() -> Metadata {
        let mut metadata = Metadata::new(Path::new("m.gguf"));
        for (key, value) in [
            ("a.name", Value::String("x".into())),
            ("a.count", Value::U64(7)),
            ("a.negative", Value::I32(-1)),
            ("a.scale", Value::F64(0.5)),
            ("a.types", Value::Array(Array::U32(vec![1, 3]))),
        ] {
            metadata.insert(key.into(), value).unwrap();
        }
        metadata
    }

    #[test]
    fn integers_come_in_any_width_that_fits() {
        let metadata = sample();
        assert_eq!(metadata.require_u32("a.count").unwrap(), 7);
        assert_eq!(metadata.u32("absent").unwrap(), None);
        assert_eq!(metadata.require_f32("a.scale").unwrap(), 0.5);
        assert_eq!(*metadata.require_i32_array("a.types").unwrap(), [1, 3]);
        let error = metadata.u32("a.negative").unwrap_err().to_string();
        assert_eq!(
            error,
            "m.gguf: key \"a.negative\": it is an i32 of value -1; an integer from 0 to 4294967295 is needed"
        );
    }

    #[test]
    fn errors_name_the_key() {
        let metadata = sample();
        let error = metadata.require_str("a.count").unwrap_err().to_string();
        assert_eq!(error, "m.gguf: key \"a.count\": it is a u64 of value 7; a string is needed");
        let error = metadata.require_bool("a.flag").unwrap_err().to_string();
        assert_eq!(error, "m.gguf: key \"a.flag\" is missing");
    }

    #[test]
    fn only_an_equal_scalar_may_repeat() {
        let mut metadata = sample();
        metadata.insert("a.count".into(), Value::U64(7)).unwrap();
        assert!(metadata.insert("a.count".into(), Value::U32(7)).is_err());
        assert!(metadata.insert("a.count".into(), Value::U64(8)).is_err());
        assert!(metadata.insert("a.types".into(), Value::Array(Array::U32(vec![1, 3]))).is_err());
    }
}
