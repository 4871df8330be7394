//! Room for recursion.
//!
//! The template engine limits how deep it parses, but a long chain of filters or operators, or a value that a loop
//! nests into itself, still makes it recurse once per link when it compiles, compares or drops them. An overflow of the
//! stack would end the host. So templates run on a stack that is larger than source and instructions can fill; only
//! what is used of it is ever real memory.

use std::io;
use std::thread;

/// Bytes per link measured at most some hundred; a link takes more than one of [`super::fuel::FUEL`].
const STACK: usize = 512 << 20;

/// Runs `work` on a large stack and waits for it.
pub(super) fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("chat-template".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work)?;
        worker.join().map_err(|_| io::Error::other("the template engine failed"))
    })
}
