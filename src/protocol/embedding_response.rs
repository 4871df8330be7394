//! The embedding response.

use serde::{Deserialize, Serialize};

use super::embedding::{EncodingFormat, Normalize, PoolingMode};

/// The vectors of the texts of a request, in its order.
///
/// `normalize`, `pooling` and, of each row, `tokens` and `truncated` are not part of the OpenAI shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingResponse {
    /// What this is.
    pub object: EmbeddingListObject,
    /// One row per text.
    pub data: Vec<EmbeddingData>,
    /// The exact version that answered.
    pub model: String,
    /// What the request cost.
    pub usage: EmbeddingUsage,
    /// What was applied: `none` or `l2`.
    pub normalize: Normalize,
    /// How rows of tokens became vectors.
    pub pooling: PoolingMode,
    /// What is known about the life of the model, when it was asked for and there is anything to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_lifecycle: Option<serde_json::Value>,
}

/// `list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingListObject {
    /// A list of embeddings.
    #[default]
    List,
}

/// `embedding`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingObject {
    /// One text's vector.
    #[default]
    Embedding,
}

/// The vector of one text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingData {
    /// What this is.
    pub object: EmbeddingObject,
    /// The text's index in the request.
    pub index: usize,
    /// The vector.
    pub embedding: EmbeddingVector,
    /// Tokens that were computed, special tokens included.
    pub tokens: usize,
    /// Whether the text was longer than the model takes and was cut.
    pub truncated: bool,
}

/// A vector as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EmbeddingVector {
    /// A list of numbers.
    Float(Vec<f32>),
    /// 32-bit floats, little endian, in Base64.
    Base64(String),
}

impl EmbeddingVector {
    /// Writes a vector in this format.
    pub fn new(values: &[f32], format: EncodingFormat) -> Self {
        match format {
            EncodingFormat::Float => Self::Float(values.to_vec()),
            EncodingFormat::Base64 => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                Self::Base64(base64::encode(bytes))
            }
        }
    }
}

/// What an embedding request cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingUsage {
    /// Tokens of all texts, special tokens and instructions included, as far as they were not cut.
    pub prompt_tokens: u64,
    /// The same: nothing is generated.
    pub total_tokens: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_response_prints_as_the_api_has_it() {
        let row = |index, format| EmbeddingData {
            object: EmbeddingObject::Embedding,
            index,
            embedding: EmbeddingVector::new(&[1.0, -0.5], format),
            tokens: 3,
            truncated: false,
        };
        let response = EmbeddingResponse {
            object: EmbeddingListObject::List,
            data: vec![row(0, EncodingFormat::Float), row(1, EncodingFormat::Base64)],
            model: "bge@1".into(),
            usage: EmbeddingUsage { prompt_tokens: 6, total_tokens: 6 },
            normalize: Normalize::None,
            pooling: PoolingMode::Cls,
            x_lifecycle: None,
        };
        let printed = serde_json::to_string(&response).unwrap();
        assert_eq!(
            printed,
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-0.5],"tokens":3,"truncated":false},{"object":"embedding","index":1,"embedding":"AACAPwAAAL8=","tokens":3,"truncated":false}],"model":"bge@1","usage":{"prompt_tokens":6,"total_tokens":6},"normalize":"none","pooling":"cls"}"#
        );
        assert_eq!(serde_json::from_str::<EmbeddingResponse>(&printed).unwrap(), response);
    }
}
