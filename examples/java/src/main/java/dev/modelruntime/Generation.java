// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.lang.ref.Reference;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.Optional;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * An answer while it is generated.
 *
 * <p>Its events are read in one of four ways: {@link #next()}, a {@code for} loop, {@link #stream()}, or a subscriber
 * ({@link #subscribe}). Several threads may read one generation; each event goes to one of them. {@link #response()} gives the
 * whole answer, whatever of it was read.
 *
 * <p>Waiting happens in Java: a virtual thread that waits lets go of its carrier. A thread that is interrupted while it waits
 * cancels the generation: {@link #next()} and {@link #response()} throw {@link InterruptedException}; loops and streams,
 * which cannot, keep the thread's interrupt status and throw a {@link ModelRuntimeException} with the code
 * {@link ErrorCode#CANCELLED}.
 *
 * <p>Closing cancels what still runs, wakes those who wait for it and gives its memory back; it may happen at any time, on any
 * thread, and more than once. Afterwards only {@link #version()} and {@link #close()} can be called; other methods throw
 * {@link IllegalStateException}, those under way end with {@link ErrorCode#CANCELLED}. A generation that is dropped unclosed
 * is closed after the garbage collector has found it. Its runtime may be closed before it: the answer goes on.
 *
 * <p>All methods may be called from any thread.
 */
public final class Generation implements AutoCloseable, Iterable<Event>, Flow.Publisher<Event> {
    private final RunningRequest request;
    private final AtomicBoolean subscribed = new AtomicBoolean();

    @SuppressWarnings("this-escape") // The class is final, and the cleaner only remembers it.
    Generation(RunningRequest request) {
        this.request = request;
        // Closing the handle ends the request, and its number among the host's objects goes with it.
        Handle.CLEANER.register(this, request.handle());
    }

    /**
     * The exact version that serves the request, as the field {@code model} of its answer names it.
     *
     * @return the version
     */
    public String version() {
        return request.version();
    }

    /**
     * Waits for new pieces of the answer.
     *
     * @return the next event; empty when the answer is complete
     * @throws InterruptedException if the thread is interrupted; the generation is cancelled
     * @throws ModelRuntimeException with what ended the request; every later call throws it too
     * @throws IllegalStateException if the generation is closed or has a subscriber
     */
    public Optional<Event> next() throws InterruptedException {
        checkReadable();
        try {
            return Optional.ofNullable(request.mailbox().take());
        } catch (InterruptedException interrupt) {
            request.handle().cancel();
            throw interrupt;
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Waits for new pieces of the answer, but not for ever.
     *
     * @param timeout how long to wait; zero or less: not at all
     * @return the next event; empty when the answer is complete
     * @throws TimeoutException if there was nothing new in time; the generation goes on
     * @throws InterruptedException if the thread is interrupted; the generation is cancelled
     * @throws ModelRuntimeException with what ended the request; every later call throws it too
     * @throws IllegalStateException if the generation is closed or has a subscriber
     */
    public Optional<Event> next(Duration timeout) throws InterruptedException, TimeoutException {
        checkReadable();
        try {
            return Optional.ofNullable(request.mailbox().take(Mailbox.nanos(timeout)));
        } catch (InterruptedException interrupt) {
            request.handle().cancel();
            throw interrupt;
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * The events that were not read yet. Every iterator reads on where the others are.
     *
     * @return an iterator that waits; it throws {@link ModelRuntimeException} with what ended the request
     */
    @Override
    public Iterator<Event> iterator() {
        return new Iterator<>() {
            private Event found;

            @Override
            public boolean hasNext() {
                if (found == null) {
                    found = nextOrUnchecked();
                }
                return found != null;
            }

            @Override
            public Event next() {
                if (!hasNext()) {
                    throw new NoSuchElementException("the answer is complete");
                }
                Event event = found;
                found = null;
                return event;
            }
        };
    }

    /**
     * The events that were not read yet, as a sequential stream. Closing the stream closes the generation.
     *
     * @return a stream that waits; it throws {@link ModelRuntimeException} with what ended the request
     */
    public Stream<Event> stream() {
        int shape = Spliterator.ORDERED | Spliterator.NONNULL | Spliterator.IMMUTABLE;
        return StreamSupport.stream(Spliterators.spliteratorUnknownSize(iterator(), shape), false)
                .onClose(this::close);
    }

    /**
     * Gives the events to a subscriber, as many as it asks for, one after the other, each on a virtual thread (which it may
     * block). What it has not asked for yet is kept. It hears {@code onComplete} when the answer is complete, {@code onError} with
     * the {@link ModelRuntimeException} that ended it. Cancelling the subscription cancels the generation, and so does a
     * subscriber that throws.
     *
     * <p>A generation has one subscriber at most: others hear {@code onError} with an {@link IllegalStateException}. The
     * subscription keeps the generation from being collected until it has ended.
     *
     * @param subscriber who receives the events
     */
    @Override
    public void subscribe(Flow.Subscriber<? super Event> subscriber) {
        Objects.requireNonNull(subscriber, "subscriber");
        if (subscribed.getAndSet(true)) {
            EventSubscription.refuse(subscriber, "the generation has a subscriber");
        } else {
            new EventSubscription(this, request.mailbox(), subscriber).start();
        }
    }

    /**
     * Waits for the whole answer, whatever of it was read before.
     *
     * @return JSON in the OpenAI shape
     * @throws InterruptedException if the thread is interrupted; the generation is cancelled
     * @throws ModelRuntimeException with what ended the request
     * @throws IllegalStateException if the generation is closed
     */
    public String response() throws InterruptedException {
        checkOpen();
        try {
            return request.awaitResponse();
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Waits for the whole answer, but not for ever.
     *
     * @param timeout how long to wait; zero or less: not at all
     * @return JSON in the OpenAI shape
     * @throws TimeoutException if it was not complete in time; the generation goes on
     * @throws InterruptedException if the thread is interrupted; the generation is cancelled
     * @throws ModelRuntimeException with what ended the request
     * @throws IllegalStateException if the generation is closed
     */
    public String response(Duration timeout) throws InterruptedException, TimeoutException {
        checkOpen();
        try {
            request.mailbox().awaitEnd(Mailbox.nanos(timeout));
            return request.response();
        } catch (InterruptedException interrupt) {
            request.handle().cancel();
            throw interrupt;
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * When things happened to a request that has ended well.
     *
     * @return a JSON object: {@code queued_seconds}, {@code time_to_first_token_seconds} (null without a token),
     *     {@code total_seconds}, {@code preemptions}
     * @throws ModelRuntimeException with {@link ErrorCode#CONFLICT} if it has not ended, or not well
     * @throws IllegalStateException if the generation is closed
     */
    public String timings() {
        try {
            return request.timings();
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Writes the conversation of a request that has ended well into a file: the tokens of its prompt and of its answer, and
     * what the endpoint's cache holds of them. {@link ModelRuntime#restoreSession} takes it up again.
     *
     * @param choice which of its answers, from 0
     * @param file the file, which is complete afterwards or as it was before
     * @throws ModelRuntimeException if it has not ended well or has no such choice ({@link ErrorCode#CONFLICT}), or the
     *     file cannot be written
     * @throws IllegalArgumentException if the choice is less than 0
     * @throws IllegalStateException if the generation is closed
     */
    public void saveSession(int choice, Path file) {
        try {
            PlatformThreads.call(() -> {
                request.saveSession(choice, file);
                return null;
            });
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /**
     * Asks the request to end: within one step it ends with {@link ErrorCode#CANCELLED}. One that has ended stays as it is. Never
     * waits.
     */
    public void cancel() {
        request.handle().cancel();
        Reference.reachabilityFence(this);
    }

    /** Cancels the request if it still runs, and gives its memory back. */
    @Override
    public void close() {
        request.close();
        Reference.reachabilityFence(this);
    }

    private Event nextOrUnchecked() {
        try {
            return next().orElse(null);
        } catch (InterruptedException interrupt) {
            Thread.currentThread().interrupt();
            Failure failure = Failure.cancelled("the thread that waited for the answer was interrupted");
            throw new ModelRuntimeException(failure, interrupt);
        }
    }

    private void checkOpen() {
        if (request.handle().isClosed()) {
            throw new IllegalStateException("the generation is closed");
        }
    }

    private void checkReadable() {
        checkOpen();
        if (subscribed.get()) {
            throw new IllegalStateException("the generation's events go to its subscriber");
        }
    }
}
