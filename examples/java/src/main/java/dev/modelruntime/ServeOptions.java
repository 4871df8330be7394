// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** How a model is served. Immutable; what is not set is the library's choice. */
public final class ServeOptions {
    /** All defaults. */
    public static final ServeOptions DEFAULT = builder().build();

    /** What computes a model. In the order of the native library's numbers, from 1 on. */
    public enum Backend {
        /** The library's own kernels. */
        CPU,
        /** candle in single precision: the reference, slower and larger. */
        CANDLE
    }

    /** The numbers that products are computed with. In the order of the native library's numbers, from 1 on. */
    public enum Compute {
        /** Single precision throughout. */
        F32,
        /** BF16 activations where the processor multiplies those, single precision elsewhere. */
        BF16,
        /** int8 activations for all weights. The fastest, at some cost in accuracy. */
        INT8
    }

    /** What the cache of keys and values holds. In the order of the native library's numbers, from 1 on. */
    public enum CacheType {
        /** IEEE half precision. */
        F16,
        /** The upper half of single precision. */
        BF16,
        /** Single precision. */
        F32,
        /** 8-bit integers with a scale per token and head. */
        Q8
    }

    /** What weights in floating point become while they are read. In the order of the native library's numbers, from 1 on. */
    public enum Quantize {
        /** Q8_0. */
        Q8_0,
        /** Q6_K; Q8_0 where the width is no multiple of 256. */
        Q6_K,
        /** Q4_K; Q8_0 where the width is no multiple of 256. */
        Q4_K
    }

    private final Builder given;

    private ServeOptions(Builder given) {
        this.given = given;
    }

    /**
     * Begins with the defaults.
     *
     * @return a builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /** The struct of the library. */
    MemorySegment struct(Frame frame) {
        OptionStruct struct = new OptionStruct(OptionStruct.SERVE, frame)
                .set("context_length", given.contextLength)
                .set("cache_tokens", given.cacheTokens)
                .set("max_batch_tokens", given.maxBatchTokens)
                .set("max_prefill_tokens", given.maxPrefillTokens)
                .set("max_sequences", given.maxSequences)
                .set("max_queue", given.maxQueue)
                .set("prefix_sharing", given.prefixSharing == null ? 0 : given.prefixSharing ? 1 : 2)
                .text("version", given.version)
                .text("chat_template", given.chatTemplate)
                .set("backend", number(given.backend))
                .set("threads", given.threads)
                .set("compute", number(given.compute))
                .set("cache_type", number(given.cacheType))
                .set("quantize", number(given.quantize));
        if (given.affinity != null) {
            struct.set("affinity", frame.arena().allocateFrom(JAVA_INT, given.affinity))
                    .set("affinity_len", (long) given.affinity.length);
        }
        return struct.segment();
    }

    private static int number(Enum<?> choice) {
        return choice == null ? 0 : choice.ordinal() + 1;
    }

    /** Collects options. */
    public static final class Builder implements Cloneable {
        private long contextLength;
        private long cacheTokens;
        private int maxBatchTokens;
        private int maxPrefillTokens;
        private int maxSequences;
        private int maxQueue;
        private Boolean prefixSharing;
        private String version;
        private String chatTemplate;
        private Backend backend;
        private int threads;
        private Compute compute;
        private CacheType cacheType;
        private Quantize quantize;
        private int[] affinity;

        private Builder() {}

        /**
         * The longest prompt and answer together.
         *
         * @param tokens in tokens; otherwise what the model was made for, at most 8192
         * @return this
         */
        public Builder contextLength(long tokens) {
            contextLength = positive("contextLength", tokens);
            return this;
        }

        /**
         * What the block cache holds for all requests together.
         *
         * @param tokens in tokens
         * @return this
         */
        public Builder cacheTokens(long tokens) {
            cacheTokens = positive("cacheTokens", tokens);
            return this;
        }

        /**
         * The most that is computed in one step.
         *
         * @param tokens in tokens
         * @return this
         */
        public Builder maxBatchTokens(int tokens) {
            maxBatchTokens = (int) positive("maxBatchTokens", tokens);
            return this;
        }

        /**
         * The most of prompts that is computed in a step beside running answers, which bounds their pauses.
         *
         * @param tokens in tokens
         * @return this
         */
        public Builder maxPrefillTokens(int tokens) {
            maxPrefillTokens = (int) positive("maxPrefillTokens", tokens);
            return this;
        }

        /**
         * The most requests that run at the same time.
         *
         * @param requests their number
         * @return this
         */
        public Builder maxSequences(int requests) {
            maxSequences = (int) positive("maxSequences", requests);
            return this;
        }

        /**
         * The most requests that wait; one more is refused with {@link ErrorCode#OVERLOADED}.
         *
         * @param requests their number
         * @return this
         */
        public Builder maxQueue(int requests) {
            maxQueue = (int) positive("maxQueue", requests);
            return this;
        }

        /**
         * Whether prompts that begin alike share what was computed for the beginning.
         *
         * @param shared true, the default, if they do
         * @return this
         */
        public Builder prefixSharing(boolean shared) {
            prefixSharing = shared;
            return this;
        }

        /**
         * The version's name.
         *
         * @param version a name; otherwise it is made from the contents of the model's files
         * @return this
         */
        public Builder version(String version) {
            this.version = Objects.requireNonNull(version, "version");
            return this;
        }

        /**
         * A chat template to use instead of the model's own.
         *
         * @param jinja the template in Jinja
         * @return this
         */
        public Builder chatTemplate(String jinja) {
            chatTemplate = Objects.requireNonNull(jinja, "jinja");
            return this;
        }

        /**
         * What computes the model.
         *
         * @param backend the backend
         * @return this
         */
        public Builder backend(Backend backend) {
            this.backend = Objects.requireNonNull(backend, "backend");
            return this;
        }

        /**
         * Threads that compute, the endpoint's own included.
         *
         * @param threads their number, at most 1024; otherwise one for each core
         * @return this
         */
        public Builder threads(int threads) {
            this.threads = (int) positive("threads", threads);
            return this;
        }

        /**
         * The numbers that products are computed with.
         *
         * @param compute the kind of numbers; otherwise what the files' format was made for
         * @return this
         */
        public Builder compute(Compute compute) {
            this.compute = Objects.requireNonNull(compute, "compute");
            return this;
        }

        /**
         * What the cache of keys and values holds.
         *
         * @param type the kind of numbers
         * @return this
         */
        public Builder cacheType(CacheType type) {
            cacheType = Objects.requireNonNull(type, "type");
            return this;
        }

        /**
         * What weights in floating point become while they are read.
         *
         * @param quantize the format; otherwise they stay as they are
         * @return this
         */
        public Builder quantize(Quantize quantize) {
            this.quantize = Objects.requireNonNull(quantize, "quantize");
            return this;
        }

        /**
         * The cores that the endpoint's threads run on: the first for its own thread, then one for each further thread. Linux only.
         *
         * @param cores their numbers, each at most once
         * @return this
         */
        public Builder affinity(int... cores) {
            affinity = cores.clone();
            return this;
        }

        /**
         * The options as they are now.
         *
         * @return options
         */
        public ServeOptions build() {
            try {
                return new ServeOptions((Builder) clone());
            } catch (CloneNotSupportedException error) {
                throw new AssertionError(error);
            }
        }

        private static long positive(String name, long value) {
            if (value <= 0) {
                throw new IllegalArgumentException(name + " is " + value + "; it has to be more than zero");
            }
            return value;
        }
    }
}
