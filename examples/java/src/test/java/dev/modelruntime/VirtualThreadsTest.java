// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A thousand virtual threads on two carriers: whoever waited on a carrier would stop all others. */
@Timeout(value = 3, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class VirtualThreadsTest {
    private static final int THREADS = 1000;

    @FunctionalInterface
    private interface Task {
        void run(int number) throws Exception;
    }

    private static void onThousand(Task task) throws InterruptedException {
        ConcurrentLinkedQueue<Throwable> wrong = new ConcurrentLinkedQueue<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < THREADS; i++) {
            int number = i;
            threads.add(Thread.startVirtualThread(() -> {
                try {
                    task.run(number);
                } catch (Throwable thrown) {
                    wrong.add(thrown);
                }
            }));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertTrue(wrong.isEmpty(), () -> wrong.size() + " have failed: " + wrong.peek());
    }

    @Test
    void carriersAreTwo() {
        assertEquals("2", System.getProperty("jdk.virtualThreadScheduler.maxPoolSize"));
    }

    @Test
    void allGetTheirAnswers() throws Exception {
        ServeOptions options = ServeOptions.builder().maxQueue(2 * THREADS).build();
        try (ModelRuntime runtime = Models.serving("stories", Models.STORIES, options)) {
            runtime.serve("gte", Models.GTE, options);
            String text = Models.text(runtime.complete(Models.story(12)));
            float[] vector = embed(runtime);
            onThousand(number -> {
                switch (number % 3) {
                    case 0 -> assertEquals(text, Models.text(runtime.complete(Models.story(12))));
                    case 1 -> {
                        StringBuilder read = new StringBuilder();
                        try (Generation generation = runtime.completeStream(Models.story(12))) {
                            generation.forEach(event -> read.append(event.text()));
                        }
                        assertEquals(text, read.toString());
                    }
                    default -> org.junit.jupiter.api.Assertions.assertArrayEquals(vector, embed(runtime));
                }
            });
        }
    }

    private static float[] embed(ModelRuntime runtime) throws InterruptedException {
        try (Embeddings embeddings = runtime.embed(EmbeddingRequest.builder("gte", "bread and rivers").build())) {
            return embeddings.vector(0);
        }
    }

    /**
     * All wait for answers that take minutes together, and the last thread to come cancels them all. On carriers that wait, it
     * would come after the last answer, and find nothing to cancel.
     */
    @Test
    void waitingLetsGoOfTheCarrier() throws Exception {
        try (ModelRuntime runtime = Models.oneByOne()) {
            List<Generation> generations = new ArrayList<>();
            for (int i = 0; i < THREADS - 1; i++) {
                generations.add(runtime.completeStream(Models.story(480)));
            }
            CountDownLatch begun = new CountDownLatch(THREADS - 1);
            AtomicInteger cancelled = new AtomicInteger();
            onThousand(number -> {
                if (number == THREADS - 1) {
                    begun.await();
                    generations.forEach(Generation::cancel);
                    return;
                }
                begun.countDown();
                try {
                    generations.get(number).response();
                } catch (ModelRuntimeException failure) {
                    assertEquals(ErrorCode.CANCELLED, failure.code());
                    cancelled.incrementAndGet();
                }
            });
            assertTrue(cancelled.get() > THREADS / 2, () -> "only " + cancelled + " were cancelled");
            generations.forEach(Generation::close);
        }
    }

    @Test
    void callsThatBlockAreMadeElsewhere() throws Exception {
        try (ModelRuntime runtime = ModelRuntime.create()) {
            AtomicInteger virtual = new AtomicInteger();
            AtomicInteger heard = new AtomicInteger();
            Thread thread = Thread.startVirtualThread(() -> {
                try {
                    runtime.serve("stories", Models.STORIES, ServeOptions.DEFAULT, (phase, done, total) -> {
                        heard.incrementAndGet();
                        virtual.addAndGet(Thread.currentThread().isVirtual() ? 1 : 0);
                    });
                } catch (InterruptedException interrupt) {
                    throw new IllegalStateException(interrupt);
                }
            });
            thread.join();
            assertTrue(heard.get() > 0);
            assertEquals(0, virtual.get());
        }
    }
}
