//! Any bytes as a request: an error or a request that prints and reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_runtime::protocol::{ChatRequest, CompletionRequest};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = ChatRequest::from_json(bytes) {
        let again = serde_json::to_vec(&request).expect("a request prints");
        assert_eq!(ChatRequest::from_json(&again).expect("what was printed reads"), request);
    }
    if let Ok(request) = CompletionRequest::from_json(bytes) {
        let again = serde_json::to_vec(&request).expect("a request prints");
        assert_eq!(CompletionRequest::from_json(&again).expect("what was printed reads"), request);
    }
});
