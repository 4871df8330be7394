// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.ADDRESS;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.ref.Cleaner;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A handle of the library that is freed exactly once: by whoever closes it, or by the last call that was under way then.
 *
 * <p>It never refers to the object that owns it, so that it can be what a {@link Cleaner} runs.
 */
final class Handle implements Runnable, AutoCloseable {
    /** Frees handles whose owners were dropped unclosed. */
    static final Cleaner CLEANER = Cleaner.create();

    private static final int CLOSED = Integer.MIN_VALUE;

    private final String name;
    private final MemorySegment address;
    private final MethodHandle free;
    private final MethodHandle cancel;
    /** How many calls are under way, and {@link #CLOSED}. */
    private final AtomicInteger uses = new AtomicInteger();

    /**
     * Takes a handle over.
     *
     * @param name what messages call it
     * @param cancel ends calls on it that are under way; null if they end by themselves
     */
    Handle(String name, MemorySegment address, MethodHandle free, MethodHandle cancel) {
        this.name = name;
        this.address = address;
        this.free = free;
        this.cancel = cancel;
    }

    /** A function that takes a handle and gives nothing. */
    static MethodHandle ending(String function) {
        return NativeLibrary.link(function, FunctionDescriptor.ofVoid(ADDRESS));
    }

    /**
     * Begins a call, which ends with {@link #exit()}. The handle stays valid until then.
     *
     * @throws IllegalStateException if it is closed
     */
    MemorySegment enter() {
        int before;
        do {
            before = uses.get();
            if (before < 0) {
                throw new IllegalStateException("the " + name + " is closed");
            }
        } while (!uses.compareAndSet(before, before + 1));
        return address;
    }

    void exit() {
        if (uses.decrementAndGet() == CLOSED) {
            call(free);
        }
    }

    boolean isClosed() {
        return uses.get() < 0;
    }

    /** Asks for the end of what runs; of what is closed there is nothing to end. */
    void cancel() {
        if (!isClosed()) {
            call(cancel);
        }
    }

    /** Frees the handle, or leaves that to the last call under way, which is asked to end. */
    @Override
    public void close() {
        int before;
        do {
            before = uses.get();
            if (before < 0) {
                return;
            }
        } while (!uses.compareAndSet(before, before | CLOSED));
        if (before == 0) {
            call(free);
        } else if (cancel != null) {
            // If it is freed meanwhile, the library knows that and does nothing.
            call(cancel);
        }
    }

    @Override
    public void run() {
        close();
    }

    private void call(MethodHandle function) {
        try {
            function.invokeExact(address);
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }
}
