/* Everything that can be got wrong is an error with a name, and leaves the out-parameters alone.
   Arguments: the model, an empty folder to write in. */
#include "check.h"

#define UNTOUCHED(type) ((type *)(uintptr_t)0x5a5a)

static void nulls(const mr_runtime *runtime) {
  size_t len = 77;
  mr_text *text = UNTOUCHED(mr_text);
  mr_event *event = UNTOUCHED(mr_event);
  mr_request *request = UNTOUCHED(mr_request);

  mr_runtime_retain(NULL);
  mr_runtime_release(NULL);
  mr_request_cancel(NULL);
  mr_request_free(NULL);
  mr_event_free(NULL);
  mr_text_free(NULL);
  mr_error_free(NULL);
  CHECK(mr_text_get_data(NULL, &len) == NULL && mr_request_get_version(NULL, &len) == NULL);
  CHECK(mr_event_get_kind(NULL) == 0 && mr_event_get_text(NULL, &len) == NULL);
  CHECK(mr_event_get_json(NULL, &len) == NULL && mr_event_get_error(NULL) == NULL);
  CHECK(mr_error_get_code(NULL) == MR_OK && mr_error_get_status(NULL) == 0);
  CHECK(mr_error_get_message(NULL, &len) == NULL && mr_error_get_param(NULL, &len) == NULL);
  CHECK(mr_error_get_json(NULL, &len) == NULL && mr_error_get_retryable(NULL) == 0);
  CHECK(mr_error_get_retry_after_ms(NULL) == -1 && mr_error_get_callback_result(NULL) == 0);
  CHECK(len == 77);

  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_new(NULL, NULL, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_serve(NULL, TEXT("x"), TEXT("y"), NULL, NULL, NULL, NULL, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_serve(runtime, TEXT("x"), TEXT("y"), NULL, NULL, NULL, NULL, NULL, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_serve(runtime, NULL, 3, TEXT("y"), NULL, NULL, NULL, NULL, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_serve(runtime, TEXT("x"), NULL, 3, NULL, NULL, NULL, NULL, &text, &error));
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_serve(runtime, NULL, 0, TEXT("y"), NULL, NULL, NULL, NULL, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_remove(NULL, TEXT("x"), &error));
  EXPECT(MR_E_NOT_FOUND, mr_runtime_remove(runtime, NULL, 0, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_endpoints(NULL, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_endpoints(runtime, NULL, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_stats(NULL, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_plan(NULL, TEXT("y"), NULL, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_chat(NULL, TEXT(CHAT(1)), NULL, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_chat(runtime, TEXT(CHAT(1)), NULL, NULL, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_chat(runtime, NULL, 1, NULL, &text, &error));
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_chat(runtime, NULL, 0, NULL, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_complete(NULL, TEXT(COMPLETION(1)), NULL, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT,
         mr_runtime_submit_chat(NULL, TEXT(CHAT(1)), NULL, NULL, NULL, NULL, &request, &error));
  EXPECT(MR_E_INVALID_ARGUMENT,
         mr_runtime_submit_completion(runtime, TEXT(COMPLETION(1)), NULL, NULL, NULL, NULL, NULL, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_request_next(NULL, 0, &event, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_request_wait(NULL, 0, &text, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_request_timings(NULL, &text, &error));
  CHECK(mr_runtime_chat(NULL, NULL, 9, NULL, NULL, NULL) == MR_E_INVALID_ARGUMENT);
  CHECK(text == UNTOUCHED(mr_text) && event == UNTOUCHED(mr_event) && request == UNTOUCHED(mr_request));
}

/* The request must be refused with this status, about this parameter. */
static void refused(const mr_runtime *runtime, const char *json, mr_status status, const char *param) {
  mr_text *text = UNTOUCHED(mr_text);
  mr_error *error = NULL;
  CHECK(mr_runtime_chat(runtime, TEXT(json), NULL, &text, &error) == status);
  CHECK(text == UNTOUCHED(mr_text) && mr_error_get_code(error) == status);
  const char *got = mr_error_get_param(error, NULL);
  CHECK(param == NULL ? got == NULL : got != NULL && strcmp(got, param) == 0);
  CHECK(mr_error_get_status(error) >= 400 && mr_error_get_retryable(error) == 0);
  size_t len = 0;
  const char *body = mr_error_get_json(error, &len);
  CHECK(strlen(body) == len && strstr(body, "{\"error\":{\"message\":\"") == body);
  mr_error_free(error);
}

static void requests(const mr_runtime *runtime) {
  refused(runtime, "{", MR_E_INVALID_REQUEST, NULL);
  refused(runtime, "{\"model\":\"chat\"}", MR_E_INVALID_REQUEST, "messages");
  refused(runtime, "{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"temperatur\":1}",
          MR_E_INVALID_REQUEST, "temperatur");
  refused(runtime, "{\"model\":\"chat\",\"messages\":[{\"role\":7,\"content\":\"x\"}]}", MR_E_INVALID_REQUEST,
          "messages[0].role");
  refused(runtime, "{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"n\":6}",
          MR_E_INVALID_REQUEST, "n");
  refused(runtime, "{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"store\":true}",
          MR_E_UNSUPPORTED, "store");
  refused(runtime, "{\"model\":\"nobody\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", MR_E_NOT_FOUND,
          "model");
  refused(runtime, "{\"model\":\"plain\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", MR_E_UNSUPPORTED,
          "model");
  refused(runtime, CHAT(1000000), MR_E_CONTEXT_LENGTH_EXCEEDED, "max_tokens");

  mr_text *text = NULL;
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_chat(runtime, "\xff\xfe", 2, NULL, &text, &error));
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_chat(runtime, "\0", 1, NULL, &text, &error));
}

/* The options must be refused, with a message that names the field and what it should be. */
static void refused_options(const mr_runtime *runtime, const char *model, const mr_serve_options *options,
                            mr_status status, const char *param, const char *part) {
  mr_text *text = UNTOUCHED(mr_text);
  mr_error *error = NULL;
  CHECK(mr_runtime_plan(runtime, TEXT(model), options, &text, &error) == status);
  const char *got = mr_error_get_param(error, NULL), *message = mr_error_get_message(error, NULL);
  CHECK(got != NULL && strcmp(got, param) == 0 && strstr(message, param) != NULL);
  if (strstr(message, part) == NULL) fprintf(stderr, "%s\n", message);
  CHECK(strstr(message, part) != NULL);
  mr_error_free(error);
  error = NULL;
  CHECK(mr_runtime_serve(runtime, TEXT("refused"), TEXT(model), options, NULL, NULL, NULL, &text, &error) == status);
  mr_error_free(error);
  CHECK(text == UNTOUCHED(mr_text));
}

static void backends(mr_runtime *runtime, const char *model) {
  mr_serve_options options = MR_SERVE_OPTIONS_INIT;
  uint32_t cores[] = {0, 1000000};
  mr_text *text = NULL;
#define REFUSED(field, value, status, param, part)                     \
  do {                                                                 \
    CHECK(mr_serve_options_init(&options, sizeof options) == MR_OK);   \
    options.field = (value);                                           \
    refused_options(runtime, model, &options, (status), param, part);  \
  } while (0)
  REFUSED(backend, 3, MR_E_INVALID_ARGUMENT, "backend", "MR_BACKEND_CPU (1), MR_BACKEND_CANDLE (2)");
  REFUSED(compute, -1, MR_E_INVALID_ARGUMENT, "compute", "MR_COMPUTE_INT8 (3)");
  REFUSED(cache_type, 5, MR_E_INVALID_ARGUMENT, "cache_type", "MR_CACHE_TYPE_Q8 (4)");
  REFUSED(quantize, 4, MR_E_INVALID_ARGUMENT, "quantize", "MR_QUANTIZE_Q4_K (3)");
  REFUSED(threads, 1025, MR_E_INVALID_REQUEST, "threads", "threads is 1025; accepted: 1 to 1024");
  REFUSED(affinity_len, 1, MR_E_INVALID_ARGUMENT, "affinity", "NULL");
  REFUSED(reserved2, 1, MR_E_UNSUPPORTED, "options", "reserved");
  CHECK(mr_serve_options_init(&options, sizeof options) == MR_OK);
  options.affinity = cores;
  options.affinity_len = 2;
  refused_options(runtime, model, &options, MR_E_INVALID_REQUEST, "affinity", "core 1000000; accepted: cores ");
  options.affinity_len = SIZE_MAX;
  refused_options(runtime, model, &options, MR_E_INVALID_ARGUMENT, "affinity_len", "at most 1024");
  options.affinity_len = 0;
  options.threads = 2;
  options.backend = MR_BACKEND_CANDLE;
  refused_options(runtime, model, &options, MR_E_INVALID_ARGUMENT, "threads", "accepted: 0");

  options.backend = MR_BACKEND_CPU;
  options.compute = MR_COMPUTE_F32;
  options.cache_type = MR_CACHE_TYPE_Q8;
  options.quantize = MR_QUANTIZE_Q4_K; /* which this model's width of 172 does not allow */
  EXPECT(MR_E_INVALID_MODEL, mr_runtime_plan(runtime, TEXT(model), &options, &text, &error));
  options.quantize = MR_QUANTIZE_NONE;
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("chosen"), TEXT(model), &options, NULL, NULL, NULL, &text, &error));
  CHECK(strstr(data(text), "\"backend\":\"cpu\"") != NULL);
  mr_text_free(text);
  EXPECT(MR_OK, mr_runtime_complete(runtime, TEXT("{\"model\": \"chosen\", \"prompt\": \"Once\", \"max_tokens\": 3}"),
                                    NULL, &text, &error));
  mr_text_free(text);
  EXPECT(MR_OK, mr_runtime_remove(runtime, TEXT("chosen"), &error));
}

static void options(const mr_runtime *runtime, const char *model) {
  mr_text *text = NULL;
  mr_request_options request = MR_REQUEST_OPTIONS_INIT;
  request.struct_size = 3;
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_chat(runtime, TEXT(CHAT(1)), &request, &text, &error));
  CHECK(mr_request_options_init(&request, sizeof request) == MR_OK);
  request.reserved = 1;
  EXPECT(MR_E_UNSUPPORTED, mr_runtime_chat(runtime, TEXT(CHAT(1)), &request, &text, &error));

  /* A caller with a newer header, whose struct has one field more. */
  struct {
    mr_request_options known;
    uint64_t added;
  } newer;
  CHECK(mr_request_options_init(&newer.known, sizeof newer) == MR_OK && newer.added == 0);
  EXPECT(MR_OK, mr_runtime_chat(runtime, TEXT(CHAT(1)), &newer.known, &text, &error));
  mr_text_free(text);
  newer.added = 1;
  EXPECT(MR_E_UNSUPPORTED, mr_runtime_chat(runtime, TEXT(CHAT(1)), &newer.known, &text, &error));

  mr_serve_options serving = MR_SERVE_OPTIONS_INIT;
  serving.prefix_sharing = 9;
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_plan(runtime, TEXT(model), &serving, &text, &error));
  serving.prefix_sharing = MR_PREFIX_SHARING_OFF;
  serving.context_length = UINT64_MAX;
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_plan(runtime, TEXT(model), &serving, &text, &error));
  serving.context_length = 64;
  EXPECT(MR_OK, mr_runtime_plan(runtime, TEXT(model), &serving, &text, &error));
  CHECK(strstr(data(text), "\"context_length\":64") != NULL && strstr(data(text), "\"total_bytes\":") != NULL);
  mr_text_free(text);
  EXPECT(MR_E_CONFLICT,
         mr_runtime_serve(runtime, TEXT("chat"), TEXT(model), &serving, NULL, NULL, NULL, &text, &error));

  mr_runtime_options small = MR_RUNTIME_OPTIONS_INIT;
  mr_runtime *poor = NULL;
  small.memory_budget = 1000;
  EXPECT(MR_OK, mr_runtime_new(&small, &poor, &error));
  EXPECT(MR_E_INSUFFICIENT_MEMORY,
         mr_runtime_serve(poor, TEXT("x"), TEXT(model), NULL, NULL, NULL, NULL, &text, &error));
  mr_runtime_release(poor);
}

static void write_file(const char *path, const char *bytes, size_t len) {
  FILE *file = fopen(path, "wb");
  CHECK(file != NULL && fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
}

static void models(const mr_runtime *runtime, const char *model, const char *folder) {
  char path[4096], source[4096];
  mr_text *text = NULL;
  mr_error *error = NULL;
  EXPECT(MR_E_NOT_FOUND,
         mr_runtime_serve(runtime, TEXT("x"), TEXT("/nowhere/at/all"), NULL, NULL, NULL, NULL, &text, &error));

  /* A GGUF file of nothing but promises. */
  static const char hostile[] = "GGUF\3\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x7f";
  snprintf(path, sizeof path, "%s/hostile.gguf", folder);
  write_file(path, hostile, sizeof hostile - 1);
  EXPECT(MR_E_INVALID_MODEL, mr_runtime_serve(runtime, TEXT("x"), TEXT(path), NULL, NULL, NULL, NULL, &text, &error));
  EXPECT(MR_E_INVALID_MODEL, mr_runtime_plan(runtime, TEXT(path), NULL, &text, &error));

  /* The real model, its weights cut off. */
  static const char *const companions[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                           "generation_config.json"};
  static char bytes[1 << 16];
  for (size_t i = 0; i < sizeof companions / sizeof *companions; i++) {
    snprintf(source, sizeof source, "%s/%s", model, companions[i]);
    snprintf(path, sizeof path, "%s/%s", folder, companions[i]);
    FILE *file = fopen(source, "rb");
    CHECK(file != NULL);
    size_t len = fread(bytes, 1, sizeof bytes, file);
    CHECK(feof(file) && fclose(file) == 0);
    write_file(path, bytes, len);
  }
  snprintf(source, sizeof source, "%s/model.safetensors", model);
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  FILE *file = fopen(source, "rb");
  CHECK(file != NULL && fread(bytes, 1, sizeof bytes, file) == sizeof bytes && fclose(file) == 0);
  write_file(path, bytes, sizeof bytes);
  CHECK(mr_runtime_serve(runtime, TEXT("x"), TEXT(folder), NULL, NULL, NULL, NULL, &text, &error) ==
        MR_E_INVALID_MODEL);
  CHECK(strstr(mr_error_get_message(error, NULL), "model.safetensors") != NULL);
  CHECK(mr_error_get_status(error) == 422);
  mr_error_free(error);

  /* Nothing is left behind: the name is free and the others answer. */
  EXPECT(MR_E_NOT_FOUND, mr_runtime_remove(runtime, TEXT("x"), &error));
  EXPECT(MR_OK, mr_runtime_chat(runtime, TEXT(CHAT(4)), NULL, &text, &error));
  mr_text_free(text);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  mr_runtime *runtime = serve(argv[1]);
  nulls(runtime);
  requests(runtime);
  options(runtime, argv[1]);
  backends(runtime, argv[1]);
  models(runtime, argv[1], argv[2]);
  mr_runtime_release(runtime);
  return 0;
}
