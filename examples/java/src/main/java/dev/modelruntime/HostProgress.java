// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * A long call that says how far it is, and that its listener or an interrupt ends: the load of a model, a run of many requests.
 * The functions that the library calls with it never throw.
 */
abstract sealed class HostProgress {
    private static final MethodHandles.Lookup LOOKUP = MethodHandles.lookup();

    /** {@code mr_progress_callback}. */
    static final MemorySegment LOAD = NativeLibrary.stub(
            LOOKUP,
            "onLoad",
            MethodType.methodType(int.class, long.class, int.class, long.class, long.class),
            FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG));
    /** {@code mr_batch_callback}. */
    static final MemorySegment BATCH = NativeLibrary.stub(
            LOOKUP,
            "onBatch",
            MethodType.methodType(int.class, long.class, MemorySegment.class, long.class),
            FunctionDescriptor.of(JAVA_INT, JAVA_LONG, ADDRESS, JAVA_LONG));

    private static final LoadListener.Phase[] PHASES = LoadListener.Phase.values();

    private volatile boolean stopped;
    private volatile Throwable thrown;

    /** The load of a model. */
    static final class Load extends HostProgress {
        private final LoadListener listener;

        Load(LoadListener listener) {
            this.listener = Objects.requireNonNull(listener, "listener");
        }
    }

    /** A run of many requests. */
    static final class Batch extends HostProgress {
        private final BatchListener listener;

        Batch(BatchListener listener) {
            this.listener = Objects.requireNonNull(listener, "listener");
        }
    }

    /** The caller was interrupted: the call ends the next time that it says how far it is. */
    void stop() {
        stopped = true;
    }

    /** Makes the call. Where the listener or an interrupt has ended it, that is thrown. */
    <T> T run(Supplier<T> call) throws InterruptedException {
        try {
            return call.get();
        } catch (ModelRuntimeException failure) {
            if (failure.code() == ErrorCode.CALLBACK && thrown != null) {
                throw Frame.unexpected(thrown);
            }
            if (failure.code() == ErrorCode.CALLBACK && stopped) {
                Thread.interrupted();
                throw (InterruptedException) new InterruptedException("the call was interrupted").initCause(failure);
            }
            throw failure;
        }
    }

    /** What the library is told: 0 to go on. Who has ended a call hears of it no more. */
    final int report(Runnable listening) {
        if (!stopped && thrown == null) {
            try {
                listening.run();
            } catch (Throwable error) {
                thrown = error;
            }
            // On a platform thread the caller's own status; for a virtual one, the caller says it by `stop`.
            if (Thread.currentThread().isInterrupted()) {
                stopped = true;
            }
        }
        return stopped || thrown != null ? 1 : 0;
    }

    private static int onLoad(long number, int phase, long done, long total) {
        try {
            Load load = HostObjects.get(number, Load.class);
            LoadListener.Phase named = PHASES[phase > 0 && phase < PHASES.length ? phase : 0];
            return load.report(() -> load.listener.onProgress(named, done, total));
        } catch (Throwable thrown) {
            return 1;
        }
    }

    private static int onBatch(long number, MemorySegment progress, long length) {
        try {
            Batch batch = HostObjects.get(number, Batch.class);
            return batch.report(() -> batch.listener.onProgress(Frame.decode(progress, length)));
        } catch (Throwable thrown) {
            return 1;
        }
    }
}
