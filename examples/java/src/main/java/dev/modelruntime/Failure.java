// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.io.Serializable;

/**
 * What the library reports about a failure, copied. An exception is made of it on each thread that hears of it, so that
 * stack traces are those of the callers.
 *
 * @param status the library's number
 * @param message one line for people
 * @param param the field at fault, or null
 * @param httpStatus what a hosted API would answer with
 * @param retryable whether the same call can succeed later
 * @param retryAfterMillis after how long, or -1
 * @param json the error in the OpenAI shape
 */
record Failure(
        int status, String message, String param, int httpStatus, boolean retryable, long retryAfterMillis, String json)
        implements Serializable {

    /** A request that this package has cancelled itself, for its owner. */
    static Failure cancelled(String message) {
        return of(ErrorCode.CANCELLED, 499, "cancelled", message);
    }

    /** A defect, of this package or of the library. */
    static Failure internal(String message) {
        return of(ErrorCode.INTERNAL, 500, "internal", message);
    }

    private static Failure of(ErrorCode code, int httpStatus, String name, String message) {
        String json = "{\"error\":{\"message\":" + Json.write(message) + ",\"type\":\"server_error\",\"param\":null,\"code\":\""
                + name + "\"}}";
        return new Failure(code.number(), message, null, httpStatus, false, -1, json);
    }
}
