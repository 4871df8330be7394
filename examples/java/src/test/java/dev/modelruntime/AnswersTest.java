// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AnswersTest {
    private static final ServeOptions LLAMA_1 = ServeOptions.builder().version("llama@1").threads(1).build();

    private static ModelRuntime runtime;

    @BeforeAll
    static void serve() throws InterruptedException {
        runtime = Models.serving("stories", Models.STORIES);
        runtime.serve("llama", Models.LLAMA, LLAMA_1);
    }

    @AfterAll
    static void close() {
        runtime.close();
    }

    private static ChatRequest chat(String text) {
        return ChatRequest.builder("llama").userMessage(text).maxTokens(24).seed(3).build();
    }

    @Test
    void everyWayOfReadingGivesTheSameText() throws Exception {
        String whole = Models.text(runtime.complete(Models.story(60)));
        assertTrue(whole.length() > 60, whole);
        StringBuilder read = new StringBuilder();
        try (Generation generation = runtime.completeStream(Models.story(60))) {
            for (Optional<Event> event; (event = generation.next()).isPresent(); ) {
                read.append(event.get().text());
            }
            assertEquals(whole, Models.text(generation.response()));
            assertTrue(generation.next().isEmpty());
        }
        assertEquals(whole, read.toString());
        StringBuilder looped = new StringBuilder();
        try (Generation generation = runtime.completeStream(Models.story(60))) {
            for (Event event : generation) {
                looped.append(event.text());
                assertTrue(Models.read(event.json()).isArray());
            }
        }
        assertEquals(whole, looped.toString());
        try (Stream<Event> events = runtime.completeStream(Models.story(60)).stream()) {
            assertEquals(whole, events.map(Event::text).collect(Collectors.joining()));
        }
    }

    @Test
    void wholeAnswersAreNotStreamed() {
        CompletionRequest pieces = CompletionRequest.builder("stories", "Once").maxTokens(2).extra("stream", true).build();
        for (RequestOptions options : List.of(RequestOptions.DEFAULT, RequestOptions.builder().priority(1).build())) {
            ModelRuntimeException refused =
                    assertThrows(ModelRuntimeException.class, () -> runtime.complete(pieces, options));
            assertEquals("stream", refused.param().orElseThrow());
        }
        ChatRequest chat = ChatRequest.builder("llama").userMessage("Hello").maxTokens(2).extra("stream", true).build();
        assertEquals(
                "stream",
                assertThrows(ModelRuntimeException.class, () -> runtime.chat(chat)).param().orElseThrow());
        try (Generation generation = runtime.completeStream(pieces)) {
            assertTrue(generation.stream().findFirst().isPresent());
        }
    }

    @Test
    void aStreamThatIsClosedClosesItsGeneration() throws Exception {
        Generation generation = runtime.completeStream(Models.story(400));
        try (Stream<Event> events = generation.stream()) {
            assertTrue(events.findFirst().isPresent());
        }
        assertThrows(IllegalStateException.class, generation::response);
    }

    @Test
    void answersNameTheirVersionAndTimes() throws Exception {
        try (Generation generation = runtime.chatStream(chat("Hello"))) {
            assertEquals("llama@1", generation.version());
            JsonNode response = Models.read(generation.response(Duration.ofMinutes(1)));
            assertEquals("llama@1", response.get("model").asText());
            assertEquals(24, response.at("/usage/completion_tokens").asInt());
            JsonNode timings = Models.read(generation.timings());
            assertTrue(timings.get("total_seconds").asDouble() >= timings.get("time_to_first_token_seconds").asDouble());
        }
    }

    @Test
    void waitingHasAnEnd() throws Exception {
        try (ModelRuntime slow = Models.oneByOne()) {
            List<Generation> others = Models.occupy(slow);
            try (Generation generation = slow.completeStream(Models.story(10))) {
                assertThrows(TimeoutException.class, () -> generation.next(Duration.ZERO));
                assertThrows(TimeoutException.class, () -> generation.next(Duration.ofMillis(5)));
                assertThrows(TimeoutException.class, () -> generation.response(Duration.ofMillis(5)));
                ModelRuntimeException early = assertThrows(ModelRuntimeException.class, generation::timings);
                assertEquals(ErrorCode.CONFLICT, early.code());
            }
            others.forEach(Generation::close);
        }
    }

    @Test
    void textOfEveryScriptGoesInAndComesOut() throws Exception {
        String name = "Geschichten \u2013 \u7269\u8a9e \ud83d\udcd6 \0 \"\\\n";
        ModelRuntimeException failure = assertThrows(
                ModelRuntimeException.class,
                () -> runtime.complete(CompletionRequest.builder(name, "\ud83d\ude43").build()));
        assertEquals(ErrorCode.NOT_FOUND, failure.code());
        assertTrue(failure.getMessage().contains("\u7269\u8a9e \ud83d\udcd6 \0"), failure.getMessage());
        String echoed = Models.text(runtime.complete(
                CompletionRequest.builder("stories", "\ud83d\udcd6 \ud801\udc37 \u00e9").echo(true).maxTokens(4).build()));
        assertTrue(echoed.startsWith("\ud83d\udcd6 \ud801\udc37 \u00e9"), echoed);
    }

    @Test
    void halfASurrogatePairIsNoText() {
        assertThrows(
                IllegalArgumentException.class,
                () -> runtime.complete(CompletionRequest.builder("stories", "half \ud83d").build()));
        assertThrows(IllegalArgumentException.class, () -> runtime.remove("\udcd6"));
        assertFalse(runtime.endpoints().isEmpty());
    }

    @Test
    void aConversationIsKeptAndTakenUpAgain(@TempDir Path folder) throws Exception {
        Path file = folder.resolve("sitzung \ud83d\udcd6");
        try (Generation generation = runtime.chatStream(chat("Tell me a long story about bread"))) {
            generation.response();
            generation.saveSession(0, file);
            ModelRuntimeException none =
                    assertThrows(ModelRuntimeException.class, () -> generation.saveSession(1, file));
            assertEquals(ErrorCode.CONFLICT, none.code());
            assertThrows(IllegalArgumentException.class, () -> generation.saveSession(-1, file));
        }
        try (ModelRuntime other = Models.serving("llama", Models.LLAMA, LLAMA_1)) {
            assertTrue(other.restoreSession("llama", file) >= 16);
        }
    }

    @Test
    void adaptersStandBesideTheirModel() throws Exception {
        Path folder = Models.ROOT.resolve("tests/data/lora/stories260K-qkv");
        assertEquals("pirate", Models.read(runtime.loadAdapter("stories", "pirate", folder)).get("name").asText());
        CompletionRequest request = CompletionRequest.builder("stories", "Once").maxTokens(4).adapter("pirate").build();
        assertTrue(Models.read(runtime.complete(request)).get("model").asText().contains("+pirate@"));
        runtime.unloadAdapter("stories", "pirate");
        assertEquals(
                ErrorCode.NOT_FOUND,
                assertThrows(ModelRuntimeException.class, () -> runtime.complete(request)).code());
    }

    @Test
    void aRuntimeSaysWhatItServesAndDoes() throws Exception {
        assertEquals("llama", Models.read(runtime.endpoints()).at("/0/name").asText());
        assertTrue(Models.read(runtime.plan(Models.STORIES, ServeOptions.DEFAULT)).get("total_bytes").asLong() > 0);
        assertTrue(runtime.stats().contains("stories"));
        assertTrue(Models.read(runtime.manage("registry.models", "")).isArray());
        runtime.serve("short", Models.STORIES, ServeOptions.builder()
                .contextLength(64).cacheTokens(512).maxBatchTokens(64).maxPrefillTokens(32).maxSequences(4).maxQueue(8)
                .prefixSharing(false).version("short@1").chatTemplate("{{ messages[0].content }}")
                .backend(ServeOptions.Backend.CPU).threads(1).compute(ServeOptions.Compute.F32)
                .cacheType(ServeOptions.CacheType.F32).affinity(0).build());
        JsonNode info = Models.read(runtime.endpoints()).get(1);
        assertEquals("short@1", info.get("version").asText());
        assertEquals(64, info.get("context_length").asInt());
        assertTrue(info.get("chat").asBoolean());
        ServeOptions smaller = ServeOptions.builder().quantize(ServeOptions.Quantize.Q8_0).build();
        ModelRuntimeException rows =
                assertThrows(ModelRuntimeException.class, () -> runtime.serve("x", Models.STORIES, smaller));
        assertTrue(rows.getMessage().contains("Q8_0"), rows::toString);
        runtime.remove("short");
        assertEquals(2, Models.read(runtime.endpoints()).size());
    }
}
