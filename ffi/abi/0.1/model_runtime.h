/*
 * model_runtime.h - foundation models in your own process.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What is in this header is the library's public interface; nothing else is. It is generated from the library's
 * source: edit that, not this file.
 *
 * IN SHORT
 *   A runtime (mr_runtime) serves models under endpoint names. A request goes in as JSON of the OpenAI shape and its
 *   answer comes out as JSON of that shape: whole (mr_runtime_chat, mr_runtime_complete) or in pieces while it is
 *   generated (mr_runtime_submit_chat, then mr_request_next, or a callback). All requests of all threads are batched
 *   together. Every answer and every chunk names the exact version that served it in its field "model". Endpoints of
 *   encoders make vectors instead: mr_runtime_submit_embeddings, mr_embeddings_wait, then mr_embeddings_get_values
 *   lends them as one block of floats. Adapters (LoRA) stand beside a model, each request chooses its own:
 *   mr_runtime_load_adapter. Registered versions, endpoints with several models, updates, retirements, limits and usage
 *   are operations of mr_runtime_manage, JSON in and JSON out.
 *
 * EXAMPLE: an answer, all at once
 *   #include <stdio.h>
 *   #include <string.h>
 *   #include "model_runtime.h"
 *
 *   int main(void) {
 *     const char *model = "examples/models/stories260K";
 *     const char *ask = "{\"model\": \"stories\", \"prompt\": \"Once upon a time\", \"max_tokens\": 32}";
 *     mr_runtime *runtime = NULL;
 *     mr_text *info = NULL, *answer = NULL;
 *     mr_error *error = NULL;
 *     if (mr_runtime_new(NULL, &runtime, &error) ||
 *         mr_runtime_serve(runtime, "stories", 7, model, strlen(model), NULL, NULL, NULL, NULL, &info, &error) ||
 *         mr_runtime_complete(runtime, ask, strlen(ask), NULL, &answer, &error))
 *       fprintf(stderr, "%s\n", mr_error_get_message(error, NULL));
 *     else
 *       puts(mr_text_get_data(answer, NULL));
 *     int failed = error != NULL;
 *     mr_error_free(error);
 *     mr_text_free(answer);
 *     mr_text_free(info);
 *     mr_runtime_release(runtime);
 *     return failed;
 *   }
 *
 * EXAMPLE: an answer in pieces, while it is generated
 *   #include <stdio.h>
 *   #include <string.h>
 *   #include "model_runtime.h"
 *
 *   mr_status print_stream(const mr_runtime *runtime, const char *ask, mr_error **error) {
 *     mr_request *request = NULL;
 *     mr_event *event = NULL;
 *     mr_status status =
 *         mr_runtime_submit_completion(runtime, ask, strlen(ask), NULL, NULL, NULL, NULL, &request, error);
 *     while (status == MR_OK && (status = mr_request_next(request, MR_WAIT_FOREVER, &event, error)) == MR_OK) {
 *       fputs(mr_event_get_text(event, NULL), stdout);
 *       fflush(stdout);
 *       mr_event_free(event);
 *     }
 *     mr_request_free(request);
 *     return status;
 *   }
 *
 * EXAMPLE: the vectors of texts
 *   #include <stdio.h>
 *   #include <string.h>
 *   #include "model_runtime.h"
 *
 *   int main(void) {
 *     const char *model = "examples/models/all-MiniLM-L6-v2/all-MiniLM-L6-v2.gguf";
 *     const char *ask = "{\"model\": \"minilm\", \"input\": [\"Bread is baked.\", \"The oven is hot.\"]}";
 *     mr_runtime *runtime = NULL;
 *     mr_text *info = NULL;
 *     mr_embeddings *vectors = NULL;
 *     mr_error *error = NULL;
 *     size_t rows = 0, dimension = 0;
 *     if (mr_runtime_new(NULL, &runtime, &error) ||
 *         mr_runtime_serve(runtime, "minilm", 6, model, strlen(model), NULL, NULL, NULL, NULL, &info, &error) ||
 *         mr_runtime_submit_embeddings(runtime, ask, strlen(ask), NULL, &vectors, &error) ||
 *         mr_embeddings_wait(vectors, MR_WAIT_FOREVER, &error)) {
 *       fprintf(stderr, "%s\n", mr_error_get_message(error, NULL));
 *     } else {
 *       const float *values = mr_embeddings_get_values(vectors, &rows, &dimension);
 *       for (size_t row = 0; row < rows; row++) printf("%zu values from %f on\n", dimension, values[row * dimension]);
 *     }
 *     int failed = error != NULL;
 *     mr_error_free(error);
 *     mr_embeddings_free(vectors);
 *     mr_text_free(info);
 *     mr_runtime_release(runtime);
 *     return failed;
 *   }
 *
 * THREADS
 *   Every function may be called from any thread, and on one handle from many threads at the same time. Freeing may
 *   race with use: a request may be freed while others are in calls on it (they end with MR_E_CANCELLED, later ones
 *   with MR_E_INVALID_ARGUMENT), and a thread with a reference of its own to a runtime (mr_runtime_retain) may use it
 *   whatever the others release. Only the small handles that hold a result (mr_event, mr_text, mr_error) must not be
 *   used by anybody once one thread frees them. Nothing is stored per thread; threads that come and go are fine.
 *
 * OWNERSHIP
 *   mr_runtime                      counted: mr_runtime_new gives one reference, mr_runtime_retain one more, each is
 *                                   given back by one mr_runtime_release.
 *   mr_request, mr_embeddings,      one owner: whoever received it frees it once with its *_free.
 *   mr_event, mr_text, mr_error
 *   Handles may be freed in any order. A request keeps its runtime working: with the last reference to the runtime
 *   released, its requests go on until they are freed. Freeing a request cancels it. Every *_free and *_release
 *   accepts NULL and does nothing. What a *_get_* function returns belongs to the handle that it came from and lives
 *   as long as that.
 *
 * ERRORS
 *   A function that can fail returns an mr_status: MR_OK, an outcome that is no failure (1 to 99), or MR_E_...
 *   (from 100; treat an unknown one like MR_E_INTERNAL). Its last parameter receives an owned mr_error with the
 *   details; NULL if they are not wanted. On success, and on outcomes that are no failure, it is left untouched. On
 *   failure every other out-parameter is left untouched. A defect of the library is an error too (MR_E_INTERNAL): it
 *   never ends your process, and it prints nothing.
 *
 * TEXT AND MEMORY
 *   Text goes in as pointer and length, UTF-8, without a NUL; NULL goes only with length 0. Text comes out with its
 *   length and with a NUL behind it. Memory that the library gave is freed by the library's functions, never by
 *   free(). Input is copied before a function returns: it may be freed or changed afterwards.
 *
 * OPTIONS
 *   Option structs begin with their size and are filled by MR_..._OPTIONS_INIT or by mr_..._options_init(o, sizeof
 *   *o); then set what should differ from the default. NULL means all defaults. A field that is 0 means its default.
 *
 * CALLBACKS
 *   A runtime calls all event callbacks on one thread of its own, one at a time, none of its locks held. A callback
 *   may call every function of this header except mr_request_wait on a request that has a callback (it would wait for
 *   itself: MR_E_CONFLICT); it should return soon, because the callbacks of other requests wait meanwhile. It must not
 *   throw or jump out. Once mr_request_free has returned, the request's callback is not running and never runs again,
 *   and its user_data has been freed; only if mr_request_free is called inside that callback, user_data is freed when
 *   the callback returns. user_data_free runs exactly once for each call that was given it, on any thread.
 *
 * FORK AND UNLOADING
 *   Threads do not survive a fork. In the child, runtimes and what came from them answer MR_E_CONFLICT, freeing them does nothing,
 *   and no runtime can be made; call _exit or exec there. The parent does not notice. To use the library in both, fork before
 *   the first runtime. Release every runtime and free every request before dlclose; the memory is unmapped when every thread that
 *   called the library has ended.
 *
 *   Where the process has no memory left, calls that need some are refused with MR_E_INSUFFICIENT_MEMORY, and what runs ends
 *   properly, from a reserve of address space that the library has for that.
 *
 * VERSIONS
 *   Within one 0.x the interface only grows: a program built against 0.x.y runs with every later
 *   libmodel_runtime.so.0.x. Codes, kinds and option fields may be added. mr_abi_version() == MR_ABI_VERSION tells
 *   whether header and library fit. The header is the same whatever the library was built with; what is not built in
 *   answers MR_E_UNSUPPORTED.
 */


#ifndef MODEL_RUNTIME_H
#define MODEL_RUNTIME_H


#include <stddef.h>
#include <stdint.h>

/** For the timeouts of mr_request_next, mr_request_wait and mr_embeddings_wait: as long as it takes. */
#define MR_WAIT_FOREVER (-1)

/** The defaults of mr_runtime_options. */
#define MR_RUNTIME_OPTIONS_INIT {sizeof(mr_runtime_options), 0, NULL, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL}
/** The defaults of mr_serve_options. */
#define MR_SERVE_OPTIONS_INIT {sizeof(mr_serve_options), 0, 0, 0, 0, 0, 0, MR_PREFIX_SHARING_DEFAULT, 0, NULL, 0, NULL, 0, \
  MR_BACKEND_DEFAULT, 0, MR_COMPUTE_DEFAULT, MR_CACHE_TYPE_DEFAULT, MR_QUANTIZE_NONE, 0, NULL, 0}
/** The defaults of mr_request_options. */
#define MR_REQUEST_OPTIONS_INIT {sizeof(mr_request_options), 0, 0, 0, NULL, 0, NULL, 0, 0, 0}
/** The defaults of mr_batch_options. */
#define MR_BATCH_OPTIONS_INIT {sizeof(mr_batch_options), 0, MR_ORDER_OF_REQUESTS, NULL}

/** The end of an answer among server-sent events; see mr_event_get_stream. */
#define MR_EVENT_STREAM_DONE "data: [DONE]\n\n"


/**
 * Major version of this header.
 */
#define MR_VERSION_MAJOR 0

/**
 * Minor version of this header.
 */
#define MR_VERSION_MINOR 1

/**
 * Patch version of this header.
 */
#define MR_VERSION_PATCH 0

/**
 * Version of this header as one number that grows: major * 1000000 + minor * 1000 + patch.
 */
#define MR_VERSION_NUMBER 1000

/**
 * Version of the binary interface of this header; another number means another SONAME.
 */
#define MR_ABI_VERSION 1

/**
 * Success.
 */
#define MR_OK 0

/**
 * No failure: nothing happened within the given time.
 */
#define MR_TIMED_OUT 1

/**
 * No failure: the request has ended well and every event of it was delivered.
 */
#define MR_DONE 2

/**
 * An argument of a C function breaks its contract: NULL where a value is needed, text that is not UTF-8, a number
 * outside its range, options of an impossible size.
 */
#define MR_E_INVALID_ARGUMENT 100

/**
 * The request's JSON is malformed, or a field is missing, unknown, of the wrong type or out of range.
 */
#define MR_E_INVALID_REQUEST 101

/**
 * Prompt and max_tokens together exceed the context window or the cache.
 */
#define MR_E_CONTEXT_LENGTH_EXCEEDED 102

/**
 * There is no endpoint or file of that name.
 */
#define MR_E_NOT_FOUND 103

/**
 * The name is taken, or the thing is in a state that forbids the call.
 */
#define MR_E_CONFLICT 104

/**
 * Understood, but nothing that this build or this model can do.
 */
#define MR_E_UNSUPPORTED 105

/**
 * The model was retired; the message names the day and what to use instead.
 */
#define MR_E_MODEL_RETIRED 106

/**
 * The caller may not use this, though others may.
 */
#define MR_E_PERMISSION_DENIED 107

/**
 * The model's files are damaged, truncated, contradictory or hostile.
 */
#define MR_E_INVALID_MODEL 200

/**
 * Reading a file failed.
 */
#define MR_E_IO 201

/**
 * The load or the request does not fit the memory budget.
 */
#define MR_E_INSUFFICIENT_MEMORY 202

/**
 * The queue is full; try again later.
 */
#define MR_E_OVERLOADED 300

/**
 * The request was cancelled.
 */
#define MR_E_CANCELLED 301

/**
 * The request's time was up.
 */
#define MR_E_DEADLINE_EXCEEDED 302

/**
 * The endpoint or the runtime is going away.
 */
#define MR_E_SHUTTING_DOWN 303

/**
 * A rate limit is reached; the error's JSON has the limit, the numbers and after how long to try again.
 */
#define MR_E_RATE_LIMITED 304

/**
 * A callback of the host returned non-zero; mr_error_get_callback_result tells what.
 */
#define MR_E_CALLBACK 400

/**
 * A defect in this library. The call is lost, the process and the runtime go on.
 */
#define MR_E_INTERNAL 500

/**
 * New pieces of the answer.
 */
#define MR_EVENT_CHUNKS 1

/**
 * The answer is complete. Only callbacks see it; mr_request_next answers MR_DONE instead.
 */
#define MR_EVENT_FINISHED 2

/**
 * The request failed. Only callbacks see it; mr_request_next returns the error instead.
 */
#define MR_EVENT_FAILED 3

/**
 * The time of day.
 */
#define MR_CLOCK_WALL 0

/**
 * Time that only goes forward.
 */
#define MR_CLOCK_MONOTONIC 1

/**
 * Something that later releases name.
 */
#define MR_PHASE_OTHER 0

/**
 * The files are read to name their exact version.
 */
#define MR_PHASE_DIGEST 1

/**
 * The weights are read.
 */
#define MR_PHASE_WEIGHTS 2

/**
 * Let the library choose, which is on.
 */
#define MR_PREFIX_SHARING_DEFAULT 0

/**
 * Prompts that begin alike share what was computed for the beginning.
 */
#define MR_PREFIX_SHARING_ON 1

/**
 * Every prompt is computed anew.
 */
#define MR_PREFIX_SHARING_OFF 2

/**
 * Let the library choose, which is its own kernels.
 */
#define MR_BACKEND_DEFAULT 0

/**
 * The library's own kernels.
 */
#define MR_BACKEND_CPU 1

/**
 * candle in single precision: the reference, slower and larger. It takes none of the fields from threads
 * on. MR_E_UNSUPPORTED where the library was built without it.
 */
#define MR_BACKEND_CANDLE 2

/**
 * What each format was made for: int8 activations for quantized weights, BF16 for BF16 weights where the processor
 * multiplies those, single precision for the others.
 */
#define MR_COMPUTE_DEFAULT 0

/**
 * Single precision throughout.
 */
#define MR_COMPUTE_F32 1

/**
 * BF16 activations where the processor multiplies those, single precision elsewhere.
 */
#define MR_COMPUTE_BF16 2

/**
 * int8 activations for all weights: those in F32, F16 and BF16 that are not quantized become int8 with one scale per
 * output while they are read. The fastest, at some cost in accuracy.
 */
#define MR_COMPUTE_INT8 3

/**
 * Let the library choose, which is F16.
 */
#define MR_CACHE_TYPE_DEFAULT 0

/**
 * IEEE half precision.
 */
#define MR_CACHE_TYPE_F16 1

/**
 * The upper half of single precision.
 */
#define MR_CACHE_TYPE_BF16 2

/**
 * Single precision.
 */
#define MR_CACHE_TYPE_F32 3

/**
 * 8-bit integers with a scale per token and head.
 */
#define MR_CACHE_TYPE_Q8 4

/**
 * Weights stay as they are in the files.
 */
#define MR_QUANTIZE_NONE 0

/**
 * F32, F16 and BF16 weights become Q8_0 while they are read.
 */
#define MR_QUANTIZE_Q8_0 1

/**
 * F32, F16 and BF16 weights become Q6_K; Q8_0 where the width is no multiple of 256.
 */
#define MR_QUANTIZE_Q6_K 2

/**
 * F32, F16 and BF16 weights become Q4_K; Q8_0 where the width is no multiple of 256.
 */
#define MR_QUANTIZE_Q4_K 3

/**
 * The vectors are as the model makes them.
 */
#define MR_NORMALIZE_NONE 0

/**
 * The vectors have unit length.
 */
#define MR_NORMALIZE_L2 1

/**
 * Results are written in the order of the requests.
 */
#define MR_ORDER_OF_REQUESTS 0

/**
 * Each result is written when it is ready.
 */
#define MR_ORDER_AS_READY 1

/**
 * The vectors of a request, made or being made: owned by the caller, freed with mr_embeddings_free, which cancels what
 * is not done. A number in disguise: one that was freed is recognised, and nothing is ever read through it.
 */
typedef struct mr_embeddings mr_embeddings;

/**
 * What went wrong in a call: owned by the caller, freed with mr_error_free. It never changes.
 */
typedef struct mr_error mr_error;

/**
 * What a running request reports: one or more pieces of its answer, or its end. From mr_request_next it is owned by
 * the caller and freed with mr_event_free; in a callback it is lent until the callback returns. It never changes.
 */
typedef struct mr_event mr_event;

/**
 * A running request and its answer: owned by the caller, freed with mr_request_free, which cancels it. A number in
 * disguise: a request that was freed is recognised, and nothing is ever read through it.
 */
typedef struct mr_request mr_request;

/**
 * Models behind endpoint names. Counted: mr_runtime_new gives one reference, mr_runtime_retain another, each is given
 * back by one mr_runtime_release.
 */
typedef struct mr_runtime mr_runtime;

/**
 * Text of this library, mostly JSON: UTF-8, owned by the caller, freed with mr_text_free. It never changes.
 */
typedef struct mr_text mr_text;

/**
 * What a function answers: MR_OK, an outcome that is no failure (1 to 99), or an error (MR_E_..., from 100).
 */
typedef int32_t mr_status;

/**
 * Tells the time: nanoseconds since 1970-01-01T00:00:00Z for MR_CLOCK_WALL, nanoseconds since any fixed moment, never
 * decreasing, for MR_CLOCK_MONOTONIC. It is called from any thread, from several at a time, and must return at once.
 */
typedef int64_t (*mr_clock_callback)(void *user_data, int32_t which);

/**
 * Frees the host's user_data. It runs exactly once, also when the call that took user_data fails; only where options have a size
 * that no release had, nothing in them is looked at.
 */
typedef void (*mr_user_data_free)(void *user_data);

/**
 * Hears what is new about the life of a model that somebody uses: JSON, lent until it returns, with "key", "message" and
 * "status". Each state is told once for each model and principal, in all processes that share a database. It is called on
 * the thread that came upon the news, from several at a time, none of the library's locks held; it may call every function
 * of this header.
 */
typedef void (*mr_lifecycle_callback)(void *user_data, const char *event, size_t event_len);

/**
 * Options of a runtime. Begin with MR_RUNTIME_OPTIONS_INIT or mr_runtime_options_init; zero is the default.
 */
typedef struct mr_runtime_options {
  /**
   * sizeof(mr_runtime_options), set by the initializers.
   */
  size_t struct_size;
  /**
   * The most bytes that all models of the runtime take together, weights, caches and scratch; 0: no
   * limit.
   */
  uint64_t memory_budget;
  /**
   * The SQLite file that keeps registered models, updates, retirements and usage, UTF-8; several processes may have it
   * open. NULL: they are kept in memory, and of usage only that of endpoints by the token.
   */
  const char *database;
  /**
   * Bytes in database.
   */
  size_t database_len;
  /**
   * Facts about models and their retirements, TOML in UTF-8, laid over the built-in ones; NULL: those alone.
   */
  const char *catalog;
  /**
   * Bytes in catalog.
   */
  size_t catalog_len;
  /**
   * Tells the time; NULL: the system's clock.
   */
  mr_clock_callback clock;
  /**
   * The first argument of clock.
   */
  void *clock_data;
  /**
   * Frees clock_data when the runtime has ended, or when it could not be made; NULL: nobody does.
   */
  mr_user_data_free clock_data_free;
  /**
   * Hears what is new about the life of models; NULL: nobody.
   */
  mr_lifecycle_callback on_lifecycle;
  /**
   * The first argument of on_lifecycle.
   */
  void *lifecycle_data;
  /**
   * Frees lifecycle_data when the runtime has ended, or when it could not be made; NULL: nobody does.
   */
  mr_user_data_free lifecycle_data_free;
} mr_runtime_options;

/**
 * Options of an endpoint. Begin with MR_SERVE_OPTIONS_INIT or mr_serve_options_init; zero is the default.
 */
typedef struct mr_serve_options {
  /**
   * sizeof(mr_serve_options), set by the initializers.
   */
  size_t struct_size;
  /**
   * The longest prompt and answer together, in tokens; 0: what the model was made for, at most 8192.
   */
  uint64_t context_length;
  /**
   * Tokens that the block cache holds for all requests together; 0: the library's choice.
   */
  uint64_t cache_tokens;
  /**
   * The most tokens computed in one step; 0: the library's choice.
   */
  uint32_t max_batch_tokens;
  /**
   * The most prompt tokens computed in a step beside running answers, which bounds their pauses; 0: the library's
   * choice.
   */
  uint32_t max_prefill_tokens;
  /**
   * The most requests that run at the same time; 0: the library's choice.
   */
  uint32_t max_sequences;
  /**
   * The most requests that wait; one more is refused with MR_E_OVERLOADED. 0: the library's choice.
   */
  uint32_t max_queue;
  /**
   * MR_PREFIX_SHARING_...
   */
  int32_t prefix_sharing;
  /**
   * Must be 0.
   */
  uint32_t reserved;
  /**
   * The version's name, UTF-8, not NUL-terminated; NULL: made from the contents of the model's files.
   */
  const char *version;
  /**
   * Bytes in version.
   */
  size_t version_len;
  /**
   * A Jinja chat template to use instead of the model's own, UTF-8; NULL: the model's own.
   */
  const char *chat_template;
  /**
   * Bytes in chat_template.
   */
  size_t chat_template_len;
  /**
   * MR_BACKEND_...: what computes the model.
   */
  int32_t backend;
  /**
   * Threads that compute, the endpoint's own included, at most 1024; 0: one for each core of affinity, or else as
   * many as the process may use.
   */
  uint32_t threads;
  /**
   * MR_COMPUTE_...: the numbers that products are computed with.
   */
  int32_t compute;
  /**
   * MR_CACHE_TYPE_...: what the cache of keys and values holds.
   */
  int32_t cache_type;
  /**
   * MR_QUANTIZE_...: what weights in floating point become while they are read.
   */
  int32_t quantize;
  /**
   * Must be 0.
   */
  uint32_t reserved2;
  /**
   * The cores, by the system's numbers and each at most once, that the threads run on: the first for the endpoint's
   * own thread, then one for each further thread. Threads of the host are never bound. Linux only. NULL: wherever
   * the system puts them.
   */
  const uint32_t *affinity;
  /**
   * Cores in affinity.
   */
  size_t affinity_len;
} mr_serve_options;

/**
 * Options of a request that are not part of its JSON. Begin with MR_REQUEST_OPTIONS_INIT or
 * mr_request_options_init; zero is the default.
 */
typedef struct mr_request_options {
  /**
   * sizeof(mr_request_options), set by the initializers.
   */
  size_t struct_size;
  /**
   * Higher runs first; 0 is normal.
   */
  int32_t priority;
  /**
   * Must be 0.
   */
  uint32_t reserved;
  /**
   * Milliseconds after which the answer is no longer wanted and the request ends with
   * MR_E_DEADLINE_EXCEEDED; 0: never.
   */
  uint64_t timeout_ms;
  /**
   * Who asks, UTF-8: whom limits, fairness, usage and retirements know the request by. NULL: the request's "user".
   */
  const char *principal;
  /**
   * Bytes in principal.
   */
  size_t principal_len;
  /**
   * The served entity that is to answer, UTF-8; NULL: the endpoint's shares of traffic decide.
   */
  const char *entity;
  /**
   * Bytes in entity.
   */
  size_t entity_len;
  /**
   * 1: the response says what is known about the life of the model ("x_lifecycle"); 0: it does not.
   */
  int32_t lifecycle;
  /**
   * 1: the answer is wanted at once, as mr_runtime_chat and mr_runtime_complete give it: the submitting functions report only its
   * end, "stream" in the request is refused, and usage says that nothing was streamed. 0: in pieces.
   */
  int32_t whole;
} mr_request_options;

/**
 * Options of a run of many requests. Begin with MR_BATCH_OPTIONS_INIT or mr_batch_options_init; zero is the default.
 */
typedef struct mr_batch_options {
  /**
   * sizeof(mr_batch_options), set by the initializers.
   */
  size_t struct_size;
  /**
   * The most requests at once, at most 1024; 0: 64.
   */
  uint32_t concurrency;
  /**
   * MR_ORDER_...: in which order results are written.
   */
  int32_t order;
  /**
   * Options of each request; NULL: the defaults.
   */
  const struct mr_request_options *requests;
} mr_batch_options;

/**
 * Receives the progress of a load: what is being read (MR_PHASE_...), bytes done and bytes in all. It runs on the
 * thread that called mr_runtime_serve, before that returns.
 *
 * It returns 0 to go on; anything else ends the load with MR_E_CALLBACK.
 */
typedef int32_t (*mr_progress_callback)(void *user_data,
                                        int32_t phase,
                                        uint64_t done_bytes,
                                        uint64_t total_bytes);

/**
 * Receives a request's events, one after the other, on the runtime's dispatch thread; see the overview for what it
 * may do. The event is lent until it returns.
 *
 * It returns 0 to go on; anything else cancels the request, which then ends with MR_E_CALLBACK and is not reported
 * any more.
 */
typedef int32_t (*mr_event_callback)(void *user_data, const struct mr_event *event);

/**
 * Hears how far a run of many requests is: JSON, lent until it returns, with read, skipped, done, failed, running, waiting,
 * prompt_tokens, completion_tokens, bytes_read and bytes_total (null where it is not known). It runs on the thread that called
 * mr_runtime_run_batch, before that returns.
 *
 * It returns 0 to go on; anything else ends the run, and what was written stays.
 */
typedef int32_t (*mr_batch_callback)(void *user_data, const char *progress, size_t progress_len);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The library's version, such as 0.1.0.
 *
 * @return A constant with a NUL behind it; never NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const char *mr_version(void);

/**
 * The version of the library's binary interface. A program may check at its start that it equals MR_ABI_VERSION.
 *
 * @return The number.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
uint32_t mr_abi_version(void);

/**
 * The status that the failed function returned.
 *
 * @param error (in) The error, or NULL.
 * @return MR_E_...; MR_OK if error is NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
mr_status mr_error_get_code(const struct mr_error *error);

/**
 * One line for people: the thing, the value and what would be accepted.
 *
 * @param error (in) The error, or NULL.
 * @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
 * @return UTF-8 with a NUL behind it, valid until the error is freed; NULL if error is NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const char *mr_error_get_message(const struct mr_error *error, size_t *len);

/**
 * The field or parameter at fault, as a path such as messages[0].content.
 *
 * @param error (in) The error, or NULL.
 * @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
 * @return UTF-8 with a NUL behind it, valid until the error is freed; NULL (and *len untouched) if error is NULL
 *   or no field is at fault.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const char *mr_error_get_param(const struct mr_error *error,
                               size_t *len);

/**
 * Whether the same call can succeed later without being changed.
 *
 * @param error (in) The error, or NULL.
 * @return 1 if it can, otherwise 0.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
int32_t mr_error_get_retryable(const struct mr_error *error);

/**
 * The HTTP status that a hosted API would answer with.
 *
 * @param error (in) The error, or NULL.
 * @return 400 to 599; 0 if error is NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
int32_t mr_error_get_status(const struct mr_error *error);

/**
 * After how many milliseconds trying again makes sense.
 *
 * @param error (in) The error, or NULL.
 * @return Milliseconds, or -1 if that is not known.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
int64_t mr_error_get_retry_after_ms(const struct mr_error *error);

/**
 * What the host's callback returned, for MR_E_CALLBACK.
 *
 * @param error (in) The error, or NULL.
 * @return The callback's number; 0 for every other error.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
int32_t mr_error_get_callback_result(const struct mr_error *error);

/**
 * The error in the OpenAI shape, {"error":{"message","type","param","code"}}.
 *
 * @param error (in) The error, or NULL.
 * @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
 * @return JSON with a NUL behind it, valid until the error is freed; NULL if error is NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const char *mr_error_get_json(const struct mr_error *error, size_t *len);

/**
 * Frees an error.
 *
 * @param error (in) The error, given up; NULL does nothing.
 *
 * Thread safety: any thread; nobody may use the error afterwards.
 * Blocking: never.
 * @since 0.1
 */
void mr_error_free(struct mr_error *error);

/**
 * The bytes of a text, with a NUL behind them.
 *
 * @param text (in) The text, or NULL.
 * @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
 * @return A pointer into the text, valid until it is freed; NULL (and *len untouched) if text is NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const char *mr_text_get_data(const struct mr_text *text, size_t *len);

/**
 * Frees a text.
 *
 * @param text (in) The text, given up; NULL does nothing.
 *
 * Thread safety: any thread; nobody may use the text afterwards.
 * Blocking: never.
 * @since 0.1
 */
void mr_text_free(struct mr_text *text);

/**
 * What kind of event this is.
 *
 * @param event (in) The event, or NULL.
 * @return MR_EVENT_...; 0 if event is NULL. A later release may add kinds: ignore what you do not know.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
int32_t mr_event_get_kind(const struct mr_event *event);

/**
 * The text that the event adds to the answer, of all its chunks together; where several answers were asked for, to the
 * first of them.
 *
 * @param event (in) The event, or NULL.
 * @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
 * @return UTF-8 with a NUL behind it, possibly empty, never a part of a character; valid as long as the event;
 *   NULL if event is NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const char *mr_event_get_text(const struct mr_event *event,
                              size_t *len);

/**
 * The event's chunks in the OpenAI shape, as a JSON list.
 *
 * @param event (in) The event, or NULL.
 * @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
 * @return JSON with a NUL behind it, valid as long as the event; NULL if event is NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const char *mr_event_get_json(const struct mr_event *event, size_t *len);

/**
 * The event as server-sent events, for hosts that offer over HTTP what the library answers: "data: ", a chunk in the OpenAI
 * shape and an empty line, for each chunk; MR_EVENT_STREAM_DONE for MR_EVENT_FINISHED; the error in the OpenAI shape for
 * MR_EVENT_FAILED, behind which no MR_EVENT_STREAM_DONE comes. Who reads with mr_request_next sends MR_EVENT_STREAM_DONE for MR_DONE.
 *
 * @param event (in) The event, or NULL.
 * @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
 * @return UTF-8 with a NUL behind it, valid as long as the event; NULL if event is NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const char *mr_event_get_stream(const struct mr_event *event,
                                size_t *len);

/**
 * Why the request failed, for MR_EVENT_FAILED.
 *
 * @param event (in) The event, or NULL.
 * @return An error that belongs to the event (do not free it), valid as long as the event; NULL for other kinds.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const struct mr_error *mr_event_get_error(const struct mr_event *event);

/**
 * Frees an event that came from mr_request_next.
 *
 * @param event (in) The event, given up; NULL does nothing.
 *
 * Thread safety: any thread; nobody may use the event afterwards.
 * Blocking: never.
 * @since 0.1
 */
void mr_event_free(struct mr_event *event);

/**
 * Sets every option of a runtime to its default.
 *
 * @param options (out) The struct to fill; not NULL.
 * @param struct_size (in) sizeof *options.
 * @return MR_OK; MR_E_INVALID_ARGUMENT if options is NULL or no release had a struct of this size.
 *
 * Thread safety: any thread.
 * Blocking: never.
 * @since 0.1
 */
mr_status mr_runtime_options_init(struct mr_runtime_options *options, size_t struct_size);

/**
 * Sets every option of an endpoint to its default.
 *
 * @param options (out) The struct to fill; not NULL.
 * @param struct_size (in) sizeof *options.
 * @return MR_OK; MR_E_INVALID_ARGUMENT if options is NULL or no release had a struct of this size.
 *
 * Thread safety: any thread.
 * Blocking: never.
 * @since 0.1
 */
mr_status mr_serve_options_init(struct mr_serve_options *options, size_t struct_size);

/**
 * Sets every option of a request to its default.
 *
 * @param options (out) The struct to fill; not NULL.
 * @param struct_size (in) sizeof *options.
 * @return MR_OK; MR_E_INVALID_ARGUMENT if options is NULL or no release had a struct of this size.
 *
 * Thread safety: any thread.
 * Blocking: never.
 * @since 0.1
 */
mr_status mr_request_options_init(struct mr_request_options *options, size_t struct_size);

/**
 * Sets every option of a run to its default.
 *
 * @param options (out) The struct to fill; not NULL.
 * @param struct_size (in) sizeof *options.
 * @return MR_OK; MR_E_INVALID_ARGUMENT if options is NULL or no release had a struct of this size.
 *
 * Thread safety: any thread.
 * Blocking: never.
 * @since 0.1
 */
mr_status mr_batch_options_init(struct mr_batch_options *options, size_t struct_size);

/**
 * Makes a runtime that serves nothing yet.
 *
 * @param options (in) NULL: the defaults.
 * @param runtime (out) Receives one reference, given back with mr_runtime_release.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_UNSUPPORTED: an option that this version does not know;
 *   MR_E_INVALID_REQUEST: a catalog that is none; MR_E_NOT_FOUND, MR_E_CONFLICT, MR_E_OVERLOADED or MR_E_IO: a database
 *   that cannot be opened (no such folder; another program's or a newer library's; locked; the disk).
 *
 * Thread safety: any thread, concurrently.
 * Blocking: while the database is opened.
 * @since 0.1
 */
mr_status mr_runtime_new(const struct mr_runtime_options *options,
                         struct mr_runtime **runtime,
                         struct mr_error **error);

/**
 * Adds a reference to a runtime, for another thread or another part of the program.
 *
 * @param runtime (in) The runtime; NULL does nothing.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
void mr_runtime_retain(const struct mr_runtime *runtime);

/**
 * Gives one reference to a runtime back. When the last one is gone and every request is freed, the runtime ends and
 * gives its memory back; requests that still run go on until they are freed.
 *
 * @param runtime (in) The reference, given up; NULL does nothing.
 *
 * Thread safety: any thread, callbacks included. Other references stay valid.
 * Blocking: the last one waits for the runtime's threads, for about one step.
 * @since 0.1
 */
void mr_runtime_release(struct mr_runtime *runtime);

/**
 * Loads a model and serves it under a name.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param name (in) The endpoint's name, which requests give as "model".
 * @param name_len (in) Bytes in name.
 * @param model (in) A folder in the Hugging Face layout or a GGUF file.
 * @param model_len (in) Bytes in model.
 * @param options (in) NULL: the defaults.
 * @param progress (in) Hears how far the load is, on this thread; non-zero ends it. NULL: nobody.
 * @param user_data (in) The first argument of progress.
 * @param user_data_free (in) Frees user_data before this function returns, also on failure; NULL: nobody does.
 * @param info (out) Receives owned JSON about the endpoint (name, version, context_length, plan, ...), freed with
 *   mr_text_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST: options that contradict each other or the model;
 *   MR_E_NOT_FOUND or MR_E_IO: the files cannot be read; MR_E_INVALID_MODEL; MR_E_UNSUPPORTED: a model that this
 *   version does not run; MR_E_CONFLICT: the name is taken; MR_E_INSUFFICIENT_MEMORY; MR_E_CALLBACK: progress ended
 *   it. After a failure nothing is left behind.
 *
 * Thread safety: any thread, concurrently; other endpoints go on answering.
 * Blocking: until the model is loaded.
 * @since 0.1
 */
mr_status mr_runtime_serve(const struct mr_runtime *runtime,
                           const char *name,
                           size_t name_len,
                           const char *model,
                           size_t model_len,
                           const struct mr_serve_options *options,
                           mr_progress_callback progress,
                           void *user_data,
                           mr_user_data_free user_data_free,
                           struct mr_text **info,
                           struct mr_error **error);

/**
 * Takes an endpoint away. Its requests end with MR_E_SHUTTING_DOWN, its memory is given back.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param name (in) The endpoint's name.
 * @param name_len (in) Bytes in name.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_NOT_FOUND; MR_E_CONFLICT: it is being loaded.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: for about one step.
 * @since 0.1
 */
mr_status mr_runtime_remove(const struct mr_runtime *runtime,
                            const char *name,
                            size_t name_len,
                            struct mr_error **error);

/**
 * What is served, as a JSON list in order of name; each entry as mr_runtime_serve gives it.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param endpoints (out) Receives owned JSON, freed with mr_text_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
mr_status mr_runtime_endpoints(const struct mr_runtime *runtime,
                               struct mr_text **endpoints,
                               struct mr_error **error);

/**
 * What serving a model would cost, as JSON: weight_bytes, cache_bytes, scratch_bytes, total_bytes, context_length,
 * cache_tokens, max_context, ... Reads headers only.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param model (in) A folder in the Hugging Face layout or a GGUF file.
 * @param model_len (in) Bytes in model.
 * @param options (in) NULL: the defaults.
 * @param plan (out) Receives owned JSON, freed with mr_text_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST; MR_E_NOT_FOUND or MR_E_IO: the files cannot be read;
 *   MR_E_INVALID_MODEL; MR_E_UNSUPPORTED; MR_E_INSUFFICIENT_MEMORY: it does not fit; the message names the largest
 *   context that would.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: while the files' headers are read.
 * @since 0.1
 */
mr_status mr_runtime_plan(const struct mr_runtime *runtime,
                          const char *model,
                          size_t model_len,
                          const struct mr_serve_options *options,
                          struct mr_text **plan,
                          struct mr_error **error);

/**
 * What a runtime is doing, as JSON: queue, batch, cache, tokens and times of each endpoint.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param stats (out) Receives owned JSON, freed with mr_text_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
mr_status mr_runtime_stats(const struct mr_runtime *runtime, struct mr_text **stats, struct mr_error **error);

/**
 * Loads an adapter of low rank (LoRA) beside the model of an endpoint that generates, which goes on answering. Requests
 * choose it by the field "adapter" of their JSON, each its own, and are batched together; the field "model" of their
 * answers names it too.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param endpoint (in) The endpoint's name.
 * @param endpoint_len (in) Bytes in endpoint.
 * @param name (in) What requests call the adapter: text without blanks, '+' and '@'.
 * @param name_len (in) Bytes in name.
 * @param path (in) A folder as PEFT saves it: adapter_config.json and adapter_model.safetensors.
 * @param path_len (in) Bytes in path.
 * @param info (out) Receives owned JSON about the adapter (name, version, rank, modules, bytes, digest, ...), freed with
 *   mr_text_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST: a name that is not accepted; MR_E_NOT_FOUND or MR_E_IO: no
 *   such endpoint, or files that cannot be read; MR_E_INVALID_MODEL: files that are damaged, ask for more than LoRA or do
 *   not fit the model; MR_E_UNSUPPORTED: an endpoint of an encoder; MR_E_CONFLICT: the name is taken;
 *   MR_E_INSUFFICIENT_MEMORY. After a failure nothing is left behind.
 *
 * Thread safety: any thread, concurrently; requests go on being answered.
 * Blocking: until the adapter is loaded.
 * @since 0.1
 */
mr_status mr_runtime_load_adapter(const struct mr_runtime *runtime,
                                  const char *endpoint,
                                  size_t endpoint_len,
                                  const char *name,
                                  size_t name_len,
                                  const char *path,
                                  size_t path_len,
                                  struct mr_text **info,
                                  struct mr_error **error);

/**
 * Takes an adapter away. Requests that run finish with what they began with; its memory is given back when the last of
 * them has ended.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param endpoint (in) The endpoint's name.
 * @param endpoint_len (in) Bytes in endpoint.
 * @param name (in) The adapter's name.
 * @param name_len (in) Bytes in name.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_NOT_FOUND: no such endpoint or adapter; MR_E_UNSUPPORTED: an endpoint of an
 *   encoder.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
mr_status mr_runtime_unload_adapter(const struct mr_runtime *runtime,
                                    const char *endpoint,
                                    size_t endpoint_len,
                                    const char *name,
                                    size_t name_len,
                                    struct mr_error **error);

/**
 * Does an operation, JSON in and JSON out:
 *   registry.   create_model update_model delete_model models model versions register resume pending resolve copy
 *               update_version delete_version set_alias delete_alias set_tag delete_tag
 *   endpoint.   serve configure publish_update roll_back updates history measure provision release attainment set_limits
 *               limit_use
 *   lifecycle.  revise revisions status model_card fine_tuning_models documents tell
 *   usage.      records groups retiring flush
 * What each takes and gives is in the documentation of the Rust module "management". Fields that are not known are
 * refused by name. Later releases add operations.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param operation (in) The operation, such as "registry.register".
 * @param operation_len (in) Bytes in operation.
 * @param request (in) A JSON object; NULL stands for an empty one.
 * @param request_len (in) Bytes in request.
 * @param response (out) Receives owned JSON, "null" where there is nothing to say, freed with mr_text_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST: a field that is missing, unknown or wrong, or a revision
 *   that the rules do not allow; MR_E_NOT_FOUND: no such operation, model, version, alias or endpoint; MR_E_CONFLICT: a
 *   name that is taken, or a thing in a state that forbids it; MR_E_OVERLOADED: the database is locked by others; MR_E_IO;
 *   for the endpoint's operations what mr_runtime_serve may fail with. After a failure everything is as before.
 *
 * Thread safety: any thread, concurrently; requests go on being answered.
 * Blocking: while the database is written; registry.register and registry.resume until the files are hashed,
 *   endpoint.serve, configure, publish_update and roll_back until the models are loaded.
 * @since 0.1
 */
mr_status mr_runtime_manage(const struct mr_runtime *runtime,
                            const char *operation,
                            size_t operation_len,
                            const char *request,
                            size_t request_len,
                            struct mr_text **response,
                            struct mr_error **error);

/**
 * Answers a chat request, all at once.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param request (in) JSON in the OpenAI shape; unknown fields are refused by name.
 * @param request_len (in) Bytes in request.
 * @param options (in) NULL: the defaults.
 * @param response (out) Receives owned JSON in the OpenAI shape, freed with mr_text_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST; MR_E_CONTEXT_LENGTH_EXCEEDED; MR_E_NOT_FOUND: no such
 *   endpoint; MR_E_UNSUPPORTED: a field that is not supported, or a model without a chat template;
 *   MR_E_OVERLOADED; MR_E_DEADLINE_EXCEEDED; MR_E_SHUTTING_DOWN; MR_E_INTERNAL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: until the answer is complete.
 * @since 0.1
 */
mr_status mr_runtime_chat(const struct mr_runtime *runtime,
                          const char *request,
                          size_t request_len,
                          const struct mr_request_options *options,
                          struct mr_text **response,
                          struct mr_error **error);

/**
 * Answers a text completion request, all at once.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param request (in) JSON in the OpenAI shape; unknown fields are refused by name.
 * @param request_len (in) Bytes in request.
 * @param options (in) NULL: the defaults.
 * @param response (out) Receives owned JSON in the OpenAI shape, freed with mr_text_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return As mr_runtime_chat.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: until the answer is complete.
 * @since 0.1
 */
mr_status mr_runtime_complete(const struct mr_runtime *runtime,
                              const char *request,
                              size_t request_len,
                              const struct mr_request_options *options,
                              struct mr_text **response,
                              struct mr_error **error);

/**
 * Submits a chat request whose answer is read in pieces, or waited for.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param request_json (in) JSON in the OpenAI shape; unknown fields are refused by name. "stream" may be given or not;
 *   "stream_options" needs it.
 * @param request_json_len (in) Bytes in request_json.
 * @param options (in) NULL: the defaults.
 * @param callback (in) Receives the events on the runtime's dispatch thread, possibly before this function returns;
 *   NULL: read them with mr_request_next.
 * @param user_data (in) The first argument of callback.
 * @param user_data_free (in) Frees user_data once: after the last event, when the request is freed, or before this
 *   function returns if that fails or callback is NULL. NULL: nobody does.
 * @param request (out) Receives the owned request, freed with mr_request_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST; MR_E_CONTEXT_LENGTH_EXCEEDED; MR_E_NOT_FOUND: no such
 *   endpoint; MR_E_UNSUPPORTED: a field that is not supported, or a model without a chat template;
 *   MR_E_OVERLOADED; MR_E_SHUTTING_DOWN.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never for long; the prompt is tokenized.
 * @since 0.1
 */
mr_status mr_runtime_submit_chat(const struct mr_runtime *runtime,
                                 const char *request_json,
                                 size_t request_json_len,
                                 const struct mr_request_options *options,
                                 mr_event_callback callback,
                                 void *user_data,
                                 mr_user_data_free user_data_free,
                                 struct mr_request **request,
                                 struct mr_error **error);

/**
 * Submits a text completion request whose answer is read in pieces, or waited for.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param request_json (in) JSON in the OpenAI shape; unknown fields are refused by name. "stream" may be given or not;
 *   "stream_options" needs it.
 * @param request_json_len (in) Bytes in request_json.
 * @param options (in) NULL: the defaults.
 * @param callback (in) Receives the events on the runtime's dispatch thread, possibly before this function returns;
 *   NULL: read them with mr_request_next.
 * @param user_data (in) The first argument of callback.
 * @param user_data_free (in) Frees user_data once: after the last event, when the request is freed, or before this
 *   function returns if that fails or callback is NULL. NULL: nobody does.
 * @param request (out) Receives the owned request, freed with mr_request_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return As mr_runtime_submit_chat.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never for long; the prompt is tokenized.
 * @since 0.1
 */
mr_status mr_runtime_submit_completion(const struct mr_runtime *runtime,
                                       const char *request_json,
                                       size_t request_json_len,
                                       const struct mr_request_options *options,
                                       mr_event_callback callback,
                                       void *user_data,
                                       mr_user_data_free user_data_free,
                                       struct mr_request **request,
                                       struct mr_error **error);

/**
 * Waits for the next pieces of an answer and gives all that are there as one event.
 *
 * Several threads may read one request; each event goes to one of them.
 *
 * @param request (in) The request; not NULL, submitted without a callback.
 * @param timeout_ms (in) How long to wait; 0: not at all; MR_WAIT_FOREVER.
 * @param event (out) Receives an owned event, freed with mr_event_free; written only with MR_OK.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK: there is an event. MR_TIMED_OUT: nothing new in time. MR_DONE: the answer is complete and was
 *   read. MR_E_INVALID_ARGUMENT; MR_E_CONFLICT: the request has a callback; or what ended the request
 *   (MR_E_CANCELLED, MR_E_DEADLINE_EXCEEDED, MR_E_SHUTTING_DOWN, MR_E_INTERNAL), again in every later call.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: up to timeout_ms.
 * @since 0.1
 */
mr_status mr_request_next(const struct mr_request *request,
                          int64_t timeout_ms,
                          struct mr_event **event,
                          struct mr_error **error);

/**
 * Waits for the end of an answer and gives the whole response, whatever of it was read before.
 *
 * With a callback it waits until the callback has seen the last event and returned: with timeout_ms 0 it may answer MR_TIMED_OUT
 * while that is still running.
 *
 * @param request (in) The request; not NULL.
 * @param timeout_ms (in) How long to wait; 0: not at all; MR_WAIT_FOREVER.
 * @param response (out) Receives owned JSON in the OpenAI shape, freed with mr_text_free; written only with MR_OK.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK. MR_TIMED_OUT: not yet. MR_E_INVALID_ARGUMENT; MR_E_CALLBACK: the request's callback ended it;
 *   MR_E_CONFLICT: it would wait for the callback that calls it; or what ended the request (MR_E_CANCELLED,
 *   MR_E_DEADLINE_EXCEEDED, MR_E_SHUTTING_DOWN, MR_E_INTERNAL). Later calls answer the same.
 *
 * Thread safety: any thread, concurrently; not in a callback for a request with a callback.
 * Blocking: up to timeout_ms.
 * @since 0.1
 */
mr_status mr_request_wait(const struct mr_request *request,
                          int64_t timeout_ms,
                          struct mr_text **response,
                          struct mr_error **error);

/**
 * Asks a request to end: it ends with MR_E_CANCELLED within one step. One that has ended stays as it is.
 *
 * @param request (in) The request; NULL does nothing.
 *
 * Thread safety: any thread, concurrently, also while others wait for the request.
 * Blocking: never.
 * @since 0.1
 */
void mr_request_cancel(const struct mr_request *request);

/**
 * The exact version that serves a request, as the field "model" of its answer names it.
 *
 * @param request (in) The request, or NULL.
 * @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
 * @return UTF-8 with a NUL behind it, valid until the request is freed; NULL (and *len untouched) if request is
 *   NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const char *mr_request_get_version(const struct mr_request *request,
                                   size_t *len);

/**
 * When things happened to a request that has ended well, as a JSON object: queued_seconds,
 * time_to_first_token_seconds (null without a token), total_seconds, preemptions.
 *
 * @param request (in) The request; not NULL.
 * @param timings (out) Receives owned JSON, freed with mr_text_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_CONFLICT: it has not ended, or not well.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
mr_status mr_request_timings(const struct mr_request *request,
                             struct mr_text **timings,
                             struct mr_error **error);

/**
 * Frees a request; one that still runs is cancelled first.
 *
 * With a callback: the callback has returned and never runs again, and its user_data was freed; inside that
 * callback, user_data is freed when it returns.
 *
 * @param request (in) The request, given up; NULL, and a request that was freed before, do nothing.
 *
 * Thread safety: any thread, callbacks included. Calls of other threads on the request that are under way end with
 *   MR_E_CANCELLED, later ones with MR_E_INVALID_ARGUMENT.
 * Blocking: while the request's callback runs on another thread. The last handle of a released runtime also waits
 *   for the runtime's threads, for about one step.
 * @since 0.1
 */
void mr_request_free(struct mr_request *request);

/**
 * Writes the conversation of a request that has ended well into a file: the tokens of its prompt and of its answer, and
 * what the endpoint's cache holds of them.
 *
 * @param request (in) The request; not NULL.
 * @param choice (in) Which of its answers, from 0.
 * @param path (in) The file, which is complete afterwards or as it was before.
 * @param path_len (in) Bytes in path.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_CONFLICT: it has not ended, or not well, or has no such choice;
 *   MR_E_NOT_FOUND: its endpoint or adapter is gone; MR_E_UNSUPPORTED: an endpoint without prefix sharing; MR_E_IO;
 *   MR_E_INSUFFICIENT_MEMORY.
 *
 * Thread safety: any thread, concurrently; not in a callback.
 * Blocking: while the cache is copied and the file written; others are served meanwhile.
 * @since 0.1
 */
mr_status mr_request_save_session(const struct mr_request *request,
                                  size_t choice,
                                  const char *path,
                                  size_t path_len,
                                  struct mr_error **error);

/**
 * Puts a conversation from a file into the cache of an endpoint that serves the same model in the same way. The next
 * request that begins with it finds it there, and its answer is the same as if it had never been away.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param endpoint (in) The endpoint's name.
 * @param endpoint_len (in) Bytes in endpoint.
 * @param path (in) The file.
 * @param path_len (in) Bytes in path.
 * @param cached_tokens (out) Receives how many tokens from its beginning need not be computed again, as long as the cache
 *   has room for them; NULL if it is not wanted.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST: no session, or a damaged one; MR_E_CONFLICT: one of another
 *   model, kind of cache or instruction set, both of which the message names; MR_E_NOT_FOUND; MR_E_UNSUPPORTED; MR_E_OVERLOADED:
 *   running requests hold the whole cache; MR_E_IO.
 *
 * Thread safety: any thread, concurrently; not in a callback.
 * Blocking: while the file is read and copied; others are served meanwhile.
 * @since 0.1
 */
mr_status mr_runtime_restore_session(const struct mr_runtime *runtime,
                                     const char *endpoint,
                                     size_t endpoint_len,
                                     const char *path,
                                     size_t path_len,
                                     size_t *cached_tokens,
                                     struct mr_error **error);

/**
 * Begins to make the vectors of texts.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param request_json (in) JSON in the OpenAI shape: model, input (a string, token ids, or a list of either), and
 *   optionally instruction, prompt_name, dimensions, normalize, truncate, pooling, encoding_format, user. Unknown
 *   fields are refused by name.
 * @param request_json_len (in) Bytes in request_json.
 * @param options (in) NULL: the defaults.
 * @param embeddings (out) Receives the owned handle, freed with mr_embeddings_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST; MR_E_CONTEXT_LENGTH_EXCEEDED: a text is too long, and
 *   truncate is "error"; MR_E_NOT_FOUND: no such endpoint; MR_E_UNSUPPORTED: the endpoint generates text;
 *   MR_E_OVERLOADED; MR_E_SHUTTING_DOWN; MR_E_INSUFFICIENT_MEMORY.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never for long; the texts are tokenized.
 * @since 0.1
 */
mr_status mr_runtime_submit_embeddings(const struct mr_runtime *runtime,
                                       const char *request_json,
                                       size_t request_json_len,
                                       const struct mr_request_options *options,
                                       struct mr_embeddings **embeddings,
                                       struct mr_error **error);

/**
 * The vectors of texts, all at once, as JSON.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param request (in) JSON as for mr_runtime_submit_embeddings.
 * @param request_len (in) Bytes in request.
 * @param options (in) NULL: the defaults.
 * @param response (out) Receives owned JSON in the OpenAI shape, freed with mr_text_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return As mr_runtime_submit_embeddings; MR_E_DEADLINE_EXCEEDED; MR_E_INTERNAL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: until all vectors are made.
 * @since 0.1
 */
mr_status mr_runtime_embeddings(const struct mr_runtime *runtime,
                                const char *request,
                                size_t request_len,
                                const struct mr_request_options *options,
                                struct mr_text **response,
                                struct mr_error **error);

/**
 * Waits until all vectors are made. Afterwards mr_embeddings_get_values gives them.
 *
 * @param embeddings (in) The handle; not NULL.
 * @param timeout_ms (in) How long to wait; 0: not at all; MR_WAIT_FOREVER.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK. MR_TIMED_OUT: not yet. MR_E_INVALID_ARGUMENT; or what ended the request (MR_E_CANCELLED,
 *   MR_E_DEADLINE_EXCEEDED, MR_E_SHUTTING_DOWN, MR_E_INTERNAL). Later calls answer the same.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: up to timeout_ms.
 * @since 0.1
 */
mr_status mr_embeddings_wait(const struct mr_embeddings *embeddings,
                             int64_t timeout_ms,
                             struct mr_error **error);

/**
 * Tells of the end once, by a callback, so that no thread has to wait for it.
 *
 * @param embeddings (in) The handle; not NULL.
 * @param callback (in) Receives one event on the runtime's dispatch thread, possibly before this function returns:
 *   MR_EVENT_FINISHED: all vectors are made, and mr_embeddings_wait answers MR_OK at once; or MR_EVENT_FAILED. What it returns is of no
 *   account. Not NULL.
 * @param user_data (in) The first argument of callback.
 * @param user_data_free (in) Frees user_data once: after the event, when the handle is freed, or before this function returns if
 *   that fails. NULL: nobody does.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_CONFLICT: the handle has a callback already; MR_E_SHUTTING_DOWN.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
mr_status mr_embeddings_notify(const struct mr_embeddings *embeddings,
                               mr_event_callback callback,
                               void *user_data,
                               mr_user_data_free user_data_free,
                               struct mr_error **error);

/**
 * All vectors in one block, row by row, in the order of the texts: rows * dimension floats.
 *
 * @param embeddings (in) The handle, or NULL.
 * @param rows (out) Receives the number of texts; NULL if it is not wanted.
 * @param dimension (out) Receives the number of values of a vector; NULL if it is not wanted.
 * @return A pointer into the handle, aligned for float, valid until the handle is freed. NULL (and nothing written)
 *   before mr_embeddings_wait has answered MR_OK.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const float *mr_embeddings_get_values(const struct mr_embeddings *embeddings,
                                      size_t *rows,
                                      size_t *dimension);

/**
 * How many texts have their vectors: the first ones, in the order of the request.
 *
 * @param embeddings (in) The handle, or NULL.
 * @return The number of texts; 0 if embeddings is NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
size_t mr_embeddings_get_done(const struct mr_embeddings *embeddings);

/**
 * The tokens of one text that are computed, special tokens included. Known from the start.
 *
 * @param embeddings (in) The handle, or NULL.
 * @param row (in) The text, from 0 on.
 * @return The number of tokens; 0 if there is no such text.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
size_t mr_embeddings_get_tokens(const struct mr_embeddings *embeddings, size_t row);

/**
 * Whether one text was longer than the endpoint takes and was cut. Known from the start.
 *
 * @param embeddings (in) The handle, or NULL.
 * @param row (in) The text, from 0 on.
 * @return 1 if it was cut; 0 if not, or if there is no such text.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
int32_t mr_embeddings_get_truncated(const struct mr_embeddings *embeddings, size_t row);

/**
 * What is applied to the vectors. Known from the start.
 *
 * @param embeddings (in) The handle, or NULL.
 * @return MR_NORMALIZE_L2 or MR_NORMALIZE_NONE; -1 if embeddings is NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
int32_t mr_embeddings_get_normalize(const struct mr_embeddings *embeddings);

/**
 * The exact version that answers.
 *
 * @param embeddings (in) The handle, or NULL.
 * @param len (out) Receives the number of bytes without the NUL; NULL if it is not wanted.
 * @return UTF-8 with a NUL behind it, valid until the handle is freed; NULL (and *len untouched) if embeddings is NULL.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never.
 * @since 0.1
 */
const char *mr_embeddings_get_version(const struct mr_embeddings *embeddings,
                                      size_t *len);

/**
 * The response as JSON of the OpenAI shape, in the encoding that the request asked for.
 *
 * @param embeddings (in) The handle; not NULL.
 * @param response (out) Receives owned JSON, freed with mr_text_free.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_CONFLICT: mr_embeddings_wait has not answered MR_OK yet; or what ended
 *   the request.
 *
 * Thread safety: any thread, concurrently.
 * Blocking: never for long; the values are printed.
 * @since 0.1
 */
mr_status mr_embeddings_response(const struct mr_embeddings *embeddings,
                                 struct mr_text **response,
                                 struct mr_error **error);

/**
 * Asks for the end of what is not done: it ends with MR_E_CANCELLED within one batch. What has ended stays as it is.
 *
 * @param embeddings (in) The handle; NULL does nothing.
 *
 * Thread safety: any thread, concurrently, also while others wait for it.
 * Blocking: never.
 * @since 0.1
 */
void mr_embeddings_cancel(const struct mr_embeddings *embeddings);

/**
 * Frees the handle and the vectors in it; what is not done is cancelled first.
 *
 * With a callback: the callback has returned and never runs again, and its user_data was freed; inside that callback, user_data is
 * freed when it returns.
 *
 * @param embeddings (in) The handle, given up; NULL, and one that was freed before, do nothing.
 *
 * Thread safety: any thread. Calls of other threads on the handle that are under way end with MR_E_CANCELLED, later ones
 *   with MR_E_INVALID_ARGUMENT. Nobody may read the values afterwards.
 * Blocking: while its callback runs on another thread. The last handle of a released runtime also waits for the runtime's threads,
 *   for about one batch.
 * @since 0.1
 */
void mr_embeddings_free(struct mr_embeddings *embeddings);

/**
 * Answers a file of requests, one in each line in the shape of the OpenAI batch API (chat, completions and embeddings, mixed), and
 * writes a result for each into another file. A request that fails has its error in its result. A run that was ended, in
 * whatever way, goes on where it was when it is run again with the same files.
 *
 * @param runtime (in) The runtime; not NULL.
 * @param requests (in) The file of requests.
 * @param requests_len (in) Bytes in requests.
 * @param results (in) The file of results; made if it is not there, continued if it is.
 * @param results_len (in) Bytes in results.
 * @param options (in) NULL: the defaults.
 * @param progress (in) Hears how far the run is, on this thread; non-zero ends it. NULL: nobody.
 * @param user_data (in) The first argument of progress.
 * @param user_data_free (in) Frees user_data before this function returns, also on failure; NULL: nobody does.
 * @param summary (out) Receives owned JSON, freed with mr_text_free: what progress hears, and complete, which is true when every
 *   request has its result.
 * @param error (out) Receives an owned error on failure; NULL if it is not wanted.
 * @return MR_OK; MR_E_INVALID_ARGUMENT; MR_E_INVALID_REQUEST: results of other requests; MR_E_NOT_FOUND or MR_E_IO: files that
 *   cannot be read or written; MR_E_CALLBACK: progress ended it; MR_E_SHUTTING_DOWN; MR_E_INSUFFICIENT_MEMORY.
 *
 * Thread safety: any thread, concurrently, with other files.
 * Blocking: until every request has its result.
 * @since 0.1
 */
mr_status mr_runtime_run_batch(const struct mr_runtime *runtime,
                               const char *requests,
                               size_t requests_len,
                               const char *results,
                               size_t results_len,
                               const struct mr_batch_options *options,
                               mr_batch_callback progress,
                               void *user_data,
                               mr_user_data_free user_data_free,
                               struct mr_text **summary,
                               struct mr_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MODEL_RUNTIME_H */
