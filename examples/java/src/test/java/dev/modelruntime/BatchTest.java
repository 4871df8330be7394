// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BatchTest {
    private static final int COUNT = 20;
    private static final BatchOptions TWO = BatchOptions.builder().concurrency(2).build();

    private static ModelRuntime runtime;

    @TempDir
    private Path folder;

    private Path requests;
    private Path results;

    @BeforeAll
    static void serve() throws InterruptedException {
        runtime = Models.serving("stories", Models.STORIES);
    }

    @AfterAll
    static void close() {
        runtime.close();
    }

    @BeforeEach
    void writeRequests() throws IOException {
        requests = folder.resolve("fragen \ud83d\udcd6.jsonl");
        results = folder.resolve("results.jsonl");
        Files.write(requests, IntStream.range(0, COUNT).mapToObj(BatchTest::line).toList());
    }

    private static String line(int number) {
        String body = CompletionRequest.builder(number == 7 ? "nobody" : "stories", "Once")
                .maxTokens(6).seed(number).build().json();
        return "{\"custom_id\":\"r" + number + "\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":" + body + "}";
    }

    @AfterEach
    void everyNumberIsGivenBack() {
        assertEquals(0, HostObjects.size());
    }

    private List<String> ids() throws IOException {
        return Files.readAllLines(results).stream().map(Models::read).map(json -> json.get("custom_id").asText()).toList();
    }

    /** The rest of the requests is answered, and each has one result. */
    private void finish() throws Exception {
        int before = ids().size();
        assertTrue(before < COUNT, () -> "the run was not ended: " + before);
        JsonNode summary = Models.read(runtime.runBatch(requests, results, BatchOptions.DEFAULT));
        assertTrue(summary.get("complete").asBoolean());
        assertEquals(before, summary.get("skipped").asInt());
        assertEquals(IntStream.range(0, COUNT).mapToObj(number -> "r" + number).collect(Collectors.toSet()),
                ids().stream().collect(Collectors.toSet()));
        assertEquals(COUNT, ids().size());
    }

    @Test
    void everyRequestHasItsResult() throws Exception {
        List<JsonNode> heard = new ArrayList<>();
        Thread self = Thread.currentThread();
        BatchOptions options = BatchOptions.builder().concurrency(3).order(BatchOptions.Order.READY)
                .requests(RequestOptions.builder().principal("night").build()).build();
        JsonNode summary = Models.read(runtime.runBatch(requests, results, options, progress -> {
            assertSame(self, Thread.currentThread());
            heard.add(Models.read(progress));
        }));
        assertTrue(summary.get("complete").asBoolean());
        assertEquals(COUNT - 1, summary.get("done").asInt());
        assertEquals(1, summary.get("failed").asInt());
        assertEquals(COUNT, ids().size());
        assertEquals(COUNT - 1, heard.getLast().get("done").asInt());
        assertTrue(heard.stream().allMatch(progress -> progress.get("running").asInt() <= 3));
        JsonNode again = Models.read(runtime.runBatch(requests, results, BatchOptions.DEFAULT));
        assertEquals(COUNT, again.get("skipped").asInt());
    }

    @Test
    void whatTheListenerThrowsEndsTheRun() throws Exception {
        IllegalStateException enough = new IllegalStateException("enough");
        AtomicInteger calls = new AtomicInteger();
        assertSame(enough, assertThrows(IllegalStateException.class, () -> runtime.runBatch(requests, results, TWO, progress -> {
            if (calls.incrementAndGet() == 3) {
                throw enough;
            }
        })));
        assertEquals(3, calls.get());
        finish();
    }

    @Test
    void anInterruptEndsTheRun() throws Exception {
        for (boolean virtual : new boolean[] {false, true}) {
            Files.deleteIfExists(results);
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread[] self = new Thread[1];
            Runnable run = () -> {
                try {
                    runtime.runBatch(requests, results, TWO, progress -> interruptAtTwo(self[0], progress));
                } catch (Throwable error) {
                    thrown.set(error);
                }
                assertFalse(Thread.currentThread().isInterrupted());
            };
            self[0] = virtual ? Thread.ofVirtual().unstarted(run) : Thread.ofPlatform().unstarted(run);
            self[0].start();
            self[0].join();
            assertInstanceOf(InterruptedException.class, thrown.get(), () -> "virtual: " + virtual);
            finish();
        }
    }

    private static void interruptAtTwo(Thread caller, String progress) {
        if (Models.read(progress).get("done").asInt() >= 2) {
            caller.interrupt();
            if (caller.isVirtual()) {
                // It has noticed, and waits again when it has said that the run is to end.
                while (caller.isInterrupted()) {
                    Thread.onSpinWait();
                }
                Models.awaitWaiting(caller);
            }
        }
    }

    @Test
    void whoIsInterruptedAlreadyDoesNotBegin() {
        Thread.currentThread().interrupt();
        assertThrows(InterruptedException.class, () -> runtime.runBatch(requests, results, TWO));
        assertFalse(Files.exists(results));
    }

    @Test
    void whatCannotBeRunIsRefused() {
        Path missing = folder.resolve("missing.jsonl");
        ModelRuntimeException failure =
                assertThrows(ModelRuntimeException.class, () -> runtime.runBatch(missing, results, TWO));
        assertTrue(Set.of(ErrorCode.NOT_FOUND, ErrorCode.IO).contains(failure.code()), failure::toString);
        assertTrue(failure.getMessage().contains("missing.jsonl"), failure::toString);
        assertFalse(Files.exists(results));
        assertThrows(IllegalArgumentException.class, () -> BatchOptions.builder().concurrency(0));
        assertThrows(IllegalArgumentException.class, () -> BatchOptions.builder().concurrency(1025));
    }
}
