// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/** A request that was submitted: the library's handle, and the mailbox that it reports to. */
final class RunningRequest implements AutoCloseable {
    private static final FunctionDescriptor SUBMIT = FunctionDescriptor.of(
            JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, ADDRESS);
    /** {@code mr_runtime_submit_chat}. */
    static final MethodHandle SUBMIT_CHAT = NativeLibrary.link("mr_runtime_submit_chat", SUBMIT);
    /** {@code mr_runtime_submit_completion}. */
    static final MethodHandle SUBMIT_COMPLETION = NativeLibrary.link("mr_runtime_submit_completion", SUBMIT);

    private static final MethodHandle WAIT =
            NativeLibrary.link("mr_request_wait", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS));
    private static final MethodHandle TIMINGS =
            NativeLibrary.link("mr_request_timings", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, ADDRESS));
    private static final MethodHandle GET_VERSION =
            NativeLibrary.link("mr_request_get_version", FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS));
    private static final MethodHandle SAVE_SESSION = NativeLibrary.link(
            "mr_request_save_session",
            FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS));
    private static final MethodHandle CANCEL = Handle.ending("mr_request_cancel");
    private static final MethodHandle FREE = Handle.ending("mr_request_free");
    private static final long FOREVER = -1;

    private final Handle handle;
    private final Mailbox mailbox;
    private final String version;

    private RunningRequest(Handle handle, Mailbox mailbox, String version) {
        this.handle = handle;
        this.mailbox = mailbox;
        this.version = version;
    }

    /**
     * Submits a request; the caller keeps {@code runtime} valid meanwhile.
     *
     * @param whole true if the mailbox is to hear of the end only
     */
    static RunningRequest submit(
            MethodHandle function, MemorySegment runtime, String json, RequestOptions options, boolean whole) {
        Mailbox mailbox = new Mailbox();
        try (Frame frame = new Frame()) {
            MemorySegment text = frame.text(json);
            MemorySegment struct = options.struct(frame, whole);
            MemorySegment callback = EventCallback.FUNCTION;
            MemorySegment free = HostObjects.FREE;
            // From here on nothing may fail before the call: the library gives the number back.
            long number = HostObjects.add(mailbox);
            frame.check((int) function.invokeExact(
                    runtime, text, text.byteSize(), struct, callback, number, free, frame.out, frame.error));
            MemorySegment request = frame.given();
            Handle handle = new Handle("generation", request, FREE, CANCEL);
            return new RunningRequest(handle, mailbox, Frame.lent(GET_VERSION, request, frame.out));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }

    Mailbox mailbox() {
        return mailbox;
    }

    Handle handle() {
        return handle;
    }

    String version() {
        return version;
    }

    /** The whole response of a request whose mailbox has its good end. */
    String response() {
        MemorySegment request = handle.enter();
        try (Frame frame = new Frame()) {
            // Not for long: until the thread that reported the end has left the callback.
            return frame.takeText((int) WAIT.invokeExact(request, FOREVER, frame.out, frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        } finally {
            handle.exit();
        }
    }

    /** Waits for the whole response. An interrupt cancels the request. */
    String awaitResponse() throws InterruptedException {
        try {
            mailbox.awaitEnd();
        } catch (InterruptedException interrupt) {
            handle.cancel();
            throw interrupt;
        }
        return response();
    }

    String timings() {
        MemorySegment request = handle.enter();
        try (Frame frame = new Frame()) {
            return frame.takeText((int) TIMINGS.invokeExact(request, frame.out, frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        } finally {
            handle.exit();
        }
    }

    void saveSession(int choice, Path path) {
        if (choice < 0) {
            throw new IllegalArgumentException("choice is " + choice + "; choices are counted from 0");
        }
        MemorySegment request = handle.enter();
        try (Frame frame = new Frame()) {
            MemorySegment file = frame.text(path.toString());
            frame.check((int) SAVE_SESSION.invokeExact(request, (long) choice, file, file.byteSize(), frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        } finally {
            handle.exit();
        }
    }

    @Override
    public void close() {
        mailbox.close();
        handle.close();
    }
}
