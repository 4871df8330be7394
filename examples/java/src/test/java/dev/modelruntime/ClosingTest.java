// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

class ClosingTest {
    @Test
    void everyOrderIsGood() throws Exception {
        for (int order = 0; order < 6; order++) {
            ModelRuntime runtime = Models.serving("stories", Models.STORIES);
            runtime.serve("gte", Models.GTE);
            Generation generation = runtime.completeStream(Models.story(400));
            Embeddings embeddings = runtime.embed(EmbeddingRequest.builder("gte", "bread").build());
            List<AutoCloseable> all = new ArrayList<>(List.of(runtime, generation, embeddings));
            Collections.swap(all, 0, order % 3);
            Collections.swap(all, 1, 1 + order % 2);
            for (AutoCloseable one : all) {
                one.close();
                one.close();
            }
        }
        assertEquals(0, HostObjects.size());
    }

    @Test
    void anAnswerOutlivesItsRuntime() throws Exception {
        Generation generation;
        try (ModelRuntime runtime = Models.serving("stories", Models.STORIES)) {
            generation = runtime.completeStream(Models.story(100));
            runtime.close();
            assertThrows(IllegalStateException.class, runtime::endpoints);
            assertThrows(IllegalStateException.class, () -> runtime.completeStream(Models.story(1)));
        }
        try (generation) {
            assertEquals(100, Models.read(generation.response()).at("/usage/completion_tokens").asInt());
        }
    }

    @Test
    void afterClosingNothingCanBeAsked() throws Exception {
        try (ModelRuntime runtime = Models.serving("stories", Models.STORIES)) {
            Generation generation = runtime.completeStream(Models.story(400));
            generation.close();
            assertThrows(IllegalStateException.class, generation::next);
            assertThrows(IllegalStateException.class, generation::response);
            assertThrows(IllegalStateException.class, generation::timings);
            assertTrue(generation.version().startsWith("stories260K@"));
            assertDoesNotThrow(generation::cancel);
        }
    }

    @Test
    void whoWaitsIsWokenByTheClose() throws Exception {
        try (ModelRuntime runtime = Models.oneByOne()) {
            List<Generation> others = Models.occupy(runtime);
            Generation generation = runtime.completeStream(Models.story(400));
            AtomicReference<Throwable> next = new AtomicReference<>();
            AtomicReference<Throwable> response = new AtomicReference<>();
            Thread reader = Thread.ofVirtual().start(() -> next.set(assertThrows(Throwable.class, generation::next)));
            Thread waiter = Thread.ofPlatform().start(() -> response.set(assertThrows(Throwable.class, generation::response)));
            Models.awaitWaiting(reader);
            Models.awaitWaiting(waiter);
            generation.close();
            reader.join();
            waiter.join();
            assertEquals(ErrorCode.CANCELLED, assertInstanceOf(ModelRuntimeException.class, next.get()).code());
            assertEquals(ErrorCode.CANCELLED, assertInstanceOf(ModelRuntimeException.class, response.get()).code());
            others.forEach(Generation::close);
        }
    }

    /** Everything at once: the only outcomes are an answer, a cancelled request and a closed handle. */
    @Test
    void closingMayRaceWithUse() throws Exception {
        for (int round = 0; round < 30; round++) {
            ModelRuntime runtime = Models.serving("stories", Models.STORIES);
            runtime.serve("gte", Models.GTE);
            Generation generation = runtime.completeStream(Models.story(40));
            Embeddings embeddings = runtime.embed(EmbeddingRequest.builder("gte", "bread", "rivers").build());
            ConcurrentLinkedQueue<Throwable> wrong = new ConcurrentLinkedQueue<>();
            CountDownLatch start = new CountDownLatch(1);
            List<Thread> threads = new ArrayList<>();
            for (Task task : List.<Task>of(
                    () -> generation.forEach(event -> {}), generation::response, generation::close, generation::close,
                    () -> runtime.complete(Models.story(4)), runtime::stats, runtime::close, runtime::close,
                    embeddings::vectors, () -> embeddings.values().getAtIndex(java.lang.foreign.ValueLayout.JAVA_FLOAT, 0),
                    embeddings::response, embeddings::close, embeddings::close)) {
                threads.add(Thread.ofPlatform().start(() -> {
                    try {
                        start.await();
                        task.run();
                    } catch (IllegalStateException closed) {
                        // As said.
                    } catch (ModelRuntimeException failure) {
                        if (failure.code() != ErrorCode.CANCELLED) {
                            wrong.add(failure);
                        }
                    } catch (Throwable thrown) {
                        wrong.add(thrown);
                    }
                }));
            }
            start.countDown();
            for (Thread thread : threads) {
                thread.join();
            }
            assertTrue(wrong.isEmpty(), wrong::toString);
        }
        assertEquals(0, HostObjects.size());
    }

    @FunctionalInterface
    private interface Task {
        void run() throws Exception;
    }
}
