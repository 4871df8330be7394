/* Every function that can fail, with each of its arguments wrong in every way that is recognised: NULL, lengths that lie, text
   that is not UTF-8, handles that were freed or never existed. Nothing but the error is written, the host's data is freed once,
   and the runtime answers as before.
   Arguments: the repository, an empty folder to write in. */
#include "hostile_functions.h"

static mr_runtime *runtime;
static char *before, model[4096], adapter[4096], encoder[4096], session[4096], asked[4096], answered[4096];
static int datas, datas_freed;

static void free_text(void *text) { mr_text_free(text); }
static void free_request(void *request) { mr_request_free(request); }
static void free_vectors(void *vectors) { mr_embeddings_free(vectors); }
static void free_runtime(void *other) { mr_runtime_release(other); }
static void take_away(void *info) {
  mr_text_free(info);
  EXPECT(MR_OK, mr_runtime_remove(runtime, TEXT("extra"), &error));
}
static void serve_again(void *nothing) {
  mr_text *info = nothing;
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("passing"), TEXT(model), NULL, NULL, NULL, NULL, &info, &error));
  mr_text_free(info);
}
static void unload_again(void *info) {
  mr_text_free(info);
  EXPECT(MR_OK, mr_runtime_unload_adapter(runtime, TEXT("plain"), TEXT("new"), &error));
}
static void load_again(void *nothing) {
  mr_text *info = nothing;
  EXPECT(MR_OK, mr_runtime_load_adapter(runtime, TEXT("plain"), TEXT("old"), TEXT(adapter), &info, &error));
  mr_text_free(info);
}

static int32_t on_event(void *user_data, const mr_event *event) { return user_data == event; }
static int32_t on_progress(void *user_data, int32_t phase, uint64_t done, uint64_t total) {
  return user_data == NULL && phase > 99 && done > total;
}
static int32_t on_run(void *user_data, const char *progress, size_t len) { return user_data == progress || len == 0; }
static void on_free(void *user_data) { datas_freed += user_data == NULL || user_data == UNTOUCHED; }

/* Calls the function, once with an error and once without, on copies of its texts that end at a fence. */
static mr_status call(const struct function *function, const value *given) {
  mr_status status = MR_OK;
  for (int wanted = 1; wanted >= 0; wanted--) {
    value values[11];
    struct fenced texts[11];
    void *out = UNTOUCHED;
    size_t count = 0, fences = 0;
    for (; count < 11 && function->arguments[count].kind != NOTHING; count++) {
      enum kind kind = function->arguments[count].kind;
      values[count] = given[count];
      if ((kind == OUT || kind == OUT_OPTIONAL) && given[count].pointer != NULL) values[count].pointer = &out;
      if (kind == USER_DATA_FREE && given[count].user_data_free != NULL) datas++;
      /* A length that lies is not copied: the pointer must not be looked at. */
      if (kind == STRING && given[count].string != NULL && given[count + 1].size <= SIZE_MAX / 4) {
        texts[fences] = fence(given[count].string, given[count + 1].size);
        values[count].string = texts[fences++].bytes;
      }
    }
    mr_error *error = UNTOUCHED;
    mr_status got = function->call(values, wanted ? &error : NULL);
    if (wanted) check_error(function->name, got, error);
    CHECK(wanted || got == status);
    status = got;
    if (status != MR_OK) {
      if (out != UNTOUCHED) fprintf(stderr, "%s: answers %d and writes a result\n", function->name, (int)status);
      CHECK(out == UNTOUCHED);
    } else if (function->undo != NULL) {
      function->undo(out == UNTOUCHED ? NULL : out);
    }
    while (fences > 0) unfence(texts[--fences]);
    if (datas != datas_freed) fprintf(stderr, "%s: %d of %d user_data are freed\n", function->name, datas_freed, datas);
    CHECK(datas == datas_freed);
  }
  return status;
}

/* One argument (and its length) is replaced; the function must answer this. */
static mr_status with(const struct function *function, size_t at, value one, size_t length) {
  value values[11];
  for (size_t i = 0; i < 11; i++) values[i] = function->arguments[i].value;
  values[at] = one;
  if (function->arguments[at].kind == STRING) values[at + 1].size = length;
  return call(function, values);
}

#define MUST(status, ...)                                                                                       \
  do {                                                                                                          \
    mr_status got = with(function, at, __VA_ARGS__);                                                            \
    if (got != (status)) fprintf(stderr, "%s, argument %zu: %d instead of %d\n", function->name, at, (int)got, (int)(status)); \
    CHECK(got == (status));                                                                                     \
  } while (0)

static void wrong_string(const struct function *function, size_t at) {
  static const char *const not_utf8[] = {"\xff", "\x80", "caf\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"};
  const char *good = function->arguments[at].value.string;
  size_t len = strlen(good);
  value text = {.string = good}, null = {.string = NULL};
  MUST(MR_E_INVALID_ARGUMENT, null, len);
  MUST(MR_E_INVALID_ARGUMENT, null, 1);
  MUST(MR_E_INVALID_ARGUMENT, null, SIZE_MAX / 2);
  MUST(MR_E_INVALID_ARGUMENT, null, SIZE_MAX);
  MUST(MR_E_INVALID_ARGUMENT, text, SIZE_MAX);
  MUST(MR_E_INVALID_ARGUMENT, text, SIZE_MAX / 2 + 1);
  for (size_t i = 0; i < sizeof not_utf8 / sizeof *not_utf8; i++) {
    MUST(MR_E_INVALID_ARGUMENT, (value){.string = not_utf8[i]}, strlen(not_utf8[i]));
  }
  /* All of the good text, and a character whose last byte is missing. */
  char *cut = malloc(len + 4);
  CHECK(cut != NULL);
  snprintf(cut, len + 4, "%s\xe2\x82\xac", good);
  MUST(MR_E_INVALID_ARGUMENT, (value){.string = cut}, len + 2);
  free(cut);
  /* No text at all is no broken contract, and NULL is the same as "". */
  mr_status empty = with(function, at, text, 0);
  CHECK(empty != MR_E_INVALID_ARGUMENT);
  MUST(empty, null, 0);
}

static void wrong_argument(const struct function *function, size_t at) {
  static const int64_t timeouts[] = {INT64_MIN, -1000, -2};
  struct argument argument = function->arguments[at];
  value null = {.pointer = NULL};
  int local = 0;
  switch (argument.kind) {
    case RUNTIME:
    case OUT:
      MUST(MR_E_INVALID_ARGUMENT, null, 0);
      return;
    case REQUEST:
    case VECTORS:
      MUST(MR_E_INVALID_ARGUMENT, null, 0);
      MUST(MR_E_INVALID_ARGUMENT, (value){.pointer = (void *)UINTPTR_MAX}, 0);
      MUST(MR_E_INVALID_ARGUMENT, (value){.pointer = &local}, 0);
      MUST(MR_E_INVALID_ARGUMENT, (value){.pointer = runtime}, 0);
      return;
    case STRING:
      wrong_string(function, at);
      return;
    case TIMEOUT:
      for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        MUST(MR_E_INVALID_ARGUMENT, (value){.timeout = timeouts[i]}, 0);
      }
      MUST(function->good, (value){.timeout = INT64_MAX}, 0);
      MUST(function->good, (value){.timeout = 0}, 0);
      return;
    case CHOICE:
      MUST(MR_E_CONFLICT, (value){.size = SIZE_MAX}, 0);
      MUST(MR_E_CONFLICT, (value){.size = 1}, 0);
      return;
    case OPTIONS:
    case CALLBACK:
    case USER_DATA:
    case USER_DATA_FREE:
    case OUT_OPTIONAL:
      MUST(function->good, null, 0);
      return;
    case LENGTH:
    case NOTHING:
      return;
  }
}

#define IN(text) {STRING, {.string = (text)}}, {LENGTH, {.size = strlen(text)}}
#define ON {RUNTIME, {.runtime = runtime}}
#define GIVES {OUT, {.pointer = UNTOUCHED}}
#define WITH(type) {OPTIONS, {.type = &type}}
#define HEARD(type, function) {CALLBACK, {.type = (function)}}, {USER_DATA, {.pointer = UNTOUCHED}}, {USER_DATA_FREE, {.user_data_free = on_free}}
#define VECTORS_OF "{\"model\":\"vectors\",\"input\":[\"bread\",\"rivers\"]}"

static void run(const mr_request *done, const mr_embeddings *made) {
  static const mr_runtime_options runtime_options = MR_RUNTIME_OPTIONS_INIT;
  static const mr_serve_options serve_options = MR_SERVE_OPTIONS_INIT;
  static const mr_request_options request_options = MR_REQUEST_OPTIONS_INIT;
  static const mr_batch_options batch_options = MR_BATCH_OPTIONS_INIT;
  const struct argument of = {REQUEST, {.request = done}}, vectors = {VECTORS, {.vectors = made}};
  const struct function functions[] = {
    {"mr_runtime_new", new, MR_OK, free_runtime, {WITH(runtime_options), GIVES}},
    {"mr_runtime_serve", serve_, MR_OK, take_away,
     {ON, IN("extra"), IN(model), WITH(serve_options), HEARD(progress, on_progress), GIVES}},
    {"mr_runtime_remove", remove_, MR_OK, serve_again, {ON, IN("passing")}},
    {"mr_runtime_endpoints", endpoints, MR_OK, free_text, {ON, GIVES}},
    {"mr_runtime_plan", plan, MR_OK, free_text, {ON, IN(model), WITH(serve_options), GIVES}},
    {"mr_runtime_stats", stats, MR_OK, free_text, {ON, GIVES}},
    {"mr_runtime_load_adapter", load, MR_OK, unload_again, {ON, IN("plain"), IN("new"), IN(adapter), GIVES}},
    {"mr_runtime_unload_adapter", unload, MR_OK, load_again, {ON, IN("plain"), IN("old")}},
    {"mr_runtime_manage", manage, MR_OK, free_text, {ON, IN("registry.models"), IN("{}"), GIVES}},
    {"mr_runtime_chat", chat, MR_OK, free_text, {ON, IN(CHAT(2)), WITH(request_options), GIVES}},
    {"mr_runtime_complete", complete, MR_OK, free_text, {ON, IN(COMPLETION(2)), WITH(request_options), GIVES}},
    {"mr_runtime_submit_chat", submit_chat, MR_OK, free_request,
     {ON, IN(CHAT(2)), WITH(request_options), HEARD(events, on_event), GIVES}},
    {"mr_runtime_submit_completion", submit_completion, MR_OK, free_request,
     {ON, IN(COMPLETION(2)), WITH(request_options), HEARD(events, on_event), GIVES}},
    {"mr_request_next", next, MR_DONE, NULL, {of, {TIMEOUT, {.timeout = MR_WAIT_FOREVER}}, GIVES}},
    {"mr_request_wait", wait_, MR_OK, free_text, {of, {TIMEOUT, {.timeout = MR_WAIT_FOREVER}}, GIVES}},
    {"mr_request_timings", timings, MR_OK, free_text, {of, GIVES}},
    {"mr_request_save_session", save, MR_OK, NULL, {of, {CHOICE, {.size = 0}}, IN(session)}},
    {"mr_runtime_restore_session", restore, MR_OK, NULL,
     {ON, IN("plain"), IN(session), {OUT_OPTIONAL, {.pointer = UNTOUCHED}}}},
    {"mr_runtime_embeddings", embeddings, MR_OK, free_text, {ON, IN(VECTORS_OF), WITH(request_options), GIVES}},
    {"mr_runtime_submit_embeddings", submit_embeddings, MR_OK, free_vectors,
     {ON, IN(VECTORS_OF), WITH(request_options), GIVES}},
    {"mr_runtime_run_batch", run_batch, MR_OK, free_text,
     {ON, IN(asked), IN(answered), WITH(batch_options), HEARD(run, on_run), GIVES}},
    {"mr_embeddings_wait", vectors_wait, MR_OK, NULL, {vectors, {TIMEOUT, {.timeout = MR_WAIT_FOREVER}}}},
    {"mr_embeddings_response", vectors_response, MR_OK, free_text, {vectors, GIVES}},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    const struct function *function = &functions[i];
    value good[11];
    for (size_t at = 0; at < 11; at++) good[at] = function->arguments[at].value;
    /* First and last: that all is well shows that the one wrong argument is what was refused. */
    CHECK(call(function, good) == function->good);
    for (size_t at = 0; at < 11; at++) wrong_argument(function, at);
    CHECK(call(function, good) == function->good);
    still_answers(runtime, before);
  }
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  snprintf(model, sizeof model, "%s/examples/models/stories260K", argv[1]);
  snprintf(adapter, sizeof adapter, "%s/tests/data/lora/stories260K-qkv", argv[1]);
  snprintf(encoder, sizeof encoder, "%s/tests/data/tiny/bert_bge", argv[1]);
  snprintf(session, sizeof session, "%s/kept.session", argv[2]);
  snprintf(asked, sizeof asked, "%s/requests.jsonl", argv[2]);
  snprintf(answered, sizeof answered, "%s/results.jsonl", argv[2]);
  FILE *file = fopen(asked, "wb");
  CHECK(file != NULL && fputs("{\"custom_id\":\"1\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":" COMPLETION(2) "}\n", file) > 0);
  CHECK(fclose(file) == 0);
  runtime = serve(model);
  mr_text *info = NULL;
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("vectors"), TEXT(encoder), NULL, NULL, NULL, NULL, &info, &error));
  mr_text_free(info);
  serve_again(NULL);
  load_again(NULL);
  before = ask(runtime);

  mr_request *done = NULL;
  mr_event *event = NULL;
  EXPECT(MR_OK, mr_runtime_submit_completion(runtime, TEXT(COMPLETION(20)), NULL, NULL, NULL, NULL, &done, &error));
  while (mr_request_next(done, MR_WAIT_FOREVER, &event, NULL) == MR_OK) mr_event_free(event);
  mr_embeddings *made = NULL;
  EXPECT(MR_OK, mr_runtime_submit_embeddings(runtime, TEXT(VECTORS_OF), NULL, &made, &error));
  EXPECT(MR_OK, mr_embeddings_wait(made, MR_WAIT_FOREVER, &error));

  run(done, made);

  mr_request_free(done);
  mr_embeddings_free(made);
  free(before);
  mr_runtime_release(runtime);
  return 0;
}
