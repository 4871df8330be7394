/* Questions by number, to endpoints "plain" and "vectors", and their answers, which are the same whoever asks meanwhile. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include "outcomes.h"

static inline void prompt(char *json, size_t size, unsigned which, unsigned tokens) {
  snprintf(json, size, "{\"model\":\"plain\",\"prompt\":\"Once upon a time %u\",\"max_tokens\":%u,\"temperature\":0.8,\"seed\":%u}",
           which, tokens, which);
}

static inline void input(char *json, size_t size, unsigned which) {
  snprintf(json, size, "{\"model\":\"vectors\",\"input\":\"sentence number %u about bread and rivers\"}", which);
}

/* The answer's text as JSON has it, from its quote to the next member. */
static inline char *text_of(const mr_text *response) {
  const char *begin = strstr(data(response), "\"text\":\""), *end = begin ? strstr(begin, "\",\"") : NULL;
  CHECK(end != NULL);
  char *text = calloc((size_t)(end - begin) + 1, 1);
  CHECK(text != NULL);
  memcpy(text, begin, (size_t)(end - begin));
  return text;
}

/* The text of a completion; NULL if the queue is full. */
static inline char *complete(const mr_runtime *runtime, unsigned which) {
  char json[256];
  mr_text *response = NULL;
  mr_status status;
  prompt(json, sizeof json, which, 10);
  TRY(status, mr_runtime_complete(runtime, TEXT(json), NULL, &response, &error), MR_OK, MR_E_OVERLOADED);
  if (status != MR_OK) return NULL;
  char *text = text_of(response);
  mr_text_free(response);
  return text;
}

/* The values of a vector; NULL if the queue is full. */
static inline float *embed(const mr_runtime *runtime, unsigned which, size_t *dimension) {
  char json[256];
  mr_embeddings *made = NULL;
  mr_status status;
  size_t rows = 0;
  input(json, sizeof json, which);
  TRY(status, mr_runtime_submit_embeddings(runtime, TEXT(json), NULL, &made, &error), MR_OK, MR_E_OVERLOADED);
  if (status != MR_OK) return NULL;
  EXPECT(MR_OK, mr_embeddings_wait(made, MR_WAIT_FOREVER, &error));
  const float *values = mr_embeddings_get_values(made, &rows, dimension);
  CHECK(values != NULL && rows == 1 && *dimension > 0);
  float *copy = malloc(*dimension * sizeof *copy);
  CHECK(copy != NULL);
  memcpy(copy, values, *dimension * sizeof *copy);
  mr_embeddings_free(made);
  return copy;
}

#endif
