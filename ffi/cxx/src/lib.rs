//! The runtime for C++ programs that build it from source, through [cxx](https://cxx.rs): Rust's types on both sides, errors as
//! exceptions, no C in between.
//!
//! There is no ABI here: program and library are built together, by one compiler. Programs that link an installed library use
//! `include/model_runtime.hpp`, which has the whole interface; this has what most programs need.
//!
//! A panic that reached the bridge would end the process, so every function turns one into an exception.
#![allow(
    unsafe_code,
    clippy::multiple_unsafe_ops_per_block,
    reason = "what cxx generates; nothing of it is written by hand"
)]

mod boundary;
mod runtime;

use runtime::{Runtime, Stream, Vectors, new_runtime};

#[cxx::bridge(namespace = "model_runtime::source")]
mod ffi {
    extern "Rust" {
        /// Models behind endpoint names. Every function may be called from any thread, several at a time.
        type Runtime;
        /// A running answer. One thread at a time reads it; dropping it cancels its request.
        type Stream;
        /// The vectors of some texts, in one block.
        type Vectors;

        /// A runtime that serves nothing yet.
        fn new_runtime() -> Result<Box<Runtime>>;

        /// Loads a model, a folder or a GGUF file, and serves it under a name. Gives JSON about the endpoint.
        fn serve(self: &Runtime, name: &str, model: &str) -> Result<String>;
        /// Takes an endpoint away; what runs there ends with an exception.
        fn remove(self: &Runtime, name: &str) -> Result<()>;
        /// What is served, as a JSON list.
        fn endpoints(self: &Runtime) -> Result<String>;
        /// An operation on versions, endpoints, retirements or usage, JSON in and JSON out: the module `management` of the
        /// Rust documentation has them all.
        fn manage(self: &Runtime, operation: &str, request: &str) -> Result<String>;
        /// Answers a chat request, JSON in and out in the OpenAI shape.
        fn chat(self: &Runtime, request: &str) -> Result<String>;
        /// Answers a completion request.
        fn complete(self: &Runtime, request: &str) -> Result<String>;
        /// Begins an answer to a chat request that is read in pieces.
        fn stream_chat(self: &Runtime, request: &str) -> Result<Box<Stream>>;
        /// Begins an answer to a completion request that is read in pieces.
        fn stream_completion(self: &Runtime, request: &str) -> Result<Box<Stream>>;
        /// Makes the vectors of texts; the request has the OpenAI shape.
        fn embed(self: &Runtime, request: &str) -> Result<Box<Vectors>>;

        /// Waits for the next piece of the answer's text and puts it into `text`; false at the end.
        fn next(self: &mut Stream, text: &mut String) -> Result<bool>;
        /// Asks the request to end: reading it then ends with an exception.
        fn cancel(self: &Stream);
        /// The exact version that answers.
        fn version(self: &Stream) -> &str;

        /// How many vectors.
        fn rows(self: &Vectors) -> usize;
        /// Values of a vector.
        fn dimension(self: &Vectors) -> usize;
        /// All values, vector after vector, without a copy: valid as long as the object.
        fn values(self: &Vectors) -> &[f32];
        /// Whether the vectors have unit length because the model or the request wants it so.
        fn normalized(self: &Vectors) -> bool;
    }
}
