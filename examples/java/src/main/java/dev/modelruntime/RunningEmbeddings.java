// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** Vectors that were asked for: the library's handle, and the mailbox that hears of their end. */
final class RunningEmbeddings implements AutoCloseable {
    private static final MethodHandle SUBMIT = NativeLibrary.link(
            "mr_runtime_submit_embeddings",
            FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, ADDRESS));
    private static final MethodHandle WAIT =
            NativeLibrary.link("mr_embeddings_wait", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS));
    private static final MethodHandle NOTIFY = NativeLibrary.link(
            "mr_embeddings_notify", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS));
    private static final MethodHandle GET_VALUES =
            NativeLibrary.link("mr_embeddings_get_values", FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS, ADDRESS));
    private static final MethodHandle GET_TOKENS =
            NativeLibrary.link("mr_embeddings_get_tokens", FunctionDescriptor.of(JAVA_LONG, ADDRESS, JAVA_LONG));
    private static final MethodHandle GET_TRUNCATED =
            NativeLibrary.link("mr_embeddings_get_truncated", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG));
    private static final MethodHandle GET_NORMALIZE =
            NativeLibrary.link("mr_embeddings_get_normalize", FunctionDescriptor.of(JAVA_INT, ADDRESS));
    private static final MethodHandle GET_VERSION =
            NativeLibrary.link("mr_embeddings_get_version", FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS));
    private static final MethodHandle RESPONSE =
            NativeLibrary.link("mr_embeddings_response", FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, ADDRESS));
    private static final MethodHandle CANCEL = Handle.ending("mr_embeddings_cancel");
    private static final MethodHandle FREE = Handle.ending("mr_embeddings_free");
    private static final long FOREVER = -1;
    private static final int L2 = 1;

    private final Handle handle;
    private final Mailbox mailbox = new Mailbox();

    private RunningEmbeddings(Handle handle) {
        this.handle = handle;
    }

    /** What is known about vectors that are made. {@code values} lies in the library until the handle is freed. */
    record Made(MemorySegment values, int rows, int dimension, int[] tokens, boolean[] truncated, boolean l2, String version) {}

    /** Submits a request; the caller keeps {@code runtime} valid meanwhile. */
    static RunningEmbeddings submit(MemorySegment runtime, String json, RequestOptions options) {
        try (Frame frame = new Frame()) {
            MemorySegment text = frame.text(json);
            MemorySegment struct = options.struct(frame);
            frame.check((int) SUBMIT.invokeExact(runtime, text, text.byteSize(), struct, frame.out, frame.error));
            return new RunningEmbeddings(new Handle("embeddings", frame.given(), FREE, CANCEL));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }

    Handle handle() {
        return handle;
    }

    /** Waits in Java until all vectors are made. An interrupt, like every failure, closes the handle. */
    RunningEmbeddings await() throws InterruptedException {
        try {
            listen();
            mailbox.awaitEnd();
            join();
            return this;
        } catch (Throwable failure) {
            handle.close();
            throw failure;
        }
    }

    private void listen() {
        MemorySegment embeddings = handle.enter();
        try (Frame frame = new Frame()) {
            MemorySegment callback = EventCallback.FUNCTION;
            MemorySegment free = HostObjects.FREE;
            // From here on nothing may fail before the call: the library gives the number back.
            long number = HostObjects.add(mailbox);
            frame.check((int) NOTIFY.invokeExact(embeddings, callback, number, free, frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        } finally {
            handle.exit();
        }
    }

    /** Does not wait after the good end; the values are there only for who has asked for it. */
    private void join() {
        MemorySegment embeddings = handle.enter();
        try (Frame frame = new Frame()) {
            frame.check((int) WAIT.invokeExact(embeddings, FOREVER, frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        } finally {
            handle.exit();
        }
    }

    @SuppressWarnings("restricted") // The library says how many values there are.
    Made made() {
        MemorySegment embeddings = handle.enter();
        try (Frame frame = new Frame()) {
            MemorySegment dimensionSlot = frame.error;
            MemorySegment values = (MemorySegment) GET_VALUES.invokeExact(embeddings, frame.out, dimensionSlot);
            int rows = Math.toIntExact(frame.out.get(JAVA_LONG, 0));
            int dimension = Math.toIntExact(dimensionSlot.get(JAVA_LONG, 0));
            int[] tokens = new int[rows];
            boolean[] truncated = new boolean[rows];
            for (int row = 0; row < rows; row++) {
                tokens[row] = Math.toIntExact((long) GET_TOKENS.invokeExact(embeddings, (long) row));
                truncated[row] = (int) GET_TRUNCATED.invokeExact(embeddings, (long) row) != 0;
            }
            boolean l2 = (int) GET_NORMALIZE.invokeExact(embeddings) == L2;
            String version = Frame.lent(GET_VERSION, embeddings, frame.out);
            long bytes = Math.multiplyExact((long) rows * dimension, JAVA_FLOAT.byteSize());
            return new Made(values.reinterpret(bytes).asReadOnly(), rows, dimension, tokens, truncated, l2, version);
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        } finally {
            handle.exit();
        }
    }

    String response() {
        MemorySegment embeddings = handle.enter();
        try (Frame frame = new Frame()) {
            return frame.takeText((int) RESPONSE.invokeExact(embeddings, frame.out, frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        } finally {
            handle.exit();
        }
    }

    @Override
    public void close() {
        handle.close();
    }
}
