//! The special tokens that stand before and after a text.

use serde_json::Value;

use super::error::TokenizerError;

const KINDS: &str = "BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing";
const MAX_DEPTH: usize = 8;
/// More special tokens than any real model puts around a text.
const MAX_TOKENS: usize = 64;

/// What encoding with special tokens adds, such as a beginning-of-sequence token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) before: Vec<u32>,
    pub(super) after: Vec<u32>,
}

impl Frame {
    /// Reads the `post_processor` of a tokenizer.json, of which only the ids matter here.
    pub(super) fn from_json(value: &Value) -> Result<Self, TokenizerError> {
        let mut frame = Self::default();
        if !value.is_null() {
            frame.wrap(value, "post_processor", 0)?;
        }
        if frame.before.len() + frame.after.len() > MAX_TOKENS {
            return Err(TokenizerError::invalid(
                "post_processor",
                format!("adds more than {MAX_TOKENS} tokens to a text"),
            ));
        }
        Ok(frame)
    }

    /// Puts what `value` adds around what is there.
    fn wrap(&mut self, value: &Value, field: &str, depth: usize) -> Result<(), TokenizerError> {
        if depth > MAX_DEPTH {
            return Err(TokenizerError::invalid(field, format!("nested more than {MAX_DEPTH} deep")));
        }
        match value.get("type").and_then(Value::as_str) {
            // Only moves offsets.
            Some("ByteLevel") => Ok(()),
            Some("Sequence") => {
                let parts = value.get("processors").and_then(Value::as_array).ok_or_else(|| {
                    TokenizerError::invalid(format!("{field}.processors"), "expected a list")
                })?;
                for (index, part) in parts.iter().enumerate() {
                    self.wrap(part, &format!("{field}.processors[{index}]"), depth + 1)?;
                }
                Ok(())
            }
            Some("BertProcessing" | "RobertaProcessing") => {
                let token = |name: &str| {
                    value.get(name).and_then(|pair| pair.get(1)).and_then(id).ok_or_else(|| {
                        TokenizerError::invalid(format!("{field}.{name}"), "expected [token, id]")
                    })
                };
                self.before.insert(0, token("cls")?);
                self.after.push(token("sep")?);
                Ok(())
            }
            Some("TemplateProcessing") => self.wrap_template(value, field),
            Some(other) => Err(TokenizerError::unsupported(format!("{field}.type"), other, KINDS)),
            None => Err(TokenizerError::invalid(field, format!("no type; expected one of {KINDS}"))),
        }
    }

    fn wrap_template(&mut self, value: &Value, field: &str) -> Result<(), TokenizerError> {
        let single = format!("{field}.single");
        let pieces = value
            .get("single")
            .and_then(Value::as_array)
            .ok_or_else(|| TokenizerError::invalid(&single, "expected a list"))?;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut seen_text = false;
        for (index, piece) in pieces.iter().enumerate() {
            let at = format!("{single}[{index}]");
            if piece.get("Sequence").is_some() {
                if std::mem::replace(&mut seen_text, true) {
                    return Err(TokenizerError::invalid(at, "the text stands in the template twice"));
                }
                continue;
            }
            let name = piece
                .get("SpecialToken")
                .and_then(|token| token.get("id"))
                .and_then(Value::as_str)
                .ok_or_else(|| {
                    TokenizerError::invalid(&at, "expected Sequence or SpecialToken with an id")
                })?;
            let ids = value
                .get("special_tokens")
                .and_then(|tokens| tokens.get(name))
                .and_then(|token| token.get("ids"))
                .and_then(Value::as_array)
                .and_then(|ids| ids.iter().map(id).collect::<Option<Vec<u32>>>())
                .ok_or_else(|| {
                    TokenizerError::invalid(
                        format!("{field}.special_tokens"),
                        format!("no ids for {name:?}, which {at} names"),
                    )
                })?;
            if seen_text { after.extend(ids) } else { before.extend(ids) }
        }
        if !seen_text {
            return Err(TokenizerError::invalid(single, "has no place for the text"));
        }
        before.append(&mut self.before);
        self.before = before;
        self.after.append(&mut after);
        Ok(())
    }

    /// Makes the first token be `bos`, or not.
    pub(super) fn set_bos(&mut self, bos: u32, wanted: bool) {
        match (self.before.first() == Some(&bos), wanted) {
            (false, true) => self.before.insert(0, bos),
            (true, false) => {
                self.before.remove(0);
            }
            _ => {}
        }
    }

    /// Makes the last token be `eos`, or not.
    pub(super) fn set_eos(&mut self, eos: u32, wanted: bool) {
        match (self.after.last() == Some(&eos), wanted) {
            (false, true) => self.after.push(eos),
            (true, false) => {
                self.after.pop();
            }
            _ => {}
        }
    }
}

fn id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn template(tokens: Value) -> Value {
        json!({"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": tokens})
    }

    #[test]
    fn a_sequence_wraps_from_the_inside() {
        let inner = template(json!({"<s>": {"id": "<s>", "ids": [1, 7], "tokens": ["<s>", "x"]}}));
        let frame = Frame::from_json(&json!({"type": "Sequence", "processors": [
            {"type": "ByteLevel"}, inner,
            {"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}]}))
        .unwrap();
        assert_eq!(frame, Frame { before: vec![101, 1, 7], after: vec![102] });
    }

    #[test]
    fn what_a_template_names_must_be_there() {
        for tokens in [json!({}), json!({"<s>": {"ids": [-1]}}), json!({"<s>": {"ids": [4294967296u64]}})] {
            let error = Frame::from_json(&template(tokens)).unwrap_err().to_string();
            assert!(error.contains("<s>"), "{error}");
        }
        let error = Frame::from_json(&json!({"type": "Nonsense"})).unwrap_err().to_string();
        assert!(error.contains("Nonsense") && error.contains("TemplateProcessing"), "{error}");
    }

    #[test]
    fn first_and_last_can_be_switched() {
        let mut frame = Frame::default();
        frame.set_bos(1, true);
        frame.set_bos(1, true);
        frame.set_eos(2, true);
        assert_eq!(frame, Frame { before: vec![1], after: vec![2] });
        frame.set_bos(1, false);
        frame.set_eos(2, false);
        assert_eq!(frame, Frame::default());
    }
}
