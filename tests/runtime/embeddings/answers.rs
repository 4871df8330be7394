//! What vectors are: normalization, dimensions, pooling, and the shapes they come in.

use model_runtime::protocol::{
    EmbeddingInput, EmbeddingRequest, EmbeddingVector, EncodingFormat, Normalize, PoolingMode,
};
use model_runtime::runtime::EmbedOptions;

use super::{both, length};

const TEXTS: [&str; 3] = ["What is Deep Learning?", "a", "Paris is the capital and largest city of France."];

fn normalized(normalize: Normalize) -> EmbedOptions {
    EmbedOptions::default().normalize(normalize)
}

/// The check that the provider publishes: BGE passes it, GTE must not be made to.
fn has_unit_length(vector: &[f32]) -> bool {
    (length(vector) - 1.0).abs() < 1e-3
}

#[test]
fn bge_has_unit_length_and_gte_is_raw_unless_a_request_says_otherwise() {
    let runtime = both();
    for (endpoint, unit) in [("bge", true), ("gte", false)] {
        let default = runtime.embed(endpoint, TEXTS, EmbedOptions::default()).unwrap();
        assert_eq!(default.normalize(), if unit { Normalize::L2 } else { Normalize::None });
        assert!(default.iter().all(|vector| has_unit_length(vector) == unit), "{endpoint}");
        let l2 = runtime.embed(endpoint, TEXTS, normalized(Normalize::L2)).unwrap();
        assert_eq!(l2.normalize(), Normalize::L2);
        assert!(l2.iter().all(has_unit_length), "{endpoint}");
        let raw = runtime.embed(endpoint, TEXTS, normalized(Normalize::None)).unwrap();
        assert_eq!(raw.normalize(), Normalize::None);
        assert!(!raw.iter().any(has_unit_length), "{endpoint}");
        assert_eq!(if unit { l2.values() } else { raw.values() }, default.values());
        // The same direction, whatever the length.
        for (raw, l2) in raw.iter().zip(l2.iter()) {
            let scale = length(raw);
            assert!(raw.iter().zip(l2).all(|(raw, l2)| (raw / scale - l2).abs() < 1e-6));
        }
    }
    // BGE's raw vector has the length that the reference had before it normalized.
    let raw = runtime.embed("bge", TEXTS[0], normalized(Normalize::None)).unwrap();
    assert!((length(raw.values()) / 8.044323 - 1.0).abs() < 1e-4, "{}", length(raw.values()));
}

#[test]
fn fewer_dimensions_are_the_first_ones_normalized_again() {
    let runtime = both();
    for endpoint in ["bge", "gte"] {
        let whole = runtime.embed(endpoint, TEXTS, EmbedOptions::default()).unwrap();
        let cut = runtime.embed(endpoint, TEXTS, EmbedOptions::default().dimensions(10)).unwrap();
        assert_eq!((cut.dimension(), cut.len(), cut.values().len()), (10, 3, 30));
        for (cut, whole) in cut.iter().zip(whole.iter()) {
            let scale = if endpoint == "bge" { length(&whole[..10]) } else { 1.0 };
            assert!(cut.iter().zip(whole).all(|(cut, whole)| (whole / scale - cut).abs() < 1e-6));
            assert_eq!(has_unit_length(cut), endpoint == "bge");
        }
    }
    for dimensions in [0, 65] {
        let error = runtime.embed("gte", "a", EmbedOptions::default().dimensions(dimensions)).unwrap_err();
        assert_eq!(error.param(), Some("dimensions"), "{error}");
    }
}

#[test]
fn pooling_can_be_chosen_and_is_reported() {
    let runtime = both();
    let of = |mode| runtime.embed("gte", TEXTS[0], EmbedOptions::default().pooling(mode)).unwrap();
    let default = runtime.embed("gte", TEXTS[0], EmbedOptions::default()).unwrap();
    assert_eq!(default.pooling(), PoolingMode::Cls);
    assert_eq!(of(PoolingMode::Cls).values(), default.values());
    let mean = of(PoolingMode::Mean);
    assert_eq!(mean.pooling(), PoolingMode::Mean);
    // The reference's mean of the same rows.
    for (found, expected) in mean.values().iter().zip([1.13284, -0.224628, 0.46921, 0.743076]) {
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
    assert_ne!(of(PoolingMode::Last).values(), mean.values());
}

#[test]
fn the_openai_shape_has_the_same_values_in_both_encodings() {
    let runtime = both();
    let input = || EmbeddingInput::from(TEXTS);
    let typed = runtime.embed("bge", input(), EmbedOptions::default()).unwrap();
    let request = EmbeddingRequest::new("bge", input());
    let response = runtime.embeddings(request.clone()).unwrap();
    assert_eq!(response.data.len(), 3);
    let mut tokens = 0;
    for (at, row) in response.data.iter().enumerate() {
        assert_eq!(row.index, at);
        assert_eq!(row.embedding, EmbeddingVector::Float(typed.get(at).unwrap().to_vec()));
        assert_eq!((row.tokens, row.truncated), (typed.rows()[at].tokens, false));
        tokens += row.tokens as u64;
    }
    assert_eq!((response.usage.prompt_tokens, response.usage.total_tokens), (tokens, tokens));
    assert_eq!((response.normalize, response.pooling), (Normalize::L2, PoolingMode::Cls));
    assert!(response.model.starts_with("bert_bge@"), "{}", response.model);

    let request = EmbeddingRequest { encoding_format: EncodingFormat::Base64, ..request };
    for (at, row) in runtime.embeddings(request).unwrap().data.iter().enumerate() {
        let EmbeddingVector::Base64(text) = &row.embedding else { panic!("not Base64") };
        let bytes = base64::decode(text).unwrap();
        let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        assert!(values.eq(typed.get(at).unwrap().iter().copied()));
    }
}
