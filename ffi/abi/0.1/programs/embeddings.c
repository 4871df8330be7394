/* Vectors: BGE's of unit length beside GTE's raw ones, read where they lie; waiting, cancelling and freeing in every order.
   Argument: the folder of the tiny models. */
#include <math.h>
#include <pthread.h>

#include "check.h"

#define TEXTS "[\"The cat sat on the mat.\",\"A block table maps positions to blocks.\",\"x\"]"
#define INPUT(model, rest) "{\"model\":\"" model "\",\"input\":" TEXTS rest "}"

static mr_embeddings *submit(const mr_runtime *runtime, const char *json) {
  mr_embeddings *embeddings = NULL;
  EXPECT(MR_OK, mr_runtime_submit_embeddings(runtime, TEXT(json), NULL, &embeddings, &error));
  return embeddings;
}

static double norm(const float *values, size_t count) {
  double sum = 0;
  for (size_t at = 0; at < count; at++) sum += (double)values[at] * values[at];
  return sqrt(sum);
}

/* Every vector has unit length, or none has. */
static void expect_norms(const mr_runtime *runtime, const char *json, int unit) {
  mr_embeddings *embeddings = submit(runtime, json);
  size_t rows = 0, dimension = 0;
  EXPECT(MR_OK, mr_embeddings_wait(embeddings, MR_WAIT_FOREVER, &error));
  const float *values = mr_embeddings_get_values(embeddings, &rows, &dimension);
  CHECK(values != NULL && (uintptr_t)values % sizeof(float) == 0 && rows == 3 && dimension == 64);
  for (size_t row = 0; row < rows; row++) {
    CHECK((fabs(norm(values + row * dimension, dimension) - 1) < 1e-3) == unit);
  }
  CHECK(mr_embeddings_get_normalize(embeddings) == (unit ? MR_NORMALIZE_L2 : MR_NORMALIZE_NONE));
  mr_embeddings_free(embeddings);
}

/* The same texts give the same bits from many threads at once. */
typedef struct {
  const mr_runtime *runtime;
  const float *expected;
  size_t count;
} asker;

static void *ask(void *argument) {
  asker *self = argument;
  for (int round = 0; round < 8; round++) {
    mr_embeddings *embeddings = submit(self->runtime, INPUT("bge", ""));
    EXPECT(MR_OK, mr_embeddings_wait(embeddings, MR_WAIT_FOREVER, &error));
    const float *values = mr_embeddings_get_values(embeddings, NULL, NULL);
    CHECK(memcmp(values, self->expected, self->count * sizeof(float)) == 0);
    mr_embeddings_free(embeddings);
  }
  return NULL;
}

static void *wait_until_it_ends(void *embeddings) {
  mr_error *error = NULL;
  mr_status status = mr_embeddings_wait(embeddings, MR_WAIT_FOREVER, &error);
  CHECK(status == MR_OK || status == MR_E_CANCELLED || status == MR_E_INVALID_ARGUMENT);
  mr_error_free(error);
  return NULL;
}

static void concurrency(const mr_runtime *runtime) {
  size_t rows, dimension;
  mr_embeddings *first = submit(runtime, INPUT("bge", ""));
  EXPECT(MR_OK, mr_embeddings_wait(first, MR_WAIT_FOREVER, &error));
  const float *values = mr_embeddings_get_values(first, &rows, &dimension);
  asker self = {runtime, values, rows * dimension};
  pthread_t threads[4];
  for (int at = 0; at < 4; at++) CHECK(pthread_create(&threads[at], NULL, ask, &self) == 0);
  for (int at = 0; at < 4; at++) CHECK(pthread_join(threads[at], NULL) == 0);
  mr_embeddings_free(first);

  /* Two threads wait while a third cancels and frees. */
  for (int round = 0; round < 20; round++) {
    mr_embeddings *embeddings = submit(runtime, INPUT("gte", ""));
    for (int at = 0; at < 2; at++) CHECK(pthread_create(&threads[at], NULL, wait_until_it_ends, embeddings) == 0);
    mr_embeddings_cancel(embeddings);
    mr_embeddings_free(embeddings);
    for (int at = 0; at < 2; at++) CHECK(pthread_join(threads[at], NULL) == 0);
  }
}

static void results(const mr_runtime *runtime) {
  mr_text *response = NULL;
  size_t len = 0;
  mr_embeddings *embeddings = submit(runtime, INPUT("bge", ",\"dimensions\":16,\"encoding_format\":\"base64\""));
  EXPECT(MR_OK, mr_embeddings_wait(embeddings, MR_WAIT_FOREVER, &error));
  CHECK(mr_embeddings_get_done(embeddings) == 3);
  CHECK(mr_embeddings_get_tokens(embeddings, 0) > 4 && mr_embeddings_get_tokens(embeddings, 3) == 0);
  CHECK(mr_embeddings_get_truncated(embeddings, 0) == 0);
  CHECK(strcmp(mr_embeddings_get_version(embeddings, &len), "bge@1") == 0 && len == 5);
  EXPECT(MR_OK, mr_embeddings_response(embeddings, &response, &error));
  CHECK(strstr(data(response), "\"object\":\"list\"") != NULL && strstr(data(response), "\"model\":\"bge@1\"") != NULL);
  CHECK(strstr(data(response), "\"embedding\":\"") != NULL && strstr(data(response), "\"prompt_tokens\":") != NULL);
  mr_text_free(response);
  /* 16 floats are 64 bytes, of unit length after they were cut. */
  size_t dimension = 0;
  CHECK(fabs(norm(mr_embeddings_get_values(embeddings, NULL, &dimension), 16) - 1) < 1e-3 && dimension == 16);
  mr_embeddings_free(embeddings);
  mr_embeddings_free(embeddings);
  EXPECT(MR_E_INVALID_ARGUMENT, mr_embeddings_wait(embeddings, 0, &error));
  CHECK(mr_embeddings_get_values(embeddings, NULL, NULL) == NULL);

  EXPECT(MR_OK, mr_runtime_embeddings(runtime, TEXT(INPUT("gte", "")), NULL, &response, &error));
  CHECK(strstr(data(response), "\"embedding\":[") != NULL && strstr(data(response), "\"normalize\":\"none\"") != NULL);
  mr_text_free(response);
}

static void refusals(const mr_runtime *runtime) {
  mr_embeddings *out = NULL;
  mr_text *text = NULL;
  const char *unknown = "{\"model\":\"bge\",\"input\":\"x\",\"speed\":1}";
  const char *nobody = "{\"model\":\"nobody\",\"input\":\"x\"}";
  const char *nothing = "{\"model\":\"bge\",\"input\":[]}";
  const char *wide = "{\"model\":\"bge\",\"input\":\"x\",\"dimensions\":65}";
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_submit_embeddings(runtime, TEXT(unknown), NULL, &out, &error));
  EXPECT(MR_E_NOT_FOUND, mr_runtime_submit_embeddings(runtime, TEXT(nobody), NULL, &out, &error));
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_submit_embeddings(runtime, TEXT(nothing), NULL, &out, &error));
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_submit_embeddings(runtime, TEXT(wide), NULL, &out, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_submit_embeddings(NULL, TEXT(wide), NULL, &out, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_submit_embeddings(runtime, TEXT(nobody), NULL, NULL, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_embeddings(runtime, NULL, 1, NULL, &text, &error));
  /* What one endpoint does, the other does not. */
  EXPECT(MR_E_UNSUPPORTED, mr_runtime_complete(runtime, TEXT("{\"model\":\"bge\",\"prompt\":\"x\"}"), NULL, &text, &error));
  CHECK(out == NULL && text == NULL);
  EXPECT(MR_E_INVALID_ARGUMENT, mr_embeddings_wait(NULL, 0, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_embeddings_response(NULL, &text, &error));
  CHECK(mr_embeddings_get_values(NULL, NULL, NULL) == NULL && mr_embeddings_get_version(NULL, NULL) == NULL);
  CHECK(mr_embeddings_get_done(NULL) == 0 && mr_embeddings_get_normalize(NULL) == -1);
  CHECK(mr_embeddings_get_tokens(NULL, 0) == 0 && mr_embeddings_get_truncated(NULL, 0) == 0);
  mr_embeddings_cancel(NULL);
  mr_embeddings_free(NULL);

  mr_embeddings *embeddings = submit(runtime, INPUT("bge", ""));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_embeddings_wait(embeddings, -2, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_embeddings_response(embeddings, NULL, &error));
  mr_embeddings_free(embeddings);
}

/* Who waits without a thread: told once, of a good end and of a bad one. */
typedef struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int finished, failed, freed;
  mr_embeddings *free_inside;
} told;

static int32_t hear(void *user_data, const mr_event *event) {
  told *self = user_data;
  pthread_mutex_lock(&self->mutex);
  if (mr_event_get_kind(event) == MR_EVENT_FINISHED) self->finished++;
  if (mr_event_get_kind(event) == MR_EVENT_FAILED) {
    CHECK(mr_error_get_code(mr_event_get_error(event)) == MR_E_CANCELLED);
    self->failed++;
  }
  pthread_mutex_unlock(&self->mutex);
  mr_embeddings_free(self->free_inside);
  return 1;
}

static void over(void *user_data) {
  told *self = user_data;
  pthread_mutex_lock(&self->mutex);
  self->freed++;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->mutex);
}

static void wait_until_freed(told *self) {
  pthread_mutex_lock(&self->mutex);
  while (self->freed == 0) pthread_cond_wait(&self->changed, &self->mutex);
  pthread_mutex_unlock(&self->mutex);
}

static void notified(const mr_runtime *runtime) {
  told self = {.finished = 0};
  CHECK(pthread_mutex_init(&self.mutex, NULL) == 0 && pthread_cond_init(&self.changed, NULL) == 0);
  for (int inside = 0; inside < 2; inside++) {
    for (int made = 0; made < 2; made++) {
      mr_embeddings *embeddings = submit(runtime, INPUT("bge", ""));
      self.finished = self.failed = self.freed = 0;
      self.free_inside = inside ? embeddings : NULL;
      if (made) EXPECT(MR_OK, mr_embeddings_wait(embeddings, MR_WAIT_FOREVER, &error));
      EXPECT(MR_OK, mr_embeddings_notify(embeddings, hear, &self, over, &error));
      wait_until_freed(&self);
      CHECK(self.finished == 1 && self.failed == 0);
      if (inside) continue;
      /* One callback for a handle; whoever cannot be told is freed at once. */
      EXPECT(MR_E_CONFLICT, mr_embeddings_notify(embeddings, hear, &self, over, &error));
      CHECK(self.freed == 2);
      EXPECT(MR_OK, mr_embeddings_wait(embeddings, 0, &error));
      CHECK(mr_embeddings_get_values(embeddings, NULL, NULL) != NULL);
      mr_embeddings_free(embeddings);
    }
  }
  self.free_inside = NULL;
  /* Cancelled or freed at any moment: told at most once, and its data is freed once, before the handle is gone. */
  for (int round = 0; round < 50; round++) {
    mr_embeddings *embeddings = submit(runtime, INPUT("gte", ""));
    self.finished = self.failed = self.freed = 0;
    EXPECT(MR_OK, mr_embeddings_notify(embeddings, hear, &self, over, &error));
    if (round % 2) mr_embeddings_cancel(embeddings);
    if (round % 3) wait_until_freed(&self);
    mr_embeddings_free(embeddings);
    CHECK(self.freed == 1 && self.finished + self.failed <= 1);
  }
  EXPECT(MR_E_INVALID_ARGUMENT, mr_embeddings_notify(NULL, hear, &self, over, &error));
  CHECK(self.freed == 2);
  mr_embeddings *embeddings = submit(runtime, INPUT("gte", ""));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_embeddings_notify(embeddings, NULL, &self, over, &error));
  CHECK(self.freed == 3);
  mr_embeddings_free(embeddings);
  CHECK(pthread_mutex_destroy(&self.mutex) == 0 && pthread_cond_destroy(&self.changed) == 0);
}

int main(int count, char **arguments) {
  CHECK(count == 3);
  char path[4096];
  mr_runtime *runtime = NULL;
  mr_serve_options options = MR_SERVE_OPTIONS_INIT;
  EXPECT(MR_OK, mr_runtime_new(NULL, &runtime, &error));
  for (int at = 0; at < 2; at++) {
    const char *name = at == 0 ? "bge" : "gte";
    mr_text *info = NULL;
    CHECK(snprintf(path, sizeof path, "%s/%s", arguments[1], at == 0 ? "bert_bge" : "new_gte") < (int)sizeof path);
    options.version = at == 0 ? "bge@1" : "gte@1";
    options.version_len = strlen(options.version);
    EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT(name), TEXT(path), &options, NULL, NULL, NULL, &info, &error));
    CHECK(strstr(data(info), "\"task\":\"embedding\"") != NULL && strstr(data(info), "\"dimension\":64") != NULL);
    mr_text_free(info);
  }
  expect_norms(runtime, INPUT("bge", ""), 1);
  expect_norms(runtime, INPUT("gte", ""), 0);
  expect_norms(runtime, INPUT("bge", ",\"normalize\":\"none\""), 0);
  expect_norms(runtime, INPUT("gte", ",\"normalize\":\"l2\""), 1);
  results(runtime);
  refusals(runtime);
  concurrency(runtime);
  notified(runtime);

  /* A handle outlives the runtime's last reference. */
  mr_embeddings *last = submit(runtime, INPUT("gte", ""));
  mr_runtime_release(runtime);
  EXPECT(MR_OK, mr_embeddings_wait(last, MR_WAIT_FOREVER, &error));
  mr_embeddings_free(last);
  return 0;
}
