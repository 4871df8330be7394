//! The thread that an engine computes on.

use std::sync::Arc;
use std::thread::ThreadId;

use parking_lot::Mutex;

use super::support::*;
use crate::backend::Batch;
use crate::engine::testing::ToyModel;
use crate::engine::{Engine, Executor};
use crate::error::{Error, ErrorKind, Result};

/// How an executor takes the engine's thread.
#[derive(Clone, Copy)]
enum Entry {
    Takes,
    Refuses,
    Panics,
}

/// Writes down the thread of every call.
struct Watched {
    model: ToyModel,
    entry: Entry,
    calls: Arc<Mutex<Vec<(&'static str, ThreadId)>>>,
}

impl Executor for Watched {
    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    fn enter(&mut self) -> Result<()> {
        self.calls.lock().push(("enter", std::thread::current().id()));
        match self.entry {
            Entry::Takes => Ok(()),
            Entry::Refuses => Err(Error::invalid("affinity", "there is no such core")),
            Entry::Panics => panic!("the executor was told to panic"),
        }
    }

    fn execute(&mut self, batch: &Batch) -> Result<&[f32]> {
        self.calls.lock().push(("execute", std::thread::current().id()));
        self.model.execute(batch)
    }
}

type Calls = Arc<Mutex<Vec<(&'static str, ThreadId)>>>;

fn start_watched(entry: Entry) -> (Result<Engine>, Calls) {
    let calls = Calls::default();
    let executor = Watched { model: ToyModel::new(VOCAB, 64), entry, calls: calls.clone() };
    (Engine::start(Box::new(executor), small(), clock(), None), calls)
}

#[test]
fn the_executor_enters_the_thread_that_computes_every_step() {
    let (engine, calls) = start_watched(Entry::Takes);
    let engine = engine.unwrap();
    for request in [request(1, 20, 4), request(2, 3, 4)] {
        submit(&engine, &request).1.wait();
    }
    let calls = calls.lock();
    assert_eq!(calls[0].0, "enter");
    assert!(calls.len() > 8 && calls[1..].iter().all(|call| *call == ("execute", calls[0].1)));
    assert_ne!(calls[0].1, std::thread::current().id());
}

#[test]
fn an_executor_that_refuses_the_thread_keeps_the_engine_from_starting() {
    let error = start_watched(Entry::Refuses).0.unwrap_err();
    assert_eq!((error.kind(), error.param()), (ErrorKind::InvalidRequest, Some("affinity")));
    let error = start_watched(Entry::Panics).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().contains("the executor was told to panic"), "{error}");
}
