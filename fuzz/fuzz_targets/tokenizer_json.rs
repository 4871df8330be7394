//! A tokenizer.json, however damaged, gives an error or a tokenizer that works.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use model_runtime::tokenizer::{AddSpecial, StreamDecoder, Tokenizer};

fuzz_target!(|data: &[u8]| {
    let Ok(tokenizer) = Tokenizer::from_json(data) else { return };
    let ids = tokenizer.encode("Hello  world\n été 😁 <s>12", AddSpecial::Yes).unwrap_or_default();
    let ids: Vec<u32> =
        ids.into_iter().chain(0..64).filter(|id| tokenizer.id_to_token(*id).is_some()).collect();
    let Ok(whole) = tokenizer.decode(&ids, true) else { return };
    let mut stream = StreamDecoder::new(Arc::new(tokenizer), true);
    let mut pieces = String::new();
    for id in ids {
        pieces.extend(stream.push(id).ok().flatten());
    }
    pieces.extend(stream.finish().ok().flatten());
    assert_eq!(whole, pieces);
});
