#include "bridge.h"

#include "_cgo_export.h"

void mrgo_error_read(const mr_error *error, mrgo_error_fields *fields) {
  fields->code = mr_error_get_code(error);
  fields->status = mr_error_get_status(error);
  fields->retryable = mr_error_get_retryable(error);
  fields->retry_after_ms = mr_error_get_retry_after_ms(error);
  fields->message = mr_error_get_message(error, &fields->message_len);
  fields->param = mr_error_get_param(error, &fields->param_len);
  fields->json = mr_error_get_json(error, &fields->json_len);
}

/* A handle of Go is a number; the library carries it as its void pointer. */
static void *as_data(uintptr_t handle) { return (void *)handle; }

static void free_handle(void *user_data) { mrgoFree((uintptr_t)user_data); }

static int64_t on_clock(void *user_data, int32_t which) { return mrgoClock((uintptr_t)user_data, which); }

static void on_lifecycle(void *user_data, const char *event, size_t event_len) {
  mrgoLifecycle((uintptr_t)user_data, (char *)event, event_len);
}

static int32_t on_progress(void *user_data, int32_t phase, uint64_t done, uint64_t total) {
  return mrgoProgress((uintptr_t)user_data, phase, done, total);
}

static int32_t on_batch(void *user_data, const char *progress, size_t progress_len) {
  return mrgoBatch((uintptr_t)user_data, (char *)progress, progress_len);
}

static int32_t on_event(void *user_data, const mr_event *event) {
  size_t text_len = 0, json_len = 0, stream_len = 0;
  const char *text = mr_event_get_text(event, &text_len);
  const char *json = mr_event_get_json(event, &json_len);
  const char *stream = mr_event_get_stream(event, &stream_len);
  mrgoEvent((uintptr_t)user_data, mr_event_get_kind(event), (char *)text, text_len, (char *)json, json_len,
            (char *)stream, stream_len, (mr_error *)mr_event_get_error(event));
  return 0;
}

/* Either end: mr_embeddings_wait says which. */
static int32_t on_vectors(void *user_data, const mr_event *event) {
  (void)event;
  mrgoVectors((uintptr_t)user_data);
  return 0;
}

mr_status mrgo_new(uint64_t memory_budget, const char *database, size_t database_len, const char *catalog,
                   size_t catalog_len, uintptr_t clock, uintptr_t listener, mr_runtime **runtime, mr_error **error) {
  mr_runtime_options options = MR_RUNTIME_OPTIONS_INIT;
  options.memory_budget = memory_budget;
  options.database = database;
  options.database_len = database_len;
  options.catalog = catalog;
  options.catalog_len = catalog_len;
  if (clock != 0) {
    options.clock = on_clock;
    options.clock_data = as_data(clock);
    options.clock_data_free = free_handle;
  }
  if (listener != 0) {
    options.on_lifecycle = on_lifecycle;
    options.lifecycle_data = as_data(listener);
    options.lifecycle_data_free = free_handle;
  }
  return mr_runtime_new(&options, runtime, error);
}

static mr_serve_options serve_options(const mr_serve_options *numbers, const char *version, size_t version_len,
                                      const char *chat_template, size_t chat_template_len, const uint32_t *affinity,
                                      size_t affinity_len) {
  mr_serve_options options = *numbers;
  options.struct_size = sizeof options;
  options.version = version;
  options.version_len = version_len;
  options.chat_template = chat_template;
  options.chat_template_len = chat_template_len;
  options.affinity = affinity;
  options.affinity_len = affinity_len;
  return options;
}

mr_status mrgo_serve(const mr_runtime *runtime, const char *name, size_t name_len, const char *model, size_t model_len,
                     const mr_serve_options *numbers, const char *version, size_t version_len, const char *chat_template,
                     size_t chat_template_len, const uint32_t *affinity, size_t affinity_len, uintptr_t load,
                     mr_text **info, mr_error **error) {
  mr_serve_options options =
      serve_options(numbers, version, version_len, chat_template, chat_template_len, affinity, affinity_len);
  return mr_runtime_serve(runtime, name, name_len, model, model_len, &options, load != 0 ? on_progress : NULL,
                          as_data(load), load != 0 ? free_handle : NULL, info, error);
}

mr_status mrgo_plan(const mr_runtime *runtime, const char *model, size_t model_len, const mr_serve_options *numbers,
                    const char *version, size_t version_len, const char *chat_template, size_t chat_template_len,
                    const uint32_t *affinity, size_t affinity_len, mr_text **plan, mr_error **error) {
  mr_serve_options options =
      serve_options(numbers, version, version_len, chat_template, chat_template_len, affinity, affinity_len);
  return mr_runtime_plan(runtime, model, model_len, &options, plan, error);
}

static mr_request_options request_options(const mr_request_options *numbers, const char *principal, size_t principal_len,
                                          const char *entity, size_t entity_len) {
  mr_request_options options = *numbers;
  options.struct_size = sizeof options;
  options.principal = principal;
  options.principal_len = principal_len;
  options.entity = entity;
  options.entity_len = entity_len;
  return options;
}

mr_status mrgo_submit(int32_t task, const mr_runtime *runtime, const char *json, size_t json_len,
                      const mr_request_options *numbers, const char *principal, size_t principal_len, const char *entity,
                      size_t entity_len, uintptr_t data, mr_request **request, const char **version, size_t *version_len,
                      mr_error **error) {
  mr_request_options options = request_options(numbers, principal, principal_len, entity, entity_len);
  mr_status status =
      task == MRGO_CHAT
          ? mr_runtime_submit_chat(runtime, json, json_len, &options, on_event, as_data(data), free_handle, request, error)
          : mr_runtime_submit_completion(runtime, json, json_len, &options, on_event, as_data(data), free_handle, request,
                                         error);
  if (status == MR_OK) *version = mr_request_get_version(*request, version_len);
  return status;
}

mr_status mrgo_submit_embeddings(const mr_runtime *runtime, const char *json, size_t json_len,
                                 const mr_request_options *numbers, const char *principal, size_t principal_len,
                                 const char *entity, size_t entity_len, mr_embeddings **embeddings, mr_error **error) {
  mr_request_options options = request_options(numbers, principal, principal_len, entity, entity_len);
  return mr_runtime_submit_embeddings(runtime, json, json_len, &options, embeddings, error);
}

mr_status mrgo_embeddings_notify(const mr_embeddings *embeddings, uintptr_t waiter, mr_error **error) {
  return mr_embeddings_notify(embeddings, on_vectors, as_data(waiter), free_handle, error);
}

void mrgo_embeddings_rows(const mr_embeddings *embeddings, size_t rows, size_t *tokens, uint8_t *truncated) {
  for (size_t row = 0; row < rows; row++) {
    tokens[row] = mr_embeddings_get_tokens(embeddings, row);
    truncated[row] = mr_embeddings_get_truncated(embeddings, row) == 1;
  }
}

mr_status mrgo_run_batch(const mr_runtime *runtime, const char *requests, size_t requests_len, const char *results,
                         size_t results_len, uint32_t concurrency, int32_t order, const mr_request_options *numbers,
                         const char *principal, size_t principal_len, const char *entity, size_t entity_len,
                         uintptr_t run, mr_text **summary, mr_error **error) {
  mr_request_options each = request_options(numbers, principal, principal_len, entity, entity_len);
  mr_batch_options options = MR_BATCH_OPTIONS_INIT;
  options.concurrency = concurrency;
  options.order = order;
  options.requests = &each;
  return mr_runtime_run_batch(runtime, requests, requests_len, results, results_len, &options, on_batch, as_data(run),
                              free_handle, summary, error);
}
