// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;

/** The one function that the library calls with the events of all requests; {@code user_data} is a mailbox's number. */
final class EventCallback {
    /** {@code mr_event_callback}. */
    static final MemorySegment FUNCTION = NativeLibrary.stub(
            MethodHandles.lookup(),
            "onEvent",
            MethodType.methodType(int.class, long.class, MemorySegment.class),
            FunctionDescriptor.of(JAVA_INT, JAVA_LONG, ADDRESS));

    private static final int CHUNKS = 1;
    private static final int FINISHED = 2;
    private static final int FAILED = 3;

    private static final FunctionDescriptor TEXT = FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS);
    private static final MethodHandle GET_KIND =
            NativeLibrary.link("mr_event_get_kind", FunctionDescriptor.of(JAVA_INT, ADDRESS));
    private static final MethodHandle GET_TEXT = NativeLibrary.link("mr_event_get_text", TEXT);
    private static final MethodHandle GET_JSON = NativeLibrary.link("mr_event_get_json", TEXT);
    private static final MethodHandle GET_ERROR =
            NativeLibrary.link("mr_event_get_error", FunctionDescriptor.of(ADDRESS, ADDRESS));

    private EventCallback() {}

    /** Runs on the library's thread. It copies, posts and returns: no code of the host runs here. */
    private static int onEvent(long number, MemorySegment event) {
        Mailbox mailbox = null;
        try {
            mailbox = HostObjects.get(number, Mailbox.class);
            if (mailbox != null) {
                post(mailbox, event);
            }
            return 0;
        } catch (Throwable thrown) {
            // For want of memory, most likely. The request ends; an exception that went on would end the process.
            return abandon(mailbox, thrown);
        }
    }

    private static void post(Mailbox mailbox, MemorySegment event) throws Throwable {
        switch ((int) GET_KIND.invokeExact(event)) {
            case CHUNKS -> mailbox.put(copy(event));
            case FINISHED -> mailbox.end(null);
            case FAILED -> mailbox.end(NativeErrors.copy((MemorySegment) GET_ERROR.invokeExact(event)));
            default -> {
                // A kind that a later version has added.
            }
        }
    }

    private static Event copy(MemorySegment event) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment length = arena.allocate(JAVA_LONG);
            return new Event(Frame.lent(GET_TEXT, event, length), Frame.lent(GET_JSON, event, length));
        }
    }

    private static int abandon(Mailbox mailbox, Throwable thrown) {
        try {
            if (mailbox != null) {
                mailbox.end(Failure.internal("an event was lost: " + thrown));
            }
        } catch (Throwable again) {
            // The library frees the mailbox's number now, which ends it too.
        }
        return 1;
    }
}
