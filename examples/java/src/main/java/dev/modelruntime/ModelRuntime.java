// SPDX-License-Identifier: MIT OR Apache-2.0
package dev.modelruntime;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.function.Function;

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
    ModelRuntime(Handle handle) {
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
    public static ModelRuntimeBuilder builder() {
        return new ModelRuntimeBuilder();
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
        HostProgress.Load load = new HostProgress.Load(listener);
        String path = model.toString();
        return load.run(() -> call(runtime -> RuntimeCalls.serve(runtime, name, path, options, load), load::stop));
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
        return new Generation(submit(RunningRequest.SUBMIT_CHAT, request.json(), options, false));
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
        return new Generation(submit(RunningRequest.SUBMIT_COMPLETION, request.json(), options, false));
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

    /**
     * Answers a file of requests, one in each line in the shape of the OpenAI batch API (chat, completions and embeddings, mixed),
     * and writes a result for each into another file. A request that fails has its error in its result. A run that was ended, in
     * whatever way, goes on where it was when it is run again with the same files.
     *
     * @param requests the file of requests
     * @param results the file of results; made if it is not there, continued if it is
     * @param options how they are run
     * @return a JSON object: what a {@link BatchListener} hears, and {@code complete}, true when every request has its result
     * @throws InterruptedException if the thread is interrupted; see {@link #runBatch(Path, Path, BatchOptions, BatchListener)}
     */
    public String runBatch(Path requests, Path results, BatchOptions options) throws InterruptedException {
        return runBatch(requests, results, options, progress -> {});
    }

    /**
     * Answers a file of requests, and says how far that is.
     *
     * @param requests the file of requests
     * @param results the file of results; made if it is not there, continued if it is
     * @param options how they are run
     * @param listener hears how far the run is, on the calling thread (for a virtual one, on a platform thread of this package);
     *     what it throws ends the run and is thrown here
     * @return a JSON object: what the listener hears, and {@code complete}, true when every request has its result
     * @throws InterruptedException if the thread is interrupted. That is noticed when the next result is written; then nothing new
     *     is begun, and what runs is answered
     * @throws ModelRuntimeException if the files cannot be read or written, or the results are those of other requests
     */
    public String runBatch(Path requests, Path results, BatchOptions options, BatchListener listener)
            throws InterruptedException {
        HostProgress.Batch batch = new HostProgress.Batch(listener);
        String from = requests.toString();
        String to = results.toString();
        if (Thread.interrupted()) {
            throw new InterruptedException();
        }
        return batch.run(() -> call(runtime -> RuntimeCalls.runBatch(runtime, from, to, options, batch), batch::stop));
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
        try (RunningRequest request = submit(function, json, options, true)) {
            return request.awaitResponse();
        }
    }

    private RunningRequest submit(MethodHandle function, String json, RequestOptions options, boolean whole) {
        MemorySegment runtime = handle.enter();
        try {
            return RunningRequest.submit(function, runtime, json, options, whole);
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
}
