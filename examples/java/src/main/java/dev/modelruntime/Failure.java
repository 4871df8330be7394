// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.io.Serializable;
import java.util.Locale;

/**
 * What the library reports about a failure, copied. An exception is made of it on each thread that hears of it, so that
 * stack traces are those of the callers.
 */
record Failure(
        int status, String message, String param, int httpStatus, boolean retryable, long retryAfterMillis, String json)
        implements Serializable {

    /** A failure that this package found itself. */
    static Failure of(ErrorCode code, String message) {
        String json = "{\"error\":{\"message\":" + Json.write(message) + ",\"type\":"
                + Json.write(code.name().toLowerCase(Locale.ROOT)) + ",\"param\":null,\"code\":null}}";
        return new Failure(code.number(), message, null, code.httpStatus(), false, -1, json);
    }
}
