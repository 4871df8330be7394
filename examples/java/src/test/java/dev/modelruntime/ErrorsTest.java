// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class ErrorsTest {
    private static ModelRuntime runtime;

    @BeforeAll
    static void serve() throws InterruptedException {
        runtime = Models.oneByOne();
    }

    @AfterAll
    static void close() {
        runtime.close();
    }

    private static ModelRuntimeException failing(CompletionRequest.Builder request) {
        return assertThrows(ModelRuntimeException.class, () -> runtime.complete(request.build()));
    }

    @Test
    void anErrorSaysEverythingThatTheLibrarySays() {
        ModelRuntimeException failure =
                failing(CompletionRequest.builder("stories", "Once").extra("max_tokens", "many"));
        assertEquals(ErrorCode.INVALID_REQUEST, failure.code());
        assertEquals(101, failure.codeNumber());
        assertEquals(Optional.of("max_tokens"), failure.param());
        assertEquals(400, failure.status());
        assertEquals(false, failure.retryable());
        assertEquals(Optional.empty(), failure.retryAfter());
        assertEquals("max_tokens", Models.read(failure.json()).at("/error/param").asText());
        assertTrue(failure.getMessage().contains("\"many\""), failure.getMessage());
        assertEquals(
                "dev.modelruntime.ModelRuntimeException: INVALID_REQUEST (400): " + failure.getMessage() + " [max_tokens]",
                failure.toString());
    }

    @Test
    void aCodeThatIsNewKeepsItsNumber() {
        Failure failure = new Failure(777, "new", null, 500, true, 1500, "{}");
        ModelRuntimeException exception = new ModelRuntimeException(failure);
        assertEquals(ErrorCode.UNKNOWN, exception.code());
        assertEquals(777, exception.codeNumber());
        assertEquals(Optional.of(Duration.ofMillis(1500)), exception.retryAfter());
        assertEquals("dev.modelruntime.ModelRuntimeException: UNKNOWN 777 (500): new", exception.toString());
        for (ErrorCode code : ErrorCode.values()) {
            assertSame(code, ErrorCode.of(code.number()));
        }
    }

    @Test
    void exceptionsCanBeSerialized() throws Exception {
        ModelRuntimeException failure = failing(CompletionRequest.builder("nobody", "Once"));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(failure);
        }
        try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
            assertEquals(failure.toString(), in.readObject().toString());
        }
    }

    @Test
    void aDeadlineEndsWhatWaits() {
        RequestOptions options = RequestOptions.builder().timeout(Duration.ofNanos(1)).priority(-1).build();
        List<Generation> others = Models.occupy(runtime);
        ModelRuntimeException failure =
                assertThrows(ModelRuntimeException.class, () -> runtime.complete(Models.story(480), options));
        assertEquals(ErrorCode.DEADLINE_EXCEEDED, failure.code());
        others.forEach(Generation::close);
        assertThrows(IllegalArgumentException.class, () -> RequestOptions.builder().timeout(Duration.ZERO));
    }

    @Test
    void whatEndsARequestIsSaidAgainAndAgain() {
        try (Generation generation = runtime.completeStream(Models.story(480))) {
            generation.cancel();
            ModelRuntimeException first = assertThrows(ModelRuntimeException.class, () -> generation.forEach(event -> {}));
            assertEquals(ErrorCode.CANCELLED, first.code());
            assertEquals(499, first.status());
            ModelRuntimeException next = assertThrows(ModelRuntimeException.class, generation::next);
            ModelRuntimeException response = assertThrows(ModelRuntimeException.class, generation::response);
            assertEquals(first.getMessage(), next.getMessage());
            assertEquals(first.getMessage(), response.getMessage());
        }
    }

    @Test
    void anEndpointThatGoesEndsItsRequests() throws Exception {
        try (ModelRuntime other = Models.oneByOne()) {
            List<Generation> others = Models.occupy(other);
            try (Generation generation = other.completeStream(Models.story(480))) {
                other.remove("stories");
                ModelRuntimeException failure = assertThrows(ModelRuntimeException.class, generation::response);
                assertEquals(ErrorCode.SHUTTING_DOWN, failure.code());
            }
            others.forEach(Generation::close);
        }
    }
}
