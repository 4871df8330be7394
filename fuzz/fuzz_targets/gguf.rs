//! A GGUF header of any bytes is an error or describes tensors that lie in those bytes and decode.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use model_runtime::weights::{dequantize, gguf};

fuzz_target!(|data: &[u8]| {
    let Ok(header) = gguf::parse(data, Path::new("fuzz.gguf")) else { return };
    for tensor in header.tensors {
        let bytes = &data[tensor.offset() as usize..][..tensor.bytes() as usize];
        if tensor.dtype().is_supported() {
            let mut values = vec![0.0; tensor.elements()];
            dequantize(tensor.dtype(), bytes, &mut values).expect("a checked tensor decodes");
        }
    }
});
