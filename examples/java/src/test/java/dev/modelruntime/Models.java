// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The models of the repository, and what tests ask of them. */
final class Models {
    static final Path ROOT = Path.of(System.getProperty("modelruntime.root")).normalize();
    static final Path STORIES = ROOT.resolve("examples/models/stories260K");
    static final Path MINILM = ROOT.resolve("examples/models/all-MiniLM-L6-v2/all-MiniLM-L6-v2.gguf");
    static final Path LLAMA = ROOT.resolve("tests/data/tiny/llama3");
    static final Path GTE = ROOT.resolve("tests/data/tiny/new_gte");

    private Models() {}

    static ModelRuntime serving(String name, Path model) throws InterruptedException {
        return serving(name, model, ServeOptions.DEFAULT);
    }

    static ModelRuntime serving(String name, Path model, ServeOptions options) throws InterruptedException {
        ModelRuntime runtime = ModelRuntime.create();
        runtime.serve(name, model, options);
        return runtime;
    }

    /** A runtime with {@code stories}, where requests run one after the other and many may wait. */
    static ModelRuntime oneByOne() throws InterruptedException {
        return serving("stories", STORIES, ServeOptions.builder().maxSequences(1).maxQueue(3000).build());
    }

    /** Keeps such a runtime busy for seconds: what is asked meanwhile waits, unless it is of higher priority. */
    static List<Generation> occupy(ModelRuntime runtime) {
        List<Generation> running = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            running.add(runtime.completeStream(story(480)));
        }
        return running;
    }

    static CompletionRequest story(int tokens) {
        return CompletionRequest.builder("stories", "Once upon a time").maxTokens(tokens).temperature(0.9).seed(7).build();
    }

    static JsonNode read(String json) {
        try {
            return Conformance.JSON.readTree(json);
        } catch (JsonProcessingException error) {
            throw new AssertionError(json, error);
        }
    }

    static String text(String response) {
        return read(response).at("/choices/0/text").asText();
    }

    /** Comes back when a thread waits for something. */
    static void awaitWaiting(Thread thread) {
        while (thread.getState() != Thread.State.WAITING && thread.getState() != Thread.State.TIMED_WAITING) {
            if (thread.getState() == Thread.State.TERMINATED) {
                throw new AssertionError("the thread has ended");
            }
            Thread.onSpinWait();
        }
    }
}
