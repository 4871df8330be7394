// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

/**
 * What kind of failure a {@link ModelRuntimeException} is.
 *
 * <p>Later versions of the library may report codes that this version of the package has no name for: they are
 * {@link #UNKNOWN} here, and {@link ModelRuntimeException#codeNumber()} keeps their number.
 */
public enum ErrorCode {
    /** A code that a later version of the library has added; treat it like {@link #INTERNAL}. */
    UNKNOWN(0),
    /** An argument breaks the contract of a function: a number outside its range, text that cannot be. */
    INVALID_ARGUMENT(100),
    /** The request's JSON is malformed, or a field is missing, unknown, of the wrong type or out of range. */
    INVALID_REQUEST(101),
    /** Prompt and {@code max_tokens} together exceed the context window or the cache. */
    CONTEXT_LENGTH_EXCEEDED(102),
    /** There is no endpoint, operation or file of that name. */
    NOT_FOUND(103),
    /** The name is taken, or the thing is in a state that forbids the call. */
    CONFLICT(104),
    /** Understood, but nothing that this build or this model can do. */
    UNSUPPORTED(105),
    /** The model was retired; the message names the day and what to use instead. */
    MODEL_RETIRED(106),
    /** The caller may not use this, though others may. */
    PERMISSION_DENIED(107),
    /** The model's files are damaged, truncated, contradictory or hostile. */
    INVALID_MODEL(200),
    /** Reading or writing a file failed. */
    IO(201),
    /** The load or the request does not fit the memory budget. */
    INSUFFICIENT_MEMORY(202),
    /** The queue is full; try again later. */
    OVERLOADED(300),
    /** The request was cancelled. */
    CANCELLED(301),
    /** The request's time was up. */
    DEADLINE_EXCEEDED(302),
    /** The endpoint or the runtime is going away. */
    SHUTTING_DOWN(303),
    /** A rate limit is reached; the error's JSON has the limit, the numbers and after how long to try again. */
    RATE_LIMITED(304),
    /** A function of the host ended the call. */
    CALLBACK(400),
    /** A defect in the library. The call is lost, the process and the runtime go on. */
    INTERNAL(500);

    /** The first status that is a failure. */
    static final int FIRST = 100;

    private final int number;

    ErrorCode(int number) {
        this.number = number;
    }

    /**
     * The number that the native library has for it.
     *
     * @return the number; 0 for {@link #UNKNOWN}
     */
    public int number() {
        return number;
    }

    /**
     * The code of a number of the native library.
     *
     * @param number the number
     * @return the code; {@link #UNKNOWN} if this version has none for it
     */
    public static ErrorCode of(int number) {
        for (ErrorCode code : values()) {
            if (code.number == number) {
                return code;
            }
        }
        return UNKNOWN;
    }
}
