//! The loop of a run: reads while there is room, writes what is ready, waits for the next.

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use crossbeam::channel::Receiver;

use super::error::BatchError;
use super::holds::{Holds, is_for_now};
use super::known::{Names, Results};
use super::lines::{Line, Lines};
use super::pending::Ending;
use super::progress::{BatchProgress, BatchSummary};
use super::request;
use super::result::{self, Head};
use super::waiters::{Job, Waiters};
use super::window::{Finished, Place, Task, Window};
use super::{Batch, Event, MAX_LINE_BYTES};
use crate::error::{Error, ErrorKind};

/// A run that is going on.
struct Run<'b, 'p, 'scope, 'env, R, W> {
    batch: &'b mut Batch<'p>,
    lines: Lines<R>,
    output: W,
    events: Receiver<Event>,
    waiters: Waiters<'scope, 'env>,
    window: Window,
    holds: Holds,
    /// Names of this input.
    names: Names,
    /// What the file of results held before.
    results: Results,
    progress: BatchProgress,
    /// Whether the input is at its end.
    exhausted: bool,
    /// Whether no new requests are begun.
    stopped: bool,
    /// Whether what ran was cancelled.
    cancelled: bool,
    /// Whether requests were given up.
    gave_up: bool,
}

/// Runs a batch; what `results` knows is left out.
pub(super) fn run(
    mut batch: Batch<'_>,
    input: impl BufRead,
    output: impl Write,
    results: Results,
    bytes_total: Option<u64>,
) -> Result<BatchSummary, BatchError> {
    std::thread::scope(|scope| {
        let events = batch.receiver.clone();
        let waiters = Waiters::new(scope, batch.events.clone());
        let window = Window::new(batch.order, batch.concurrency);
        let mut run = Run {
            batch: &mut batch,
            lines: Lines::new(input, MAX_LINE_BYTES),
            output,
            events,
            waiters,
            window,
            holds: Holds::default(),
            names: Names::default(),
            results,
            progress: BatchProgress { bytes_total, ..BatchProgress::default() },
            exhausted: false,
            stopped: false,
            cancelled: false,
            gave_up: false,
        };
        let ended = run.drive();
        if ended.is_err() {
            // Nobody will write what still runs.
            run.window.cancel();
        }
        ended?;
        let complete = run.exhausted && !run.gave_up;
        Ok(BatchSummary { progress: run.progress, complete })
    })
}

impl<R: BufRead, W: Write> Run<'_, '_, '_, '_, R, W> {
    fn drive(&mut self) -> Result<(), BatchError> {
        loop {
            self.obey();
            self.try_again()?;
            self.read()?;
            let written = self.write()?;
            self.tell();
            if self.window.is_empty() && (self.exhausted || self.stopped) {
                return Ok(());
            }
            if written == 0 {
                self.wait();
            }
        }
    }

    /// Gives up what has not begun after a stop, and cancels what has after a cancel.
    fn obey(&mut self) {
        let cancelled = self.batch.is_cancelled();
        if cancelled && !self.cancelled {
            // Once: nothing is begun afterwards.
            self.window.cancel();
        }
        self.cancelled = cancelled;
        self.stopped |= cancelled;
        if self.stopped {
            self.gave_up |= self.window.give_up_waiting() > 0;
            // Nobody waits for these queues any more.
            self.holds = Holds::default();
        }
    }

    /// Submits again what was refused, where the time has come.
    fn try_again(&mut self) -> Result<(), BatchError> {
        for (number, queue) in self.window.waiting() {
            if !self.holds.holds(&queue, self.now())
                && let Some(Place::Waiting(task)) = self.window.take(number)
            {
                self.submit(number, task)?;
            }
        }
        Ok(())
    }

    /// Reads and submits as long as there is room.
    fn read(&mut self) -> Result<(), BatchError> {
        while !self.stopped && !self.exhausted && self.window.has_room() {
            let after = self.lines.number();
            let line = self.lines.next().map_err(|source| BatchError::Read { line: after, source })?;
            self.progress.bytes_read = self.lines.offset();
            match line {
                Some(line) => self.take_in(line)?,
                None => self.exhausted = true,
            }
        }
        Ok(())
    }

    fn take_in(&mut self, line: Line) -> Result<(), BatchError> {
        if line.bytes.as_ref().is_some_and(|bytes| bytes.iter().all(u8::is_ascii_whitespace)) {
            return Ok(());
        }
        self.progress.read += 1;
        let read = match &line.bytes {
            Some(bytes) => request::read(bytes).map_err(|malformed| (malformed.custom_id, malformed.error)),
            None => Err((None, result::too_long(MAX_LINE_BYTES))),
        };
        let read = read.and_then(|request| {
            if self.names.add(&request.custom_id) {
                return Ok(request);
            }
            let error = result::twice(&request.custom_id);
            Err((Some(request.custom_id), error))
        });
        let has_result = match &read {
            Ok(request) => self.results.has(&request.custom_id),
            Err(_) => self.results.has_line(line.number),
        };
        if has_result {
            self.progress.skipped += 1;
            return Ok(());
        }
        let number = self.window.enter();
        let place = match read {
            Err((custom_id, error)) => {
                Place::Done(Finished::failed(Head { line: line.number, custom_id }.malformed(&error)))
            }
            Ok(request) => {
                let head = Head { line: line.number, custom_id: Some(request.custom_id) };
                match request.call {
                    Ok(call) => return self.submit(number, Task { head, queue: call.queue(), call }),
                    Err(error) => Place::Done(Finished::failed(head.failed(None, &error))),
                }
            }
        };
        self.window.put(number, place);
        Ok(())
    }

    fn submit(&mut self, number: u64, task: Task) -> Result<(), BatchError> {
        if self.holds.holds(&task.queue, self.now()) {
            self.window.put(number, Place::Waiting(task));
            return Ok(());
        }
        let submitted = task.call.submit(&self.batch.runtime, &self.batch.options);
        let place = match submitted {
            Err(error) if is_for_now(&error) => self.refused(task, &error),
            Err(error) => {
                self.holds.taken(&task.queue);
                Place::Done(Finished::failed(task.head.failed(None, &error)))
            }
            Ok((pending, canceller)) => {
                self.holds.taken(&task.queue);
                let (running, _) = self.window.count();
                let job = Job { number, head: task.head.clone(), pending };
                self.waiters.add(job, running).map_err(|source| BatchError::Thread { source })?;
                Place::Running(task, canceller)
            }
        };
        self.window.put(number, place);
        Ok(())
    }

    fn refused(&mut self, task: Task, error: &Error) -> Place {
        self.holds.refused(&task.queue, error, self.now());
        Place::Waiting(task)
    }

    /// Writes what is ready; how much that was. Each result goes out whole and at once.
    fn write(&mut self) -> Result<usize, BatchError> {
        let mut count = 0;
        while let Some(finished) = self.window.pop() {
            let written = self.progress.done + self.progress.failed;
            let wrote = self.output.write_all(&finished.bytes).and_then(|()| self.output.flush());
            wrote.map_err(|source| BatchError::Write { written, source })?;
            if finished.answered {
                self.progress.done += 1;
            } else {
                self.progress.failed += 1;
            }
            self.progress.prompt_tokens += finished.prompt_tokens;
            self.progress.completion_tokens += finished.completion_tokens;
            count += 1;
        }
        Ok(count)
    }

    /// Says how far it is, and hears whether it is to go on.
    fn tell(&mut self) {
        (self.progress.running, self.progress.waiting) = self.window.count();
        let goes_on = self.batch.progress.as_mut().map(|hear| hear(&self.progress));
        if goes_on == Some(ControlFlow::Break(())) {
            self.stopped = true;
            self.obey();
        }
    }

    /// Sleeps until something has ended or a queue may be tried again.
    fn wait(&mut self) {
        let first = match self.holds.pause(self.now()) {
            Some(pause) => self.events.recv_timeout(pause).ok(),
            // The batch holds a sender: the channel stays open.
            None if !self.window.is_empty() => self.events.recv().ok(),
            None => None,
        };
        let events: Vec<Event> = first.into_iter().chain(self.events.try_iter()).collect();
        for event in events {
            match event {
                Event::Ended(number, ending) => self.ended(number, ending),
                // It is looked at before the next step.
                Event::Cancelled => {}
            }
        }
    }

    fn ended(&mut self, number: u64, ending: Ending) {
        let Some(Place::Running(task, _)) = self.window.take(number) else { return };
        self.holds.ended(self.now());
        let place = match ending {
            Ok(finished) => Place::Done(finished),
            // Without a result it is done when the run is taken up again.
            Err((error, _)) if error.kind() == ErrorKind::Cancelled && self.cancelled => {
                self.gave_up = true;
                return;
            }
            Err((error, _)) if is_for_now(&error) => self.refused(task, &error),
            Err((error, id)) => Place::Done(Finished::failed(task.head.failed(id.as_deref(), &error))),
        };
        self.window.put(number, place);
    }

    fn now(&self) -> Duration {
        self.batch.runtime.clock().monotonic()
    }
}
