/* Steps that ask a model: whole, in pieces, for vectors, and given up. */
#ifndef CONFORMANCE_QUESTIONS_H
#define CONFORMANCE_QUESTIONS_H

#include <cjson/cJSON.h>
#include <stdatomic.h>
#include <stdint.h>

#include "conformance_results.h"

/* What the steps of a case need. The clock counts seconds since 1970. */
typedef struct {
  mr_runtime *runtime;
  int64_t start;
  _Atomic int64_t now;
} bench;

/* A text and its length, as two arguments. */
#define TEXT(string) (string), strlen(string)

static inline void fail(const char *what, const char *about) {
  fprintf(stderr, "%s: %s\n", what, about ? about : "");
  exit(1);
}

/* A member that is text; it must be there. */
static inline const char *string_of(const cJSON *object, const char *name) {
  const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
  if (!cJSON_IsString(member)) fail("a case needs the text", name);
  return member->valuestring;
}

static inline const char *optional_string(const cJSON *object, const char *name) {
  return cJSON_HasObjectItem(object, name) ? string_of(object, name) : NULL;
}

/* What is asked: a request as text and its options, whose texts belong to the step. */
typedef struct {
  text_buffer json;
  mr_request_options options;
} question;

/* Whether a JSON string has a NUL in it, where cJSON would end it. */
static inline int has_nul(const char *json) {
  for (; *json != '\0'; json++) {
    if (*json == '\\' && strncmp(++json, "u0000", 5) == 0) return 1;
  }
  return 0;
}

static inline question question_of(const cJSON *step) {
  question asked = {{0}, MR_REQUEST_OPTIONS_INIT};
  const char *own = string_of(step, "request"); /* the value's text: see json_quote_members */
  if (own[0] == '"') {
    cJSON *text = cJSON_Parse(own);
    if (text == NULL || has_nul(own)) fail("a request that cJSON cannot hold", own);
    text_append_string(&asked.json, text->valuestring);
    cJSON_Delete(text);
  } else {
    text_append_string(&asked.json, own);
  }
  const cJSON *options = cJSON_GetObjectItemCaseSensitive(step, "options");
  for (const cJSON *option = options ? options->child : NULL; option != NULL; option = option->next) {
    if (strcmp(option->string, "principal") == 0) {
      asked.options.principal = option->valuestring;
      asked.options.principal_len = strlen(option->valuestring);
    } else if (strcmp(option->string, "entity") == 0) {
      asked.options.entity = option->valuestring;
      asked.options.entity_len = strlen(option->valuestring);
    } else if (strcmp(option->string, "timeout_ms") == 0) {
      asked.options.timeout_ms = (uint64_t)option->valuedouble;
    } else if (strcmp(option->string, "priority") == 0) {
      asked.options.priority = option->valueint;
    } else if (strcmp(option->string, "lifecycle") == 0) {
      asked.options.lifecycle = cJSON_IsTrue(option);
    } else {
      fail("an option that this runner does not know", option->string);
    }
  }
  return asked;
}

typedef mr_status (*asker)(const mr_runtime *, const char *, size_t, const mr_request_options *, mr_text **, mr_error **);

static inline mr_status ask(const bench *self, const cJSON *step, asker function, text_buffer *value, mr_error **error) {
  question asked = question_of(step);
  mr_text *response = NULL;
  mr_status status = function(self->runtime, asked.json.bytes, asked.json.len, &asked.options, &response, error);
  if (status == MR_OK) take_json(value, response);
  free(asked.json.bytes);
  return status;
}

typedef mr_status (*submitter)(const mr_runtime *, const char *, size_t, const mr_request_options *, mr_event_callback, void *,
                               mr_user_data_free, mr_request **, mr_error **);

static inline mr_status submit(const bench *self, const cJSON *step, submitter function, mr_request **request, mr_error **error) {
  question asked = question_of(step);
  mr_status status =
    function(self->runtime, asked.json.bytes, asked.json.len, &asked.options, NULL, NULL, NULL, request, error);
  free(asked.json.bytes);
  return status;
}

static inline mr_status stream(const bench *self, const cJSON *step, submitter function, text_buffer *value, mr_error **error) {
  mr_request *request = NULL;
  mr_event *event = NULL;
  mr_text *response = NULL;
  text_buffer text = {0};
  mr_status status = submit(self, step, function, &request, error);
  if (status != MR_OK) return status;
  while ((status = mr_request_next(request, MR_WAIT_FOREVER, &event, error)) == MR_OK) {
    size_t len = 0;
    const char *piece = mr_event_get_text(event, &len);
    text_append(&text, piece, len);
    mr_event_free(event);
  }
  if (status == MR_DONE) status = mr_request_wait(request, MR_WAIT_FOREVER, &response, error);
  if (status == MR_OK) {
    text_append_string(value, "{\"text\":");
    text_append_quoted(value, text.bytes, text.len);
    text_append_string(value, ",\"response\":");
    take_json(value, response);
    text_append_string(value, "}");
  }
  free(text.bytes);
  mr_request_free(request);
  return status;
}

static inline mr_status cancel(const bench *self, const cJSON *step, text_buffer *value, mr_error **error) {
  mr_request *request = NULL;
  mr_event *event = NULL;
  mr_status status = submit(self, step, mr_runtime_submit_completion, &request, error);
  if (status != MR_OK) return status;
  while ((status = mr_request_next(request, MR_WAIT_FOREVER, &event, error)) == MR_OK) {
    size_t len = 0;
    mr_event_get_text(event, &len);
    if (len > 0) mr_request_cancel(request);
    mr_event_free(event);
  }
  mr_request_free(request);
  text_append_string(value, "null");
  return status == MR_DONE ? MR_OK : status;
}

static inline mr_status vectors(const bench *self, const cJSON *step, text_buffer *value, mr_error **error) {
  question asked = question_of(step);
  mr_embeddings *made = NULL;
  mr_status status = mr_runtime_submit_embeddings(self->runtime, asked.json.bytes, asked.json.len, &asked.options, &made, error);
  free(asked.json.bytes);
  if (status == MR_OK) status = mr_embeddings_wait(made, MR_WAIT_FOREVER, error);
  if (status == MR_OK) {
    size_t rows = 0, dimension = 0, len = 0;
    const float *values = mr_embeddings_get_values(made, &rows, &dimension);
    text_append_format(value, "{\"rows\":%zu,\"dimension\":%zu,\"values\":\"", rows, dimension);
    for (size_t at = 0; at < rows * dimension; at++) {
      uint32_t bits;
      memcpy(&bits, &values[at], sizeof bits);
      for (int shift = 0; shift < 32; shift += 8) text_append_format(value, "%02x", (unsigned)(bits >> shift & 0xff));
    }
    text_append_string(value, "\",\"tokens\":[");
    for (size_t row = 0; row < rows; row++) {
      text_append_format(value, "%s%zu", row ? "," : "", mr_embeddings_get_tokens(made, row));
    }
    text_append_string(value, "],\"truncated\":[");
    for (size_t row = 0; row < rows; row++) {
      text_append_format(value, "%s%s", row ? "," : "", mr_embeddings_get_truncated(made, row) ? "true" : "false");
    }
    text_append_format(value, "],\"normalize\":\"%s\",\"version\":",
                       mr_embeddings_get_normalize(made) == MR_NORMALIZE_L2 ? "l2" : "none");
    const char *version = mr_embeddings_get_version(made, &len);
    text_append_quoted(value, version, len);
    text_append_string(value, "}");
  }
  mr_embeddings_free(made);
  return status;
}

#endif
