// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;

/** The steps of a conformance case, on its runtime. */
final class ConformanceSteps {
    private static final ObjectMapper JSON = Conformance.JSON;
    private static final ValueLayout.OfFloat LITTLE =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final ModelRuntime runtime;
    private final HostTime time;

    ConformanceSteps(ModelRuntime runtime, HostTime time) {
        this.runtime = runtime;
        this.time = time;
    }

    /** Does a step: its value, or its error. */
    ObjectNode result(JsonNode step) throws InterruptedException {
        ObjectNode result = JSON.createObjectNode();
        try {
            result.set("ok", value(step));
        } catch (ModelRuntimeException failure) {
            result.set("error", error(failure));
        }
        return result;
    }

    private JsonNode value(JsonNode step) throws InterruptedException {
        RequestOptions options = options(step.path("options"));
        return switch (step.get("do").asText()) {
            case "serve" -> read(runtime.serve(text(step, "name"), path(step, "model")));
            case "remove" -> {
                runtime.remove(text(step, "name"));
                yield NullNode.instance;
            }
            case "endpoints" -> read(runtime.endpoints());
            case "plan" -> read(runtime.plan(path(step, "model"), ServeOptions.DEFAULT));
            case "manage" -> read(runtime.manage(text(step, "operation"), request(step)));
            case "chat" -> read(runtime.chat(ChatRequest.ofJson(request(step)), options));
            case "complete" -> read(runtime.complete(CompletionRequest.ofJson(request(step)), options));
            case "embeddings" -> read(runtime.embeddings(EmbeddingRequest.ofJson(request(step)), options));
            case "stream_chat" -> stream(runtime.chatStream(ChatRequest.ofJson(request(step)), options));
            case "stream_complete" -> stream(runtime.completeStream(CompletionRequest.ofJson(request(step)), options));
            case "vectors" -> vectors(EmbeddingRequest.ofJson(request(step)), options);
            case "cancel" -> cancel(CompletionRequest.ofJson(request(step)), options);
            case "drop" -> {
                runtime.completeStream(CompletionRequest.ofJson(request(step)), options).close();
                yield NullNode.instance;
            }
            case "set_clock" -> {
                time.set(text(step, "now"));
                yield NullNode.instance;
            }
            case "load_adapter" ->
                read(runtime.loadAdapter(text(step, "endpoint"), text(step, "name"), path(step, "path")));
            case "unload_adapter" -> {
                runtime.unloadAdapter(text(step, "endpoint"), text(step, "name"));
                yield NullNode.instance;
            }
            case "together" -> together(step);
            default -> throw new IllegalArgumentException("no such step: " + step);
        };
    }

    private static JsonNode stream(Generation generation) throws InterruptedException {
        try (generation) {
            StringBuilder text = new StringBuilder();
            for (Event event : generation) {
                text.append(event.text());
            }
            ObjectNode value = JSON.createObjectNode();
            value.put("text", text.toString());
            value.set("response", read(generation.response()));
            return value;
        }
    }

    private JsonNode cancel(CompletionRequest request, RequestOptions options) throws InterruptedException {
        try (Generation generation = runtime.completeStream(request, options)) {
            Optional<Event> event = generation.next();
            while (event.isPresent() && event.get().text().isEmpty()) {
                event = generation.next();
            }
            generation.cancel();
            while (event.isPresent()) {
                event = generation.next();
            }
            return read(generation.response());
        }
    }

    private JsonNode vectors(EmbeddingRequest request, RequestOptions options) throws InterruptedException {
        try (Embeddings embeddings = runtime.embed(request, options)) {
            ObjectNode value = JSON.createObjectNode();
            value.put("rows", embeddings.rows());
            value.put("dimension", embeddings.dimension());
            value.put("values", HexFormat.of().formatHex(littleEndian(embeddings.values())));
            ArrayNode tokens = value.putArray("tokens");
            ArrayNode truncated = value.putArray("truncated");
            for (int row = 0; row < embeddings.rows(); row++) {
                tokens.add(embeddings.tokens(row));
                truncated.add(embeddings.truncated(row));
            }
            value.put("normalize", embeddings.normalize().name().toLowerCase(Locale.ROOT));
            value.put("version", embeddings.version());
            return value;
        }
    }

    private static byte[] littleEndian(MemorySegment values) {
        byte[] bytes = new byte[Math.toIntExact(values.byteSize())];
        MemorySegment.copy(
                values, ValueLayout.JAVA_FLOAT, 0, MemorySegment.ofArray(bytes), LITTLE, 0, bytes.length / Float.BYTES);
        return bytes;
    }

    private JsonNode together(JsonNode step) throws InterruptedException {
        List<JsonNode> steps = new ArrayList<>();
        for (int copy = 0; copy < step.path("copies").asInt(1); copy++) {
            step.get("steps").forEach(steps::add);
        }
        ObjectNode[] results = new ObjectNode[steps.size()];
        CountDownLatch start = new CountDownLatch(1);
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < results.length; i++) {
            int number = i;
            threads.add(Thread.startVirtualThread(() -> {
                try {
                    start.await();
                    results[number] = result(steps.get(number));
                } catch (InterruptedException interrupt) {
                    throw new IllegalStateException(interrupt);
                }
            }));
        }
        start.countDown();
        for (Thread thread : threads) {
            thread.join();
        }
        ArrayNode list = JSON.createArrayNode();
        for (ObjectNode result : results) {
            if (result == null) {
                throw new IllegalStateException("a step of " + step + " has failed");
            }
            list.add(result);
        }
        return list;
    }

    private static RequestOptions options(JsonNode given) {
        RequestOptions.Builder options = RequestOptions.builder();
        if (given.hasNonNull("principal")) {
            options.principal(given.get("principal").asText());
        }
        if (given.hasNonNull("entity")) {
            options.entity(given.get("entity").asText());
        }
        if (given.path("timeout_ms").asLong() > 0) {
            options.timeout(Duration.ofMillis(given.get("timeout_ms").asLong()));
        }
        return options.priority(given.path("priority").asInt())
                .lifecycle(given.path("lifecycle").asBoolean())
                .build();
    }

    private static JsonNode error(ModelRuntimeException failure) {
        ObjectNode error = JSON.createObjectNode();
        error.put("code", failure.code().name().toLowerCase(Locale.ROOT));
        error.put("status", failure.status());
        error.put("message", failure.getMessage());
        error.set("param", failure.param().<JsonNode>map(TextNode::new).orElse(NullNode.instance));
        error.put("retryable", failure.retryable());
        error.put("retry_after_ms", failure.retryAfter().map(Duration::toMillis).orElse(null));
        error.set("json", read(failure.json()));
        return error;
    }

    private static String text(JsonNode step, String field) {
        return step.get(field).asText();
    }

    private static Path path(JsonNode step, String field) {
        return Path.of(text(step, field));
    }

    /** A text is handed over as it is, so that what is no JSON can be. */
    private static String request(JsonNode step) {
        JsonNode request = step.path("request");
        return request.isTextual() ? request.asText() : request.isMissingNode() ? "" : request.toString();
    }

    private static JsonNode read(String json) {
        try {
            return JSON.readTree(json);
        } catch (JsonProcessingException error) {
            throw new IllegalStateException("the library gave what is no JSON: " + json, error);
        }
    }
}
