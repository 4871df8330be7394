// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** A conversation that is to be answered: JSON in the OpenAI shape. Immutable. */
public final class ChatRequest {
    private final String json;

    private ChatRequest(String json) {
        this.json = Objects.requireNonNull(json, "json");
    }

    /**
     * A request that is JSON text already.
     *
     * @param json the text; the library judges it
     * @return the request
     */
    public static ChatRequest ofJson(String json) {
        return new ChatRequest(json);
    }

    /**
     * Begins a request.
     *
     * @param model the endpoint's name
     * @return a builder
     */
    public static Builder builder(String model) {
        return new Builder(model);
    }

    /**
     * The request as it is handed to the library.
     *
     * @return JSON
     */
    public String json() {
        return json;
    }

    @Override
    public String toString() {
        return json;
    }

    /** Collects messages and fields. */
    public static final class Builder extends GenerationBuilder<Builder> {
        private final List<Object> messages = new ArrayList<>();

        private Builder(String model) {
            super(model);
        }

        /**
         * A further message.
         *
         * @param role {@code system}, {@code user}, {@code assistant} or {@code tool}
         * @param content what it says
         * @return this
         */
        public Builder message(String role, String content) {
            Map<String, Object> message = new LinkedHashMap<>();
            message.put("role", Objects.requireNonNull(role, "role"));
            message.put("content", content);
            messages.add(message);
            return this;
        }

        /**
         * A further message, as JSON text: of a tool, with calls of tools, or of several parts.
         *
         * @param json an object, put in as it is
         * @return this
         */
        public Builder messageJson(String json) {
            messages.add(new Json.Raw(Objects.requireNonNull(json, "json")));
            return this;
        }

        /**
         * What the model is told beforehand.
         *
         * @param content what it says
         * @return this
         */
        public Builder systemMessage(String content) {
            return message("system", content);
        }

        /**
         * What the user says.
         *
         * @param content what it says
         * @return this
         */
        public Builder userMessage(String content) {
            return message("user", content);
        }

        /**
         * What the model has said before.
         *
         * @param content what it says
         * @return this
         */
        public Builder assistantMessage(String content) {
            return message("assistant", content);
        }

        /**
         * The functions that the model may call.
         *
         * @param json a list in the OpenAI shape
         * @return this
         */
        public Builder toolsJson(String json) {
            return extraJson("tools", json);
        }

        /**
         * Whether functions are called.
         *
         * @param choice {@code none}, {@code auto} or {@code required}; a certain one is asked for by
         *     {@link #extraJson extraJson("tool_choice", ...)}
         * @return this
         */
        public Builder toolChoice(String choice) {
            return put("tool_choice", choice);
        }

        /**
         * Whether several functions may be called at once.
         *
         * @param parallel true if they may
         * @return this
         */
        public Builder parallelToolCalls(boolean parallel) {
            return put("parallel_tool_calls", parallel);
        }

        /**
         * The form of the answer: any JSON object, a JSON schema, a regular expression or a grammar.
         *
         * @param json an object in the OpenAI shape
         * @return this
         */
        public Builder responseFormatJson(String json) {
            return extraJson("response_format", json);
        }

        /**
         * That the model thinks first, and how long.
         *
         * @param budgetTokens the most tokens of its reasoning
         * @return this
         */
        public Builder thinking(int budgetTokens) {
            return put("thinking", Map.of("type", "enabled", "budget_tokens", budgetTokens));
        }

        /**
         * That the log-probabilities of the tokens are told.
         *
         * @param top how many alternatives of each token are told too
         * @return this
         */
        public Builder logprobs(int top) {
            return put("logprobs", true).put("top_logprobs", top);
        }

        /**
         * The request as it is now.
         *
         * @return the request
         */
        public ChatRequest build() {
            put("messages", List.copyOf(messages));
            return new ChatRequest(json());
        }

        @Override
        Builder self() {
            return this;
        }
    }
}
