/* Adapters: chosen by requests, loaded and unloaded while others answer, refused by name.
   Argument: the repository. */
#include <pthread.h>

#include "check.h"

#define REQUEST(adapter)                                                                                        \
  "{\"model\":\"stories\",\"prompt\":\"Once upon a time\",\"temperature\":0,\"max_tokens\":12,\"stream\":false" \
  adapter "}"
#define WITH ",\"adapter\":\"qkv\""

static char model[4096], adapter[4096], encoder[4096];

static void load(const mr_runtime *runtime, const char *name) {
  mr_text *info = NULL;
  EXPECT(MR_OK, mr_runtime_load_adapter(runtime, TEXT("stories"), TEXT(name), TEXT(adapter), &info, &error));
  CHECK(strstr(data(info), "\"rank\":3") != NULL && strstr(data(info), "\"digest\":\"") != NULL);
  CHECK(strstr(data(info), "\"modules\":[\"k_proj\",\"q_proj\",\"v_proj\"]") != NULL);
  mr_text_free(info);
}

/* The answer's text, from its quote on, and the version in front of it. */
static mr_text *complete(const mr_runtime *runtime, const char *json, const char *version) {
  mr_text *answer = NULL;
  EXPECT(MR_OK, mr_runtime_complete(runtime, TEXT(json), NULL, &answer, &error));
  CHECK(strstr(data(answer), version) != NULL && strstr(data(answer), "\"text\":\"") != NULL);
  return answer;
}

static int same(const mr_text *a, const mr_text *b) {
  return strcmp(strstr(data(a), "\"text\":\""), strstr(data(b), "\"text\":\"")) == 0;
}

/* Loads and unloads an adapter of its own, again and again, while others answer. */
static void *churn(void *runtime) {
  for (int round = 0; round < 8; round++) {
    load(runtime, "passing");
    EXPECT(MR_OK, mr_runtime_unload_adapter(runtime, TEXT("stories"), TEXT("passing"), &error));
  }
  return NULL;
}

static void *ask(void *runtime) {
  mr_text *first = complete(runtime, REQUEST(WITH), "\"model\":\"stories@1+qkv@");
  for (int round = 0; round < 8; round++) {
    mr_text *again = complete(runtime, REQUEST(WITH), "\"model\":\"stories@1+qkv@");
    CHECK(same(first, again));
    mr_text_free(again);
  }
  mr_text_free(first);
  return NULL;
}

static void refusals(const mr_runtime *runtime) {
  mr_text *out = NULL;
  const char *unknown = REQUEST(",\"adapter\":\"nobody\"");
  EXPECT(MR_E_NOT_FOUND, mr_runtime_complete(runtime, TEXT(unknown), NULL, &out, &error));
  EXPECT(MR_E_CONFLICT, mr_runtime_load_adapter(runtime, TEXT("stories"), TEXT("qkv"), TEXT(adapter), &out, &error));
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_load_adapter(runtime, TEXT("stories"), TEXT("a+b"), TEXT(adapter), &out, &error));
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_load_adapter(runtime, TEXT("stories"), NULL, 0, TEXT(adapter), &out, &error));
  EXPECT(MR_E_INVALID_MODEL, mr_runtime_load_adapter(runtime, TEXT("stories"), TEXT("x"), TEXT(model), &out, &error));
  EXPECT(MR_E_NOT_FOUND, mr_runtime_load_adapter(runtime, TEXT("nobody"), TEXT("x"), TEXT(adapter), &out, &error));
  EXPECT(MR_E_UNSUPPORTED, mr_runtime_load_adapter(runtime, TEXT("bge"), TEXT("x"), TEXT(adapter), &out, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_load_adapter(runtime, NULL, 1, TEXT("x"), TEXT(adapter), &out, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_load_adapter(NULL, TEXT("stories"), TEXT("x"), TEXT(adapter), &out, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_load_adapter(runtime, TEXT("stories"), TEXT("x"), TEXT(adapter), NULL, &error));
  EXPECT(MR_E_NOT_FOUND, mr_runtime_unload_adapter(runtime, TEXT("stories"), TEXT("x"), &error));
  EXPECT(MR_E_NOT_FOUND, mr_runtime_unload_adapter(runtime, TEXT("nobody"), TEXT("x"), &error));
  CHECK(out == NULL);
}

int main(int count, char **arguments) {
  CHECK(count > 1);
  snprintf(model, sizeof model, "%s/examples/models/stories260K", arguments[1]);
  snprintf(adapter, sizeof adapter, "%s/tests/data/lora/stories260K-qkv", arguments[1]);
  snprintf(encoder, sizeof encoder, "%s/tests/data/tiny/bert_bge", arguments[1]);
  mr_runtime *runtime = NULL;
  mr_text *text = NULL;
  mr_serve_options options = MR_SERVE_OPTIONS_INIT;
  options.version = "stories@1";
  options.version_len = strlen(options.version);
  EXPECT(MR_OK, mr_runtime_new(NULL, &runtime, &error));
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("stories"), TEXT(model), &options, NULL, NULL, NULL, &text, &error));
  mr_text_free(text);
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("bge"), TEXT(encoder), NULL, NULL, NULL, NULL, &text, &error));
  mr_text_free(text);

  load(runtime, "qkv");
  EXPECT(MR_OK, mr_runtime_endpoints(runtime, &text, &error));
  CHECK(strstr(data(text), "\"adapters\":[{\"name\":\"qkv\",\"version\":\"stories@1+qkv@") != NULL);
  mr_text_free(text);
  mr_text *plain = complete(runtime, REQUEST(""), "\"model\":\"stories@1\"");
  mr_text *adapted = complete(runtime, REQUEST(WITH), "\"model\":\"stories@1+qkv@");
  CHECK(!same(plain, adapted));
  mr_text_free(plain);
  mr_text_free(adapted);
  refusals(runtime);

  pthread_t threads[3];
  CHECK(pthread_create(&threads[0], NULL, churn, runtime) == 0);
  for (int at = 1; at < 3; at++) CHECK(pthread_create(&threads[at], NULL, ask, runtime) == 0);
  for (int at = 0; at < 3; at++) CHECK(pthread_join(threads[at], NULL) == 0);

  /* A request that runs keeps its adapter. */
  mr_request *request = NULL;
  const char *streamed = "{\"model\":\"stories\",\"prompt\":\"Once\",\"max_tokens\":200,\"stream\":true" WITH "}";
  EXPECT(MR_OK, mr_runtime_submit_completion(runtime, TEXT(streamed), NULL, NULL, NULL, NULL, &request, &error));
  EXPECT(MR_OK, mr_runtime_unload_adapter(runtime, TEXT("stories"), TEXT("qkv"), &error));
  EXPECT(MR_OK, mr_request_wait(request, MR_WAIT_FOREVER, &text, &error));
  CHECK(strstr(data(text), "\"model\":\"stories@1+qkv@") != NULL);
  mr_text_free(text);
  mr_request_free(request);
  const char *gone = REQUEST(WITH);
  EXPECT(MR_E_NOT_FOUND, mr_runtime_complete(runtime, TEXT(gone), NULL, &text, &error));
  mr_runtime_release(runtime);
  return 0;
}
