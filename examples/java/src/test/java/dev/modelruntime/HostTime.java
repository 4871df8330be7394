// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.concurrent.atomic.AtomicReference;

/** A clock that stands until it is set. */
final class HostTime implements InstantSource {
    private final Instant start;
    private final AtomicReference<Instant> now;

    HostTime(String start) {
        this.start = Instant.parse(start);
        now = new AtomicReference<>(this.start);
    }

    void set(String now) {
        this.now.set(Instant.parse(now));
    }

    @Override
    public Instant instant() {
        return now.get();
    }

    /** What has passed since the start. */
    long nanos() {
        return Duration.between(start, now.get()).toNanos();
    }
}
