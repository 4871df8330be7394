/* No memory: every allocation fails in its turn, and every one from some moment on, while a model is loaded, requests are
   submitted and answered. The host lives, what fails says so, and afterwards all is as before.
   Arguments: the repository, a folder to write to, and optionally "every": each allocation instead of some of them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

#include "check.h"

/* The C library's own, behind the names that this program takes. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t align, size_t size);

/* Which allocations fail, of all threads, counted from 0: those from `first` on, as many as `failing`. */
static atomic_long counted, first, failing;
static atomic_int armed;

/* Two things no library can do anything about, so they are not made to fail. Both are needed once for each new thread, and whoever
   asks for them ends the process where it cannot have them: Rust's standard library for the handle of the thread, which it takes
   from the system itself (told by its size and by where it is asked for, which is none of the places that this library's
   allocator asks from), and the C library for the list of what runs at the thread's end. */
#define THREAD_HANDLE 48
#define THREAD_END 32
static void *places[16];
static atomic_int learning, learned;

static void learn(void *place) {
  for (int i = 0; i < learned; i++)
    if (places[i] == place) return;
  if (learned < 16) places[learned++] = place;
}

static int spared(size_t size, void *place) {
  Dl_info asks;
  if (size == THREAD_END) return dladdr(place, &asks) && strstr(asks.dli_fname, "libc.so") != NULL;
  if (size != THREAD_HANDLE) return 0;
  for (int i = 0; i < learned; i++)
    if (places[i] == place) return 0;
  return 1;
}

static int fails(size_t size, void *place) {
  if (atomic_load(&learning)) learn(place);
  if (!atomic_load(&armed) || spared(size, place)) return 0;
  long number = atomic_fetch_add(&counted, 1);
  return number >= atomic_load(&first) && number - atomic_load(&first) < atomic_load(&failing);
}

#define FAILS(size) (fails(size, __builtin_return_address(0)) ? (errno = ENOMEM, 1) : 0)
void *malloc(size_t size) { return FAILS(size) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return FAILS(count * size) ? NULL : __libc_calloc(count, size); }
void *realloc(void *memory, size_t size) { return FAILS(size) ? NULL : __libc_realloc(memory, size); }
void *memalign(size_t align, size_t size) { return FAILS(size) ? NULL : __libc_memalign(align, size); }
void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }
int posix_memalign(void **memory, size_t align, size_t size) {
  void *got = memalign(align, size);
  if (got == NULL) return ENOMEM;
  *memory = got;
  return 0;
}

static void arm(long from, long how_many) {
  atomic_store(&counted, 0);
  atomic_store(&first, from);
  atomic_store(&failing, how_many);
  atomic_store(&armed, 1);
}

static long disarm(void) {
  atomic_store(&armed, 0);
  return atomic_load(&counted);
}

struct bench {
  mr_runtime *runtime; /* serves "plain", "chat" and "bge" throughout */
  char stories[4096], encoder[4096], adapter[4096];
};

/* An operation: what it answers, with its error given up. */
typedef mr_status (*operation)(struct bench *bench);

static mr_status ends(mr_status status, mr_error *error) {
  /* Without memory for the error's text there is no error object; the status says it all the same. */
  if (status < 100) CHECK(error == NULL);
  mr_error_free(error);
  return status;
}

static mr_status load_and_answer(struct bench *bench) {
  mr_runtime *runtime = NULL;
  mr_text *info = NULL, *answer = NULL;
  mr_error *error = NULL;
  mr_status status = mr_runtime_new(NULL, &runtime, &error);
  if (status == MR_OK)
    status = mr_runtime_serve(runtime, TEXT("plain"), TEXT(bench->stories), NULL, NULL, NULL, NULL, &info, &error);
  if (status == MR_OK) status = mr_runtime_complete(runtime, TEXT(COMPLETION(8)), NULL, &answer, &error);
  CHECK((status == MR_OK) == (answer != NULL));
  mr_text_free(answer);
  mr_text_free(info);
  mr_runtime_release(runtime);
  return ends(status, error);
}

static mr_status chat(struct bench *bench) {
  mr_text *answer = NULL;
  mr_error *error = NULL;
  mr_status status = mr_runtime_chat(bench->runtime, TEXT(CHAT(8)), NULL, &answer, &error);
  CHECK((status == MR_OK) == (answer != NULL));
  mr_text_free(answer);
  return ends(status, error);
}

static mr_status stream(struct bench *bench) {
  mr_request *request = NULL;
  mr_error *error = NULL;
  mr_status status =
      mr_runtime_submit_completion(bench->runtime, TEXT(COMPLETION(8)), NULL, NULL, NULL, NULL, &request, &error);
  while (status == MR_OK) {
    mr_event *event = NULL;
    status = mr_request_next(request, MR_WAIT_FOREVER, &event, &error);
    CHECK((status == MR_OK) == (event != NULL));
    mr_event_free(event);
  }
  mr_request_free(request);
  return ends(status == MR_DONE ? MR_OK : status, error);
}

static int32_t hear(void *user_data, const mr_event *event) {
  (void)event;
  ++*(int *)user_data;
  return 0;
}

static mr_status push(struct bench *bench) {
  int heard = 0;
  mr_request *request = NULL;
  mr_text *answer = NULL;
  mr_error *error = NULL;
  mr_status status =
      mr_runtime_submit_completion(bench->runtime, TEXT(COMPLETION(8)), NULL, hear, &heard, NULL, &request, &error);
  if (status == MR_OK) status = mr_request_wait(request, MR_WAIT_FOREVER, &answer, &error);
  CHECK(status != MR_OK || heard > 1);
  mr_text_free(answer);
  mr_request_free(request);
  return ends(status, error);
}

static mr_status embed(struct bench *bench) {
  const char *json = "{\"model\":\"bge\",\"input\":[\"one text\",\"another\"]}";
  mr_embeddings *embeddings = NULL;
  mr_error *error = NULL;
  mr_status status = mr_runtime_submit_embeddings(bench->runtime, TEXT(json), NULL, &embeddings, &error);
  if (status == MR_OK) status = mr_embeddings_wait(embeddings, MR_WAIT_FOREVER, &error);
  CHECK((status == MR_OK) == (mr_embeddings_get_values(embeddings, NULL, NULL) != NULL));
  mr_embeddings_free(embeddings);
  return ends(status, error);
}

static mr_status adapt(struct bench *bench) {
  mr_text *info = NULL;
  mr_error *error = NULL;
  mr_status status =
      mr_runtime_load_adapter(bench->runtime, TEXT("plain"), TEXT("a"), TEXT(bench->adapter), &info, &error);
  CHECK((status == MR_OK) == (info != NULL));
  if (status == MR_OK) status = mr_runtime_unload_adapter(bench->runtime, TEXT("plain"), TEXT("a"), &error);
  /* Taking away needs no memory that could be refused. */
  CHECK(info == NULL || status == MR_OK);
  mr_text_free(info);
  return ends(status, error);
}

static mr_status manage(struct bench *bench) {
  const char *json = "{\"name\":\"main.default.memory\",\"by\":\"c\"}";
  mr_text *response = NULL;
  mr_error *error = NULL;
  mr_status status = mr_runtime_manage(bench->runtime, TEXT("registry.create_model"), TEXT(json), &response, &error);
  mr_text_free(response);
  ends(status, error);
  error = NULL;
  response = NULL;
  json = "{\"name\":\"main.default.memory\"}";
  mr_status deleted = mr_runtime_manage(bench->runtime, TEXT("registry.delete_model"), TEXT(json), &response, &error);
  mr_text_free(response);
  ends(deleted, error);
  /* Where a deed was lost, or its answer only, the next one says so. */
  int lost = status == MR_E_CONFLICT || deleted == MR_E_NOT_FOUND;
  return lost ? MR_E_INSUFFICIENT_MEMORY : status == MR_OK ? deleted : status;
}

static mr_status look(struct bench *bench) {
  mr_text *text = NULL;
  mr_error *error = NULL;
  mr_status status = mr_runtime_plan(bench->runtime, TEXT(bench->stories), NULL, &text, &error);
  mr_text_free(text);
  text = NULL;
  if (status == MR_OK) status = mr_runtime_stats(bench->runtime, &text, &error);
  mr_text_free(text);
  text = NULL;
  if (status == MR_OK) status = mr_runtime_endpoints(bench->runtime, &text, &error);
  mr_text_free(text);
  return ends(status, error);
}

/* What the library answers to a fixed request, as bytes. */
static void fingerprint(struct bench *bench, char *into, size_t size) {
  mr_request *request = NULL;
  mr_status status = MR_OK;
  into[0] = 0;
  EXPECT(MR_OK, mr_runtime_submit_completion(bench->runtime, TEXT(COMPLETION(12)), NULL, NULL, NULL, NULL, &request, &error));
  while (status == MR_OK) {
    mr_event *event = NULL;
    status = mr_request_next(request, MR_WAIT_FOREVER, &event, NULL);
    if (event != NULL) strncat(into, mr_event_get_text(event, NULL), size - strlen(into) - 1);
    mr_event_free(event);
  }
  CHECK(status == MR_DONE);
  mr_request_free(request);
}

static long tried, refused;

static void fail_in(struct bench *bench, const char *name, operation run, long samples) {
  char before[1024], after[1024];
  fingerprint(bench, before, sizeof before);
  CHECK(strlen(before) > 10);
  /* Twice: the first time leaves behind what stays. */
  CHECK(run(bench) == MR_OK);
  arm(0, 0);
  CHECK(run(bench) == MR_OK);
  long allocations = disarm();
  CHECK(allocations > 0);
  long stride = samples == 0 || allocations <= samples ? 1 : allocations / samples;
  for (int persistent = 0; persistent < 2; persistent++) {
    /* One allocation fails, or all of them from there on. */
    for (long at = 0; at < allocations; at += persistent ? stride * 8 : stride) {
      arm(at, persistent ? 1L << 40 : 1);
      mr_status status = run(bench);
      disarm();
      tried++;
      refused += status != MR_OK;
      if (status != MR_OK && status != MR_E_INSUFFICIENT_MEMORY && status != MR_E_IO && status != MR_E_OVERLOADED &&
          status != MR_E_INTERNAL && status != MR_E_INVALID_MODEL) {
        fprintf(stderr, "%s: allocation %ld of %ld: status %d\n", name, at, allocations, (int)status);
        exit(1);
      }
      if (at % 16 == 0) {
        fingerprint(bench, after, sizeof after);
        CHECK(strcmp(before, after) == 0);
      }
    }
  }
  CHECK(run(bench) == MR_OK);
}

int main(int argc, char **argv) {
  CHECK(argc == 3 || argc == 4);
  int every = argc == 4 && strcmp(argv[3], "every") == 0;
  struct bench bench;
  snprintf(bench.stories, sizeof bench.stories, "%s/examples/models/stories260K", argv[1]);
  snprintf(bench.encoder, sizeof bench.encoder, "%s/tests/data/tiny/bert_bge", argv[1]);
  snprintf(bench.adapter, sizeof bench.adapter, "%s/tests/data/lora/stories260K-qkv", argv[1]);
  bench.runtime = serve(bench.stories);
  mr_text *info = NULL;
  EXPECT(MR_OK, mr_runtime_serve(bench.runtime, TEXT("bge"), TEXT(bench.encoder), NULL, NULL, NULL, NULL, &info, &error));
  mr_text_free(info);

  /* Nothing here makes a thread. */
  atomic_store(&learning, 1);
  CHECK(look(&bench) == MR_OK && manage(&bench) == MR_OK);
  atomic_store(&learning, 0);
  CHECK(learned > 0);

  static const struct {
    const char *name;
    operation run;
  } operations[] = {{"chat", chat},   {"stream", stream}, {"push", push}, {"embed", embed},
                    {"adapt", adapt}, {"manage", manage}, {"look", look}, {"load", load_and_answer}};
  for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
    fail_in(&bench, operations[i].name, operations[i].run, every ? 0 : 300);
  }
  CHECK(tried > 1000 && refused > 0);
  mr_runtime_release(bench.runtime);
  return 0;
}
