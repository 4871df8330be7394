/* What stands between Go and the library: functions that build the library's option structs on the C stack, and static
   callbacks that turn user_data back into a number before Go sees it. A Go pointer never lies in C memory, and a number
   never lies in a Go pointer. */
#ifndef MRGO_BRIDGE_H
#define MRGO_BRIDGE_H

#include <model_runtime.h>

#define MRGO_CHAT 0
#define MRGO_COMPLETION 1

/* What an error says. The texts belong to the error. */
typedef struct {
  const char *message, *param, *json;
  size_t message_len, param_len, json_len;
  int64_t retry_after_ms;
  int32_t code, status, retryable;
} mrgo_error_fields;

void mrgo_error_read(const mr_error *error, mrgo_error_fields *fields);

/* clock, listener: handles of Go, 0 for none. database and catalog: NULL for none. */
mr_status mrgo_new(uint64_t memory_budget, const char *database, size_t database_len, const char *catalog,
                   size_t catalog_len, uintptr_t clock, uintptr_t listener, mr_runtime **runtime, mr_error **error);

/* The numbers of options come in a struct without pointers, the texts and the cores beside it; NULL for none.
   load: a handle of Go that hears the progress, 0 for none. */
mr_status mrgo_serve(const mr_runtime *runtime, const char *name, size_t name_len, const char *model, size_t model_len,
                     const mr_serve_options *numbers, const char *version, size_t version_len, const char *chat_template,
                     size_t chat_template_len, const uint32_t *affinity, size_t affinity_len, uintptr_t load,
                     mr_text **info, mr_error **error);
mr_status mrgo_plan(const mr_runtime *runtime, const char *model, size_t model_len, const mr_serve_options *numbers,
                    const char *version, size_t version_len, const char *chat_template, size_t chat_template_len,
                    const uint32_t *affinity, size_t affinity_len, mr_text **plan, mr_error **error);

/* task: MRGO_... principal and entity: NULL for none. data: a handle of Go that hears the events. version belongs to the
   request. */
mr_status mrgo_submit(int32_t task, const mr_runtime *runtime, const char *json, size_t json_len,
                      const mr_request_options *numbers, const char *principal, size_t principal_len, const char *entity,
                      size_t entity_len, uintptr_t data, mr_request **request, const char **version, size_t *version_len,
                      mr_error **error);
mr_status mrgo_submit_embeddings(const mr_runtime *runtime, const char *json, size_t json_len,
                                 const mr_request_options *numbers, const char *principal, size_t principal_len,
                                 const char *entity, size_t entity_len, mr_embeddings **embeddings, mr_error **error);

/* waiter: a handle of Go that is told of the end. */
mr_status mrgo_embeddings_notify(const mr_embeddings *embeddings, uintptr_t waiter, mr_error **error);

/* tokens and truncated have room for rows numbers. */
void mrgo_embeddings_rows(const mr_embeddings *embeddings, size_t rows, size_t *tokens, uint8_t *truncated);

/* numbers, principal and entity: of each request. run: a handle of Go that hears the progress. */
mr_status mrgo_run_batch(const mr_runtime *runtime, const char *requests, size_t requests_len, const char *results,
                         size_t results_len, uint32_t concurrency, int32_t order, const mr_request_options *numbers,
                         const char *principal, size_t principal_len, const char *entity, size_t entity_len,
                         uintptr_t run, mr_text **summary, mr_error **error);

#endif
