/*
 * The suite of tests/conformance over the C interface: does every step of every case and writes down what it gave.
 *
 *   cc -std=c11 -Iinclude $(pkg-config --cflags libcjson) examples/c/conformance.c -o target/conformance \
 *      -Ltarget/release -lmodel_runtime $(pkg-config --libs libcjson) -pthread
 *   target/conformance CASES ROOT SCRATCH OUTPUT
 *
 * cJSON reads how the cases are built. Requests and answers are not its business: they pass through as text, since it has numbers
 * as doubles and no string with a NUL in it.
 */
#include <pthread.h>

#include "conformance_questions.h"

/* Seconds since 1970 of a time like 2025-03-04T12:00:00Z. */
static int64_t seconds_of(const char *time) {
  int year, month, day, hour, minute, second, len = 0;
  if (sscanf(time, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &year, &month, &day, &hour, &minute, &second, &len) != 6 || time[len] != '\0') {
    fail("not a time", time);
  }
  /* Years begin in March: then the day that leap years add is the last one. */
  int64_t y = month <= 2 ? year - 1 : year, m = (month + 9) % 12;
  int64_t days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
  return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

static int64_t tell_time(void *user_data, int32_t which) {
  bench *self = user_data;
  int64_t now = atomic_load(&self->now);
  return (which == MR_CLOCK_WALL ? now : now - self->start) * 1000000000;
}

static void result_of(bench *self, const cJSON *step, text_buffer *into);

/* A step of a thread of its own. */
typedef struct {
  bench *bench;
  const cJSON *step;
  text_buffer result;
  pthread_t thread;
} companion;

static void *accompany(void *argument) {
  companion *self = argument;
  result_of(self->bench, self->step, &self->result);
  return NULL;
}

static void together(bench *self, const cJSON *step, text_buffer *value) {
  const cJSON *steps = cJSON_GetObjectItemCaseSensitive(step, "steps"), *copies = cJSON_GetObjectItemCaseSensitive(step, "copies");
  size_t each = (size_t)cJSON_GetArraySize(steps), count = each * (copies ? (size_t)copies->valueint : 1);
  companion *all = calloc(count ? count : 1, sizeof *all);
  if (all == NULL) fail("out of memory", NULL);
  for (size_t i = 0; i < count; i++) {
    all[i].bench = self;
    all[i].step = cJSON_GetArrayItem(steps, (int)(i % each));
    if (pthread_create(&all[i].thread, NULL, accompany, &all[i]) != 0) fail("no thread", NULL);
  }
  for (size_t i = 0; i < count; i++) {
    if (pthread_join(all[i].thread, NULL) != 0) fail("a thread is lost", NULL);
    text_append(value, i ? "," : "[", 1);
    text_append(value, all[i].result.bytes, all[i].result.len);
    free(all[i].result.bytes);
  }
  text_append_string(value, count ? "]" : "[]");
  free(all);
}

/* Does a step and writes its value, if it succeeds. */
static mr_status perform(bench *self, const cJSON *step, text_buffer *value, mr_error **error) {
  const char *what = string_of(step, "do");
  mr_runtime *runtime = self->runtime;
  mr_text *given = NULL;
  mr_status status = MR_OK;
#define IS(name) (strcmp(what, name) == 0)
  if (IS("chat")) return ask(self, step, mr_runtime_chat, value, error);
  if (IS("complete")) return ask(self, step, mr_runtime_complete, value, error);
  if (IS("embeddings")) return ask(self, step, mr_runtime_embeddings, value, error);
  if (IS("stream_chat")) return stream(self, step, mr_runtime_submit_chat, value, error);
  if (IS("stream_complete")) return stream(self, step, mr_runtime_submit_completion, value, error);
  if (IS("vectors")) return vectors(self, step, value, error);
  if (IS("cancel")) return cancel(self, step, value, error);
  if (IS("together")) {
    together(self, step, value);
    return MR_OK;
  }
  if (IS("serve")) {
    status = mr_runtime_serve(runtime, TEXT(string_of(step, "name")), TEXT(string_of(step, "model")), NULL, NULL, NULL, NULL,
                              &given, error);
  } else if (IS("remove")) {
    status = mr_runtime_remove(runtime, TEXT(string_of(step, "name")), error);
  } else if (IS("endpoints")) {
    status = mr_runtime_endpoints(runtime, &given, error);
  } else if (IS("plan")) {
    status = mr_runtime_plan(runtime, TEXT(string_of(step, "model")), NULL, &given, error);
  } else if (IS("manage")) {
    question asked = question_of(step);
    status = mr_runtime_manage(runtime, TEXT(string_of(step, "operation")), asked.json.bytes, asked.json.len, &given, error);
    free(asked.json.bytes);
  } else if (IS("load_adapter")) {
    status = mr_runtime_load_adapter(runtime, TEXT(string_of(step, "endpoint")), TEXT(string_of(step, "name")),
                                     TEXT(string_of(step, "path")), &given, error);
  } else if (IS("unload_adapter")) {
    status = mr_runtime_unload_adapter(runtime, TEXT(string_of(step, "endpoint")), TEXT(string_of(step, "name")), error);
  } else if (IS("drop")) {
    mr_request *request = NULL;
    status = submit(self, step, mr_runtime_submit_completion, &request, error);
    mr_request_free(request);
  } else if (IS("set_clock")) {
    atomic_store(&self->now, seconds_of(string_of(step, "now")));
  } else {
    fail("a step that this runner does not know", what);
  }
  if (given != NULL) take_json(value, given);
  else if (status == MR_OK) text_append_string(value, "null");
  return status;
}

static void result_of(bench *self, const cJSON *step, text_buffer *into) {
  text_buffer value = {0};
  mr_error *error = NULL;
  if (perform(self, step, &value, &error) == MR_OK) {
    text_append_string(into, "{\"ok\":");
    text_append(into, value.bytes, value.len);
    text_append_string(into, "}");
  } else {
    describe(into, error);
  }
  free(value.bytes);
}

static void do_case(const cJSON *one, FILE *output) {
  bench self = {0};
  mr_runtime_options options = MR_RUNTIME_OPTIONS_INIT;
  mr_error *error = NULL;
  text_buffer line = {0};
  const char *name = string_of(one, "name"), *start = optional_string(one, "start");
  options.database = optional_string(one, "database");
  options.database_len = options.database ? strlen(options.database) : 0;
  options.catalog = optional_string(one, "catalog");
  options.catalog_len = options.catalog ? strlen(options.catalog) : 0;
  if (start != NULL) {
    self.start = seconds_of(start);
    atomic_store(&self.now, self.start);
    options.clock = tell_time;
    options.clock_data = &self;
  }
  if (mr_runtime_new(&options, &self.runtime, &error) != MR_OK) fail(name, mr_error_get_message(error, NULL));
  text_append_string(&line, "{\"case\":");
  text_append_quoted(&line, name, strlen(name));
  text_append_string(&line, ",\"results\":[");
  const cJSON *steps = cJSON_GetObjectItemCaseSensitive(one, "steps");
  for (const cJSON *step = steps ? steps->child : NULL; step != NULL; step = step->next) {
    if (step != steps->child) text_append_string(&line, ",");
    result_of(&self, step, &line);
  }
  text_append_string(&line, "]}\n");
  mr_runtime_release(self.runtime);
  if (fwrite(line.bytes, 1, line.len, output) != line.len || fflush(output) != 0) fail("cannot write", name);
  free(line.bytes);
}

/* The file, with the folders that it names put in, and each request as a string of its own text. */
static cJSON *read_cases(const char *path, const char *root, const char *scratch) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail("cannot open", path);
  text_buffer text = {0}, named = {0}, quoted = {0};
  char piece[4096];
  for (size_t len; (len = fread(piece, 1, sizeof piece, file)) > 0;) text_append(&text, piece, len);
  if (ferror(file) || fclose(file) != 0 || text.len == 0) fail("cannot read", path);
  for (const char *at = text.bytes; *at != '\0';) {
    size_t plain = strcspn(at, "@");
    text_append(&named, at, plain);
    at += plain;
    if (strncmp(at, "@ROOT@", 6) == 0) {
      text_append_string(&named, root);
      at += 6;
    } else if (strncmp(at, "@SCRATCH@", 9) == 0) {
      text_append_string(&named, scratch);
      at += 9;
    } else if (*at == '@') {
      text_append(&named, at++, 1);
    }
  }
  json_quote_members(&quoted, named.bytes, "request");
  cJSON *cases = cJSON_Parse(quoted.bytes);
  if (!cJSON_IsArray(cases)) fail("no list of cases", path);
  free(text.bytes);
  free(named.bytes);
  free(quoted.bytes);
  return cases;
}

int main(int argc, char **argv) {
  if (argc != 5) fail("usage", "conformance CASES ROOT SCRATCH OUTPUT");
  cJSON *cases = read_cases(argv[1], argv[2], argv[3]);
  FILE *output = fopen(argv[4], "wb");
  if (output == NULL) fail("cannot write", argv[4]);
  for (const cJSON *one = cases->child; one != NULL; one = one->next) do_case(one, output);
  if (fclose(output) != 0) fail("cannot write", argv[4]);
  cJSON_Delete(cases);
  return 0;
}
