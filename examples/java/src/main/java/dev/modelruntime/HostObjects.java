// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Java objects that the library knows by number: what it calls {@code user_data}. A number goes through its callbacks
 * without any memory to free, and one function pointer serves all objects of a kind.
 *
 * <p>An object is in the list, and so alive, until the library gives its number back through {@link #FREE}.
 */
final class HostObjects {
    /** {@code mr_user_data_free}: forgets an object. */
    static final MemorySegment FREE = NativeLibrary.stub(
            MethodHandles.lookup(),
            "free",
            MethodType.methodType(void.class, long.class),
            FunctionDescriptor.ofVoid(JAVA_LONG));

    private static final ConcurrentMap<Long, Object> OBJECTS = new ConcurrentHashMap<>();
    private static final AtomicLong NEXT = new AtomicLong(1);

    private HostObjects() {}

    /** Something that wants to hear that the library will not call it any more. */
    interface Released {
        void released();
    }

    /** Gives an object a number. The library frees it, also where the call that it is given to fails. */
    static long add(Object object) {
        long number = NEXT.getAndIncrement();
        OBJECTS.put(number, object);
        return number;
    }

    static <T> T get(long number, Class<T> type) {
        return type.cast(OBJECTS.get(number));
    }

    /** How many objects the library knows. */
    static int size() {
        return OBJECTS.size();
    }

    /** An exception that leaves an upcall would end the process; what a host's function threw goes where threads' go. */
    static void report(Throwable thrown) {
        try {
            Thread thread = Thread.currentThread();
            thread.getUncaughtExceptionHandler().uncaughtException(thread, thrown);
        } catch (Throwable nobodyListens) {
            // The host's handler fails too: there is nobody left to tell.
        }
    }

    private static void free(long number) {
        try {
            if (OBJECTS.remove(number) instanceof Released object) {
                object.released();
            }
        } catch (Throwable thrown) {
            report(thrown);
        }
    }
}
