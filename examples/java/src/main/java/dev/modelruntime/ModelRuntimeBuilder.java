// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Clock;
import java.time.InstantSource;
import java.util.Objects;
import java.util.function.LongSupplier;

/** Collects the options of a runtime. */
public final class ModelRuntimeBuilder {
    private long memoryBudget;
    private String database;
    private String catalog;
    private InstantSource wall;
    private LongSupplier nanos;
    private LifecycleListener listener;

    ModelRuntimeBuilder() {}

    /**
     * The most that all models of the runtime take together, weights, caches and scratch.
     *
     * @param bytes more than 0; otherwise there is no limit
     * @return this
     * @throws IllegalArgumentException if it is zero or less
     */
    public ModelRuntimeBuilder memoryBudget(long bytes) {
        if (bytes <= 0) {
            throw new IllegalArgumentException("memoryBudget is " + bytes + "; it has to be more than zero");
        }
        memoryBudget = bytes;
        return this;
    }

    /**
     * The SQLite file that keeps registered models, updates, retirements and usage. Several processes may have it open.
     *
     * @param file the file; otherwise they are kept in memory
     * @return this
     */
    public ModelRuntimeBuilder database(Path file) {
        database = file.toString();
        return this;
    }

    /**
     * Facts about models and their retirements, laid over the built-in ones.
     *
     * @param toml the facts in TOML
     * @return this
     */
    public ModelRuntimeBuilder catalog(String toml) {
        catalog = Objects.requireNonNull(toml, "toml");
        return this;
    }

    /**
     * The time of day, instead of the system's; the time that only goes forward is {@link System#nanoTime()}.
     *
     * @param wall the time of day, such as a {@link Clock}
     * @return this
     */
    public ModelRuntimeBuilder clock(InstantSource wall) {
        return clock(wall, System::nanoTime);
    }

    /**
     * The time of day and the time that only goes forward, instead of the system's. Both are asked on any thread, several at a
     * time, and must answer at once, without calling the runtime. While one of them throws, its last answer holds, and what it
     * throws goes to the thread's uncaught exception handler.
     *
     * @param wall the time of day, such as a {@link Clock}
     * @param nanos nanoseconds since any fixed moment, as {@link System#nanoTime()}
     * @return this
     */
    public ModelRuntimeBuilder clock(InstantSource wall, LongSupplier nanos) {
        this.wall = Objects.requireNonNull(wall, "wall");
        this.nanos = Objects.requireNonNull(nanos, "nanos");
        return this;
    }

    /**
     * Who hears what is new about the life of models.
     *
     * @param listener the listener
     * @return this
     */
    public ModelRuntimeBuilder lifecycleListener(LifecycleListener listener) {
        this.listener = Objects.requireNonNull(listener, "listener");
        return this;
    }

    /**
     * Makes the runtime, which serves nothing yet.
     *
     * @return the runtime, to be closed
     * @throws ModelRuntimeException if the catalog is none, or the database cannot be opened
     * @throws UnsatisfiedLinkError if the native library cannot be used
     */
    public ModelRuntime build() {
        NativeLibrary.load();
        return new ModelRuntime(PlatformThreads.call(() -> RuntimeCalls.create(this)));
    }

    /** The struct of the library; from then on the library has the host's clock and listener. */
    MemorySegment struct(Frame frame) {
        OptionStruct struct = new OptionStruct(OptionStruct.RUNTIME, frame)
                .set("memory_budget", memoryBudget)
                .text("database", database)
                .text("catalog", catalog);
        HostCallbacks.HostClock clock = wall == null ? null : new HostCallbacks.HostClock(wall, nanos);
        if (clock != null) {
            struct.set("clock", HostCallbacks.CLOCK)
                    .set("clock_data_free", HostObjects.FREE)
                    .set("clock_data", HostObjects.add(clock));
        }
        if (listener != null) {
            struct.set("on_lifecycle", HostCallbacks.LIFECYCLE)
                    .set("lifecycle_data_free", HostObjects.FREE)
                    .set("lifecycle_data", HostObjects.add(listener));
        }
        return struct.segment();
    }
}
