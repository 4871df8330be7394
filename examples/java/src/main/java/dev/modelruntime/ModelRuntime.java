// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.time.Clock;
import java.time.InstantSource;
import java.util.Objects;
import java.util.function.Function;
import java.util.function.LongSupplier;

/**
 * Foundation models in your own process: models behind endpoint names, and the requests of all threads batched together.
 *
 * <pre>{@code
 * try (ModelRuntime runtime = ModelRuntime.create()) {
 *     runtime.serve("stories", Path.of("examples/models/stories260K"));
 *     CompletionRequest request = CompletionRequest.builder("stories", "Once upon a time").maxTokens(64).build();
 *     try (Generation answer = runtime.completeStream(request)) {
 *         for (Event event : answer) System.out.print(event.text());
 *     }
 * }
 * }</pre>
 *
 * <p><b>JSON.</b> Requests go in and answers come out as JSON in the OpenAI shape. Builders such as {@link ChatRequest} put
 * requests together; what reads answers is the host's choice, this package needs no JSON library.
 *
 * <p><b>Threads.</b> All methods may be called from any thread, virtual ones included: what waits for an answer waits in Java and
 * lets go of its carrier, and calls that block for other reasons are made on platform threads of this package for a virtual caller.
 * No code of the host runs on the thread that delivers events.
 *
 * <p><b>Interrupts.</b> Methods that wait for answers throw {@link InterruptedException} and cancel their request.
 *
 * <p><b>Closing.</b> Everything here is freed exactly once: by closing it, at any time, on any thread, in any order, or after
 * the garbage collector has found it dropped. A runtime that is closed takes no more requests ({@link IllegalStateException});
 * those that run go on until they have ended or are closed, and then the runtime gives its memory back.
 *
 * <p><b>Failures</b> are {@link ModelRuntimeException}s. Text that is no Unicode (half a surrogate pair) is an
 * {@link IllegalArgumentException}. {@link UnsatisfiedLinkError} says that the native library was not found or does not fit.
 *
 * <p><b>The native library</b> is the file that the system property {@code modelruntime.library} names; otherwise
 * {@code libmodel_runtime.so.0.1} as the system's linker finds it (installed, or in {@code LD_LIBRARY_PATH}); otherwise
 * {@code model_runtime} in {@code java.library.path}. Java wants to be run with
 * {@code --enable-native-access=dev.modelruntime}, or {@code ALL-UNNAMED} where this is on the class path.
 */
public final class ModelRuntime implements AutoCloseable {
    private final Handle handle;

    @SuppressWarnings("this-escape") // The class is final, and the cleaner only remembers it.
    private ModelRuntime(Handle handle) {
        this.handle = handle;
        Handle.CLEANER.register(this, handle);
    }

    /**
     * A runtime with default options that serves nothing yet.
     *
     * @return the runtime
     * @throws UnsatisfiedLinkError if the native library cannot be used
     */
    public static ModelRuntime create() {
        return builder().build();
    }

    /**
     * Begins to set a runtime up.
     *
     * @return a builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * Loads a model and serves it under a name.
     *
     * @param name the endpoint's name, which requests give as {@code model}
     * @param model a folder in the Hugging Face layout or a GGUF file
     * @return JSON about the endpoint: {@code name}, {@code version}, {@code context_length}, {@code plan}, ...
     * @throws InterruptedException if the thread is interrupted; nothing is left behind
     */
    public String serve(String name, Path model) throws InterruptedException {
        return serve(name, model, ServeOptions.DEFAULT);
    }

    /**
     * Loads a model and serves it under a name.
     *
     * @param name the endpoint's name, which requests give as {@code model}
     * @param model a folder in the Hugging Face layout or a GGUF file
     * @param options how it is served
     * @return JSON about the endpoint: {@code name}, {@code version}, {@code context_length}, {@code plan}, ...
     * @throws InterruptedException if the thread is interrupted; nothing is left behind
     */
    public String serve(String name, Path model, ServeOptions options) throws InterruptedException {
        return serve(name, model, options, (phase, done, total) -> {});
    }

    /**
     * Loads a model and serves it under a name, and says how far that is.
     *
     * @param name the endpoint's name, which requests give as {@code model}
     * @param model a folder in the Hugging Face layout or a GGUF file
     * @param options how it is served
     * @param listener hears how far the load is, on the calling thread (for a virtual one, on a platform thread of this package);
     *     what it throws ends the load and is thrown here
     * @return JSON about the endpoint: {@code name}, {@code version}, {@code context_length}, {@code plan}, ...
     * @throws InterruptedException if the thread is interrupted; nothing is left behind
     * @throws ModelRuntimeException if it cannot be served; nothing is left behind
     */
    public String serve(String name, Path model, ServeOptions options, LoadListener listener) throws InterruptedException {
        HostCallbacks.Load load = new HostCallbacks.Load(Objects.requireNonNull(listener, "listener"));
        String path = model.toString();
        try {
            return call(runtime -> RuntimeCalls.serve(runtime, name, path, options, load), load::stop);
        } catch (ModelRuntimeException failure) {
            if (failure.code() == ErrorCode.CALLBACK && load.thrown() != null) {
                throw Frame.unexpected(load.thrown());
            }
            if (failure.code() == ErrorCode.CALLBACK && load.isStopped()) {
                Thread.interrupted();
                throw (InterruptedException) new InterruptedException("the load was interrupted").initCause(failure);
            }
            throw failure;
        }
    }

    /**
     * Takes an endpoint away. Its requests end with {@link ErrorCode#SHUTTING_DOWN}, its memory is given back.
     *
     * @param name the endpoint's name
     */
    public void remove(String name) {
        call(runtime -> {
            RuntimeCalls.remove(runtime, name);
            return null;
        });
    }

    /**
     * What is served.
     *
     * @return a JSON list in order of name, each entry as {@link #serve} gives it
     */
    public String endpoints() {
        return call(RuntimeCalls::endpoints);
    }

    /**
     * What serving a model would cost. Reads headers only.
     *
     * @param model a folder in the Hugging Face layout or a GGUF file
     * @param options how it would be served
     * @return a JSON object: {@code weight_bytes}, {@code cache_bytes}, {@code total_bytes}, {@code max_context}, ...
     */
    public String plan(Path model, ServeOptions options) {
        return call(runtime -> RuntimeCalls.plan(runtime, model.toString(), options));
    }

    /**
     * What the runtime is doing: queue, batch, cache, tokens and times of each endpoint.
     *
     * @return JSON
     */
    public String stats() {
        return call(RuntimeCalls::stats);
    }

    /**
     * Loads an adapter of low rank (LoRA) beside the model of an endpoint. Requests choose it by their field {@code adapter}.
     *
     * @param endpoint the endpoint's name
     * @param name what requests call the adapter
     * @param folder a folder as PEFT saves it
     * @return JSON about the adapter: {@code name}, {@code version}, {@code rank}, {@code bytes}, ...
     */
    public String loadAdapter(String endpoint, String name, Path folder) {
        return call(runtime -> RuntimeCalls.loadAdapter(runtime, endpoint, name, folder.toString()));
    }

    /**
     * Takes an adapter away. Requests that run finish with what they began with.
     *
     * @param endpoint the endpoint's name
     * @param name the adapter's name
     */
    public void unloadAdapter(String endpoint, String name) {
        call(runtime -> {
            RuntimeCalls.unloadAdapter(runtime, endpoint, name);
            return null;
        });
    }

    /**
     * Does an operation on registered versions, endpoints, lifecycle or usage. The native library's header lists them.
     *
     * @param operation its name, such as {@code registry.register}
     * @param json a JSON object; empty stands for an empty one
     * @return JSON; {@code null} where there is nothing to say
     */
    public String manage(String operation, String json) {
        return call(runtime -> RuntimeCalls.manage(runtime, operation, json));
    }

    /**
     * Puts a conversation that {@link Generation#saveSession} has written into the cache of an endpoint that serves the same model in
     * the same way. The next request that begins with it finds it there.
     *
     * @param endpoint the endpoint's name
     * @param file the file
     * @return how many tokens from its beginning need not be computed again
     */
    public long restoreSession(String endpoint, Path file) {
        return call(runtime -> RuntimeCalls.restoreSession(runtime, endpoint, file.toString()));
    }

    /**
     * Answers a conversation, all at once.
     *
     * @param request the conversation
     * @return JSON in the OpenAI shape
     * @throws InterruptedException if the thread is interrupted; the request is cancelled
     */
    public String chat(ChatRequest request) throws InterruptedException {
        return chat(request, RequestOptions.DEFAULT);
    }

    /**
     * Answers a conversation, all at once.
     *
     * @param request the conversation
     * @param options who asks, how urgently and until when
     * @return JSON in the OpenAI shape
     * @throws InterruptedException if the thread is interrupted; the request is cancelled
     */
    public String chat(ChatRequest request, RequestOptions options) throws InterruptedException {
        return whole(RunningRequest.SUBMIT_CHAT, request.json(), options);
    }

    /**
     * Continues a text, all at once.
     *
     * @param request the text
     * @return JSON in the OpenAI shape
     * @throws InterruptedException if the thread is interrupted; the request is cancelled
     */
    public String complete(CompletionRequest request) throws InterruptedException {
        return complete(request, RequestOptions.DEFAULT);
    }

    /**
     * Continues a text, all at once.
     *
     * @param request the text
     * @param options who asks, how urgently and until when
     * @return JSON in the OpenAI shape
     * @throws InterruptedException if the thread is interrupted; the request is cancelled
     */
    public String complete(CompletionRequest request, RequestOptions options) throws InterruptedException {
        return whole(RunningRequest.SUBMIT_COMPLETION, request.json(), options);
    }

    /**
     * Begins to answer a conversation, piece by piece.
     *
     * @param request the conversation
     * @return the answer, to be closed
     */
    public Generation chatStream(ChatRequest request) {
        return chatStream(request, RequestOptions.DEFAULT);
    }

    /**
     * Begins to answer a conversation, piece by piece.
     *
     * @param request the conversation
     * @param options who asks, how urgently and until when
     * @return the answer, to be closed
     */
    public Generation chatStream(ChatRequest request, RequestOptions options) {
        return new Generation(submit(RunningRequest.SUBMIT_CHAT, request.json(), options, true));
    }

    /**
     * Begins to continue a text, piece by piece.
     *
     * @param request the text
     * @return the answer, to be closed
     */
    public Generation completeStream(CompletionRequest request) {
        return completeStream(request, RequestOptions.DEFAULT);
    }

    /**
     * Begins to continue a text, piece by piece.
     *
     * @param request the text
     * @param options who asks, how urgently and until when
     * @return the answer, to be closed
     */
    public Generation completeStream(CompletionRequest request, RequestOptions options) {
        return new Generation(submit(RunningRequest.SUBMIT_COMPLETION, request.json(), options, true));
    }

    /**
     * Makes the vectors of texts.
     *
     * @param request the texts
     * @return the vectors, to be closed
     * @throws InterruptedException if the thread is interrupted; the request is cancelled
     */
    public Embeddings embed(EmbeddingRequest request) throws InterruptedException {
        return embed(request, RequestOptions.DEFAULT);
    }

    /**
     * Makes the vectors of texts.
     *
     * @param request the texts
     * @param options who asks, how urgently and until when
     * @return the vectors, to be closed
     * @throws InterruptedException if the thread is interrupted; the request is cancelled
     */
    public Embeddings embed(EmbeddingRequest request, RequestOptions options) throws InterruptedException {
        return new Embeddings(submitEmbeddings(request, options).await());
    }

    /**
     * The vectors of texts as JSON.
     *
     * @param request the texts
     * @return JSON in the OpenAI shape
     * @throws InterruptedException if the thread is interrupted; the request is cancelled
     */
    public String embeddings(EmbeddingRequest request) throws InterruptedException {
        return embeddings(request, RequestOptions.DEFAULT);
    }

    /**
     * The vectors of texts as JSON.
     *
     * @param request the texts
     * @param options who asks, how urgently and until when
     * @return JSON in the OpenAI shape
     * @throws InterruptedException if the thread is interrupted; the request is cancelled
     */
    public String embeddings(EmbeddingRequest request, RequestOptions options) throws InterruptedException {
        try (RunningEmbeddings embeddings = submitEmbeddings(request, options).await()) {
            return embeddings.response();
        }
    }

    /** Takes no more requests. When those that run have ended or are closed, the runtime's memory is given back. */
    @Override
    public void close() {
        PlatformThreads.call(() -> {
            handle.close();
            return null;
        });
        java.lang.ref.Reference.reachabilityFence(this);
    }

    private String whole(MethodHandle function, String json, RequestOptions options) throws InterruptedException {
        if (Thread.interrupted()) {
            throw new InterruptedException();
        }
        try (RunningRequest request = submit(function, json, options, false)) {
            return request.awaitResponse();
        }
    }

    private RunningRequest submit(MethodHandle function, String json, RequestOptions options, boolean keepsEvents) {
        MemorySegment runtime = handle.enter();
        try {
            return RunningRequest.submit(function, runtime, json, options, keepsEvents);
        } finally {
            handle.exit();
        }
    }

    private RunningEmbeddings submitEmbeddings(EmbeddingRequest request, RequestOptions options) {
        MemorySegment runtime = handle.enter();
        try {
            return RunningEmbeddings.submit(runtime, request.json(), options);
        } finally {
            handle.exit();
        }
    }

    private <T> T call(Function<MemorySegment, T> function) {
        return call(function, () -> {});
    }

    private <T> T call(Function<MemorySegment, T> function, Runnable onInterrupt) {
        MemorySegment runtime = handle.enter();
        try {
            return PlatformThreads.call(() -> function.apply(runtime), onInterrupt);
        } finally {
            handle.exit();
        }
    }

    /** Collects the options of a runtime. */
    public static final class Builder {
        private long memoryBudget;
        private String database;
        private String catalog;
        private InstantSource wall;
        private LongSupplier nanos;
        private LifecycleListener listener;

        private Builder() {}

        /**
         * The most that all models of the runtime take together, weights, caches and scratch.
         *
         * @param bytes more than 0; otherwise there is no limit
         * @return this
         * @throws IllegalArgumentException if it is zero or less
         */
        public Builder memoryBudget(long bytes) {
            if (bytes <= 0) {
                throw new IllegalArgumentException("memoryBudget is " + bytes + "; it has to be more than zero");
            }
            memoryBudget = bytes;
            return this;
        }

        /**
         * The SQLite file that keeps registered models, updates, retirements and usage. Several processes may have it open.
         *
         * @param file the file; otherwise they are kept in memory
         * @return this
         */
        public Builder database(Path file) {
            database = file.toString();
            return this;
        }

        /**
         * Facts about models and their retirements, laid over the built-in ones.
         *
         * @param toml the facts in TOML
         * @return this
         */
        public Builder catalog(String toml) {
            catalog = Objects.requireNonNull(toml, "toml");
            return this;
        }

        /**
         * The time of day, instead of the system's; the time that only goes forward is {@link System#nanoTime()}.
         *
         * @param wall the time of day, such as a {@link Clock}
         * @return this
         */
        public Builder clock(InstantSource wall) {
            return clock(wall, System::nanoTime);
        }

        /**
         * The time of day and the time that only goes forward, instead of the system's. Both are asked on any thread, several at a
         * time, and must answer at once, without calling the runtime. While one of them throws, its last answer holds, and what it
         * throws goes to the thread's uncaught exception handler.
         *
         * @param wall the time of day, such as a {@link Clock}
         * @param nanos nanoseconds since any fixed moment, as {@link System#nanoTime()}
         * @return this
         */
        public Builder clock(InstantSource wall, LongSupplier nanos) {
            this.wall = Objects.requireNonNull(wall, "wall");
            this.nanos = Objects.requireNonNull(nanos, "nanos");
            return this;
        }

        /**
         * Who hears what is new about the life of models.
         *
         * @param listener the listener
         * @return this
         */
        public Builder lifecycleListener(LifecycleListener listener) {
            this.listener = Objects.requireNonNull(listener, "listener");
            return this;
        }

        /**
         * Makes the runtime, which serves nothing yet.
         *
         * @return the runtime, to be closed
         * @throws ModelRuntimeException if the catalog is none, or the database cannot be opened
         * @throws UnsatisfiedLinkError if the native library cannot be used
         */
        public ModelRuntime build() {
            NativeLibrary.load();
            return new ModelRuntime(PlatformThreads.call(() -> RuntimeCalls.create(this)));
        }

        /** The struct of the library; from then on the library has the host's clock and listener. */
        MemorySegment struct(Frame frame) {
            OptionStruct struct = new OptionStruct(OptionStruct.RUNTIME, frame)
                    .set("memory_budget", memoryBudget)
                    .text("database", database)
                    .text("catalog", catalog);
            HostCallbacks.HostClock clock = wall == null ? null : new HostCallbacks.HostClock(wall, nanos);
            if (clock != null) {
                struct.set("clock", HostCallbacks.CLOCK)
                        .set("clock_data_free", HostObjects.FREE)
                        .set("clock_data", HostObjects.add(clock));
            }
            if (listener != null) {
                struct.set("on_lifecycle", HostCallbacks.LIFECYCLE)
                        .set("lifecycle_data_free", HostObjects.FREE)
                        .set("lifecycle_data", HostObjects.add(listener));
            }
            return struct.segment();
        }
    }
}
