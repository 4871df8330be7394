// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/** The memory of one call into the library: texts that go in, slots for what comes out. */
final class Frame implements AutoCloseable {
    private static final MethodHandle TEXT_GET_DATA =
            NativeLibrary.link("mr_text_get_data", FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS));
    private static final MethodHandle TEXT_FREE =
            NativeLibrary.link("mr_text_free", FunctionDescriptor.ofVoid(ADDRESS));

    /** A slot for the handle or number that a function gives. */
    final MemorySegment out;
    /** A slot for the error. */
    final MemorySegment error;

    private final Arena arena = Arena.ofConfined();

    Frame() {
        out = arena.allocate(ADDRESS);
        error = arena.allocate(ADDRESS);
    }

    /** Memory that lives as long as the call, filled with zeros. */
    Arena arena() {
        return arena;
    }

    /**
     * Text as UTF-8.
     *
     * @throws IllegalArgumentException if it has half a surrogate pair; replacing it would change what was said
     */
    MemorySegment text(String text) {
        return copy(encode(text));
    }

    /** Bytes of UTF-8, copied out of the heap. */
    MemorySegment copy(ByteBuffer bytes) {
        MemorySegment copy = arena.allocate(Math.max(1, bytes.remaining())).asSlice(0, bytes.remaining());
        return copy.copyFrom(MemorySegment.ofBuffer(bytes));
    }

    static ByteBuffer encode(String text) {
        try {
            return StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
        } catch (CharacterCodingException error) {
            throw new IllegalArgumentException("the text has a surrogate without its other half", error);
        }
    }

    /** The handle that a function gave. */
    MemorySegment given() {
        return out.get(ADDRESS, 0);
    }

    /** Throws what a function reports, if it has failed. */
    void check(int status) {
        if (status >= ErrorCode.FIRST) {
            throw new ModelRuntimeException(NativeErrors.take(error.get(ADDRESS, 0), status));
        }
    }

    /** The text that a function gave, which is freed; or what it reports. */
    String takeText(int status) {
        check(status);
        MemorySegment text = given();
        try {
            return lent(TEXT_GET_DATA, text, out);
        } finally {
            try {
                TEXT_FREE.invokeExact(text);
            } catch (Throwable thrown) {
                throw unexpected(thrown);
            }
        }
    }

    /** The text that one of the library's getters lends, copied; null where it has none. {@code length} is a slot. */
    static String lent(MethodHandle getter, MemorySegment handle, MemorySegment length) {
        MemorySegment data;
        try {
            data = (MemorySegment) getter.invokeExact(handle, length);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
        return data.address() == 0 ? null : decode(data, length.get(JAVA_LONG, 0));
    }

    @SuppressWarnings("restricted") // The library says how long its text is.
    static String decode(MemorySegment data, long length) {
        return new String(data.reinterpret(length).toArray(JAVA_BYTE), StandardCharsets.UTF_8);
    }

    /** What a method handle of the library threw: it throws nothing of its own, so only an error of the machine. */
    static RuntimeException unexpected(Throwable thrown) {
        switch (thrown) {
            case Error error -> throw error;
            case RuntimeException exception -> throw exception;
            default -> throw new AssertionError(thrown);
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}
