/* Handles that should not be: NULL, freed, freed twice, never made, of another kind. Every function that takes a handle and
   cannot fail says so by its answer and writes nothing; those that can fail are in hostile_arguments.c, and here once more with
   handles that were freed.
   Arguments: the repository, an empty folder to write in. */
#include "hostile.h"

#define LEN 77

/* Nothing to free, nothing to ask. */
static void nulls(void) {
  size_t len = LEN, dimension = LEN;
  mr_runtime_retain(NULL);
  mr_runtime_release(NULL);
  mr_request_cancel(NULL);
  mr_request_free(NULL);
  mr_embeddings_cancel(NULL);
  mr_embeddings_free(NULL);
  mr_event_free(NULL);
  mr_text_free(NULL);
  mr_error_free(NULL);

  CHECK(mr_text_get_data(NULL, &len) == NULL && mr_text_get_data(NULL, NULL) == NULL);
  CHECK(mr_error_get_code(NULL) == MR_OK);
  CHECK(mr_error_get_status(NULL) == 0 && mr_error_get_retryable(NULL) == 0);
  CHECK(mr_error_get_retry_after_ms(NULL) == -1 && mr_error_get_callback_result(NULL) == 0);
  CHECK(mr_error_get_message(NULL, &len) == NULL && mr_error_get_message(NULL, NULL) == NULL);
  CHECK(mr_error_get_param(NULL, &len) == NULL && mr_error_get_param(NULL, NULL) == NULL);
  CHECK(mr_error_get_json(NULL, &len) == NULL && mr_error_get_json(NULL, NULL) == NULL);
  CHECK(mr_event_get_kind(NULL) == 0 && mr_event_get_error(NULL) == NULL);
  CHECK(mr_event_get_text(NULL, &len) == NULL && mr_event_get_text(NULL, NULL) == NULL);
  CHECK(mr_event_get_json(NULL, &len) == NULL && mr_event_get_json(NULL, NULL) == NULL);
  CHECK(mr_event_get_stream(NULL, &len) == NULL && mr_event_get_stream(NULL, NULL) == NULL);
  CHECK(mr_request_get_version(NULL, &len) == NULL && mr_request_get_version(NULL, NULL) == NULL);
  CHECK(mr_embeddings_get_version(NULL, &len) == NULL && mr_embeddings_get_version(NULL, NULL) == NULL);
  CHECK(mr_embeddings_get_values(NULL, &len, &dimension) == NULL);
  CHECK(mr_embeddings_get_values(NULL, NULL, NULL) == NULL);
  CHECK(mr_embeddings_get_done(NULL) == 0 && mr_embeddings_get_tokens(NULL, 0) == 0);
  CHECK(mr_embeddings_get_truncated(NULL, 0) == 0 && mr_embeddings_get_normalize(NULL) == -1);
  CHECK(len == LEN && dimension == LEN);
  CHECK(mr_version() != NULL && mr_abi_version() == MR_ABI_VERSION);
}

/* What lends text does it without being told where to write the length. */
static void lengths_not_wanted(const mr_runtime *runtime) {
  mr_request *request = NULL;
  mr_event *event = NULL;
  mr_error *failure = NULL;
  size_t len = LEN;
  EXPECT(MR_OK, mr_runtime_submit_chat(runtime, TEXT(CHAT(4)), NULL, NULL, NULL, NULL, &request, &error));
  EXPECT(MR_OK, mr_request_next(request, MR_WAIT_FOREVER, &event, &error));
  CHECK(mr_event_get_kind(event) == MR_EVENT_CHUNKS && mr_event_get_error(event) == NULL);
#define SAME_LENGTH(call, handle) CHECK(strlen(call(handle, NULL)) == (call(handle, &len), len))
  SAME_LENGTH(mr_event_get_text, event);
  SAME_LENGTH(mr_event_get_json, event);
  SAME_LENGTH(mr_event_get_stream, event);
  SAME_LENGTH(mr_request_get_version, request);
  CHECK(mr_runtime_chat(runtime, TEXT("{\"messages\":[],\"model\":7}"), NULL, &(mr_text *){NULL}, &failure) != MR_OK);
  SAME_LENGTH(mr_error_get_message, failure);
  SAME_LENGTH(mr_error_get_param, failure);
  SAME_LENGTH(mr_error_get_json, failure);
  mr_error_free(failure);
  mr_event_free(event);
  mr_request_free(request);
}

/* Everything that can be asked of a request that is not there. */
static void no_request(mr_request *request, const char *session) {
  mr_event *event = UNTOUCHED;
  mr_text *text = UNTOUCHED;
  size_t len = LEN;
  EXPECT(MR_E_INVALID_ARGUMENT, mr_request_next(request, MR_WAIT_FOREVER, &event, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_request_wait(request, MR_WAIT_FOREVER, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_request_timings(request, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_request_save_session(request, 0, TEXT(session), &error));
  CHECK(mr_request_get_version(request, &len) == NULL);
  mr_request_cancel(request);
  mr_request_free(request);
  mr_request_free(request);
  CHECK(event == UNTOUCHED && text == UNTOUCHED && len == LEN && access(session, F_OK) != 0);
}

static void no_vectors(mr_embeddings *vectors) {
  mr_text *text = UNTOUCHED;
  size_t len = LEN, dimension = LEN;
  EXPECT(MR_E_INVALID_ARGUMENT, mr_embeddings_wait(vectors, MR_WAIT_FOREVER, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_embeddings_response(vectors, &text, &error));
  CHECK(mr_embeddings_get_values(vectors, &len, &dimension) == NULL);
  CHECK(mr_embeddings_get_version(vectors, &len) == NULL);
  CHECK(mr_embeddings_get_done(vectors) == 0 && mr_embeddings_get_tokens(vectors, 0) == 0);
  CHECK(mr_embeddings_get_truncated(vectors, 0) == 0 && mr_embeddings_get_normalize(vectors) == -1);
  mr_embeddings_cancel(vectors);
  mr_embeddings_free(vectors);
  mr_embeddings_free(vectors);
  CHECK(text == UNTOUCHED && len == LEN && dimension == LEN);
}

static mr_request *submit(const mr_runtime *runtime) {
  mr_request *request = NULL;
  EXPECT(MR_OK, mr_runtime_submit_completion(runtime, TEXT(COMPLETION(400)), NULL, NULL, NULL, NULL, &request, &error));
  return request;
}

static mr_embeddings *embed(const mr_runtime *runtime) {
  mr_embeddings *vectors = NULL;
  const char *json = "{\"model\":\"vectors\",\"input\":[\"bread\",\"rivers\"]}";
  EXPECT(MR_OK, mr_runtime_submit_embeddings(runtime, TEXT(json), NULL, &vectors, &error));
  return vectors;
}

/* A freed handle is recognised, also when others were made since: numbers are not used again. */
static void freed(const mr_runtime *runtime, const char *session) {
  mr_request *first = submit(runtime);
  mr_embeddings *vectors = embed(runtime);
  mr_request_free(first);
  mr_embeddings_free(vectors);
  no_request(first, session);
  no_vectors(vectors);
  mr_request *requests[64];
  mr_embeddings *many[64];
  for (int i = 0; i < 64; i++) {
    requests[i] = submit(runtime);
    many[i] = embed(runtime);
    CHECK(requests[i] != first && many[i] != vectors);
  }
  no_request(first, session);
  no_vectors(vectors);
  /* The others did not notice. */
  for (int i = 0; i < 64; i++) {
    mr_event *event = NULL;
    EXPECT(MR_OK, mr_request_next(requests[i], MR_WAIT_FOREVER, &event, &error));
    EXPECT(MR_OK, mr_embeddings_wait(many[i], MR_WAIT_FOREVER, &error));
    mr_event_free(event);
    mr_request_free(requests[i]);
    mr_embeddings_free(many[i]);
  }
}

/* Pointers that the library never gave: to the host's memory, to nothing, to memory of the library that is something else. */
static void forged(mr_runtime *runtime, const char *session) {
  mr_text *text = NULL;
  mr_error *failure = NULL;
  char local[64] = {0};
  EXPECT(MR_OK, mr_runtime_stats(runtime, &text, &error));
  CHECK(mr_runtime_remove(runtime, TEXT("nobody"), &failure) == MR_E_NOT_FOUND);
  void *const pointers[] = {
    local,          (void *)(uintptr_t)(local + 1), text, failure, runtime, (void *)UINTPTR_MAX, (void *)(UINTPTR_MAX / 2),
    (void *)(uintptr_t)mr_version(),
  };
  for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
    no_request(pointers[i], session);
    no_vectors(pointers[i]);
  }
  mr_text_free(text);
  mr_error_free(failure);
}

/* Rows that no request has. */
static void rows(const mr_runtime *runtime) {
  mr_embeddings *vectors = embed(runtime);
  static const size_t none[] = {2, SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / sizeof(float) + 1};
  EXPECT(MR_OK, mr_embeddings_wait(vectors, MR_WAIT_FOREVER, &error));
  CHECK(mr_embeddings_get_tokens(vectors, 1) > 0);
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    CHECK(mr_embeddings_get_tokens(vectors, none[i]) == 0 && mr_embeddings_get_truncated(vectors, none[i]) == 0);
  }
  CHECK(mr_embeddings_get_values(vectors, NULL, NULL) != NULL && mr_embeddings_get_version(vectors, NULL) != NULL);
  mr_embeddings_free(vectors);
}

/* One request at each limit of what a timeout may be. */
static void timeouts(const mr_runtime *runtime) {
  mr_request *request = submit(runtime);
  mr_embeddings *vectors = embed(runtime);
  mr_event *event = UNTOUCHED;
  mr_text *text = UNTOUCHED;
  static const int64_t wrong[] = {INT64_MIN, INT64_MIN + 1, INT32_MIN, -2};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    EXPECT(MR_E_INVALID_ARGUMENT, mr_request_next(request, wrong[i], &event, &error));
    EXPECT(MR_E_INVALID_ARGUMENT, mr_request_wait(request, wrong[i], &text, &error));
    EXPECT(MR_E_INVALID_ARGUMENT, mr_embeddings_wait(vectors, wrong[i], &error));
  }
  CHECK(event == UNTOUCHED && text == UNTOUCHED);
  EXPECT(MR_OK, mr_request_next(request, INT64_MAX, &event, &error));
  EXPECT(MR_OK, mr_request_wait(request, INT64_MAX, &text, &error));
  EXPECT(MR_OK, mr_embeddings_wait(vectors, INT64_MAX, &error));
  mr_event_free(event);
  mr_text_free(text);
  mr_request_free(request);
  mr_embeddings_free(vectors);
}

int main(int argc, char **argv) {
  char model[4096], encoder[4096], session[4096];
  CHECK(argc == 3);
  snprintf(model, sizeof model, "%s/examples/models/stories260K", argv[1]);
  snprintf(encoder, sizeof encoder, "%s/tests/data/tiny/bert_bge", argv[1]);
  snprintf(session, sizeof session, "%s/never.session", argv[2]);
  mr_runtime *runtime = serve(model);
  mr_text *info = NULL;
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("vectors"), TEXT(encoder), NULL, NULL, NULL, NULL, &info, &error));
  mr_text_free(info);
  char *before = ask(runtime);
  nulls();
  lengths_not_wanted(runtime);
  still_answers(runtime, before);
  freed(runtime, session);
  still_answers(runtime, before);
  forged(runtime, session);
  still_answers(runtime, before);
  rows(runtime);
  timeouts(runtime);
  still_answers(runtime, before);
  free(before);
  mr_runtime_release(runtime);
  return 0;
}
