/* Results as tests/conformance/README.md has them. */
#ifndef CONFORMANCE_RESULTS_H
#define CONFORMANCE_RESULTS_H

#include "json_text.h"
#include "model_runtime.h"

static inline const char *name_of(mr_status status) {
  static const struct {
    mr_status status;
    const char *name;
  } names[] = {
    {MR_E_INVALID_ARGUMENT, "invalid_argument"},
    {MR_E_INVALID_REQUEST, "invalid_request"},
    {MR_E_CONTEXT_LENGTH_EXCEEDED, "context_length_exceeded"},
    {MR_E_NOT_FOUND, "not_found"},
    {MR_E_CONFLICT, "conflict"},
    {MR_E_UNSUPPORTED, "unsupported"},
    {MR_E_MODEL_RETIRED, "model_retired"},
    {MR_E_PERMISSION_DENIED, "permission_denied"},
    {MR_E_INVALID_MODEL, "invalid_model"},
    {MR_E_IO, "io"},
    {MR_E_INSUFFICIENT_MEMORY, "insufficient_memory"},
    {MR_E_OVERLOADED, "overloaded"},
    {MR_E_CANCELLED, "cancelled"},
    {MR_E_DEADLINE_EXCEEDED, "deadline_exceeded"},
    {MR_E_SHUTTING_DOWN, "shutting_down"},
    {MR_E_RATE_LIMITED, "rate_limited"},
    {MR_E_CALLBACK, "callback"},
    {MR_E_INTERNAL, "internal"},
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (names[i].status == status) return names[i].name;
  }
  return "unknown";
}

/* Writes an error, and frees it. */
static inline void describe(text_buffer *into, mr_error *error) {
  size_t len = 0;
  const char *text = mr_error_get_message(error, &len);
  text_append_format(into, "{\"error\":{\"code\":\"%s\",\"status\":%d,\"message\":", name_of(mr_error_get_code(error)),
                     (int)mr_error_get_status(error));
  text_append_quoted(into, text, len);
  text_append_string(into, ",\"param\":");
  text = mr_error_get_param(error, &len);
  if (text != NULL) text_append_quoted(into, text, len);
  else text_append_string(into, "null");
  text_append_format(into, ",\"retryable\":%s,\"retry_after_ms\":", mr_error_get_retryable(error) ? "true" : "false");
  int64_t after = mr_error_get_retry_after_ms(error);
  if (after >= 0) text_append_format(into, "%lld", (long long)after);
  else text_append_string(into, "null");
  text_append_string(into, ",\"json\":");
  text = mr_error_get_json(error, &len);
  text_append(into, text, len);
  text_append_string(into, "}}");
  mr_error_free(error);
}

/* Takes the library's JSON over into ours, and frees it. */
static inline void take_json(text_buffer *into, mr_text *json) {
  size_t len = 0;
  const char *bytes = mr_text_get_data(json, &len);
  text_append(into, bytes, len);
  mr_text_free(json);
}

#endif
