/* Well-formed calls with values that mean harm: sizes that overflow, numbers outside every range, JSON, TOML and templates without
   end, files that are none. Each is refused by its name, or done; nothing is left behind.
   Arguments: the repository, an empty folder to write in. */
#include "hostile.h"

#include <sys/stat.h>

static mr_runtime *runtime;
static char model[4096];

static void check_refused(const char *what, int line, mr_status wanted, const char *param, mr_status got, mr_error *error) {
  const char *about = mr_error_get_param(error, NULL), *message = mr_error_get_message(error, NULL);
  if (got != wanted || (param != NULL && (about == NULL || strcmp(about, param) != 0))) {
    fprintf(stderr, "line %d: %.160s: %d about %s: %s\n", line, what, (int)got, about ? about : "nothing",
            message ? message : "no message");
    exit(1);
  }
  mr_error_free(error);
}

/* The call must be refused with this status, about this parameter (NULL: whatever it is about). */
#define REFUSED(status, param, call)                                     \
  do {                                                                   \
    mr_error *error = NULL;                                              \
    mr_status got = (call);                                              \
    check_refused(#call, __LINE__, (status), (param), got, error);       \
  } while (0)

/* Neither planned nor served. */
#define NOT_SERVED(status, param, ...)                                                                          \
  do {                                                                                                          \
    mr_serve_options given = MR_SERVE_OPTIONS_INIT;                                                             \
    mr_text *text = UNTOUCHED;                                                                                  \
    __VA_ARGS__;                                                                                                \
    REFUSED(status, param, mr_runtime_plan(runtime, TEXT(model), &given, &text, &error));                       \
    REFUSED(status, param,                                                                                      \
            mr_runtime_serve(runtime, TEXT("x"), TEXT(model), &given, NULL, NULL, NULL, &text, &error));        \
    CHECK(text == UNTOUCHED);                                                                                   \
    EXPECT(MR_E_NOT_FOUND, mr_runtime_remove(runtime, TEXT("x"), &error));                                      \
  } while (0)

static void sizes(void) {
  static const uint64_t contexts[] = {513, UINT32_MAX, (uint64_t)1 << 32, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX};
  /* Multiplied by what a token takes, or rounded up to whole blocks, each of these overflows something. */
  static const uint64_t caches[] = {(uint64_t)1 << 36, (uint64_t)1 << 40, UINT64_MAX / 1024, UINT64_MAX / 2};
  static const uint32_t cores[] = {0, 0, UINT32_MAX};
  for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++) {
    NOT_SERVED(MR_E_INVALID_REQUEST, "context_length", given.context_length = contexts[i]);
  }
  for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
    NOT_SERVED(MR_E_INVALID_REQUEST, NULL, given.cache_tokens = caches[i]);
  }
  NOT_SERVED(MR_E_INVALID_REQUEST, "cache_tokens", given.cache_tokens = 1);
  NOT_SERVED(MR_E_INVALID_REQUEST, NULL, given.max_sequences = UINT32_MAX);
  NOT_SERVED(MR_E_INVALID_REQUEST, NULL, given.max_batch_tokens = 1);
  NOT_SERVED(MR_E_INVALID_REQUEST, "threads", given.threads = UINT32_MAX);
  NOT_SERVED(MR_E_INVALID_REQUEST, "affinity", given.affinity = cores; given.affinity_len = 2);
  NOT_SERVED(MR_E_INVALID_REQUEST, "affinity", given.affinity = cores + 2; given.affinity_len = 1);
}

/* As large as it may be asked for, under a budget: what a load would take is refused, never tried. */
static void budgets(void) {
  static const uint64_t budgets[] = {1, 1 << 20, UINT64_MAX};
  for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
    mr_runtime_options options = MR_RUNTIME_OPTIONS_INIT;
    mr_serve_options large = MR_SERVE_OPTIONS_INIT;
    mr_runtime *other = NULL;
    mr_text *info = UNTOUCHED;
    options.memory_budget = budgets[i];
    EXPECT(MR_OK, mr_runtime_new(&options, &other, &error));
    if (budgets[i] == UINT64_MAX) {
      EXPECT(MR_OK, mr_runtime_plan(other, TEXT(model), NULL, &info, &error));
      mr_text_free(info);
      info = UNTOUCHED;
    } else {
      large.max_batch_tokens = large.max_queue = large.max_prefill_tokens = large.max_sequences = UINT32_MAX;
      large.cache_tokens = (uint64_t)UINT32_MAX * 16;
      EXPECT(MR_E_INSUFFICIENT_MEMORY, mr_runtime_plan(other, TEXT(model), &large, &info, &error));
      EXPECT(MR_E_INSUFFICIENT_MEMORY,
             mr_runtime_serve(other, TEXT("x"), TEXT(model), &large, NULL, NULL, NULL, &info, &error));
    }
    CHECK(info == UNTOUCHED);
    mr_runtime_release(other);
  }
}

#define ASK(fields) "{\"model\":\"plain\",\"prompt\":\"a\"," fields "}"

static void numbers(void) {
  static const struct {
    const char *json, *param;
  } wrong[] = {
    {ASK("\"max_tokens\":-1"), "max_tokens"},
    {ASK("\"max_tokens\":0.5"), "max_tokens"},
    {ASK("\"max_tokens\":1e30"), "max_tokens"},
    {ASK("\"max_tokens\":4294967296"), "max_tokens"},
    {ASK("\"max_tokens\":18446744073709551616"), "max_tokens"},
    {ASK("\"max_tokens\":2,\"max_tokens\":3"), "max_tokens"},
    {ASK("\"temperature\":1e400"), NULL},
    {ASK("\"temperature\":1e308"), "temperature"},
    {ASK("\"temperature\":NaN"), NULL},
    {ASK("\"top_p\":0"), "top_p"},
    {ASK("\"top_k\":-9223372036854775808"), "top_k"},
    {ASK("\"repetition_penalty\":1e-300"), "repetition_penalty"},
    {ASK("\"n\":4294967297"), "n"},
    {ASK("\"logprobs\":1000000"), "logprobs"},
    {ASK("\"logit_bias\":{\"512\":1}"), NULL},
    {ASK("\"logit_bias\":{\"1\":1e39}"), NULL},
    {ASK("\"stop\":[\"\"]"), "stop[0]"},
    {"{\"model\":\"plain\",\"prompt\":[512]}", NULL},
    {"{\"model\":\"plain\",\"prompt\":[-1]}", "prompt[0]"},
    {"{\"model\":\"plain\",\"prompt\":[]}", "prompt"},
    {"{\"model\":\"plain\",\"prompt\":\"\\ud800\"}", NULL},
  };
  mr_text *text = UNTOUCHED;
  mr_request *request = UNTOUCHED;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const char *json = wrong[i].json, *param = wrong[i].param;
    REFUSED(MR_E_INVALID_REQUEST, param, mr_runtime_complete(runtime, TEXT(json), NULL, &text, &error));
    REFUSED(MR_E_INVALID_REQUEST, param,
            mr_runtime_submit_completion(runtime, TEXT(json), NULL, NULL, NULL, NULL, &request, &error));
  }
  REFUSED(MR_E_CONTEXT_LENGTH_EXCEEDED, "max_tokens",
          mr_runtime_complete(runtime, TEXT(ASK("\"max_tokens\":4294967295")), NULL, &text, &error));
  mr_request_options options = MR_REQUEST_OPTIONS_INIT;
  static const int32_t priorities[] = {INT32_MIN, -101, 101, INT32_MAX};
  for (size_t i = 0; i < sizeof priorities / sizeof *priorities; i++) {
    options.priority = priorities[i];
    REFUSED(MR_E_INVALID_REQUEST, "priority", mr_runtime_complete(runtime, TEXT(COMPLETION(1)), &options, &text, &error));
  }
  CHECK(text == UNTOUCHED && request == UNTOUCHED);
  /* The longest time is as good as none. */
  options.priority = 0;
  options.timeout_ms = UINT64_MAX;
  EXPECT(MR_OK, mr_runtime_complete(runtime, TEXT(COMPLETION(1)), &options, &text, &error));
  mr_text_free(text);
}

/* Text that nests without end, for everything that reads text. */
static void nesting(void) {
  enum { DEEP = 100000 };
  char *deep = malloc(DEEP + 1);
  CHECK(deep != NULL);
  memset(deep, '[', DEEP);
  deep[DEEP] = '\0';
  mr_text *text = UNTOUCHED;
  REFUSED(MR_E_INVALID_REQUEST, NULL, mr_runtime_chat(runtime, deep, DEEP, NULL, &text, &error));
  REFUSED(MR_E_INVALID_REQUEST, NULL, mr_runtime_complete(runtime, deep, DEEP, NULL, &text, &error));
  REFUSED(MR_E_INVALID_REQUEST, NULL, mr_runtime_embeddings(runtime, deep, DEEP, NULL, &text, &error));
  REFUSED(MR_E_INVALID_REQUEST, NULL, mr_runtime_manage(runtime, TEXT("registry.models"), deep, DEEP, &text, &error));
  REFUSED(MR_E_NOT_FOUND, NULL, mr_runtime_manage(runtime, deep, DEEP, TEXT("{}"), &text, &error));
  mr_runtime_options options = MR_RUNTIME_OPTIONS_INIT;
  mr_runtime *other = UNTOUCHED;
  memcpy(deep, "a = ", 4);
  options.catalog = deep;
  options.catalog_len = DEEP;
  REFUSED(MR_E_INVALID_REQUEST, NULL, mr_runtime_new(&options, &other, &error));
  for (size_t at = 0; at + 4 < DEEP; at += 2) memcpy(deep + at, "a.", 2);
  memcpy(deep + DEEP - 4, "a= 1", 4);
  REFUSED(MR_E_INVALID_REQUEST, NULL, mr_runtime_new(&options, &other, &error));
  CHECK(other == UNTOUCHED && text == UNTOUCHED);
  mr_serve_options given = MR_SERVE_OPTIONS_INIT;
  memset(deep, '(', DEEP);
  memcpy(deep, "{{", 2);
  given.chat_template = deep;
  given.chat_template_len = DEEP;
  REFUSED(MR_E_INVALID_MODEL, NULL,
          mr_runtime_serve(runtime, TEXT("x"), TEXT(model), &given, NULL, NULL, NULL, &text, &error));
  free(deep);
}

/* Templates that compute without end, or things that cannot be computed. */
static void templates(void) {
  static const char *const hostile[] = {
    "{% for x in range(1000000000) %}{% for y in range(1000000000) %}{% endfor %}{% endfor %}",
    "{% for x in range(10000) %}{% for y in range(10000) %}{{ x * y }}{% endfor %}{% endfor %}",
    "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}",
    "{{ 'x' * 100000000000 }}",
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "{{ 1 // 0 }}",
    "{{ 10 ** 1000000000000 }}",
    "{% include 'x' %}",
    "{{ raise_exception('no') }}",
  };
  for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    mr_serve_options given = MR_SERVE_OPTIONS_INIT;
    mr_text *info = NULL, *text = UNTOUCHED;
    given.chat_template = hostile[i];
    given.chat_template_len = strlen(hostile[i]);
    EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("x"), TEXT(model), &given, NULL, NULL, NULL, &info, &error));
    const char *ask = "{\"model\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":3}";
    REFUSED(MR_E_INVALID_REQUEST, NULL, mr_runtime_chat(runtime, TEXT(ask), NULL, &text, &error));
    CHECK(text == UNTOUCHED);
    mr_text_free(info);
    EXPECT(MR_OK, mr_runtime_remove(runtime, TEXT("x"), &error));
  }
}

/* Paths to what is no model, no session, no database. */
static void files(const char *folder) {
  static const char *const no_models[] = {"/", "/dev/null", "/dev/zero", "/dev/full", "/proc/self", "/proc/self/mem"};
  char path[4200];
  char *endless = malloc(100001);
  mr_text *text = UNTOUCHED;
  CHECK(endless != NULL);
  memset(endless, 'a', 100000);
  endless[100000] = '\0';
  for (size_t i = 0; i < sizeof no_models / sizeof *no_models; i++) {
    REFUSED(MR_E_INVALID_MODEL, NULL, mr_runtime_plan(runtime, TEXT(no_models[i]), NULL, &text, &error));
    REFUSED(MR_E_INVALID_MODEL, NULL,
            mr_runtime_serve(runtime, TEXT("x"), TEXT(no_models[i]), NULL, NULL, NULL, NULL, &text, &error));
  }
  REFUSED(MR_E_IO, NULL, mr_runtime_plan(runtime, endless, 100000, NULL, &text, &error));
  REFUSED(MR_E_IO, NULL, mr_runtime_restore_session(runtime, TEXT("plain"), endless, 100000, NULL, &error));
  /* Nobody writes into the pipe, and the device never ends. */
  snprintf(path, sizeof path, "%s/pipe", folder);
  CHECK(mkfifo(path, 0600) == 0);
  const char *no_sessions[] = {folder, "/dev/null", "/dev/zero", path};
  for (size_t i = 0; i < sizeof no_sessions / sizeof *no_sessions; i++) {
    REFUSED(MR_E_INVALID_REQUEST, "path", mr_runtime_restore_session(runtime, TEXT("plain"), TEXT(no_sessions[i]), NULL, &error));
  }
  /* A NUL ends a path for the system, but not here: the file of the shorter name is not the one that was meant. */
  size_t len = strlen(model);
  snprintf(path, sizeof path, "%s?.gguf", model);
  path[len] = '\0';
  REFUSED(MR_E_IO, NULL, mr_runtime_plan(runtime, path, len + 6, NULL, &text, &error));
  mr_runtime_options options = MR_RUNTIME_OPTIONS_INIT;
  mr_runtime *other = UNTOUCHED;
  options.database = folder;
  options.database_len = strlen(folder);
  REFUSED(MR_E_IO, NULL, mr_runtime_new(&options, &other, &error));
  options.database = endless;
  options.database_len = 100000;
  REFUSED(MR_E_IO, NULL, mr_runtime_new(&options, &other, &error));
  CHECK(other == UNTOUCHED && text == UNTOUCHED);
  free(endless);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  snprintf(model, sizeof model, "%s/examples/models/stories260K", argv[1]);
  runtime = serve(model);
  char *before = ask(runtime);
  sizes();
  budgets();
  numbers();
  still_answers(runtime, before);
  nesting();
  templates();
  files(argv[2]);
  still_answers(runtime, before);
  free(before);
  mr_runtime_release(runtime);
  return 0;
}
