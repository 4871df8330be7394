// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;

/** What became of the requests of a load. */
final class LoadTally {
    final AtomicLong requests = new AtomicLong();
    final AtomicLong completed = new AtomicLong();
    final AtomicLong cancelled = new AtomicLong();
    final AtomicLong refused = new AtomicLong();
    final AtomicLong errors = new AtomicLong();
    private final AtomicLong wrong = new AtomicLong();
    private final AtomicReference<String> first = new AtomicReference<>();

    void wrong(String line) {
        wrong.incrementAndGet();
        first.compareAndSet(null, line);
    }

    boolean isWrong() {
        return wrong.get() > 0;
    }

    void report(ObjectNode json) {
        json.put("requests", requests.get())
                .put("completed", completed.get())
                .put("cancelled", cancelled.get())
                .put("refused", refused.get())
                .put("errors", errors.get())
                .put("wrong", wrong.get())
                .put("first_wrong", first.get());
    }
}
