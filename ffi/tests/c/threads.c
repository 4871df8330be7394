/* Many threads call functions of the header at random on the same handles at the same time: they submit, read, wait, cancel and free
   each other's requests, serve and remove endpoints, load adapters, keep sessions, ask and embed. Every outcome is one that the
   header allows, what is asked in between has its right answer, and in the end everything is freed.
   Arguments: the repository, an empty folder to write in, optionally the number of threads and of steps of each. */
#include <pthread.h>
#include <stdatomic.h>

#include "answers.h"

enum { SLOTS = 24, PROMPTS = 8, TEXTS = 4 };

static mr_runtime *runtime;
static char model[4096], encoder[4096], adapter[4096], folder[4096];
/* Handles that all threads use and any of them may free: several free the same one, others call with one that was freed. */
static _Atomic(mr_request *) requests[SLOTS];
static _Atomic(mr_embeddings *) vectors[SLOTS];
static atomic_long datas, datas_freed, completed, cancelled;
static char *right_texts[PROMPTS];
static float *right_vectors[TEXTS];
static size_t dimension;
static long steps = 100;

typedef struct {
  int number;
  uint64_t state;
} caller;

static unsigned chance(caller *self, unsigned below) {
  self->state ^= self->state << 13;
  self->state ^= self->state >> 7;
  self->state ^= self->state << 17;
  return (unsigned)((self->state >> 33) % below);
}

static int32_t on_event(void *user_data, const mr_event *event) {
  CHECK(user_data != NULL);
  return mr_event_get_kind(event) == MR_EVENT_CHUNKS && mr_event_get_text(event, NULL)[0] == 'q' ? 7 : 0;
}

static void on_free(void *user_data) {
  free(user_data);
  atomic_fetch_add(&datas_freed, 1);
}

static void submit(caller *self) {
  char json[256];
  mr_request *request = NULL;
  mr_status status;
  int heard = chance(self, 3) == 0;
  void *user_data = heard ? malloc(16) : NULL;
  prompt(json, sizeof json, chance(self, PROMPTS), 4 + chance(self, 40));
  if (heard) atomic_fetch_add(&datas, 1);
  TRY(status,
      mr_runtime_submit_completion(runtime, TEXT(json), NULL, heard ? on_event : NULL, user_data, heard ? on_free : NULL,
                                   &request, &error),
      MR_OK, MR_E_OVERLOADED);
  if (status == MR_OK) mr_request_free(atomic_exchange(&requests[chance(self, SLOTS)], request));
}

static void submit_vectors(caller *self) {
  char json[256];
  mr_embeddings *made = NULL;
  mr_status status;
  input(json, sizeof json, chance(self, TEXTS));
  TRY(status, mr_runtime_submit_embeddings(runtime, TEXT(json), NULL, &made, &error), MR_OK, MR_E_OVERLOADED);
  if (status == MR_OK) mr_embeddings_free(atomic_exchange(&vectors[chance(self, SLOTS)], made));
}

/* Calls on a request that others use, cancel and free meanwhile. */
static void use_request(caller *self) {
  mr_request *request = atomic_load(&requests[chance(self, SLOTS)]);
  mr_event *event = NULL;
  mr_text *text = NULL;
  mr_status status;
  int64_t timeout = chance(self, 4) == 0 ? MR_WAIT_FOREVER : (int64_t)chance(self, 20);
  char path[4200];
  switch (chance(self, 8)) {
    case 0:
    case 1:
      TRY(status, mr_request_next(request, timeout, &event, &error), MR_OK, MR_TIMED_OUT, MR_DONE, MR_E_CANCELLED,
          MR_E_INVALID_ARGUMENT, MR_E_CONFLICT);
      if (status == MR_OK) CHECK(mr_event_get_kind(event) == MR_EVENT_CHUNKS);
      if (status == MR_E_CANCELLED) atomic_fetch_add(&cancelled, 1);
      mr_event_free(event);
      return;
    case 2:
      TRY(status, mr_request_wait(request, timeout, &text, &error), MR_OK, MR_TIMED_OUT, MR_E_CANCELLED,
          MR_E_INVALID_ARGUMENT, MR_E_CALLBACK);
      if (status == MR_OK) atomic_fetch_add(&completed, 1);
      mr_text_free(text);
      return;
    case 3:
      ALLOW(mr_request_timings(request, &text, &error), MR_OK, MR_E_CONFLICT, MR_E_INVALID_ARGUMENT);
      mr_text_free(text);
      return;
    case 4:
      mr_request_cancel(request);
      return;
    case 5:
      /* What it lends may be gone already: it is asked for, not read. */
      mr_request_get_version(request, &(size_t){0});
      return;
    case 6:
      snprintf(path, sizeof path, "%s/%u.session", folder, chance(self, 4));
      ALLOW(mr_request_save_session(request, 0, TEXT(path), &error), MR_OK, MR_E_CONFLICT, MR_E_INVALID_ARGUMENT);
      return;
    default:
      /* It stays in its place: others will use and free it again. */
      mr_request_free(request);
  }
}

static void use_vectors(caller *self) {
  mr_embeddings *made = atomic_load(&vectors[chance(self, SLOTS)]);
  mr_text *text = NULL;
  switch (chance(self, 6)) {
    case 0:
      ALLOW(mr_embeddings_wait(made, chance(self, 2) ? MR_WAIT_FOREVER : 1, &error), MR_OK, MR_TIMED_OUT,
          MR_E_CANCELLED, MR_E_INVALID_ARGUMENT);
      return;
    case 1:
      ALLOW(mr_embeddings_response(made, &text, &error), MR_OK, MR_E_CONFLICT, MR_E_CANCELLED, MR_E_INVALID_ARGUMENT);
      mr_text_free(text);
      return;
    case 2:
      CHECK(mr_embeddings_get_done(made) <= 1 && mr_embeddings_get_tokens(made, 0) < 64);
      return;
    case 3:
      mr_embeddings_get_values(made, &(size_t){0}, &(size_t){0});
      mr_embeddings_get_version(made, &(size_t){0});
      CHECK(mr_embeddings_get_truncated(made, 0) == 0 && mr_embeddings_get_normalize(made) <= MR_NORMALIZE_L2);
      return;
    case 4:
      mr_embeddings_cancel(made);
      return;
    default:
      mr_embeddings_free(made);
  }
}

/* What changes or reports the runtime itself. The names are few, so that threads get into each other's way. */
static void use_runtime(caller *self) {
  char name[16], path[4200];
  mr_text *text = NULL;
  snprintf(name, sizeof name, "other%u", chance(self, 3));
  snprintf(path, sizeof path, "%s/%u.session", folder, chance(self, 4));
  switch (chance(self, 10)) {
    case 0:
      ALLOW(mr_runtime_serve(runtime, TEXT(name), TEXT(model), NULL, NULL, NULL, NULL, &text, &error), MR_OK,
          MR_E_CONFLICT);
      break;
    case 1:
      ALLOW(mr_runtime_remove(runtime, TEXT(name), &error), MR_OK, MR_E_NOT_FOUND, MR_E_CONFLICT);
      break;
    case 2:
      EXPECT(MR_OK, mr_runtime_stats(runtime, &text, &error));
      break;
    case 3:
      EXPECT(MR_OK, mr_runtime_endpoints(runtime, &text, &error));
      break;
    case 4:
      EXPECT(MR_OK, mr_runtime_plan(runtime, TEXT(model), NULL, &text, &error));
      break;
    case 5:
      EXPECT(MR_OK, mr_runtime_manage(runtime, TEXT("registry.models"), NULL, 0, &text, &error));
      break;
    case 6:
      ALLOW(mr_runtime_load_adapter(runtime, TEXT("plain"), TEXT(name), TEXT(adapter), &text, &error), MR_OK,
          MR_E_CONFLICT);
      break;
    case 7:
      ALLOW(mr_runtime_unload_adapter(runtime, TEXT("plain"), TEXT(name), &error), MR_OK, MR_E_NOT_FOUND);
      break;
    case 8:
      ALLOW(mr_runtime_restore_session(runtime, TEXT("plain"), TEXT(path), NULL, &error), MR_OK, MR_E_IO,
          MR_E_NOT_FOUND, MR_E_OVERLOADED);
      break;
    default:
      mr_runtime_retain(runtime);
      mr_runtime_release(runtime);
  }
  mr_text_free(text);
}

static void ask_alone(caller *self) {
  unsigned which = chance(self, PROMPTS);
  if (chance(self, 2) == 0) {
    char *text = complete(runtime, which);
    CHECK(text == NULL || strcmp(text, right_texts[which]) == 0);
    free(text);
  } else {
    size_t columns = 0;
    float *values = embed(runtime, which % TEXTS, &columns);
    CHECK(values == NULL || columns == dimension);
    CHECK(values == NULL || memcmp(values, right_vectors[which % TEXTS], dimension * sizeof *values) == 0);
    free(values);
  }
}

static void *call_at_random(void *argument) {
  caller *self = argument;
  mr_runtime_retain(runtime);
  for (long step = 0; step < steps; step++) {
    switch (chance(self, 16)) {
      case 0:
      case 1:
      case 2:
        submit(self);
        break;
      case 3:
        submit_vectors(self);
        break;
      case 4:
      case 5:
        use_vectors(self);
        break;
      case 6:
      case 7:
        use_runtime(self);
        break;
      case 8:
        ask_alone(self);
        break;
      default:
        use_request(self);
    }
  }
  mr_runtime_release(runtime);
  return NULL;
}

static int met(void) {
  return atomic_load(&completed) > 0 && atomic_load(&cancelled) > 0;
}

int main(int argc, char **argv) {
  enum { MOST = 256, ROUNDS = 50 };
  CHECK(argc >= 3);
  int count = argc > 3 ? atoi(argv[3]) : 64;
  if (argc > 4) steps = atol(argv[4]);
  CHECK(count > 0 && count <= MOST);
  snprintf(model, sizeof model, "%s/examples/models/stories260K", argv[1]);
  snprintf(adapter, sizeof adapter, "%s/tests/data/lora/stories260K-qkv", argv[1]);
  snprintf(encoder, sizeof encoder, "%s/tests/data/tiny/bert_bge", argv[1]);
  snprintf(folder, sizeof folder, "%s", argv[2]);
  runtime = serve(model);
  mr_text *text = NULL;
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("vectors"), TEXT(encoder), NULL, NULL, NULL, NULL, &text, &error));
  mr_text_free(text);
  for (unsigned i = 0; i < PROMPTS; i++) right_texts[i] = complete(runtime, i);
  for (unsigned i = 0; i < TEXTS; i++) right_vectors[i] = embed(runtime, i, &dimension);

  static pthread_t threads[MOST];
  static caller callers[MOST];
  for (int i = 0; i < count; i++) {
    callers[i] = (caller){.number = i, .state = 0x9e3779b97f4a7c15u * (uint64_t)(i + 1)};
  }
  /* There must be no peace among many: they go on until one was finished and another cancelled while it was read. Who gets there first is for
     the scheduler to say, and on some days it takes another round. */
  for (int round = 0; round == 0 || (count >= 32 && !met() && round < ROUNDS); round++) {
    for (int i = 0; i < count; i++) CHECK(pthread_create(&threads[i], NULL, call_at_random, &callers[i]) == 0);
    for (int i = 0; i < count; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  }
  CHECK(count < 32 || met());

  for (int i = 0; i < SLOTS; i++) {
    mr_request_free(atomic_load(&requests[i]));
    mr_embeddings_free(atomic_load(&vectors[i]));
  }
  CHECK(atomic_load(&datas) == atomic_load(&datas_freed));
  for (unsigned i = 0; i < PROMPTS; i++) {
    text = NULL;
    char *again = complete(runtime, i);
    CHECK(strcmp(again, right_texts[i]) == 0);
    free(again);
    free(right_texts[i]);
  }
  for (unsigned i = 0; i < TEXTS; i++) free(right_vectors[i]);
  mr_runtime_release(runtime);
  return 0;
}
