// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.util.ArrayDeque;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What a request has reported and nobody has read yet, and its end.
 *
 * <p>The library's dispatch thread puts events in, and everybody else waits here: in Java, where virtual threads let go
 * of their carriers and platform threads can be interrupted, never inside the library. It refers to nothing but the
 * events, so that a request whose owner was dropped can be collected. What it holds is bounded by the answer's length;
 * whole answers and vectors report nothing but their end.
 */
final class Mailbox implements HostObjects.Released {
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final ArrayDeque<Event> events = new ArrayDeque<>();
    private boolean ended;
    private Failure failure;
    private Runnable listener;

    void put(Event event) {
        lock.lock();
        try {
            if (ended) {
                return;
            }
            events.add(event);
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        tell();
    }

    /** The end; null if it is a good one. Only the first one counts. */
    void end(Failure failure) {
        lock.lock();
        try {
            if (ended) {
                return;
            }
            ended = true;
            this.failure = failure;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        tell();
    }

    /** The end for everybody, whatever is there to be read. */
    void close() {
        lock.lock();
        try {
            events.clear();
        } finally {
            lock.unlock();
        }
        end(Failure.cancelled("the generation was closed"));
    }

    /** The library reports nothing any more. Without an end by then, the request was freed. */
    @Override
    public void released() {
        end(Failure.cancelled("the request was freed"));
    }

    /** The next event; null after a good end. */
    Event take() throws InterruptedException {
        lock.lockInterruptibly();
        try {
            while (events.isEmpty() && !ended) {
                changed.await();
            }
            return pollOrFail();
        } finally {
            lock.unlock();
        }
    }

    /** The next event; null after a good end. */
    Event take(long nanos) throws InterruptedException, TimeoutException {
        lock.lockInterruptibly();
        try {
            for (long left = nanos; events.isEmpty() && !ended; ) {
                left = await(left);
            }
            return pollOrFail();
        } finally {
            lock.unlock();
        }
    }

    /** The next event if there is one now. */
    Event poll() {
        lock.lock();
        try {
            return events.poll();
        } finally {
            lock.unlock();
        }
    }

    /** Whether everything was read, and there will be nothing more. */
    boolean isExhausted() {
        lock.lock();
        try {
            return ended && events.isEmpty();
        } finally {
            lock.unlock();
        }
    }

    /** What ended the request, if that was a failure. */
    Failure failure() {
        lock.lock();
        try {
            return failure;
        } finally {
            lock.unlock();
        }
    }

    /** Waits for the end, whatever was read. */
    void awaitEnd() throws InterruptedException {
        lock.lockInterruptibly();
        try {
            while (!ended) {
                changed.await();
            }
            throwFailure();
        } finally {
            lock.unlock();
        }
    }

    /** Waits for the end, whatever was read. */
    void awaitEnd(long nanos) throws InterruptedException, TimeoutException {
        lock.lockInterruptibly();
        try {
            for (long left = nanos; !ended; ) {
                left = await(left);
            }
            throwFailure();
        } finally {
            lock.unlock();
        }
    }

    /** {@code listener} hears of every change from now on, on the thread that makes it. It must neither wait nor throw. */
    void listen(Runnable listener) {
        lock.lock();
        try {
            this.listener = listener;
        } finally {
            lock.unlock();
        }
    }

    private long await(long left) throws InterruptedException, TimeoutException {
        if (left <= 0) {
            throw new TimeoutException("nothing new within the given time");
        }
        return changed.awaitNanos(left);
    }

    private Event pollOrFail() {
        Event event = events.poll();
        if (event == null) {
            throwFailure();
        }
        return event;
    }

    private void throwFailure() {
        if (failure != null) {
            throw new ModelRuntimeException(failure);
        }
    }

    private void tell() {
        Runnable told;
        lock.lock();
        try {
            told = listener;
        } finally {
            lock.unlock();
        }
        if (told != null) {
            told.run();
        }
    }

    /** A wait as the lock counts it; what is longer than it can count is for ever. */
    static long nanos(java.time.Duration timeout) {
        return TimeUnit.NANOSECONDS.convert(timeout);
    }
}
