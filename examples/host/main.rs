//! The runtime behind OpenAI's HTTP API, for clients on this machine:
//! `cargo run --release --example host -- --model stories=examples/models/stories260K`.
//!
//! The library has no server in it; this shows what one needs: a route to a call, a stream to server-sent events, an error to its
//! status and body, and a client that went away to a cancel. It has no keys, no TLS and no limits on who may connect: it listens on
//! 127.0.0.1 alone.

mod answer;
mod arguments;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/named.rs"]
mod named;
mod reply;
mod routes;

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model_runtime::ModelRuntime;
use tokio::net::TcpListener;

use arguments::Arguments;
use common::Failure;

fn main() -> ExitCode {
    match common::parse() {
        Ok(arguments) => common::exit_code(run(&arguments)),
        Err(code) => code,
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = named::load(&arguments.models, arguments.context)?;
    // One thread for all connections; each answer that is being made has another one, which sleeps.
    let tasks = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tasks.block_on(listen(runtime, arguments.port))
}

async fn listen(runtime: ModelRuntime, port: u16) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let mut out = io::stdout();
    writeln!(out, "listening on http://{}", listener.local_addr()?)?;
    out.flush()?;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of file descriptors, or a client that gave up: others may still come.
            Err(error) => {
                writeln!(io::stderr(), "a connection was not accepted: {error}")?;
                tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(50))).await?;
                continue;
            }
        };
        let runtime = runtime.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let runtime = runtime.clone();
                async move { Ok::<_, Infallible>(routes::answer(runtime, request).await) }
            });
            // A connection that breaks is its client's concern: what it had asked for is cancelled as it is dropped.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
