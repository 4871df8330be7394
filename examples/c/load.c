/*
 * Many callers of one runtime, each on a thread of its own, for some time: whole answers, streams, vectors, cancelled and forgotten
 * requests, wrong ones. Every answer must be what the same question has alone, and memory must not grow. tests/conformance/README.md
 * says what is asked.
 *
 *   cc -std=c11 -Iinclude $(pkg-config --cflags libcjson) examples/c/load.c -o target/load \
 *      -Ltarget/release -lmodel_runtime $(pkg-config --libs libcjson) -pthread
 *   target/load ROOT --seconds 30 --callers 64 --report load.json
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "load_questions.h"

enum { ALLOWED_GROWTH = 32 << 20 };

static atomic_long requests, completed, cancelled, refused, errors, wrong;
static atomic_int over;
static char first_wrong[512];
static pthread_mutex_t first_wrong_lock = PTHREAD_MUTEX_INITIALIZER;

/* Something that must not be. Only the first of them is described. */
static void is_wrong(const char *what, unsigned number, const char *about) {
  pthread_mutex_lock(&first_wrong_lock);
  if (atomic_fetch_add(&wrong, 1) == 0) {
    snprintf(first_wrong, sizeof first_wrong, "%s, number %u: %s", what, number, about ? about : "");
  }
  pthread_mutex_unlock(&first_wrong_lock);
}

/* A failure that nobody asked for, unless the queue was full. Frees the error. */
static void is_failure(const char *what, unsigned number, mr_status status, mr_error *error) {
  if (status == MR_E_OVERLOADED) atomic_fetch_add(&refused, 1);
  else is_wrong(what, number, mr_error_get_message(error, NULL));
  mr_error_free(error);
}

static void ask_whole(unsigned number, uint64_t timeout_ms) {
  text_buffer text = {0};
  mr_error *error = NULL;
  mr_status status = complete(number, timeout_ms, &text, &error);
  if (status == MR_E_DEADLINE_EXCEEDED && timeout_ms > 0) {
    atomic_fetch_add(&errors, 1);
    mr_error_free(error);
  } else if (status != MR_OK) {
    is_failure("a completion", number, status, error);
  } else if (!is_right(&text, number, 1)) {
    is_wrong("a completion has another text than alone", number, text.bytes);
  } else {
    atomic_fetch_add(&completed, 1);
  }
  free(text.bytes);
}

/* Reads a stream to its end; cancelled after the first text if `cancel`. */
static void ask_stream(unsigned number, int cancel) {
  char json[256];
  text_buffer text = {0};
  mr_request *request = NULL;
  mr_event *event = NULL;
  mr_error *error = NULL;
  size_t len = completion(json, sizeof json, number);
  mr_status status = mr_runtime_submit_completion(runtime, json, len, NULL, NULL, NULL, NULL, &request, &error);
  while (status == MR_OK && (status = mr_request_next(request, MR_WAIT_FOREVER, &event, &error)) == MR_OK) {
    const char *piece = mr_event_get_text(event, &len);
    text_append(&text, piece, len);
    mr_event_free(event);
    if (cancel && len > 0) mr_request_cancel(request);
  }
  if (status == MR_E_CANCELLED && cancel) {
    mr_error_free(error);
    if (is_right(&text, number, 0)) atomic_fetch_add(&cancelled, 1);
    else is_wrong("a cancelled stream began with another text than alone", number, text.bytes);
  } else if (status != MR_DONE) {
    is_failure("a stream", number, status, error);
  } else if (!is_right(&text, number, 1)) {
    is_wrong("a stream has another text than alone", number, text.bytes);
  } else {
    atomic_fetch_add(&completed, 1);
  }
  mr_request_free(request);
  free(text.bytes);
}

static void ask_vector(unsigned number) {
  float *values = NULL;
  size_t size = 0;
  mr_error *error = NULL;
  mr_status status = embed(number, &values, &size, &error);
  if (status != MR_OK) is_failure("a vector", number, status, error);
  else if (size != right_sizes[number] || memcmp(values, right_vectors[number], size) != 0) {
    is_wrong("a vector has other bytes than alone", number, NULL);
  } else {
    atomic_fetch_add(&completed, 1);
  }
  free(values);
}

/* A request that must be refused with this status. */
static void ask_wrong(const char *json, mr_status refusal) {
  mr_text *response = NULL;
  mr_error *error = NULL;
  mr_status status = mr_runtime_complete(runtime, json, strlen(json), NULL, &response, &error);
  if (status == refusal) {
    atomic_fetch_add(&errors, 1);
    mr_error_free(error);
  } else if (status == MR_OK) {
    is_wrong("an answer to", (unsigned)refusal, json);
  } else {
    is_failure(json, (unsigned)refusal, status, error);
  }
  mr_text_free(response);
}

static void give_up(unsigned number) {
  char json[256];
  mr_request *request = NULL;
  mr_error *error = NULL;
  size_t len = completion(json, sizeof json, number);
  mr_status status = mr_runtime_submit_completion(runtime, json, len, NULL, NULL, NULL, NULL, &request, &error);
  if (status != MR_OK) is_failure("a stream to give up", number, status, error);
  else atomic_fetch_add(&cancelled, 1);
  mr_request_free(request);
}

static void *call(void *argument) {
  unsigned caller = *(unsigned *)argument;
  for (unsigned turn = 0; !atomic_load(&over); turn++) {
    unsigned number = (7 * caller + turn) % COMPLETIONS;
    atomic_fetch_add(&requests, 1);
    switch ((caller + turn) % 8) {
      case 0:
      case 1:
        ask_whole(number, 0);
        break;
      case 2:
      case 3:
        ask_stream(number, 0);
        break;
      case 4:
        ask_stream(number, 1);
        break;
      case 5:
        ask_vector((7 * caller + turn) % VECTORS);
        break;
      case 6:
        if (turn % 3 == 0) ask_whole(number, 1);
        else if (turn % 3 == 1) ask_wrong("{\"model\": \"stories\", \"prompt\": \"Once\", \"max_tokens\": \"many\"}", MR_E_INVALID_REQUEST);
        else ask_wrong("{\"model\": \"nobody\", \"prompt\": \"Once\"}", MR_E_NOT_FOUND);
        break;
      default:
        give_up(number);
    }
  }
  return NULL;
}

/* Memory of this process that is in use, from /proc. */
static long long resident_bytes(void) {
  char line[256];
  long long kilobytes = 0;
  FILE *file = fopen("/proc/self/status", "r");
  if (file == NULL) fail("cannot open", "/proc/self/status");
  while (fgets(line, sizeof line, file) != NULL && sscanf(line, "VmRSS: %lld kB", &kilobytes) != 1) continue;
  fclose(file);
  return kilobytes * 1024;
}

static void serve(const char *name, const char *root, const char *path) {
  text_buffer model = {0};
  mr_text *info = NULL;
  mr_error *error = NULL;
  text_append_string(&model, root);
  text_append_string(&model, path);
  if (mr_runtime_serve(runtime, name, strlen(name), model.bytes, model.len, NULL, NULL, NULL, NULL, &info, &error) != MR_OK) {
    fail(model.bytes, mr_error_get_message(error, NULL));
  }
  mr_text_free(info);
  free(model.bytes);
}

static void pass(double seconds) {
  struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  while (nanosleep(&left, &left) != 0) continue;
}

static void report(const char *path, unsigned callers, double seconds, long long early, long long end) {
  text_buffer json = {0};
  text_append_format(&json, "{\"language\":\"c\",\"callers\":%u,\"seconds\":%g,\"requests\":%ld,\"completed\":%ld,", callers, seconds,
                     (long)requests, (long)completed);
  text_append_format(&json, "\"cancelled\":%ld,\"refused\":%ld,\"errors\":%ld,\"wrong\":%ld,\"first_wrong\":",
                     (long)cancelled, (long)refused, (long)errors, (long)wrong);
  if (wrong > 0) text_append_quoted(&json, first_wrong, strlen(first_wrong));
  else text_append_string(&json, "null");
  text_append_format(&json, ",\"rss_early_bytes\":%lld,\"rss_end_bytes\":%lld}\n", early, end);
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(json.bytes, 1, json.len, file) != json.len || fclose(file) != 0) fail("cannot write", path);
  free(json.bytes);
}

int main(int argc, char **argv) {
  double seconds = 10;
  unsigned callers = 16;
  const char *file = NULL;
  mr_error *error = NULL;
  for (int i = 2; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--seconds") == 0) seconds = atof(argv[i + 1]);
    else if (strcmp(argv[i], "--callers") == 0) callers = (unsigned)strtoul(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--report") == 0) file = argv[i + 1];
    else fail("unknown option", argv[i]);
  }
  if (argc < 2 || argc % 2 != 0 || file == NULL || !(seconds > 0) || callers == 0) {
    fail("usage", "load ROOT --seconds N --callers M --report FILE");
  }
  if (mr_runtime_new(NULL, &runtime, &error) != MR_OK) fail("new", mr_error_get_message(error, NULL));
  serve("stories", argv[1], "/examples/models/stories260K");
  serve("minilm", argv[1], "/examples/models/all-MiniLM-L6-v2/all-MiniLM-L6-v2.gguf");
  learn();

  pthread_t *threads = calloc(callers, sizeof *threads);
  unsigned *numbers = calloc(callers, sizeof *numbers);
  if (threads == NULL || numbers == NULL) fail("out of memory", NULL);
  for (unsigned i = 0; i < callers; i++) {
    numbers[i] = i;
    if (pthread_create(&threads[i], NULL, call, &numbers[i]) != 0) fail("no thread", NULL);
  }
  pass(seconds / 5);
  long long early = resident_bytes();
  pass(seconds * 4 / 5);
  atomic_store(&over, 1);
  for (unsigned i = 0; i < callers; i++) pthread_join(threads[i], NULL);
  long long end = resident_bytes();
  report(file, callers, seconds, early, end);

  for (unsigned i = 0; i < COMPLETIONS; i++) free(right_texts[i].bytes);
  for (unsigned i = 0; i < VECTORS; i++) free(right_vectors[i]);
  free(threads);
  free(numbers);
  mr_runtime_release(runtime);
  return wrong > 0 || end > early + early / 10 + ALLOWED_GROWTH;
}
