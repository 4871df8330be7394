// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.time.Duration;
import java.util.Optional;

/**
 * A call that the library could not do, or a request that has ended badly.
 *
 * <p>Unchecked, as what goes wrong is rarely what the next caller up can mend. {@link #code()} says what it is;
 * {@link #retryable()} whether the same call can succeed later.
 */
public final class ModelRuntimeException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** What the library said. */
    private final Failure failure;

    ModelRuntimeException(Failure failure) {
        this(failure, null);
    }

    ModelRuntimeException(Failure failure, Throwable cause) {
        super(failure.message(), cause);
        this.failure = failure;
    }

    Failure failure() {
        return failure;
    }

    /**
     * What kind of failure it is.
     *
     * @return the code
     */
    public ErrorCode code() {
        return ErrorCode.of(failure.status());
    }

    /**
     * The number of the code, also of one that this version has no name for.
     *
     * @return the native library's number
     */
    public int codeNumber() {
        return failure.status();
    }

    /**
     * The field or parameter at fault.
     *
     * @return a path such as {@code messages[0].content}; empty if no field is at fault
     */
    public Optional<String> param() {
        return Optional.ofNullable(failure.param());
    }

    /**
     * The HTTP status that a hosted API would answer with.
     *
     * @return 400 to 599
     */
    public int status() {
        return failure.httpStatus();
    }

    /**
     * Whether the same call can succeed later without being changed.
     *
     * @return true if it can
     */
    public boolean retryable() {
        return failure.retryable();
    }

    /**
     * After how long trying again makes sense.
     *
     * @return the time, to the millisecond; empty if that is not known
     */
    public Optional<Duration> retryAfter() {
        return failure.retryAfterMillis() < 0
                ? Optional.empty()
                : Optional.of(Duration.ofMillis(failure.retryAfterMillis()));
    }

    /**
     * The error in the OpenAI shape, {@code {"error":{"message","type","param","code"}}}.
     *
     * @return JSON
     */
    public String json() {
        return failure.json();
    }

    /**
     * The error as a server-sent event, for hosts that offer answers over HTTP. Nothing is sent behind it.
     *
     * @return {@code data: }, {@link #json()} and an empty line
     */
    public String serverSent() {
        return "data: " + json() + "\n\n";
    }

    /**
     * The code, the HTTP status, the message and the parameter at fault, in one line.
     *
     * @return for example {@code dev.modelruntime.ModelRuntimeException: NOT_FOUND (404): there is no endpoint "x" [model]}
     */
    @Override
    public String toString() {
        String code = code() == ErrorCode.UNKNOWN ? "UNKNOWN " + codeNumber() : code().name();
        return getClass().getName() + ": " + code + " (" + status() + "): " + getMessage()
                + (failure.param() == null ? "" : " [" + failure.param() + "]");
    }
}
