// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** The functions of a runtime that take texts and give text, by their shapes. */
final class RuntimeCalls {
    private static final MethodHandle NEW = link("new", ADDRESS, ADDRESS, ADDRESS);
    private static final MethodHandle ENDPOINTS = link("endpoints", ADDRESS, ADDRESS, ADDRESS);
    private static final MethodHandle STATS = link("stats", ADDRESS, ADDRESS, ADDRESS);
    private static final MethodHandle REMOVE = link("remove", ADDRESS, ADDRESS, JAVA_LONG, ADDRESS);
    private static final MethodHandle PLAN = link("plan", ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, ADDRESS);
    private static final MethodHandle SERVE = link(
            "serve", ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, ADDRESS);
    private static final MethodHandle LOAD_ADAPTER = link(
            "load_adapter", ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS);
    private static final MethodHandle UNLOAD_ADAPTER =
            link("unload_adapter", ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS);
    private static final MethodHandle RESTORE_SESSION =
            link("restore_session", ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS);
    private static final MethodHandle MANAGE =
            link("manage", ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS);
    private static final MethodHandle RUN_BATCH = link(
            "run_batch", ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, ADDRESS);
    private static final MethodHandle RELEASE = Handle.ending("mr_runtime_release");

    private RuntimeCalls() {}

    private static MethodHandle link(String name, java.lang.foreign.MemoryLayout... parameters) {
        return NativeLibrary.link("mr_runtime_" + name, FunctionDescriptor.of(JAVA_INT, parameters));
    }

    static Handle create(ModelRuntimeBuilder options) {
        try (Frame frame = new Frame()) {
            MemorySegment struct = options.struct(frame);
            frame.check((int) NEW.invokeExact(struct, frame.out, frame.error));
            return new Handle("runtime", frame.given(), RELEASE, null);
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }

    static String endpoints(MemorySegment runtime) {
        return report(ENDPOINTS, runtime);
    }

    static String stats(MemorySegment runtime) {
        return report(STATS, runtime);
    }

    private static String report(MethodHandle function, MemorySegment runtime) {
        try (Frame frame = new Frame()) {
            return frame.takeText((int) function.invokeExact(runtime, frame.out, frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }

    static void remove(MemorySegment runtime, String name) {
        try (Frame frame = new Frame()) {
            MemorySegment endpoint = frame.text(name);
            frame.check((int) REMOVE.invokeExact(runtime, endpoint, endpoint.byteSize(), frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }

    static String plan(MemorySegment runtime, String model, ServeOptions options) {
        try (Frame frame = new Frame()) {
            MemorySegment path = frame.text(model);
            MemorySegment struct = options.struct(frame);
            return frame.takeText(
                    (int) PLAN.invokeExact(runtime, path, path.byteSize(), struct, frame.out, frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }

    static String serve(MemorySegment runtime, String name, String model, ServeOptions options, HostProgress.Load load) {
        try (Frame frame = new Frame()) {
            MemorySegment endpoint = frame.text(name);
            MemorySegment path = frame.text(model);
            MemorySegment struct = options.struct(frame);
            MemorySegment progress = HostProgress.LOAD;
            MemorySegment free = HostObjects.FREE;
            long number = HostObjects.add(load);
            return frame.takeText((int) SERVE.invokeExact(
                    runtime, endpoint, endpoint.byteSize(), path, path.byteSize(), struct, progress, number, free, frame.out,
                    frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }

    static String loadAdapter(MemorySegment runtime, String endpoint, String name, String path) {
        try (Frame frame = new Frame()) {
            MemorySegment to = frame.text(endpoint);
            MemorySegment adapter = frame.text(name);
            MemorySegment folder = frame.text(path);
            return frame.takeText((int) LOAD_ADAPTER.invokeExact(
                    runtime, to, to.byteSize(), adapter, adapter.byteSize(), folder, folder.byteSize(), frame.out, frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }

    static void unloadAdapter(MemorySegment runtime, String endpoint, String name) {
        try (Frame frame = new Frame()) {
            MemorySegment from = frame.text(endpoint);
            MemorySegment adapter = frame.text(name);
            frame.check((int) UNLOAD_ADAPTER.invokeExact(
                    runtime, from, from.byteSize(), adapter, adapter.byteSize(), frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }

    static long restoreSession(MemorySegment runtime, String endpoint, String file) {
        try (Frame frame = new Frame()) {
            MemorySegment to = frame.text(endpoint);
            MemorySegment path = frame.text(file);
            frame.check((int) RESTORE_SESSION.invokeExact(
                    runtime, to, to.byteSize(), path, path.byteSize(), frame.out, frame.error));
            return frame.out.get(JAVA_LONG, 0);
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }

    static String runBatch(
            MemorySegment runtime, String requests, String results, BatchOptions options, HostProgress.Batch batch) {
        try (Frame frame = new Frame()) {
            MemorySegment from = frame.text(requests);
            MemorySegment to = frame.text(results);
            MemorySegment struct = options.struct(frame);
            MemorySegment progress = HostProgress.BATCH;
            MemorySegment free = HostObjects.FREE;
            long number = HostObjects.add(batch);
            return frame.takeText((int) RUN_BATCH.invokeExact(
                    runtime, from, from.byteSize(), to, to.byteSize(), struct, progress, number, free, frame.out, frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }

    static String manage(MemorySegment runtime, String operation, String json) {
        try (Frame frame = new Frame()) {
            MemorySegment what = frame.text(operation);
            MemorySegment request = frame.text(json);
            return frame.takeText((int) MANAGE.invokeExact(
                    runtime, what, what.byteSize(), request, request.byteSize(), frame.out, frame.error));
        } catch (Throwable thrown) {
            throw Frame.unexpected(thrown);
        }
    }
}
