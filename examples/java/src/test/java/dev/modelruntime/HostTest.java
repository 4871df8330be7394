// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What the library calls: clocks, listeners, progress. */
@Timeout(value = 1, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class HostTest {
    private static final String ENDPOINT = """
            {"name": "teller", "offering": "pay_per_token", "subject": {"kind": "model", "name": "teller"},
             "entities": [{"name": "main", "model": "%s", "options": {"base_id": "teller"}}]}""";
    private static final String PLAN = """
            {"subject": {"kind": "model", "name": "teller"}, "offering": "pay_per_token", "who": "me", "reason": "",
             "change": {"plan": {"retire": {"day": "2024-06-04", "wording": "after"}}}}""";

    private static CompletionRequest ask() {
        return CompletionRequest.builder("teller", "Once").maxTokens(2).user("ann").build();
    }

    private static void announce(ModelRuntime runtime) {
        runtime.manage("endpoint.serve", ENDPOINT.formatted(Models.STORIES));
        runtime.manage("lifecycle.revise", PLAN);
    }

    @Test
    void theHostsClockDecidesAndTheListenerHears() throws Exception {
        HostTime time = new HostTime("2024-03-04T12:00:00Z");
        BlockingQueue<String> news = new LinkedBlockingQueue<>();
        try (ModelRuntime runtime = ModelRuntime.builder().clock(time, time::nanos).lifecycleListener(news::add).build()) {
            announce(runtime);
            assertEquals("teller", Models.read(runtime.complete(ask())).get("model").asText());
            String told = news.take();
            assertTrue(told.contains("\"state\":\"announced\""), told);
            time.set("2024-06-06T00:00:00Z");
            ModelRuntimeException gone = assertThrows(ModelRuntimeException.class, () -> runtime.complete(ask()));
            assertEquals(ErrorCode.MODEL_RETIRED, gone.code());
            told = news.take();
            assertTrue(told.contains("\"state\":\"retired\""), told);
        }
    }

    @Test
    void aListenerMayCloseTheRuntime() throws Exception {
        HostTime time = new HostTime("2024-03-04T12:00:00Z");
        BlockingQueue<String> news = new LinkedBlockingQueue<>();
        ModelRuntime[] self = new ModelRuntime[1];
        self[0] = ModelRuntime.builder().clock(time, time::nanos).lifecycleListener(json -> {
            self[0].close();
            news.add(json);
        }).build();
        announce(self[0]);
        try {
            self[0].complete(ask());
        } catch (ModelRuntimeException ended) {
            assertTrue(Set.of(ErrorCode.SHUTTING_DOWN, ErrorCode.CANCELLED).contains(ended.code()), ended::toString);
        }
        assertFalse(news.take().isEmpty());
        assertThrows(IllegalStateException.class, self[0]::stats);
    }

    @Test
    void whatTheyThrowEndsNothing() throws Exception {
        HostTime time = new HostTime("2024-03-04T12:00:00Z");
        BlockingQueue<Throwable> reported = new LinkedBlockingQueue<>();
        Thread.UncaughtExceptionHandler before = Thread.getDefaultUncaughtExceptionHandler();
        Thread.setDefaultUncaughtExceptionHandler((thread, thrown) -> reported.add(thrown));
        boolean[] broken = {false};
        try (ModelRuntime runtime = ModelRuntime.builder()
                .clock(
                        () -> {
                            if (broken[0]) {
                                throw new IllegalStateException("clock");
                            }
                            return time.instant();
                        },
                        time::nanos)
                .lifecycleListener(json -> {
                    throw new IllegalStateException("listener");
                })
                .build()) {
            announce(runtime);
            broken[0] = true;
            assertEquals("teller", Models.read(runtime.complete(ask())).get("model").asText());
            Set<String> messages = new java.util.HashSet<>();
            while (messages.size() < 2) {
                messages.add(reported.take().getMessage());
            }
            assertEquals(Set.of("clock", "listener"), messages);
        } finally {
            Thread.setDefaultUncaughtExceptionHandler(before);
        }
    }

    @Test
    void aJavaClockWillDo() throws Exception {
        Clock clock = Clock.fixed(Instant.parse("2024-03-04T12:00:00Z"), ZoneOffset.UTC);
        try (ModelRuntime runtime = ModelRuntime.builder().clock(clock).memoryBudget(1L << 30).build()) {
            runtime.serve("stories", Models.STORIES);
            assertEquals(1709553600, Models.read(runtime.complete(Models.story(2))).get("created").asLong());
        }
        Clock far = Clock.fixed(Instant.MAX, ZoneOffset.UTC);
        try (ModelRuntime runtime = ModelRuntime.builder().clock(far).build()) {
            runtime.serve("stories", Models.STORIES);
            assertFalse(runtime.complete(Models.story(2)).isEmpty());
        }
    }

    @Test
    void databasesAndCatalogsAreOpened(@TempDir Path folder) throws Exception {
        Path file = folder.resolve("runtime.sqlite");
        try (ModelRuntime runtime = ModelRuntime.builder().database(file).build()) {
            assertTrue(Files.exists(file));
            runtime.manage("registry.create_model", "{\"name\":\"main.default.teller\",\"by\":\"me\"}");
        }
        try (ModelRuntime runtime = ModelRuntime.builder().database(file).build()) {
            assertTrue(runtime.manage("registry.models", "").contains("main.default.teller"));
        }
        int before = HostObjects.size();
        ModelRuntimeBuilder wrong = ModelRuntime.builder().clock(Clock.systemUTC()).catalog("this is none");
        assertEquals(
                ErrorCode.INVALID_REQUEST, assertThrows(ModelRuntimeException.class, wrong::build).code());
        assertThrows(IllegalArgumentException.class, () -> ModelRuntime.builder().memoryBudget(0));
        assertThrows(IllegalArgumentException.class, () -> wrong.catalog("\ud83d").build());
        assertEquals(before, HostObjects.size());
    }

    @Test
    void loadsSayHowFarTheyAre() throws Exception {
        try (ModelRuntime runtime = ModelRuntime.create()) {
            EnumSet<LoadListener.Phase> phases = EnumSet.noneOf(LoadListener.Phase.class);
            Thread self = Thread.currentThread();
            runtime.serve("stories", Models.STORIES, ServeOptions.DEFAULT, (phase, done, total) -> {
                phases.add(phase);
                assertTrue(done <= total);
                assertSame(self, Thread.currentThread());
            });
            assertEquals(EnumSet.of(LoadListener.Phase.DIGEST, LoadListener.Phase.WEIGHTS), phases);
            IllegalStateException mine = new IllegalStateException("enough");
            LoadListener refusing = (phase, done, total) -> {
                throw mine;
            };
            assertSame(mine, assertThrows(
                    IllegalStateException.class,
                    () -> runtime.serve("x", Models.STORIES, ServeOptions.DEFAULT, refusing)));
            assertEquals(1, Models.read(runtime.endpoints()).size());
        }
    }
}
