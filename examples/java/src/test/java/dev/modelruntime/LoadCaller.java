// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static dev.modelruntime.ErrorCode.CANCELLED;
import static dev.modelruntime.ErrorCode.DEADLINE_EXCEEDED;
import static dev.modelruntime.ErrorCode.INVALID_REQUEST;
import static dev.modelruntime.ErrorCode.NOT_FOUND;
import static dev.modelruntime.ErrorCode.OVERLOADED;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;

/** One caller of the load: asks until the time is up, and compares every answer with the one that was given alone. */
final class LoadCaller implements Runnable {
    private static final String[] WORDS = {"Once", "upon", "a", "time"};
    private static final int COMPLETIONS = 16;
    private static final int VECTORS = 8;
    private static final RequestOptions ONE_MILLISECOND =
            RequestOptions.builder().timeout(Duration.ofMillis(1)).build();

    private final ModelRuntime runtime;
    private final Alone alone;
    private final LoadTally tally;
    private final int number;
    private final long until;

    LoadCaller(ModelRuntime runtime, Alone alone, LoadTally tally, int number, long until) {
        this.runtime = runtime;
        this.alone = alone;
        this.tally = tally;
        this.number = number;
        this.until = until;
    }

    /** The answers to all requests, one after the other. */
    record Alone(String[] texts, float[][] vectors) {
        static Alone ask(ModelRuntime runtime) throws InterruptedException {
            String[] texts = new String[COMPLETIONS];
            for (int i = 0; i < COMPLETIONS; i++) {
                texts[i] = text(runtime.complete(completion(i).build()));
            }
            float[][] vectors = new float[VECTORS][];
            for (int i = 0; i < VECTORS; i++) {
                vectors[i] = vector(runtime, i);
            }
            return new Alone(texts, vectors);
        }
    }

    @Override
    public void run() {
        for (int t = 0; System.nanoTime() < until; t++) {
            tally.requests.incrementAndGet();
            try {
                turn(t);
            } catch (ModelRuntimeException failure) {
                if (failure.code() == OVERLOADED) {
                    tally.refused.incrementAndGet();
                } else {
                    tally.wrong("caller " + number + ", turn " + t + ": " + failure);
                }
            } catch (InterruptedException | RuntimeException error) {
                tally.wrong("caller " + number + ", turn " + t + ": " + error);
            }
        }
    }

    private void turn(int t) throws InterruptedException {
        int request = (7 * number + t) % COMPLETIONS;
        switch ((number + t) % 8) {
            case 0, 1 -> same(t, alone.texts[request], text(runtime.complete(completion(request).build())));
            case 2, 3 -> streamed(t, request);
            case 4 -> cancelled(t, request);
            case 5 -> same(t, alone.vectors[request % VECTORS], vector(runtime, request % VECTORS));
            case 6 -> failing(t, request);
            default -> {
                runtime.completeStream(completion(request).build()).close();
                tally.completed.incrementAndGet();
            }
        }
    }

    private void streamed(int t, int request) {
        StringBuilder text = new StringBuilder();
        try (Generation generation = runtime.completeStream(completion(request).build())) {
            generation.forEach(event -> text.append(event.text()));
        }
        same(t, alone.texts[request], text.toString());
    }

    private void cancelled(int t, int request) throws InterruptedException {
        StringBuilder text = new StringBuilder();
        try (Generation generation = runtime.completeStream(completion(request).build())) {
            Optional<Event> event;
            while ((event = generation.next()).isPresent()) {
                text.append(event.get().text());
                if (!event.get().text().isEmpty()) {
                    generation.cancel();
                }
            }
            tally.completed.incrementAndGet();
        } catch (ModelRuntimeException failure) {
            if (failure.code() != CANCELLED) {
                throw failure;
            }
            tally.cancelled.incrementAndGet();
        }
        if (!alone.texts[request].startsWith(text.toString())) {
            tally.wrong("turn " + t + ": \"" + text + "\" is no beginning of \"" + alone.texts[request] + '"');
        }
    }

    private void failing(int t, int request) throws InterruptedException {
        ErrorCode wanted = new ErrorCode[] {DEADLINE_EXCEEDED, INVALID_REQUEST, NOT_FOUND}[t % 3];
        try {
            String answer = switch (t % 3) {
                case 0 -> runtime.complete(completion(request).build(), ONE_MILLISECOND);
                case 1 -> runtime.complete(completion(request).extra("max_tokens", "many").build());
                default -> runtime.complete(completion(request).extra("model", "nobody").build());
            };
            if (wanted == DEADLINE_EXCEEDED) {
                same(t, alone.texts[request], text(answer));
            } else {
                tally.wrong("turn " + t + ": an answer instead of " + wanted + ": " + answer);
            }
        } catch (ModelRuntimeException failure) {
            if (failure.code() != wanted) {
                throw failure;
            }
            tally.errors.incrementAndGet();
        }
    }

    private void same(int t, Object wanted, Object found) {
        boolean same = wanted instanceof float[] vector ? Arrays.equals(vector, (float[]) found) : wanted.equals(found);
        if (same) {
            tally.completed.incrementAndGet();
        } else {
            tally.wrong("caller " + number + ", turn " + t + ": not as alone: " + found);
        }
    }

    private static CompletionRequest.Builder completion(int i) {
        String prompt = String.join(" ", Arrays.copyOf(WORDS, 1 + i % 4));
        return CompletionRequest.builder("stories", prompt).maxTokens(4 + 8 * i).temperature(0.9).seed(i);
    }

    private static float[] vector(ModelRuntime runtime, int i) throws InterruptedException {
        String text = "sentence number " + i + " about bread and rivers";
        try (Embeddings embeddings = runtime.embed(EmbeddingRequest.builder("minilm", text).build())) {
            return embeddings.vector(0);
        }
    }

    private static String text(String response) {
        try {
            return Conformance.JSON.readTree(response).at("/choices/0/text").asText();
        } catch (JsonProcessingException error) {
            throw new IllegalStateException("no JSON: " + response, error);
        }
    }
}
