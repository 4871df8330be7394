//! Runs that end before their end: a stop, a cancel, a reader or a writer that fails.

use std::error::Error as _;
use std::io::{self, BufReader, Read, Write};
use std::ops::ControlFlow;

use super::*;
use crate::batch::{Batch, BatchError, BatchOrder, MAX_CONCURRENCY};
use crate::error::{Error, ErrorKind};

fn cause(error: &Error) -> &BatchError {
    error.source().unwrap().downcast_ref().unwrap()
}

#[test]
fn a_stop_lets_what_runs_end_and_begins_nothing() {
    for order in [BatchOrder::InOrder, BatchOrder::AsReady] {
        let (mut output, mut read, mut stopped) = (Vec::new(), 0, false);
        let batch = Batch::new(&RUNTIME).concurrency(7).order(order).progress(|now| {
            if stopped {
                assert_eq!(now.read, read, "something was begun after the stop");
            }
            read = now.read;
            stopped = now.done >= 10;
            if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let summary = batch.run(input(0..100).as_bytes(), &mut output).unwrap();
        let progress = summary.progress;
        assert!(!summary.complete);
        assert_eq!((progress.done, progress.failed), (progress.read, 0), "what ran was written");
        assert!((10..30).contains(&progress.done), "{progress:?}");
        assert_eq!(answers(&output, progress.done as usize).len(), progress.done as usize);
    }
}

#[test]
fn a_cancel_ends_what_runs_and_leaves_no_half_results() {
    let endless = |index: usize| {
        let body = json!({"model": "stories", "prompt": "Once", "max_tokens": 250, "logit_bias": {"2": -100}, "seed": index});
        json!({"custom_id": format!("e{index}"), "method": "POST", "url": "/v1/completions", "body": body})
            .to_string()
            + "\n"
    };
    // Quick ones of all kinds first: the cancel comes when one of them is written, and finds the long ones running.
    let text = input(0..3) + &(0..40).map(endless).collect::<String>();
    let batch = Batch::new(&RUNTIME).concurrency(43).order(BatchOrder::AsReady);
    let canceller = batch.canceller();
    let mut heard = 0;
    let batch = batch.progress(|now| {
        if now.done > 0 {
            // Again and again, as a host may: the run must not be kept busy with it.
            canceller.cancel();
            heard += 1;
        }
        ControlFlow::Continue(())
    });
    let mut output = Vec::new();
    let summary = batch.run(text.as_bytes(), &mut output).unwrap();
    let progress = summary.progress;
    assert!(!summary.complete && progress.read == 43 && progress.done < 43, "{progress:?}");
    assert!(heard <= 2 * 44, "told {heard} times: each end of a request is told once or twice");
    assert_eq!((progress.failed, progress.running), (0, 0), "what was cancelled is no result");
    assert_eq!(parse(&output).len(), progress.done as usize);
}

#[test]
fn a_run_that_was_cancelled_before_does_nothing() {
    let batch = Batch::new(&RUNTIME);
    batch.canceller().cancel();
    let mut output = Vec::new();
    let summary = batch.run(input(0..3).as_bytes(), &mut output).unwrap();
    assert!(!summary.complete && output.is_empty());
}

#[test]
fn vectors_can_be_cancelled_while_somebody_waits() {
    use crate::batch::pending::{Canceller, Pending};
    use crate::batch::request::Call;
    use crate::batch::result::Head;
    // So many that they are not done when the cancel comes, a moment later.
    let texts = vec!["and on ".repeat(20); 4000];
    let call = Call::Embedding(crate::protocol::EmbeddingRequest::new("encoder", texts));
    let (pending, canceller) = call.submit(&RUNTIME, &Default::default()).unwrap();
    assert!(matches!((&pending, &canceller), (Pending::Embedding(_), Canceller::Vectors(_))));
    let head = Head { line: 1, custom_id: None };
    let ending = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| pending.wait(&head));
        canceller.cancel();
        waiter.join().unwrap()
    });
    assert_eq!(ending.unwrap_err().0.kind(), ErrorKind::Cancelled);
}

/// Takes some lines and then no more.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(1).ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_ends_the_run_and_says_how_much_was_written() {
    let error = Batch::new(&RUNTIME).concurrency(9).run(input(0..60).as_bytes(), Full(4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.message().starts_with("the results cannot be written after 4 of this run: "), "{error}");
    assert!(
        matches!(cause(&error), BatchError::Write { written: 4, source } if source.kind() == io::ErrorKind::StorageFull)
    );
}

#[test]
fn a_reader_that_fails_ends_the_run_and_says_where() {
    struct Unplugged;
    impl Read for Unplugged {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unplugged"))
        }
    }
    let text = input(0..5);
    let reader = BufReader::new(Read::chain(text.as_bytes(), Unplugged));
    let error = Batch::new(&RUNTIME).run(reader, io::sink()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(error.message(), "the requests cannot be read after line 5: unplugged");
    assert!(matches!(cause(&error), BatchError::Read { line: 5, .. }));
}

#[test]
fn a_number_of_requests_that_cannot_be_is_refused() {
    for requests in [0, MAX_CONCURRENCY + 1] {
        let error = Batch::new(&RUNTIME).concurrency(requests).run(&b""[..], io::sink()).unwrap_err();
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::InvalidRequest, Some("concurrency")),
            "{error}"
        );
        assert!(error.message().contains("from 1 to 1024"), "{error}");
    }
}
