// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.ReferenceQueue;
import java.lang.ref.WeakReference;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Handles that nobody closes. */
@Timeout(value = 2, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class CollectorTest {
    /** Collects until it is so. */
    private static void collectUntil(BooleanSupplier condition) throws InterruptedException {
        ReferenceQueue<Object> queue = new ReferenceQueue<>();
        while (!condition.getAsBoolean()) {
            WeakReference<Object> sentinel = new WeakReference<>(new Object(), queue);
            System.gc();
            // The collector has been there, and the cleaner has been told as well.
            queue.remove(1000);
            assertTrue(sentinel.refersTo(null));
        }
    }

    @Test
    void droppedGenerationsAreCancelledAndFreed() throws Exception {
        try (ModelRuntime runtime = Models.oneByOne()) {
            for (int i = 0; i < 200; i++) {
                runtime.completeStream(Models.story(480));
            }
            assertTrue(HostObjects.size() > 100, () -> "ended too early: " + HostObjects.size());
            collectUntil(() -> HostObjects.size() == 0);
            // They were cancelled, so this one does not wait for them.
            assertFalse(Models.text(runtime.complete(Models.story(4))).isEmpty());
        }
    }

    @Test
    void aGenerationThatIsWaitedForStays() throws Exception {
        try (ModelRuntime runtime = Models.oneByOne()) {
            Thread collector = Thread.ofPlatform().daemon().start(() -> {
                while (!Thread.currentThread().isInterrupted()) {
                    System.gc();
                }
            });
            String text = Models.text(runtime.complete(Models.story(200)));
            for (int i = 0; i < 3; i++) {
                assertEquals(
                        200,
                        Models.read(runtime.completeStream(Models.story(200)).response())
                                .at("/usage/completion_tokens").asInt());
                assertEquals(
                        text,
                        runtime.completeStream(Models.story(200)).stream().map(Event::text).collect(Collectors.joining()));
            }
            collector.interrupt();
            collector.join();
        }
    }

    @Test
    void aDroppedRuntimeEnds() throws Exception {
        HostTime time = new HostTime("2024-03-04T12:00:00Z");
        drop(time);
        // The clock's number is given back when the runtime has ended.
        collectUntil(() -> HostObjects.size() == 0);
    }

    private static void drop(HostTime time) throws InterruptedException {
        ModelRuntime runtime = ModelRuntime.builder().clock(time, time::nanos).build();
        runtime.serve("stories", Models.STORIES);
        assertEquals(1, HostObjects.size());
    }

    @Test
    void memoryLivesAsLongAsItsSegment() throws Exception {
        try (ModelRuntime runtime = Models.serving("gte", Models.GTE)) {
            WeakReference<Object> embeddings;
            MemorySegment values;
            float[] copy;
            {
                Embeddings made = runtime.embed(EmbeddingRequest.builder("gte", "bread and rivers").build());
                values = made.values();
                copy = made.vector(0);
                embeddings = new WeakReference<>(made);
            }
            int[] rounds = {0};
            collectUntil(() -> rounds[0]++ == 5);
            assertFalse(embeddings.refersTo(null));
            assertEquals(copy[3], values.getAtIndex(ValueLayout.JAVA_FLOAT, 3));
            java.lang.ref.Reference.reachabilityFence(values);
        }
    }

    @Test
    void droppedVectorsAreCollectedWithTheirSegment() throws Exception {
        try (ModelRuntime runtime = Models.serving("gte", Models.GTE)) {
            WeakReference<Object> embeddings = dropVectors(runtime);
            collectUntil(() -> embeddings.refersTo(null));
        }
    }

    private static WeakReference<Object> dropVectors(ModelRuntime runtime) throws InterruptedException {
        Embeddings made = runtime.embed(EmbeddingRequest.builder("gte", "bread and rivers").build());
        assertEquals(made.vector(0)[0], made.values().getAtIndex(ValueLayout.JAVA_FLOAT, 0));
        return new WeakReference<>(made);
    }
}
