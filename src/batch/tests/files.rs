//! Files: a run goes on where another one ended.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::batch::{Batch, BatchError, BatchOrder, BatchSummary};
use crate::error::{ErrorKind, Result};

struct Files {
    _folder: TempDir,
    input: PathBuf,
    output: PathBuf,
}

impl Files {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let (input, output) = (folder.path().join("requests.jsonl"), folder.path().join("results.jsonl"));
        fs::write(&input, text).unwrap();
        Self { _folder: folder, input, output }
    }

    fn run(&self, order: BatchOrder) -> Result<BatchSummary> {
        Batch::new(&RUNTIME).concurrency(6).order(order).run_files(&self.input, &self.output)
    }

    fn results(&self) -> Vec<u8> {
        fs::read(&self.output).unwrap()
    }
}

#[test]
fn a_file_that_was_torn_anywhere_becomes_whole() {
    let files = Files::new(&input(0..30));
    let summary = files.run(BatchOrder::InOrder).unwrap();
    let whole = files.results();
    let expected = answers(&whole, 30);
    let bytes = fs::metadata(&files.input).unwrap().len();
    assert_eq!((summary.progress.bytes_read, summary.progress.bytes_total), (bytes, Some(bytes)));
    // At a line's end, just before and after it, within a line, within the first one, at nothing.
    let third = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).unwrap().0;
    for cut in [third, third + 1, third + 2, whole.len() / 2, whole.len() - 1, 1, 0] {
        for order in [BatchOrder::InOrder, BatchOrder::AsReady] {
            fs::write(&files.output, &whole[..cut]).unwrap();
            let kept = whole[..cut].iter().filter(|byte| **byte == b'\n').count() as u64;
            let progress = files.run(order).unwrap().progress;
            assert_eq!((progress.skipped, progress.done, progress.read), (kept, 30 - kept, 30), "{cut}");
            let now = files.results();
            let stays = whole[..cut].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            assert_eq!(now[..stays], whole[..stays], "what was whole stays as it is");
            assert_eq!(answers(&now, 30), expected, "{cut} {order:?}");
        }
    }
    // Nothing is left to do: not a byte changes.
    let before = files.results();
    let summary = files.run(BatchOrder::AsReady).unwrap();
    assert!(summary.complete);
    assert_eq!((summary.progress.skipped, summary.progress.done), (30, 0));
    assert_eq!(files.results(), before);
}

#[test]
fn errors_are_said_once_and_a_line_that_was_mended_is_answered() {
    let refused = r#"{"custom_id": "u", "method": "POST", "url": "/v1/completions", "body": {"model": "nobody", "prompt": "a"}}"#;
    let text = format!("{}nonsense\n{}{refused}\n", input([0]), input([0]));
    let files = Files::new(&text);
    let progress = files.run(BatchOrder::InOrder).unwrap().progress;
    assert_eq!((progress.done, progress.failed), (1, 3));
    let before = files.results();
    let progress = files.run(BatchOrder::InOrder).unwrap().progress;
    assert_eq!((progress.done, progress.failed, progress.skipped), (0, 0, 4));
    assert_eq!(files.results(), before);
    fs::write(&files.input, text.replace("nonsense\n", &input([1]))).unwrap();
    let progress = files.run(BatchOrder::InOrder).unwrap().progress;
    assert_eq!((progress.done, progress.failed, progress.skipped), (1, 0, 3));
    assert_eq!(parse(&files.results()).last().unwrap()["custom_id"], "r1");
}

#[test]
fn a_file_of_something_else_stays_as_it_is() {
    let files = Files::new(&input(0..2));
    for other in ["a diary\n".to_owned(), input(0..2), "\n".into()] {
        fs::write(&files.output, &other).unwrap();
        let error = files.run(BatchOrder::InOrder).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().contains("line 1 of"), "{error}");
        assert_eq!(files.results(), other.as_bytes());
    }
    // The requests themselves, by mistake.
    let error = Batch::new(&RUNTIME).run_files(&files.input, &files.input).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(fs::read_to_string(&files.input).unwrap(), input(0..2));
}

#[test]
fn two_runs_do_not_write_into_one_file() {
    let files = Files::new(&input(0..2));
    let (_, held) = crate::batch::known::Results::open(&files.output).unwrap();
    let error = files.run(BatchOrder::InOrder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("is being written by another run"), "{error}");
    drop(held);
    assert!(files.run(BatchOrder::InOrder).unwrap().complete);
}

#[test]
fn without_requests_no_file_of_results_is_made() {
    let files = Files::new("");
    fs::remove_file(&files.input).unwrap();
    let error = files.run(BatchOrder::InOrder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("requests.jsonl"), "{error}");
    assert!(!files.output.exists());
    let missing = files.input.join("nowhere").join("results.jsonl");
    fs::write(&files.input, "").unwrap();
    let error = Batch::new(&RUNTIME).run_files(&files.input, &missing).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().downcast_ref::<BatchError>().unwrap();
    assert!(matches!(cause, BatchError::File { path, .. } if *path == missing), "{error}");
}
