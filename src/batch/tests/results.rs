//! What comes out: every answer, in the order that was asked for, the same as alone.

use std::cell::Cell;
use std::io::{self, BufRead, Read, Write};
use std::ops::ControlFlow;

use super::*;
use crate::batch::{Batch, BatchOrder};

#[test]
fn two_hundred_mixed_requests_are_answered_as_alone() {
    let expected = alone(0..200);
    let (text, mut last) = (input(0..200), None);
    let mut output = Vec::new();
    let batch = Batch::new(&RUNTIME).concurrency(16).progress(|now| {
        last = Some(*now);
        ControlFlow::Continue(())
    });
    let summary = batch.run(text.as_bytes(), &mut output).unwrap();
    assert_eq!(answers(&output, 200), expected);
    let names = parse(&output).into_iter().map(|result| result["custom_id"].as_str().unwrap().to_owned());
    assert!(names.eq((0..200).map(|index| format!("r{index}"))), "in order");
    // What is told at the end is what was written.
    let usage = |field: &str| expected.values().filter_map(|body| body["usage"][field].as_u64()).sum::<u64>();
    let progress = summary.progress;
    assert!(summary.complete);
    assert_eq!((progress.read, progress.done, progress.failed, progress.skipped), (200, 200, 0, 0));
    assert_eq!((progress.running, progress.waiting), (0, 0));
    assert_eq!(
        (progress.prompt_tokens, progress.completion_tokens),
        (usage("prompt_tokens"), usage("completion_tokens"))
    );
    assert_eq!((progress.bytes_read, progress.bytes_total), (text.len() as u64, None));
    assert_eq!(last, Some(progress));
    let mut output = Vec::new();
    let batch = Batch::new(&RUNTIME).concurrency(16).order(BatchOrder::AsReady);
    assert!(batch.run(text.as_bytes(), &mut output).unwrap().complete);
    assert_eq!(answers(&output, 200), expected);
    // One at a time, and many more at once than the engine takes.
    for concurrency in [1, 300] {
        let mut output = Vec::new();
        Batch::new(&RUNTIME).concurrency(concurrency).run(text.as_bytes(), &mut output).unwrap();
        assert_eq!(answers(&output, 200), expected, "{concurrency}");
    }
}

#[test]
fn a_short_one_overtakes_a_long_one_only_as_ready() {
    let body = |tokens| json!({"model": "stories", "prompt": "Once", "max_tokens": tokens, "temperature": 0, "logit_bias": {"2": -100}});
    let line = |name, tokens| {
        json!({"custom_id": name, "method": "POST", "url": "/v1/completions", "body": body(tokens)})
            .to_string()
    };
    let text = [line("long", 200), line("short", 1)].join("\n");
    for (order, names) in [(BatchOrder::InOrder, ["long", "short"]), (BatchOrder::AsReady, ["short", "long"])]
    {
        let mut output = Vec::new();
        Batch::new(&RUNTIME).order(order).run(text.as_bytes(), &mut output).unwrap();
        let written: Vec<Value> = parse(&output).iter().map(|result| result["custom_id"].clone()).collect();
        assert_eq!(written, names, "{order:?}");
        // 1 token takes one step of the engine, 200 take two hundred: which is ready first is no matter of luck.
    }
}

/// Gives one line at a time and counts them.
struct Counted<'a> {
    rest: &'a [u8],
    lines: &'a Cell<usize>,
}

impl Read for Counted<'_> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        unreachable!("lines are read from the buffer")
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').map_or(self.rest.len(), |end| end + 1);
        Ok(&self.rest[..end])
    }

    fn consume(&mut self, bytes: usize) {
        self.lines.set(self.lines.get() + usize::from(bytes > 0));
        self.rest = &self.rest[bytes..];
    }
}

/// Counts results, and how many lines were read and had none at most.
struct Behind<'a> {
    read: &'a Cell<usize>,
    written: usize,
    most: &'a Cell<usize>,
}

impl Write for Behind<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1, "a write is a line");
        assert_eq!(line.last(), Some(&b'\n'));
        self.most.set(self.most.get().max(self.read.get() - self.written));
        self.written += 1;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_more_lines_are_held_than_may_be_at_once() {
    let text = input(0..120);
    for order in [BatchOrder::InOrder, BatchOrder::AsReady] {
        let (read, most) = (Cell::new(0), Cell::new(0));
        let mut running = 0;
        let batch = Batch::new(&RUNTIME).concurrency(5).order(order).progress(|now| {
            running = running.max(now.running);
            ControlFlow::Continue(())
        });
        let summary = batch.run(
            Counted { rest: text.as_bytes(), lines: &read },
            Behind { read: &read, written: 0, most: &most },
        );
        assert_eq!(summary.unwrap().progress.done, 120);
        // All places were in use, and no more.
        assert_eq!((most.get(), running), (5, 5), "{order:?}");
    }
}
