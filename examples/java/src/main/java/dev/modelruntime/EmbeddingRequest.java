// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.util.List;
import java.util.Objects;

/** Texts whose vectors are wanted: JSON in the OpenAI shape. Immutable. */
public final class EmbeddingRequest {
    private final String json;

    private EmbeddingRequest(String json) {
        this.json = Objects.requireNonNull(json, "json");
    }

    /**
     * A request that is JSON text already.
     *
     * @param json the text; the library judges it
     * @return the request
     */
    public static EmbeddingRequest ofJson(String json) {
        return new EmbeddingRequest(json);
    }

    /**
     * Begins a request.
     *
     * @param model the endpoint's name
     * @param texts the texts, a vector of each
     * @return a builder
     */
    public static Builder builder(String model, String... texts) {
        return new Builder(model, List.of(texts));
    }

    /**
     * Begins a request.
     *
     * @param model the endpoint's name
     * @param texts the texts, a vector of each
     * @return a builder
     */
    public static Builder builder(String model, List<String> texts) {
        return new Builder(model, List.copyOf(texts));
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
    public static final class Builder extends RequestBuilder<Builder> {
        private Builder(String model, List<String> texts) {
            super(model);
            put("input", texts);
        }

        /**
         * What stands before each text, for models that were trained with one.
         *
         * @param instruction the text
         * @return this
         */
        public Builder instruction(String instruction) {
            return put("instruction", instruction);
        }

        /**
         * Which of the model's own prompts stands before each text.
         *
         * @param name its name, such as {@code query}
         * @return this
         */
        public Builder promptName(String name) {
            return put("prompt_name", name);
        }

        /**
         * How many values of each vector are wanted.
         *
         * @param dimensions their number
         * @return this
         */
        public Builder dimensions(int dimensions) {
            return put("dimensions", dimensions);
        }

        /**
         * Whether vectors get unit length.
         *
         * @param normalize {@code model} (as the model's authors have it), {@code none} or {@code l2}
         * @return this
         */
        public Builder normalize(String normalize) {
            return put("normalize", normalize);
        }

        /**
         * What happens to a text that is too long.
         *
         * @param truncate {@code error}, or the side that is cut: {@code end} or {@code start}
         * @return this
         */
        public Builder truncate(String truncate) {
            return put("truncate", truncate);
        }

        /**
         * How a vector is made of those of the tokens.
         *
         * @param pooling {@code cls}, {@code mean} or {@code last}; otherwise as the model has it
         * @return this
         */
        public Builder pooling(String pooling) {
            return put("pooling", pooling);
        }

        /**
         * How vectors stand in the JSON of {@link ModelRuntime#embeddings}.
         *
         * @param format {@code float} or {@code base64}
         * @return this
         */
        public Builder encodingFormat(String format) {
            return put("encoding_format", format);
        }

        /**
         * The request as it is now.
         *
         * @return the request
         */
        public EmbeddingRequest build() {
            return new EmbeddingRequest(json());
        }

        @Override
        Builder self() {
            return this;
        }
    }
}
