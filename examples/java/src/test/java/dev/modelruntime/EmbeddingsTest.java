// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class EmbeddingsTest {
    private static ModelRuntime runtime;

    @BeforeAll
    static void serve() throws InterruptedException {
        runtime = ModelRuntime.create();
        runtime.serve("minilm", Models.MINILM, ServeOptions.builder().version("minilm@1").build());
        runtime.serve("gte", Models.GTE);
    }

    @AfterAll
    static void close() {
        runtime.close();
    }

    private static double length(float[] vector) {
        double sum = 0;
        for (float value : vector) {
            sum += value * value;
        }
        return Math.sqrt(sum);
    }

    @Test
    void rowsAreTheSameInEveryForm() throws Exception {
        EmbeddingRequest request =
                EmbeddingRequest.builder("minilm", "bread", "rivers \ud83c\udf0a", "the third of them").build();
        try (Embeddings embeddings = runtime.embed(request)) {
            assertEquals(3, embeddings.rows());
            assertEquals(384, embeddings.dimension());
            assertEquals("minilm@1", embeddings.version());
            assertEquals(Embeddings.Normalize.L2, embeddings.normalize());
            assertEquals(6, embeddings.tokens(2));
            assertFalse(embeddings.truncated(0));
            float[][] vectors = embeddings.vectors();
            MemorySegment values = embeddings.values();
            assertEquals(3 * 384 * 4, values.byteSize());
            JsonNode json = Models.read(runtime.embeddings(request));
            JsonNode same = Models.read(embeddings.response());
            for (int row = 0; row < 3; row++) {
                assertEquals(1, length(vectors[row]), 1e-5);
                assertArrayEquals(vectors[row], embeddings.vector(row));
                assertArrayEquals(
                        vectors[row],
                        values.asSlice(row * 384L * 4, 384 * 4).toArray(ValueLayout.JAVA_FLOAT));
                assertEquals(vectors[row][17], json.at("/data/" + row + "/embedding/17").floatValue());
                assertEquals(vectors[row][17], same.at("/data/" + row + "/embedding/17").floatValue());
            }
            assertThrows(IndexOutOfBoundsException.class, () -> embeddings.vector(3));
            assertThrows(IndexOutOfBoundsException.class, () -> embeddings.tokens(-1));
        }
    }

    @Test
    void theMemoryIsForReadingUntilItIsClosed() throws Exception {
        Embeddings embeddings = runtime.embed(EmbeddingRequest.builder("gte", "bread").build());
        MemorySegment values = embeddings.values();
        assertTrue(values.isReadOnly());
        assertThrows(RuntimeException.class, () -> values.setAtIndex(ValueLayout.JAVA_FLOAT, 0, 1));
        assertTrue(Float.isFinite(values.getAtIndex(ValueLayout.JAVA_FLOAT, 0)));
        embeddings.close();
        embeddings.close();
        assertThrows(IllegalStateException.class, () -> values.getAtIndex(ValueLayout.JAVA_FLOAT, 0));
        assertThrows(IllegalStateException.class, () -> values.asSlice(4).toArray(ValueLayout.JAVA_FLOAT));
        assertThrows(IllegalStateException.class, embeddings::values);
        assertThrows(IllegalStateException.class, embeddings::vectors);
        assertThrows(IllegalStateException.class, embeddings::response);
        assertEquals(1, embeddings.rows());
        assertTrue(embeddings.tokens(0) > 0);
    }

    /** One thread reads all the time while another one closes: it is told so, and nothing is read that is not there. */
    @Test
    void readersAreStoppedByTheClose() throws Exception {
        for (int round = 0; round < 50; round++) {
            Embeddings embeddings = runtime.embed(EmbeddingRequest.builder("gte", "bread").build());
            MemorySegment values = embeddings.values();
            float first = values.getAtIndex(ValueLayout.JAVA_FLOAT, 0);
            boolean[] same = {true};
            Thread reader = Thread.ofPlatform().start(() -> {
                try {
                    while (same[0]) {
                        same[0] = values.getAtIndex(ValueLayout.JAVA_FLOAT, 0) == first;
                    }
                } catch (IllegalStateException closed) {
                    // As it should be.
                }
            });
            embeddings.close();
            reader.join();
            assertTrue(same[0]);
        }
    }

    /** An interrupt frees the handle while the library may be telling of its end: nothing is lost and nothing is kept. */
    @Test
    void interruptsMayComeAtAnyTime() throws Exception {
        EmbeddingRequest request = EmbeddingRequest.builder("gte", "bread and rivers").build();
        ConcurrentLinkedQueue<Throwable> wrong = new ConcurrentLinkedQueue<>();
        for (int round = 0; round < 300; round++) {
            Thread thread = (round % 2 == 0 ? Thread.ofPlatform() : Thread.ofVirtual()).start(() -> {
                try (Embeddings embeddings = runtime.embed(request)) {
                    embeddings.vector(0);
                } catch (InterruptedException interrupt) {
                    // As it may be.
                } catch (Throwable thrown) {
                    wrong.add(thrown);
                }
            });
            for (int spin = round * 100; spin > 0; spin--) {
                Thread.onSpinWait();
            }
            thread.interrupt();
            thread.join();
        }
        assertTrue(wrong.isEmpty(), wrong::toString);
        assertEquals(0, HostObjects.size());
    }

    @Test
    void eachModelPoolsAndNormalizesAsItIs() throws Exception {
        try (Embeddings raw = runtime.embed(EmbeddingRequest.builder("gte", "bread").build());
                Embeddings unit = runtime.embed(EmbeddingRequest.builder("gte", "bread").normalize("l2").dimensions(32).build())) {
            assertEquals(Embeddings.Normalize.NONE, raw.normalize());
            assertTrue(Math.abs(length(raw.vector(0)) - 1) > 0.01);
            assertEquals(Embeddings.Normalize.L2, unit.normalize());
            assertEquals(32, unit.dimension());
            assertEquals(1, length(unit.vector(0)), 1e-5);
        }
    }

    @Test
    void aTextThatIsTooLongIsRefusedOrCut() throws Exception {
        String text = "bread and rivers ".repeat(400);
        ModelRuntimeException failure = assertThrows(
                ModelRuntimeException.class, () -> runtime.embed(EmbeddingRequest.builder("minilm", "a", text).build()));
        assertEquals(ErrorCode.CONTEXT_LENGTH_EXCEEDED, failure.code());
        assertEquals("input[1]", failure.param().orElseThrow());
        try (Embeddings cut = runtime.embed(EmbeddingRequest.builder("minilm", "a", text).truncate("end").build())) {
            assertFalse(cut.truncated(0));
            assertTrue(cut.truncated(1));
        }
    }
}
