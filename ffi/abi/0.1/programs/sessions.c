/* Conversations are kept in files and taken up again; calls of functions and demanded forms go through the header too.
   Argument: the repository and a folder to write to. */
#include "check.h"

static char llama[4096], kept[4096], other[4096];

static mr_runtime *serving(const char *name, const char *path) {
  mr_runtime *runtime = NULL;
  EXPECT(MR_OK, mr_runtime_new(NULL, &runtime, &error));
  mr_text *info = NULL;
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT(name), TEXT(path), NULL, NULL, NULL, NULL, &info, &error));
  mr_text_free(info);
  return runtime;
}

static mr_request *chat(const mr_runtime *runtime, const char *json) {
  mr_request *request = NULL;
  EXPECT(MR_OK, mr_runtime_submit_chat(runtime, TEXT(json), NULL, NULL, NULL, NULL, &request, &error));
  return request;
}

static mr_text *answer(const mr_request *request) {
  mr_text *response = NULL;
  EXPECT(MR_OK, mr_request_wait(request, MR_WAIT_FOREVER, &response, &error));
  return response;
}

#define ASK "{\"model\":\"llama\",\"seed\":7,\"messages\":[{\"role\":\"user\",\"content\":\"Tell me a story\"}]"

static void keep_and_restore(void) {
  const char *ask = ASK ",\"max_tokens\":40}";
  mr_runtime *runtime = serving("llama", llama);
  mr_request *request = chat(runtime, ask);
  mr_text *first = answer(request);
  EXPECT(MR_OK, mr_request_save_session(request, 0, TEXT(kept), &error));
  EXPECT(MR_E_CONFLICT, mr_request_save_session(request, 1, TEXT(kept), &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_request_save_session(NULL, 0, TEXT(kept), &error));
  EXPECT(MR_E_IO, mr_request_save_session(request, 0, TEXT("/nowhere/at/all"), &error));
  mr_request_free(request);
  mr_runtime_release(runtime);

  /* Another process, another day. */
  runtime = serving("llama", llama);
  size_t tokens = 0;
  EXPECT(MR_OK, mr_runtime_restore_session(runtime, TEXT("llama"), TEXT(kept), &tokens, &error));
  CHECK(tokens >= 16 && tokens % 16 == 0);
  request = chat(runtime, ask);
  mr_text *again = answer(request);
  CHECK(strstr(data(again), "\"cached_tokens\":0") == NULL);
  CHECK(strncmp(strstr(data(first), "\"choices\""), strstr(data(again), "\"choices\""),
                (size_t)(strstr(data(first), "\"usage\"") - strstr(data(first), "\"choices\""))) == 0);
  mr_text_free(first);
  mr_text_free(again);
  mr_request_free(request);
  EXPECT(MR_E_NOT_FOUND, mr_runtime_restore_session(runtime, TEXT("nobody"), TEXT(kept), NULL, &error));
  EXPECT(MR_E_IO, mr_runtime_restore_session(runtime, TEXT("llama"), TEXT("/nowhere/at/all"), NULL, &error));
  mr_runtime_release(runtime);

  runtime = serving("other", other);
  EXPECT(MR_E_CONFLICT, mr_runtime_restore_session(runtime, TEXT("other"), TEXT(kept), NULL, &error));
  mr_runtime_release(runtime);
}

static void calls_and_forms(void) {
  mr_runtime *runtime = serving("llama", llama);
  const char *tools =
    ASK ",\"max_tokens\":120,\"tool_choice\":\"required\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"roll\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{\"sides\":{\"enum\":[4,6]}},\"required\":[\"sides\"],"
        "\"additionalProperties\":false}}}],\"parallel_tool_calls\":false}";
  mr_request *request = chat(runtime, tools);
  mr_text *response = answer(request);
  CHECK(strstr(data(response), "\"finish_reason\":\"tool_calls\"") != NULL);
  CHECK(strstr(data(response), "\"name\":\"roll\"") != NULL && strstr(data(response), "sides") != NULL);
  mr_text_free(response);
  mr_request_free(request);

  request = chat(runtime, ASK ",\"response_format\":{\"type\":\"grammar\",\"grammar\":{\"syntax\":\"regex\","
                              "\"definition\":\"(yes|no)!\"}},\"n\":3}");
  response = answer(request);
  CHECK(strstr(data(response), "\"index\":2") != NULL);
  CHECK(strstr(data(response), "\"content\":\"yes!\"") != NULL || strstr(data(response), "\"content\":\"no!\"") != NULL);
  mr_text_free(response);
  mr_request_free(request);

  mr_request *none = NULL;
  const char *bad = ASK ",\"response_format\":{\"type\":\"grammar\",\"grammar\":{\"syntax\":\"regex\",\"definition\":\"(\"}}}";
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_submit_chat(runtime, TEXT(bad), NULL, NULL, NULL, NULL, &none, &error));
  mr_runtime_release(runtime);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  snprintf(llama, sizeof llama, "%s/tests/data/tiny/llama3", argv[1]);
  snprintf(other, sizeof other, "%s/tests/data/tiny/mistral", argv[1]);
  snprintf(kept, sizeof kept, "%s/kept.session", argv[2]);
  keep_and_restore();
  calls_and_forms();
  return 0;
}
