//! Objects: which keys, in which order, and which of them must be there.

use serde_json::{Map, Value, json};

use super::{Walk, any, counts, keywords, kind_of, shown};
use crate::grammar::error::GrammarError;

/// Which keys there may be beside those of `properties`.
enum Further {
    None,
    Any,
    Of(Value),
}

impl Walk {
    pub(super) fn object(
        &mut self,
        keys: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Map<String, Value>, GrammarError> {
        let mut properties = self.properties(keys, path, depth)?;
        let required = required(keys, path)?;
        let further = self.further(keys, path, depth)?;
        for name in &required {
            if properties.contains_key(name) {
                continue;
            }
            let schema = match &further {
                Further::None if keys.contains_key("additionalProperties") => {
                    return Err(GrammarError::schema(
                        format!("{path}.required"),
                        format!(
                            "names {name:?}, which `properties` lacks and `additionalProperties` excludes"
                        ),
                    ));
                }
                Further::None | Further::Any => any(),
                Further::Of(schema) => schema.clone(),
            };
            self.count(1)?;
            properties.insert(name.clone(), schema);
        }
        let (min, max) = counts(keys, ["minProperties", "maxProperties"], path)?;
        let open = !matches!(further, Further::None);
        if max.is_some_and(|max| max < required.len()) {
            let reason = format!("is {}, below the {} that are required", shown(&json!(max)), required.len());
            return Err(GrammarError::schema(format!("{path}.maxProperties"), reason));
        }
        if !open && min > properties.len() {
            let reason = format!("is {min}, but there are only {} properties", properties.len());
            return Err(GrammarError::schema(format!("{path}.minProperties"), reason));
        }
        let optional = properties.len() - required.len();
        let mut normal = Map::new();
        if enforceable(
            min.saturating_sub(required.len()),
            max.map(|max| max - required.len()),
            optional,
            open,
        ) {
            normal.insert("minProperties".into(), json!(min));
            if let Some(max) = max {
                normal.insert("maxProperties".into(), json!(max));
            }
        }
        normal.insert("properties".into(), Value::Object(properties));
        normal.insert("required".into(), json!(required));
        normal.insert(
            "additionalProperties".into(),
            match further {
                Further::None => json!(false),
                Further::Any => any(),
                Further::Of(schema) => schema,
            },
        );
        Ok(normal)
    }

    fn properties(
        &mut self,
        keys: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Map<String, Value>, GrammarError> {
        let Some(value) = keys.get("properties") else { return Ok(Map::new()) };
        let path = format!("{path}.properties");
        let listed = value.as_object().ok_or_else(|| {
            GrammarError::schema(&path, format!("is {}; an object of schemas is accepted", kind_of(value)))
        })?;
        self.count(listed.len())?;
        listed
            .iter()
            .map(|(name, schema)| {
                Ok((name.clone(), self.schema(schema, &format!("{path}.{name}"), depth + 1)?))
            })
            .collect()
    }

    fn further(
        &mut self,
        keys: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Further, GrammarError> {
        match keys.get("additionalProperties") {
            None if keys.contains_key("properties") => Ok(Further::None),
            None | Some(Value::Bool(true)) => Ok(Further::Any),
            Some(Value::Bool(false)) => Ok(Further::None),
            Some(schema) => {
                let path = format!("{path}.additionalProperties");
                keywords(schema, &path)?;
                Ok(Further::Of(self.schema(schema, &path, depth + 1)?))
            }
        }
    }
}

fn required(keys: &Map<String, Value>, path: &str) -> Result<Vec<String>, GrammarError> {
    let Some(value) = keys.get("required") else { return Ok(Vec::new()) };
    let refuse = |reason: String| GrammarError::schema(format!("{path}.required"), reason);
    let list = value
        .as_array()
        .ok_or_else(|| refuse(format!("is {}; a list of names is accepted", kind_of(value))))?;
    let mut names: Vec<String> = Vec::new();
    for name in list {
        let name =
            name.as_str().ok_or_else(|| refuse(format!("holds {}; names are strings", kind_of(name))))?;
        if names.iter().any(|known| known == name) {
            return Err(refuse(format!("names {name:?} twice")));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Whether the engine counts properties in such an object: `min` and `max` are what is left beside the required ones.
/// Of optional ones it can ask for at least one, at most one or exactly one, where no further keys may come.
fn enforceable(min: usize, max: Option<usize>, optional: usize, open: bool) -> bool {
    optional == 0 || (!open && min <= 1 && max.unwrap_or(1) == 1 && (min == 1 || max == Some(1)))
}
