//! Any bytes behind a sound checksum, as a session: an error in one line, or one whose endpoint is not there.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use model_runtime::{ErrorKind, ModelRuntime};
use sha2::{Digest, Sha256};

static RUNTIME: LazyLock<ModelRuntime> =
    LazyLock::new(|| ModelRuntime::builder().build().expect("a runtime without models"));

fuzz_target!(|bytes: &[u8]| {
    let mut session = bytes.to_vec();
    session.extend_from_slice(&Sha256::digest(bytes));
    for bytes in [bytes, &session] {
        let error = RUNTIME.restore_session("nobody", bytes).expect_err("nothing is served");
        assert!(matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::NotFound), "{error}");
        assert!(!error.message().contains('\n'), "{}", error.message());
    }
});
