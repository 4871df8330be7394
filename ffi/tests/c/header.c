/* The header alone, in every C and C++; the layout of the structs is part of the binary interface. */
#include "model_runtime.h"

#if defined(__cplusplus)
#define ASSERT(condition) static_assert(condition, #condition)
#elif __STDC_VERSION__ >= 201112L
#define ASSERT(condition) _Static_assert(condition, #condition)
#else
#define ASSERT(condition) extern int asserted[(condition) ? 1 : -1]
#endif

#define FIELD(type, field, offset) ASSERT(offsetof(type, field) == (offset))

ASSERT(sizeof(mr_status) == 4);
ASSERT(sizeof(mr_runtime_options) == 96);
FIELD(mr_runtime_options, struct_size, 0);
FIELD(mr_runtime_options, memory_budget, 8);
FIELD(mr_runtime_options, database, 16);
FIELD(mr_runtime_options, database_len, 24);
FIELD(mr_runtime_options, catalog, 32);
FIELD(mr_runtime_options, catalog_len, 40);
FIELD(mr_runtime_options, clock, 48);
FIELD(mr_runtime_options, clock_data, 56);
FIELD(mr_runtime_options, clock_data_free, 64);
FIELD(mr_runtime_options, on_lifecycle, 72);
FIELD(mr_runtime_options, lifecycle_data, 80);
FIELD(mr_runtime_options, lifecycle_data_free, 88);
ASSERT(sizeof(mr_serve_options) == 120);
FIELD(mr_serve_options, context_length, 8);
FIELD(mr_serve_options, cache_tokens, 16);
FIELD(mr_serve_options, max_batch_tokens, 24);
FIELD(mr_serve_options, max_prefill_tokens, 28);
FIELD(mr_serve_options, max_sequences, 32);
FIELD(mr_serve_options, max_queue, 36);
FIELD(mr_serve_options, prefix_sharing, 40);
FIELD(mr_serve_options, reserved, 44);
FIELD(mr_serve_options, version, 48);
FIELD(mr_serve_options, version_len, 56);
FIELD(mr_serve_options, chat_template, 64);
FIELD(mr_serve_options, chat_template_len, 72);
FIELD(mr_serve_options, backend, 80);
FIELD(mr_serve_options, threads, 84);
FIELD(mr_serve_options, compute, 88);
FIELD(mr_serve_options, cache_type, 92);
FIELD(mr_serve_options, quantize, 96);
FIELD(mr_serve_options, reserved2, 100);
FIELD(mr_serve_options, affinity, 104);
FIELD(mr_serve_options, affinity_len, 112);
ASSERT(sizeof(mr_request_options) == 64);
FIELD(mr_request_options, priority, 8);
FIELD(mr_request_options, reserved, 12);
FIELD(mr_request_options, timeout_ms, 16);
FIELD(mr_request_options, principal, 24);
FIELD(mr_request_options, principal_len, 32);
FIELD(mr_request_options, entity, 40);
FIELD(mr_request_options, entity_len, 48);
FIELD(mr_request_options, lifecycle, 56);
FIELD(mr_request_options, whole, 60);

#if MR_VERSION_NUMBER != MR_VERSION_MAJOR * 1000000 + MR_VERSION_MINOR * 1000 + MR_VERSION_PATCH
#error "the version's number is not made of its parts"
#endif

/* Codes never change. */
ASSERT(MR_OK == 0 && MR_TIMED_OUT == 1 && MR_DONE == 2);
ASSERT(MR_E_INVALID_ARGUMENT == 100 && MR_E_INVALID_REQUEST == 101 && MR_E_CONTEXT_LENGTH_EXCEEDED == 102);
ASSERT(MR_E_NOT_FOUND == 103 && MR_E_CONFLICT == 104 && MR_E_UNSUPPORTED == 105);
ASSERT(MR_E_MODEL_RETIRED == 106 && MR_E_PERMISSION_DENIED == 107);
ASSERT(MR_CLOCK_WALL == 0 && MR_CLOCK_MONOTONIC == 1);
ASSERT(MR_E_INVALID_MODEL == 200 && MR_E_IO == 201 && MR_E_INSUFFICIENT_MEMORY == 202);
ASSERT(MR_E_OVERLOADED == 300 && MR_E_CANCELLED == 301 && MR_E_DEADLINE_EXCEEDED == 302);
ASSERT(MR_E_SHUTTING_DOWN == 303 && MR_E_RATE_LIMITED == 304 && MR_E_CALLBACK == 400 && MR_E_INTERNAL == 500);
ASSERT(MR_BACKEND_DEFAULT == 0 && MR_BACKEND_CPU == 1 && MR_BACKEND_CANDLE == 2);
ASSERT(MR_COMPUTE_DEFAULT == 0 && MR_COMPUTE_F32 == 1 && MR_COMPUTE_BF16 == 2 && MR_COMPUTE_INT8 == 3);
ASSERT(MR_CACHE_TYPE_DEFAULT == 0 && MR_CACHE_TYPE_F16 == 1 && MR_CACHE_TYPE_BF16 == 2 && MR_CACHE_TYPE_F32 == 3);
ASSERT(MR_CACHE_TYPE_Q8 == 4 && MR_QUANTIZE_NONE == 0 && MR_QUANTIZE_Q8_0 == 1);
ASSERT(MR_QUANTIZE_Q6_K == 2 && MR_QUANTIZE_Q4_K == 3);
ASSERT(MR_EVENT_CHUNKS == 1 && MR_EVENT_FINISHED == 2 && MR_EVENT_FAILED == 3);

int header(mr_runtime **runtime, mr_error **error);

int header(mr_runtime **runtime, mr_error **error) {
  mr_runtime_options runtime_options = MR_RUNTIME_OPTIONS_INIT;
  mr_serve_options serve_options = MR_SERVE_OPTIONS_INIT;
  mr_request_options request_options = MR_REQUEST_OPTIONS_INIT;
  mr_event_callback callback = NULL;
  mr_progress_callback progress = NULL;
  mr_user_data_free user_data_free = NULL;
  int sizes = serve_options.struct_size == sizeof serve_options && request_options.struct_size == sizeof request_options;
  return sizes && callback == NULL && progress == NULL && user_data_free == NULL &&
         mr_runtime_new(&runtime_options, runtime, error) == MR_OK;
}
