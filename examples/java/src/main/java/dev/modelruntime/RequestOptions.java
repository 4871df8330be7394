// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Objects;

/** What is asked of a request and is not part of its JSON. Immutable. */
public final class RequestOptions {
    /** Nothing special: normal priority, no deadline, nobody in particular. */
    public static final RequestOptions DEFAULT = builder().build();

    private final Builder given;

    private RequestOptions(Builder given) {
        this.given = new Builder(given);
    }

    /**
     * Begins with the defaults.
     *
     * @return a builder
     */
    public static Builder builder() {
        return new Builder(null);
    }

    /** The struct of the library for what has no pieces; null pointers stand for the defaults. */
    MemorySegment struct(Frame frame) {
        return struct(frame, false);
    }

    /**
     * The struct of the library; null pointers stand for the defaults.
     *
     * @param whole true if the answer is wanted at once, and only its end is reported
     */
    MemorySegment struct(Frame frame, boolean whole) {
        if (this == DEFAULT && !whole) {
            return MemorySegment.NULL;
        }
        return new OptionStruct(OptionStruct.REQUEST, frame)
                .set("priority", given.priority)
                .set("timeout_ms", given.timeoutMillis)
                .text("principal", given.principal)
                .text("entity", given.entity)
                .set("lifecycle", given.lifecycle ? 1 : 0)
                .set("whole", whole ? 1 : 0)
                .segment();
    }

    /** Collects options. */
    public static final class Builder {
        private int priority;
        private long timeoutMillis;
        private String principal;
        private String entity;
        private boolean lifecycle;

        private Builder(Builder other) {
            if (other != null) {
                priority = other.priority;
                timeoutMillis = other.timeoutMillis;
                principal = other.principal;
                entity = other.entity;
                lifecycle = other.lifecycle;
            }
        }

        /**
         * Which requests run first.
         *
         * @param priority higher runs first; 0 is normal
         * @return this
         */
        public Builder priority(int priority) {
            this.priority = priority;
            return this;
        }

        /**
         * When the answer is no longer wanted: the request then ends with {@link ErrorCode#DEADLINE_EXCEEDED}.
         *
         * @param timeout the time from now on, rounded up to milliseconds; more than zero
         * @return this
         * @throws IllegalArgumentException if it is zero or less
         */
        public Builder timeout(Duration timeout) {
            if (!timeout.isPositive()) {
                throw new IllegalArgumentException("timeout is " + timeout + "; it has to be more than zero");
            }
            boolean beyond = timeout.getSeconds() >= Long.MAX_VALUE / 1000;
            timeoutMillis = beyond ? Long.MAX_VALUE : timeout.plusNanos(999_999).toMillis();
            return this;
        }

        /**
         * Who asks: whom limits, fairness, usage and retirements know the request by.
         *
         * @param principal a name; otherwise the request's field {@code user}
         * @return this
         */
        public Builder principal(String principal) {
            this.principal = Objects.requireNonNull(principal, "principal");
            return this;
        }

        /**
         * Which served entity is to answer.
         *
         * @param entity its name; otherwise the endpoint's shares of traffic decide
         * @return this
         */
        public Builder entity(String entity) {
            this.entity = Objects.requireNonNull(entity, "entity");
            return this;
        }

        /**
         * Whether the response says what is known about the life of the model ({@code x_lifecycle}).
         *
         * @param lifecycle true if it is to
         * @return this
         */
        public Builder lifecycle(boolean lifecycle) {
            this.lifecycle = lifecycle;
            return this;
        }

        /**
         * The options as they are now.
         *
         * @return options
         */
        public RequestOptions build() {
            return new RequestOptions(this);
        }
    }
}
