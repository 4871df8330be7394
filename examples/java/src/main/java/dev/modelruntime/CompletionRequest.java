// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.util.List;
import java.util.Objects;

/** A text that is to be continued: JSON in the OpenAI shape. Immutable. */
public final class CompletionRequest {
    private final String json;

    private CompletionRequest(String json) {
        this.json = Objects.requireNonNull(json, "json");
    }

    /**
     * A request that is JSON text already.
     *
     * @param json the text; the library judges it
     * @return the request
     */
    public static CompletionRequest ofJson(String json) {
        return new CompletionRequest(json);
    }

    /**
     * Begins a request.
     *
     * @param model the endpoint's name
     * @param prompt the text
     * @return a builder
     */
    public static Builder builder(String model, String prompt) {
        return new Builder(model, Objects.requireNonNull(prompt, "prompt"));
    }

    /**
     * Begins a request with several prompts, which are answered one by one.
     *
     * @param model the endpoint's name
     * @param prompts the texts
     * @return a builder
     */
    public static Builder builder(String model, List<String> prompts) {
        return new Builder(model, List.copyOf(prompts));
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

    /** Collects fields. */
    public static final class Builder extends GenerationBuilder<Builder> {
        private Builder(String model, Object prompt) {
            super(model);
            put("prompt", prompt);
        }

        /**
         * Whether the answer begins with the prompt.
         *
         * @param echo true if it does
         * @return this
         */
        public Builder echo(boolean echo) {
            return put("echo", echo);
        }

        /**
         * That the log-probabilities of the tokens are told.
         *
         * @param top how many alternatives of each token are told too
         * @return this
         */
        public Builder logprobs(int top) {
            return put("logprobs", top);
        }

        /**
         * A text that is put behind the answer.
         *
         * @param suffix the text
         * @return this
         */
        public Builder suffix(String suffix) {
            return put("suffix", suffix);
        }

        /**
         * Whether the prompt goes to the model as it is, without its chat template.
         *
         * @param raw true if it does
         * @return this
         */
        public Builder useRawPrompt(boolean raw) {
            return put("use_raw_prompt", raw);
        }

        /**
         * The request as it is now.
         *
         * @return the request
         */
        public CompletionRequest build() {
            return new CompletionRequest(json());
        }

        @Override
        Builder self() {
            return this;
        }
    }
}
