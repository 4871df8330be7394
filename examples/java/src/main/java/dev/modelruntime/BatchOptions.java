// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** How many requests are run from a file. Immutable. */
public final class BatchOptions {
    /** 64 requests at once, results in the order of the requests. */
    public static final BatchOptions DEFAULT = builder().build();

    /** In which order results are written. */
    public enum Order {
        /** In the order of the requests. */
        REQUESTS,
        /** Each when it is ready. */
        READY
    }

    private final int concurrency;
    private final Order order;
    private final RequestOptions requests;

    private BatchOptions(Builder given) {
        concurrency = given.concurrency;
        order = given.order;
        requests = given.requests;
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
        return new OptionStruct(OptionStruct.BATCH, frame)
                .set("concurrency", concurrency)
                .set("order", order.ordinal())
                .set("requests", requests.struct(frame))
                .segment();
    }

    /** Collects options. */
    public static final class Builder {
        private int concurrency;
        private Order order = Order.REQUESTS;
        private RequestOptions requests = RequestOptions.DEFAULT;

        private Builder() {}

        /**
         * The most requests at once.
         *
         * @param requests 1 to 1024; otherwise 64
         * @return this
         * @throws IllegalArgumentException if it is something else
         */
        public Builder concurrency(int requests) {
            if (requests < 1 || requests > 1024) {
                throw new IllegalArgumentException("concurrency is " + requests + "; it has to be 1 to 1024");
            }
            concurrency = requests;
            return this;
        }

        /**
         * In which order results are written.
         *
         * @param order the order; otherwise that of the requests
         * @return this
         */
        public Builder order(Order order) {
            this.order = Objects.requireNonNull(order, "order");
            return this;
        }

        /**
         * Who asks, how urgently and until when: the options of each request.
         *
         * @param options the options
         * @return this
         */
        public Builder requests(RequestOptions options) {
            requests = Objects.requireNonNull(options, "options");
            return this;
        }

        /**
         * The options as they are now.
         *
         * @return options
         */
        public BatchOptions build() {
            return new BatchOptions(this);
        }
    }
}
