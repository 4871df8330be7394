/* Runs of many requests from a file into a file: whole, ended by the host and gone on with, and refused.
   Arguments: the model, a folder to write to. */
#include "check.h"

#define REQUESTS 20

static char requests[4096], results[4096];

static void write_requests(void) {
  FILE *file = fopen(requests, "w");
  CHECK(file != NULL);
  for (int i = 0; i < REQUESTS; i++) {
    fprintf(file, "{\"custom_id\":\"r%d\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":", i);
    fprintf(file, "{\"model\":\"%s\",\"prompt\":\"Once\",\"max_tokens\":6,\"seed\":%d}}\n", i == 7 ? "nobody" : "plain", i);
  }
  CHECK(fclose(file) == 0);
}

static int lines(void) {
  FILE *file = fopen(results, "r");
  int count = 0, next;
  CHECK(file != NULL);
  while ((next = fgetc(file)) != EOF) count += next == '\n';
  CHECK(fclose(file) == 0);
  return count;
}

struct heard {
  int calls, freed, stop_at;
};

static int32_t hear(void *user_data, const char *progress, size_t progress_len) {
  struct heard *self = user_data;
  CHECK(progress_len > 2 && progress[0] == '{' && progress[progress_len - 1] == '}');
  return ++self->calls == self->stop_at ? 42 : 0;
}

static void over(void *user_data) { ((struct heard *)user_data)->freed++; }

static void run(const mr_runtime *runtime, const mr_batch_options *options, const char *expected) {
  mr_text *summary = NULL;
  EXPECT(MR_OK, mr_runtime_run_batch(runtime, TEXT(requests), TEXT(results), options, NULL, NULL, NULL, &summary, &error));
  if (strstr(data(summary), expected) == NULL) fprintf(stderr, "%s\n", data(summary));
  CHECK(strstr(data(summary), expected) != NULL && strstr(data(summary), "\"complete\":true") != NULL);
  mr_text_free(summary);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  snprintf(requests, sizeof requests, "%s/requests.jsonl", argv[2]);
  snprintf(results, sizeof results, "%s/results.jsonl", argv[2]);
  write_requests();
  mr_runtime *runtime = serve(argv[1]);
  mr_text *summary = NULL;

  /* Ended by the host: what was written stays, and the next run goes on from there. */
  struct heard heard = {0, 0, 3};
  mr_batch_options options = MR_BATCH_OPTIONS_INIT;
  options.concurrency = 2;
  mr_error *ended = NULL;
  mr_status status = mr_runtime_run_batch(runtime, TEXT(requests), TEXT(results), &options, hear, &heard, over, &summary, &ended);
  if (status != MR_E_CALLBACK) fprintf(stderr, "%d: %s\n", (int)status, mr_error_get_message(ended, NULL));
  CHECK(status == MR_E_CALLBACK);
  CHECK(mr_error_get_callback_result(ended) == 42 && heard.calls == 3 && heard.freed == 1 && summary == NULL);
  mr_error_free(ended);
  int before = lines();
  CHECK(before < REQUESTS);
  heard.stop_at = 0;
  EXPECT(MR_OK, mr_runtime_run_batch(runtime, TEXT(requests), TEXT(results), &options, hear, &heard, over, &summary, &error));
  CHECK(lines() == REQUESTS && heard.freed == 2 && strstr(data(summary), "\"complete\":true") != NULL);
  mr_text_free(summary);
  run(runtime, NULL, "\"skipped\":20");

  /* From the beginning, each when it is ready, all for somebody. */
  mr_request_options each = MR_REQUEST_OPTIONS_INIT;
  each.principal = "night";
  each.principal_len = 5;
  options.order = MR_ORDER_AS_READY;
  options.requests = &each;
  CHECK(remove(results) == 0);
  run(runtime, &options, "\"failed\":1");
  CHECK(lines() == REQUESTS);

  summary = NULL;
  const char *missing = "/no/such/folder/requests.jsonl";
  EXPECT(MR_E_NOT_FOUND, mr_runtime_run_batch(runtime, TEXT(missing), TEXT(results), NULL, NULL, NULL, NULL, &summary, &error));
  options.order = 2;
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_run_batch(runtime, TEXT(requests), TEXT(results), &options, hear, &heard, over, &summary, &error));
  options.order = 0;
  options.concurrency = 5000;
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_run_batch(runtime, TEXT(requests), TEXT(results), &options, NULL, NULL, NULL, &summary, &error));
  CHECK(summary == NULL && heard.freed == 3);
  mr_runtime_release(runtime);
  return 0;
}
