// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class InterruptsTest {
    private static ModelRuntime runtime;
    private static List<Generation> others;

    @BeforeAll
    static void occupy() throws InterruptedException {
        runtime = Models.oneByOne();
        runtime.serve("minilm", Models.MINILM);
        others = Models.occupy(runtime);
    }

    @AfterAll
    static void close() {
        others.forEach(Generation::close);
        runtime.close();
    }

    private record Outcome(Throwable thrown, boolean flag) {}

    /** Does something that waits, on both kinds of threads, and interrupts it there. */
    private static Outcome[] interrupted(Callable<?> waiting) throws InterruptedException {
        Outcome[] outcomes = new Outcome[2];
        for (int i = 0; i < 2; i++) {
            AtomicReference<Outcome> outcome = new AtomicReference<>();
            Thread thread = (i == 0 ? Thread.ofPlatform() : Thread.ofVirtual()).start(() -> {
                try {
                    waiting.call();
                    outcome.set(new Outcome(null, Thread.currentThread().isInterrupted()));
                } catch (Throwable thrown) {
                    outcome.set(new Outcome(thrown, Thread.currentThread().isInterrupted()));
                }
            });
            Models.awaitWaiting(thread);
            thread.interrupt();
            thread.join();
            outcomes[i] = outcome.get();
        }
        return outcomes;
    }

    private static void checkException(Outcome[] outcomes) {
        for (Outcome outcome : outcomes) {
            assertInstanceOf(InterruptedException.class, outcome.thrown());
            assertFalse(outcome.flag());
        }
    }

    @Test
    void wholeAnswersThrow() throws Exception {
        checkException(interrupted(() -> runtime.complete(Models.story(10))));
    }

    @Test
    void generationsThrowAndAreCancelled() throws Exception {
        List<Callable<Generation>> ways = List.of(
                () -> wait(Generation::next),
                () -> wait(Generation::response),
                () -> wait(generation -> generation.next(Duration.ofMinutes(5))),
                () -> wait(generation -> generation.response(Duration.ofMinutes(5))));
        for (Callable<Generation> way : ways) {
            checkException(interrupted(way));
        }
    }

    @FunctionalInterface
    private interface Waiting {
        Object on(Generation generation) throws Exception;
    }

    private static Generation wait(Waiting waiting) throws Exception {
        try (Generation generation = runtime.completeStream(Models.story(10))) {
            try {
                waiting.on(generation);
                return generation;
            } catch (InterruptedException interrupt) {
                ModelRuntimeException end = assertThrows(ModelRuntimeException.class, generation::response);
                assertEquals(ErrorCode.CANCELLED, end.code());
                throw interrupt;
            }
        }
    }

    @Test
    void streamsKeepTheStatus() throws Exception {
        for (Outcome outcome : interrupted(() -> {
            try (Generation generation = runtime.completeStream(Models.story(10))) {
                return generation.stream().count();
            }
        })) {
            ModelRuntimeException failure = assertInstanceOf(ModelRuntimeException.class, outcome.thrown());
            assertEquals(ErrorCode.CANCELLED, failure.code());
            assertInstanceOf(InterruptedException.class, failure.getCause());
            assertTrue(outcome.flag());
        }
    }

    @Test
    void vectorsThrow() throws Exception {
        String text = "The baker took the bread out of the oven. ".repeat(12);
        EmbeddingRequest request =
                EmbeddingRequest.builder("minilm", Collections.nCopies(400, text)).truncate("end").build();
        Set<Thread> before = platformThreads();
        checkException(interrupted(() -> runtime.embed(request)));
        checkException(interrupted(() -> runtime.embeddings(request)));
        // Who waits waits in Java: no thread of the package was in the library for it. It would be there for some seconds.
        assertTrue(before.containsAll(platformThreads()));
    }

    private static Set<Thread> platformThreads() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("model-runtime-"))
                .collect(Collectors.toSet());
    }

    @Test
    void whoIsInterruptedAlreadyDoesNotBegin() {
        Thread.currentThread().interrupt();
        assertThrows(InterruptedException.class, () -> runtime.complete(Models.story(10)));
        assertFalse(Thread.currentThread().isInterrupted());
    }

    @Test
    void aLoadEnds() throws Exception {
        AtomicBoolean heard = new AtomicBoolean();
        for (boolean virtual : new boolean[] {false, true}) {
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread[] self = new Thread[1];
            Runnable load = () -> {
                self[0] = Thread.currentThread();
                try {
                    // Interrupted while it is under way: the listener does that itself.
                    runtime.serve("x", Models.MINILM, ServeOptions.DEFAULT, (phase, done, total) -> {
                        heard.set(true);
                        self[0].interrupt();
                    });
                } catch (Throwable error) {
                    thrown.set(error);
                }
            };
            Thread thread = virtual ? Thread.ofVirtual().unstarted(load) : Thread.ofPlatform().unstarted(load);
            thread.start();
            thread.join();
            if (!virtual) {
                assertInstanceOf(InterruptedException.class, thrown.get());
                assertEquals(
                        ErrorCode.NOT_FOUND,
                        assertThrows(ModelRuntimeException.class, () -> runtime.remove("x")).code());
            } else if (thrown.get() == null) {
                // The load may have ended before the interrupt has reached it.
                runtime.remove("x");
            } else {
                assertInstanceOf(InterruptedException.class, thrown.get());
            }
        }
        assertTrue(heard.get());
    }
}
