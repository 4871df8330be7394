// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.time.Instant;
import java.time.InstantSource;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/** The functions that the library calls with the host's clock and listener. None of them ever throws. */
final class HostCallbacks {
    private static final MethodHandles.Lookup LOOKUP = MethodHandles.lookup();

    /** {@code mr_clock_callback}. */
    static final MemorySegment CLOCK = NativeLibrary.stub(
            LOOKUP,
            "tellTime",
            MethodType.methodType(long.class, long.class, int.class),
            FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_INT));
    /** {@code mr_lifecycle_callback}. */
    static final MemorySegment LIFECYCLE = NativeLibrary.stub(
            LOOKUP,
            "onLifecycle",
            MethodType.methodType(void.class, long.class, MemorySegment.class, long.class),
            FunctionDescriptor.ofVoid(JAVA_LONG, ADDRESS, JAVA_LONG));

    private static final int WALL = 0;
    private static final long NANOS = 1_000_000_000;

    private HostCallbacks() {}

    /** The host's clock. What it said last holds while it fails. */
    static final class HostClock {
        private final InstantSource wall;
        private final LongSupplier nanos;
        private final long start;
        private final AtomicLong lastWall;
        private final AtomicLong lastNanos = new AtomicLong();

        HostClock(InstantSource wall, LongSupplier nanos) {
            this.wall = wall;
            this.nanos = nanos;
            start = nanos.getAsLong();
            lastWall = new AtomicLong(sinceEpoch(wall.instant()));
        }

        long wall() {
            lastWall.set(sinceEpoch(wall.instant()));
            return lastWall.get();
        }

        /** Never goes back, whatever the host's own does. */
        long monotonic() {
            return lastNanos.accumulateAndGet(nanos.getAsLong() - start, Math::max);
        }

        long last(int which) {
            return which == WALL ? lastWall.get() : lastNanos.get();
        }

        /** Times that 64 bits of nanoseconds do not reach, before 1677 and after 2262, are the nearest that they do. */
        private static long sinceEpoch(Instant instant) {
            try {
                return Math.addExact(Math.multiplyExact(instant.getEpochSecond(), NANOS), (long) instant.getNano());
            } catch (ArithmeticException beyond) {
                return instant.getEpochSecond() < 0 ? Long.MIN_VALUE : Long.MAX_VALUE;
            }
        }
    }

    private static long tellTime(long number, int which) {
        HostClock clock = null;
        try {
            clock = HostObjects.get(number, HostClock.class);
            return which == WALL ? clock.wall() : clock.monotonic();
        } catch (Throwable thrown) {
            HostObjects.report(thrown);
            return clock == null ? 0 : clock.last(which);
        }
    }

    private static void onLifecycle(long number, MemorySegment event, long length) {
        try {
            HostObjects.get(number, LifecycleListener.class).onLifecycle(Frame.decode(event, length));
        } catch (Throwable thrown) {
            HostObjects.report(thrown);
        }
    }
}
