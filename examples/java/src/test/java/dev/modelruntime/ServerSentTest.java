// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;

/** What goes over HTTP is made in Java, and has to be what the library itself would have sent. */
class ServerSentTest {
    private static final FunctionDescriptor TEXT = FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS);
    private static final MethodHandle GET_KIND =
            NativeLibrary.link("mr_event_get_kind", FunctionDescriptor.of(JAVA_INT, ADDRESS));
    private static final MethodHandle GET_TEXT = NativeLibrary.link("mr_event_get_text", TEXT);
    private static final MethodHandle GET_JSON = NativeLibrary.link("mr_event_get_json", TEXT);
    private static final MethodHandle GET_STREAM = NativeLibrary.link("mr_event_get_stream", TEXT);
    private static final MethodHandle GET_ERROR =
            NativeLibrary.link("mr_event_get_error", FunctionDescriptor.of(ADDRESS, ADDRESS));

    private static final MethodHandle WAIT =
            NativeLibrary.link("mr_request_wait", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS));
    private static final MethodHandle CANCEL = Handle.ending("mr_request_cancel");
    private static final MethodHandle FREE = Handle.ending("mr_request_free");
    private static final MemorySegment CALLBACK = NativeLibrary.stub(
            MethodHandles.lookup(),
            "onEvent",
            MethodType.methodType(int.class, long.class, MemorySegment.class),
            FunctionDescriptor.of(JAVA_INT, JAVA_LONG, ADDRESS));

    private static final List<String> MADE_HERE = new CopyOnWriteArrayList<>();
    private static final List<String> OF_THE_LIBRARY = new CopyOnWriteArrayList<>();

    /** Takes the place of the package's own callback. */
    @SuppressWarnings("unused") // The library calls it.
    private static int onEvent(long number, MemorySegment event) {
        try (Frame frame = new Frame()) {
            MADE_HERE.add(switch ((int) GET_KIND.invokeExact(event)) {
                case 1 -> new Event(Frame.lent(GET_TEXT, event, frame.out), Frame.lent(GET_JSON, event, frame.out)).serverSent();
                case 2 -> Event.SERVER_SENT_DONE;
                default -> new ModelRuntimeException(NativeErrors.copy((MemorySegment) GET_ERROR.invokeExact(event))).serverSent();
            });
            OF_THE_LIBRARY.add(Frame.lent(GET_STREAM, event, frame.out));
        } catch (Throwable thrown) {
            MADE_HERE.add(thrown.toString());
        }
        return 0;
    }

    /** Comes back when it has ended and everything was reported. */
    private static void run(MemorySegment runtime, CompletionRequest request, boolean cancel) throws Throwable {
        MADE_HERE.clear();
        OF_THE_LIBRARY.clear();
        try (Frame frame = new Frame()) {
            MemorySegment text = frame.text(request.json());
            frame.check((int) RunningRequest.SUBMIT_COMPLETION.invokeExact(
                    runtime, text, text.byteSize(), MemorySegment.NULL, CALLBACK, 0L, MemorySegment.NULL, frame.out, frame.error));
            MemorySegment running = frame.given();
            if (cancel) {
                CANCEL.invokeExact(running);
            }
            try {
                frame.takeText((int) WAIT.invokeExact(running, -1L, frame.out, frame.error));
            } finally {
                FREE.invokeExact(running);
            }
        }
    }

    @Test
    void itIsWhatTheLibrarySends() throws Throwable {
        try (Handle handle = RuntimeCalls.create(ModelRuntime.builder())) {
            HostProgress.Load load = new HostProgress.Load((phase, done, total) -> {});
            MemorySegment runtime = handle.enter();
            handle.exit();
            RuntimeCalls.serve(runtime, "stories", Models.STORIES.toString(), ServeOptions.DEFAULT, load);
            CompletionRequest hard = CompletionRequest.builder("stories", "\"[{ \\\" }]\n\\ \ud83d\udcd6")
                    .echo(true).maxTokens(30).seed(1).build();
            run(runtime, hard, false);
            assertEquals(OF_THE_LIBRARY, MADE_HERE);
            assertEquals(Event.SERVER_SENT_DONE, MADE_HERE.getLast());
            assertTrue(String.join("", MADE_HERE).contains("data: {\"id\""), MADE_HERE::toString);
            assertEquals(
                    ErrorCode.CANCELLED,
                    assertThrows(ModelRuntimeException.class, () -> run(runtime, Models.story(480), true)).code());
            assertEquals(OF_THE_LIBRARY, MADE_HERE);
            assertTrue(MADE_HERE.getLast().startsWith("data: {\"error\":"), MADE_HERE::toString);
        }
    }

    @Test
    void everyChunkIsOneOfThem() {
        Event event = new Event("", "[{\"a\":[{\"b\":\"]}\\\"[\"}]},{\"c\":{}}]");
        assertEquals("data: {\"a\":[{\"b\":\"]}\\\"[\"}]}\n\ndata: {\"c\":{}}\n\n", event.serverSent());
        assertEquals("", new Event("", "[]").serverSent());
    }
}
