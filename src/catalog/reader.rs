//! Reading TOML entries so that an error names the entry, the key, the value and what would be accepted.

use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::civil::Date;
use toml::{Table, Value};

use super::error::CatalogError;

type Result<T> = std::result::Result<T, CatalogError>;

/// What errors call the text as a whole.
pub(super) const ROOT: &str = "(top level)";

/// The most characters of one text.
const LONGEST_TEXT: usize = 2000;

/// The tables of a TOML text.
pub(super) fn parse(text: &str) -> Result<Table> {
    text.parse::<Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        // Folded, because a parser's message may have several lines and an error has one.
        let reason = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        CatalogError::Syntax { line: before.matches('\n').count() + 1, reason }
    })
}

/// One table of the text, and how errors call it.
pub(super) struct Entry<'a> {
    label: String,
    table: &'a Table,
}

impl<'a> Entry<'a> {
    /// The table `table` under `label`, which may have `keys` and no others.
    pub(super) fn new(label: String, table: &'a Table, keys: &[&str]) -> Result<Self> {
        let entry = Self { label, table };
        match table.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(CatalogError::UnknownKey {
                entry: entry.label,
                key: key.clone(),
                accepted: keys.join(", "),
            }),
            None => Ok(entry),
        }
    }

    /// The tables of the array `key`, each of which may have `keys`.
    pub(super) fn entries(&self, key: &'static str, keys: &[&str]) -> Result<Vec<Entry<'a>>> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let tables = value.as_array().ok_or_else(|| self.bad(key, value, "an array of tables"))?;
        let mut entries = Vec::with_capacity(tables.len());
        for (index, value) in tables.iter().enumerate() {
            let table =
                value.as_table().ok_or_else(|| self.bad(&format!("{key}[{index}]"), value, "a table"))?;
            let inside = if self.label == ROOT { String::new() } else { format!("{}, ", self.label) };
            let name = table.get("name").or_else(|| table.get("model")).or_else(|| table.get("family"));
            let name = name.and_then(Value::as_str).map(|name| format!(" {}", super::error::Quoted(name)));
            let label = format!("{inside}{key}[{index}]{}", name.unwrap_or_default());
            entries.push(Entry::new(label, table, keys)?);
        }
        Ok(entries)
    }

    /// The table `key`, which may have `keys`.
    pub(super) fn table(&self, key: &'static str, keys: &[&str]) -> Result<Option<Entry<'a>>> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let table = value.as_table().ok_or_else(|| self.bad(key, value, "a table"))?;
        Entry::new(key.into(), table, keys).map(Some)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The error that `key` has the value `value`.
    pub(super) fn bad(&self, key: &str, value: &Value, accepted: impl Into<String>) -> CatalogError {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Table(_) => "a table".into(),
            Value::Array(_) => "an array".into(),
            Value::Datetime(datetime) => datetime.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
        };
        self.bad_text(key, value, accepted)
    }

    /// The same for a value that is known as text.
    pub(super) fn bad_text(
        &self,
        key: &str,
        value: impl Into<String>,
        accepted: impl Into<String>,
    ) -> CatalogError {
        CatalogError::Value {
            entry: self.label.clone(),
            key: key.into(),
            value: value.into(),
            accepted: accepted.into(),
        }
    }

    /// The error that `key` is not there.
    pub(super) fn missing(&self, key: &'static str, accepted: impl Into<String>) -> CatalogError {
        CatalogError::Missing { entry: self.label.clone(), key, accepted: accepted.into() }
    }

    fn text_of(&self, key: &str, value: &Value) -> Result<String> {
        let accepted =
            "a text of one line, 1 to 2000 characters, without spaces around it or control characters";
        let fits = |text: &&str| {
            !text.is_empty()
                && text.trim() == *text
                && text.chars().count() <= LONGEST_TEXT
                && !text.contains(char::is_control)
        };
        match value.as_str().filter(fits) {
            Some(text) => Ok(text.into()),
            None => Err(self.bad(key, value, accepted)),
        }
    }

    pub(super) fn opt_text(&self, key: &'static str) -> Result<Option<String>> {
        self.table.get(key).map(|value| self.text_of(key, value)).transpose()
    }

    pub(super) fn text(&self, key: &'static str) -> Result<String> {
        self.opt_text(key)?.ok_or_else(|| self.missing(key, "a text"))
    }

    pub(super) fn texts(&self, key: &'static str) -> Result<Vec<String>> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let values = value.as_array().ok_or_else(|| self.bad(key, value, "an array of texts"))?;
        values
            .iter()
            .enumerate()
            .map(|(index, value)| self.text_of(&format!("{key}[{index}]"), value))
            .collect()
    }

    pub(super) fn opt_flag(&self, key: &'static str) -> Result<Option<bool>> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.bad(key, value, "true or false"))
    }

    pub(super) fn opt_number(&self, key: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        match number.filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.bad(key, value, format!("a number from {} to {}", range.start(), range.end()))),
        }
    }

    pub(super) fn opt_day(&self, key: &'static str) -> Result<Option<Date>> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let bad = || self.bad(key, value, "a day, such as 2025-04-30 without quotes");
        let datetime = value.as_datetime().filter(|at| at.time.is_none() && at.offset.is_none());
        let day = datetime.and_then(|at| at.date).ok_or_else(bad)?;
        let narrow = |part: u8| i8::try_from(part).ok();
        let parts = i16::try_from(day.year).ok().zip(narrow(day.month)).zip(narrow(day.day));
        let ((year, month), day) = parts.ok_or_else(bad)?;
        Date::new(year, month, day).map(Some).map_err(|_| bad())
    }

    pub(super) fn day(&self, key: &'static str) -> Result<Date> {
        self.opt_day(key)?.ok_or_else(|| self.missing(key, "a day, such as 2025-04-30"))
    }

    /// A value of a fixed list.
    pub(super) fn opt_one<T: FromStr<Err = CatalogError>>(&self, key: &'static str) -> Result<Option<T>> {
        let Some(text) = self.opt_text(key)? else { return Ok(None) };
        self.one_of(key, &text).map(Some)
    }

    pub(super) fn one<T: FromStr<Err = CatalogError>>(&self, key: &'static str, accepted: &str) -> Result<T> {
        self.opt_one(key)?.ok_or_else(|| self.missing(key, accepted))
    }

    /// Values of a fixed list, none twice.
    pub(super) fn many<T: FromStr<Err = CatalogError> + PartialEq>(
        &self,
        key: &'static str,
    ) -> Result<Vec<T>> {
        let mut values = Vec::new();
        for (index, text) in self.texts(key)?.iter().enumerate() {
            let key = format!("{key}[{index}]");
            let value = self.one_of(&key, text)?;
            if values.contains(&value) {
                return Err(self.bad_text(&key, text, "each only once"));
            }
            values.push(value);
        }
        Ok(values)
    }

    fn one_of<T: FromStr<Err = CatalogError>>(&self, key: &str, text: &str) -> Result<T> {
        text.parse().map_err(|error| match error {
            CatalogError::Name { value, accepted, .. } => self.bad_text(key, value, accepted),
            other => other,
        })
    }
}
