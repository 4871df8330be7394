// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** Copies the library's errors. */
final class NativeErrors {
    private static final FunctionDescriptor TEXT = FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS);
    private static final FunctionDescriptor NUMBER = FunctionDescriptor.of(JAVA_INT, ADDRESS);
    private static final MethodHandle GET_CODE = NativeLibrary.link("mr_error_get_code", NUMBER);
    private static final MethodHandle GET_MESSAGE = NativeLibrary.link("mr_error_get_message", TEXT);
    private static final MethodHandle GET_PARAM = NativeLibrary.link("mr_error_get_param", TEXT);
    private static final MethodHandle GET_JSON = NativeLibrary.link("mr_error_get_json", TEXT);
    private static final MethodHandle GET_RETRYABLE = NativeLibrary.link("mr_error_get_retryable", NUMBER);
    private static final MethodHandle GET_STATUS = NativeLibrary.link("mr_error_get_status", NUMBER);
    private static final MethodHandle GET_RETRY_AFTER =
            NativeLibrary.link("mr_error_get_retry_after_ms", FunctionDescriptor.of(JAVA_LONG, ADDRESS));
    private static final MethodHandle FREE =
            NativeLibrary.link("mr_error_free", FunctionDescriptor.ofVoid(ADDRESS));

    private NativeErrors() {}

    /** Copies an owned error and frees it. */
    static Failure take(MemorySegment error, int status) {
        if (error.address() == 0) {
            return Failure.internal("the library gave no details of the status " + status);
        }
        try {
            return copy(error);
        } finally {
            try {
                FREE.invokeExact(error);
            } catch (Throwable thrown) {
                throw Frame.unexpected(thrown);
            }
        }
    }

    /** Copies an error that is lent. */
    static Failure copy(MemorySegment error) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment length = arena.allocate(JAVA_LONG);
            return new Failure(
                    (int) GET_CODE.invokeExact(error),
                    Frame.lent(GET_MESSAGE, error, length),
                    Frame.lent(GET_PARAM, error, length),
                    (int) GET_STATUS.invokeExact(error),
                    (int) GET_RETRYABLE.invokeExact(error) != 0,
                    (long) GET_RETRY_AFTER.invokeExact(error),
                    Frame.lent(GET_JSON, error, length));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }
}
