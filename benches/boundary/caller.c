/* What the calling thread pays for answers through the C interface. Arguments: model of texts, encoder, requests, tokens of each.
   Prints one JSON object. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model_runtime.h"

static double now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void must(mr_status status, mr_error *error) {
  if (status < 100) return;
  fprintf(stderr, "%d: %s\n", (int)status, mr_error_get_message(error, NULL));
  exit(1);
}

static void serve(const mr_runtime *runtime, const char *name, const char *model) {
  mr_error *error = NULL;
  mr_text *info = NULL;
  must(mr_runtime_serve(runtime, name, strlen(name), model, strlen(model), NULL, NULL, NULL, NULL, &info, &error), error);
  mr_text_free(info);
}

/* Seconds of this thread for reading answers to their end, event by event; adds up events and bytes of text. */
static double read_answers(const mr_runtime *runtime, const char *json, int requests, int with_json, long *events,
                           size_t *bytes) {
  double seconds = 0;
  for (int i = 0; i < requests; i++) {
    mr_request *request = NULL;
    mr_error *error = NULL;
    must(mr_runtime_submit_completion(runtime, json, strlen(json), NULL, NULL, NULL, NULL, &request, &error), error);
    double begun = now(CLOCK_THREAD_CPUTIME_ID);
    for (;;) {
      mr_event *event = NULL;
      mr_status status = mr_request_next(request, MR_WAIT_FOREVER, &event, &error);
      must(status, error);
      if (status != MR_OK) break;
      size_t len = 0;
      if (with_json) {
        mr_event_get_json(event, &len);
      } else {
        mr_event_get_text(event, &len);
      }
      *bytes += len;
      ++*events;
      mr_event_free(event);
    }
    seconds += now(CLOCK_THREAD_CPUTIME_ID) - begun;
    mr_request_free(request);
  }
  return seconds;
}

/* Seconds for looking at all vectors of a request once they are made. */
static double look(const mr_runtime *runtime, int rows, int times, float *sum) {
  size_t capacity = (size_t)rows * 16 + 128, length;
  char *json = malloc(capacity);
  if (json == NULL) exit(1);
  length = (size_t)sprintf(json, "{\"model\":\"encoder\",\"input\":[");
  for (int i = 0; i < rows; i++) length += (size_t)sprintf(json + length, "%s\"text %d\"", i ? "," : "", i);
  length += (size_t)sprintf(json + length, "]}");
  mr_embeddings *embeddings = NULL;
  mr_error *error = NULL;
  must(mr_runtime_submit_embeddings(runtime, json, length, NULL, &embeddings, &error), error);
  must(mr_embeddings_wait(embeddings, MR_WAIT_FOREVER, &error), error);
  double begun = now(CLOCK_MONOTONIC);
  for (int i = 0; i < times; i++) {
    size_t found = 0, dimension = 0;
    const float *values = mr_embeddings_get_values(embeddings, &found, &dimension);
    *sum += values[found * dimension - 1];
  }
  double seconds = now(CLOCK_MONOTONIC) - begun;
  mr_embeddings_free(embeddings);
  free(json);
  return seconds / times;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  int requests = atoi(argv[3]), tokens = atoi(argv[4]), refused = 2000;
  char json[512];
  snprintf(json, sizeof json,
           "{\"model\":\"stories\",\"prompt\":\"Once upon a time\",\"temperature\":0,\"max_tokens\":%d,"
           "\"logit_bias\":{\"2\":-100}}",
           tokens);
  mr_runtime *runtime = NULL;
  mr_error *error = NULL;
  must(mr_runtime_new(NULL, &runtime, &error), error);
  serve(runtime, "stories", argv[1]);
  serve(runtime, "encoder", argv[2]);
  long events = 0, json_events = 0;
  size_t bytes = 0;
  read_answers(runtime, json, 2, 0, &events, &bytes);
  events = 0;
  double text = read_answers(runtime, json, requests, 0, &events, &bytes);
  double whole = read_answers(runtime, json, requests, 1, &json_events, &bytes);

  const char *unknown = "{\"model\":\"nobody\",\"prompt\":\"Once upon a time\",\"temperature\":0,\"max_tokens\":8}";
  double begun = now(CLOCK_THREAD_CPUTIME_ID);
  for (int i = 0; i < refused; i++) {
    mr_text *answer = NULL;
    error = NULL;
    if (mr_runtime_complete(runtime, unknown, strlen(unknown), NULL, &answer, &error) != MR_E_NOT_FOUND) exit(1);
    mr_error_free(error);
  }
  double call = (now(CLOCK_THREAD_CPUTIME_ID) - begun) / refused;

  float sum = 0;
  double few = look(runtime, 1, 100000, &sum), many = look(runtime, 1024, 100000, &sum);
  printf("{\"tokens\":%ld,\"events\":%ld,\"text_seconds\":%.9f,\"json_events\":%ld,\"json_seconds\":%.9f,"
         "\"call_seconds\":%.12f,\"look_1_seconds\":%.12f,\"look_1024_seconds\":%.12f,\"sum\":%f}\n",
         (long)requests * tokens, events, text, json_events, whole, call, few, many, (double)sum);
  mr_runtime_release(runtime);
  return 0;
}
