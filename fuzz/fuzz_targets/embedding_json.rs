//! Any bytes as an embedding request: an error that names a field or nothing, or a request that is valid, prints and
//! reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_runtime::ErrorKind;
use model_runtime::protocol::EmbeddingRequest;

fuzz_target!(|bytes: &[u8]| {
    match EmbeddingRequest::from_json(bytes) {
        Ok(request) => {
            request.validate().expect("what was read is valid");
            assert!(!request.input.is_empty());
            let again = serde_json::to_vec(&request).expect("a request prints");
            assert_eq!(EmbeddingRequest::from_json(&again).expect("what was printed reads"), request);
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(!error.message().contains('\n'), "{}", error.message());
        }
    }
});
