/* The questions of the load clients, by number, and what each answers alone. */
#ifndef LOAD_QUESTIONS_H
#define LOAD_QUESTIONS_H

#include <cjson/cJSON.h>

#include "json_text.h"
#include "model_runtime.h"

enum { COMPLETIONS = 16, VECTORS = 8 };

static mr_runtime *runtime;
static text_buffer right_texts[COMPLETIONS];
static float *right_vectors[VECTORS];
static size_t right_sizes[VECTORS];

static inline void fail(const char *what, const char *about) {
  fprintf(stderr, "%s: %s\n", what, about ? about : "");
  exit(1);
}

static inline size_t completion(char *json, size_t size, unsigned number) {
  static const char *const prompts[] = {"Once", "Once upon", "Once upon a", "Once upon a time"};
  return (size_t)snprintf(json, size,
                          "{\"model\": \"stories\", \"prompt\": \"%s\", \"max_tokens\": %u, \"temperature\": 0.9, \"seed\": %u}",
                          prompts[number % 4], 4 + 8 * number, number);
}

static inline size_t embedding(char *json, size_t size, unsigned number) {
  return (size_t)snprintf(json, size, "{\"model\": \"minilm\", \"input\": \"sentence number %u about bread and rivers\"}", number);
}

/* The text of a whole answer. */
static inline void text_of(const mr_text *response, text_buffer *into) {
  cJSON *json = cJSON_Parse(mr_text_get_data(response, NULL));
  const cJSON *choice = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "choices"), 0);
  const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(choice, "text"));
  if (text != NULL) text_append_string(into, text);
  cJSON_Delete(json);
}

/* All of the text, or its beginning. */
static inline int is_right(const text_buffer *got, unsigned number, int whole) {
  const text_buffer *right = &right_texts[number];
  if (whole ? got->len != right->len : got->len > right->len) return 0;
  return got->len == 0 || memcmp(got->bytes, right->bytes, got->len) == 0;
}

static inline mr_status complete(unsigned number, uint64_t timeout_ms, text_buffer *into, mr_error **error) {
  char json[256];
  mr_text *response = NULL;
  mr_request_options options = MR_REQUEST_OPTIONS_INIT;
  options.timeout_ms = timeout_ms;
  mr_status status = mr_runtime_complete(runtime, json, completion(json, sizeof json, number), &options, &response, error);
  if (status == MR_OK) text_of(response, into);
  mr_text_free(response);
  return status;
}

/* The caller frees the values. */
static inline mr_status embed(unsigned number, float **values, size_t *size, mr_error **error) {
  char json[256];
  mr_embeddings *made = NULL;
  size_t len = embedding(json, sizeof json, number), rows = 0, dimension = 0;
  mr_status status = mr_runtime_submit_embeddings(runtime, json, len, NULL, &made, error);
  if (status == MR_OK) status = mr_embeddings_wait(made, MR_WAIT_FOREVER, error);
  if (status == MR_OK) {
    const float *lent = mr_embeddings_get_values(made, &rows, &dimension);
    *size = rows * dimension * sizeof *lent;
    *values = malloc(*size);
    if (*values == NULL) fail("out of memory", NULL);
    memcpy(*values, lent, *size);
  }
  mr_embeddings_free(made);
  return status;
}

/* Everything asked alone, one after the other. */
static inline void learn(void) {
  mr_error *error = NULL;
  for (unsigned i = 0; i < COMPLETIONS; i++) {
    if (complete(i, 0, &right_texts[i], &error) != MR_OK) fail("alone", mr_error_get_message(error, NULL));
  }
  for (unsigned i = 0; i < VECTORS; i++) {
    if (embed(i, &right_vectors[i], &right_sizes[i], &error) != MR_OK) fail("alone", mr_error_get_message(error, NULL));
  }
}

#endif
