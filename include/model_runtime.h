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
 *   together. Every answer and every chunk names the exact version that served it in its field "model".
 *
 * THREADS
 *   Every function may be called from any thread, and on one handle from many threads at the same time. The one
 *   exception is a function that ends a handle: while one thread is in a *_free, no other may be in a call on that
 *   handle, nor use it later. Runtimes are counted: a thread that holds a reference of its own (mr_runtime_retain)
 *   may use it whatever the others release. Nothing is stored per thread; threads that come and go are fine.
 *
 * OWNERSHIP
 *   mr_runtime                      counted: mr_runtime_new gives one reference, mr_runtime_retain one more, each is
 *                                   given back by one mr_runtime_release.
 *   mr_request, mr_event, mr_text,  one owner: whoever received it frees it once with its *_free.
 *   mr_error
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

/** For the timeouts of mr_request_next and mr_request_wait: as long as it takes. */
#define MR_WAIT_FOREVER (-1)

/** The defaults of mr_runtime_options. */
#define MR_RUNTIME_OPTIONS_INIT {sizeof(mr_runtime_options), 0}
/** The defaults of mr_serve_options. */
#define MR_SERVE_OPTIONS_INIT {sizeof(mr_serve_options), 0, 0, 0, 0, 0, 0, MR_PREFIX_SHARING_DEFAULT, 0, NULL, 0, NULL, 0}
/** The defaults of mr_request_options. */
#define MR_REQUEST_OPTIONS_INIT {sizeof(mr_request_options), 0, 0, 0}


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
 * What went wrong in a call: owned by the caller, freed with mr_error_free. It never changes.
 */
typedef struct mr_error mr_error;

/**
 * What a running request reports: one or more pieces of its answer, or its end. From mr_request_next it is owned by
 * the caller and freed with mr_event_free; in a callback it is lent until the callback returns. It never changes.
 */
typedef struct mr_event mr_event;

/**
 * Text of this library, mostly JSON: UTF-8, owned by the caller, freed with mr_text_free. It never changes.
 */
typedef struct mr_text mr_text;

/**
 * What a function answers: MR_OK, an outcome that is no failure (1 to 99), or an error (MR_E_..., from 100).
 */
typedef int32_t mr_status;

/**
 * Options of a runtime. Begin with MR_RUNTIME_OPTIONS_INIT or mr_runtime_options_init; zero is the default.
 */
typedef struct mr_runtime_options {
  /**
   * sizeof(mr_runtime_options), set by the initializers.
   */
  size_t struct_size;
  /**
   * The most bytes that all models of the runtime take together, weights, caches and scratch; 0: what the machine
   * has.
   */
  uint64_t memory_budget;
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
   * The longest prompt and answer together, in tokens; 0: what the model was trained for.
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
} mr_request_options;

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
 * The text that the event adds to the answer, of all its chunks together.
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

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MODEL_RUNTIME_H */
