/* Reading answers in pieces: from two threads, with cancel, deadlines, and handles freed in every order.
   Argument: the model. */
#include <pthread.h>

#include "check.h"

typedef struct {
  const mr_runtime *runtime;
  int chat;
  char text[8192];
} reader;

/* Reads an answer to its end and keeps the text. */
static void *read_all(void *argument) {
  reader *self = argument;
  mr_request *request = NULL;
  mr_status status;
  if (self->chat) {
    EXPECT(MR_OK, mr_runtime_submit_chat(self->runtime, TEXT(CHAT(20)), NULL, NULL, NULL, NULL, &request, &error));
  } else {
    EXPECT(MR_OK,
           mr_runtime_submit_completion(self->runtime, TEXT(COMPLETION(20)), NULL, NULL, NULL, NULL, &request, &error));
  }
  do {
    mr_event *event = NULL;
    mr_error *error = NULL;
    status = mr_request_next(request, MR_WAIT_FOREVER, &event, &error);
    CHECK(error == NULL && (status == MR_OK) == (event != NULL));
    if (event != NULL) {
      CHECK(mr_event_get_kind(event) == MR_EVENT_CHUNKS && mr_event_get_error(event) == NULL);
      CHECK(strstr(mr_event_get_json(event, NULL), "\"choices\":") != NULL);
      CHECK(strlen(self->text) + strlen(mr_event_get_text(event, NULL)) < sizeof self->text);
      strcat(self->text, mr_event_get_text(event, NULL));
    }
    mr_event_free(event);
  } while (status == MR_OK);
  CHECK(status == MR_DONE);
  EXPECT(MR_DONE, mr_request_next(request, 0, &(mr_event *){NULL}, &error));

  mr_text *timings = NULL;
  EXPECT(MR_OK, mr_request_timings(request, &timings, &error));
  CHECK(strstr(data(timings), "\"total_seconds\":") != NULL);
  mr_text_free(timings);
  mr_request_free(request);
  return NULL;
}

/* JSON of a text without anything to escape but line ends. */
static void expect_content(const mr_text *response, const char *field, const char *text) {
  char expected[16384], *out = expected;
  out += sprintf(out, "\"%s\":\"", field);
  for (; *text; text++) {
    if (*text == '\n') {
      *out++ = '\\';
      *out++ = 'n';
    } else {
      if (*text == '"' || *text == '\\') *out++ = '\\';
      *out++ = *text;
    }
  }
  strcpy(out, "\"");
  CHECK(strstr(data(response), expected) != NULL);
}

static void two_threads(const mr_runtime *runtime) {
  static reader readers[4];
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) {
    readers[i].runtime = runtime;
    readers[i].chat = i % 2;
    CHECK(pthread_create(&threads[i], NULL, read_all, &readers[i]) == 0);
  }
  for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(strlen(readers[0].text) > 20 && strcmp(readers[0].text, readers[1].text) != 0);
  CHECK(strcmp(readers[0].text, readers[2].text) == 0 && strcmp(readers[1].text, readers[3].text) == 0);

  mr_text *response = NULL;
  EXPECT(MR_OK, mr_runtime_complete(runtime, TEXT(COMPLETION(20)), NULL, &response, &error));
  expect_content(response, "text", readers[0].text);
  CHECK(strstr(data(response), "\"finish_reason\":\"length\"") && strstr(data(response), "\"completion_tokens\":20"));
  mr_text_free(response);
  EXPECT(MR_OK, mr_runtime_chat(runtime, TEXT(CHAT(20)), NULL, &response, &error));
  expect_content(response, "content", readers[1].text);
  CHECK(strstr(data(response), "\"model\":\"stories@1\"") != NULL);
  mr_text_free(response);
}

static mr_request *submit(const mr_runtime *runtime, const char *json, const mr_request_options *options) {
  mr_request *request = NULL;
  EXPECT(MR_OK, mr_runtime_submit_chat(runtime, TEXT(json), options, NULL, NULL, NULL, &request, &error));
  return request;
}

static void next_then_wait(const mr_runtime *runtime) {
  mr_request *request = submit(runtime, CHAT(30), NULL);
  mr_event *event = NULL;
  mr_text *response = NULL;
  size_t len = 0;
  CHECK(strcmp(mr_request_get_version(request, &len), "stories@1") == 0 && len == strlen("stories@1"));
  EXPECT(MR_OK, mr_request_next(request, MR_WAIT_FOREVER, &event, &error));
  EXPECT(MR_OK, mr_request_wait(request, MR_WAIT_FOREVER, &response, &error));
  CHECK(strstr(data(response), "\"completion_tokens\":30") != NULL);
  mr_text_free(response);
  EXPECT(MR_OK, mr_request_wait(request, 0, &response, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_request_wait(request, -2, &(mr_text *){NULL}, &error));
  /* What was given lives on its own. */
  mr_request_free(request);
  CHECK(mr_event_get_kind(event) == MR_EVENT_CHUNKS && strlen(data(response)) > 0);
  mr_event_free(event);
  mr_text_free(response);
}

/* Reads until the request ends with this error, which then stays. */
static void ends_with(mr_request *request, mr_status expected) {
  mr_status status;
  mr_error *error = NULL;
  do {
    mr_event *event = NULL;
    status = mr_request_next(request, MR_WAIT_FOREVER, &event, &error);
    mr_event_free(event);
  } while (status == MR_OK);
  CHECK(status == expected && mr_error_get_code(error) == expected);
  mr_error_free(error);
  EXPECT(expected, mr_request_next(request, 0, &(mr_event *){NULL}, &error));
  EXPECT(expected, mr_request_wait(request, MR_WAIT_FOREVER, &(mr_text *){NULL}, &error));
  EXPECT(MR_E_CONFLICT, mr_request_timings(request, &(mr_text *){NULL}, &error));
  mr_request_free(request);
}

static void *wait_for(void *request) {
  mr_text *response = NULL;
  mr_status status = mr_request_wait(request, MR_WAIT_FOREVER, &response, NULL);
  CHECK(status == MR_E_CANCELLED && response == NULL);
  return NULL;
}

static void cancels(const mr_runtime *runtime) {
  mr_request *request = submit(runtime, CHAT(480), NULL);
  pthread_t thread;
  EXPECT(MR_TIMED_OUT, mr_request_wait(request, 0, &(mr_text *){NULL}, &error));
  mr_request_cancel(request);
  CHECK(pthread_create(&thread, NULL, wait_for, request) == 0);
  EXPECT(MR_E_CANCELLED, mr_request_wait(request, MR_WAIT_FOREVER, &(mr_text *){NULL}, &error));
  CHECK(pthread_join(thread, NULL) == 0);
  ends_with(request, MR_E_CANCELLED);

  mr_request_options options = MR_REQUEST_OPTIONS_INIT;
  options.timeout_ms = 1;
  options.priority = -1;
  ends_with(submit(runtime, CHAT(480), &options), MR_E_DEADLINE_EXCEEDED);

  /* An answer that ended stays what it is. */
  mr_text *response = NULL;
  request = submit(runtime, CHAT(2), NULL);
  EXPECT(MR_OK, mr_request_wait(request, MR_WAIT_FOREVER, &response, &error));
  mr_text_free(response);
  mr_request_cancel(request);
  EXPECT(MR_OK, mr_request_wait(request, MR_WAIT_FOREVER, &response, &error));
  mr_text_free(response);
  mr_request_free(request);
}

typedef struct {
  mr_request *request;
  pthread_barrier_t started;
} racing;

static void *reads_on(void *argument) {
  racing *self = argument;
  mr_status status = MR_OK;
  for (int first = 1; status == MR_OK; first = 0) {
    mr_event *event = NULL;
    status = mr_request_next(self->request, MR_WAIT_FOREVER, &event, NULL);
    mr_event_free(event);
    if (first) pthread_barrier_wait(&self->started);
  }
  /* Done, if the thread that frees was slow. */
  CHECK(status == MR_E_CANCELLED || status == MR_E_INVALID_ARGUMENT || status == MR_DONE);
  return NULL;
}

static void freeing_races_with_use(const mr_runtime *runtime) {
  for (int i = 0; i < 3; i++) {
    racing self;
    pthread_t thread;
    self.request = submit(runtime, CHAT(480), NULL);
    CHECK(pthread_barrier_init(&self.started, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, reads_on, &self) == 0);
    pthread_barrier_wait(&self.started);
    mr_request_free(self.request);
    CHECK(pthread_join(thread, NULL) == 0 && pthread_barrier_destroy(&self.started) == 0);
    /* A freed request is recognised. */
    EXPECT(MR_E_INVALID_ARGUMENT, mr_request_next(self.request, 0, &(mr_event *){NULL}, &error));
    EXPECT(MR_E_INVALID_ARGUMENT, mr_request_wait(self.request, 0, &(mr_text *){NULL}, &error));
    CHECK(mr_request_get_version(self.request, NULL) == NULL);
    mr_request_cancel(self.request);
    mr_request_free(self.request);
  }
}

static void frees_while_running(const char *model) {
  mr_runtime *runtime = serve(model);
  mr_request *requests[8];
  mr_text *text = NULL;
  for (int i = 0; i < 8; i++) requests[i] = submit(runtime, i == 6 ? CHAT(10) : CHAT(480), NULL);
  EXPECT(MR_OK, mr_runtime_stats(runtime, &text, &error));
  CHECK(strstr(data(text), "\"endpoints\":[{") != NULL);
  mr_text_free(text);
  EXPECT(MR_OK, mr_runtime_endpoints(runtime, &text, &error));
  CHECK(strstr(data(text), "\"plain\"") != NULL && strstr(data(text), "\"chat\"") != NULL);
  mr_text_free(text);

  /* A request keeps its runtime: with every reference gone it runs to its end. */
  mr_runtime_retain(runtime);
  mr_runtime_release(runtime);
  for (int i = 0; i < 6; i++) mr_request_free(requests[i]);
  mr_runtime_release(runtime);
  EXPECT(MR_OK, mr_request_wait(requests[6], MR_WAIT_FOREVER, &text, &error));
  mr_text_free(text);
  mr_request_free(requests[6]);
  mr_request_free(requests[7]);
}

static void removal(const char *model) {
  mr_runtime *runtime = serve(model);
  mr_request *request = submit(runtime, CHAT(480), NULL);
  EXPECT(MR_OK, mr_runtime_remove(runtime, TEXT("chat"), &error));
  ends_with(request, MR_E_SHUTTING_DOWN);
  EXPECT(MR_E_NOT_FOUND, mr_runtime_chat(runtime, TEXT(CHAT(1)), NULL, &(mr_text *){NULL}, &error));
  mr_runtime_release(runtime);
}

/* As server-sent events: each chunk is one, and together they are the list. */
static void server_sent(const mr_runtime *runtime) {
  mr_request *request = NULL;
  mr_status status;
  int events = 0;
  EXPECT(MR_OK, mr_runtime_submit_chat(runtime, TEXT(CHAT(12)), NULL, NULL, NULL, NULL, &request, &error));
  do {
    mr_event *event = NULL;
    status = mr_request_next(request, MR_WAIT_FOREVER, &event, NULL);
    if (event != NULL) {
      size_t len = 0, list = 0;
      const char *stream = mr_event_get_stream(event, &len), *json = mr_event_get_json(event, &list);
      CHECK(len > 8 && strncmp(stream, "data: {", 7) == 0 && strcmp(stream + len - 3, "}\n\n") == 0);
      CHECK(mr_event_get_stream(event, NULL) == stream);
      /* "data: " and two line ends for each chunk, where the list has a comma or half of its brackets. */
      size_t chunks = 0;
      for (const char *at = stream; (at = strstr(at, "data: ")) != NULL; at++) chunks++;
      CHECK(len == list - 1 + 7 * chunks && strncmp(stream + 6, json + 1, 20) == 0);
      events++;
    }
    mr_event_free(event);
  } while (status == MR_OK);
  CHECK(status == MR_DONE && events > 0 && mr_event_get_stream(NULL, NULL) == NULL);
  CHECK(strcmp(MR_EVENT_STREAM_DONE, "data: [DONE]\n\n") == 0);
  mr_request_free(request);
}

static int32_t count_events(void *user_data, const mr_event *event) {
  int *counted = user_data;
  counted[mr_event_get_kind(event)]++;
  if (mr_event_get_kind(event) == MR_EVENT_FINISHED) {
    CHECK(strcmp(mr_event_get_stream(event, NULL), MR_EVENT_STREAM_DONE) == 0);
  }
  return 0;
}

/* Asked for at once, and still one that can be waited for without a thread, and cancelled. */
static void whole(const mr_runtime *runtime) {
  mr_request_options options = MR_REQUEST_OPTIONS_INIT;
  const char *streaming = "{\"model\":\"plain\",\"prompt\":\"x\",\"stream\":true,\"max_tokens\":2}";
  options.whole = 1;
  mr_text *once = NULL, *again = NULL;
  mr_request *request = NULL;
  mr_event *event = NULL;
  int counted[4] = {0};
  EXPECT(MR_OK, mr_runtime_complete(runtime, TEXT(COMPLETION(12)), NULL, &once, &error));
  EXPECT(MR_OK, mr_runtime_submit_completion(runtime, TEXT(COMPLETION(12)), &options, count_events, counted, NULL, &request, &error));
  EXPECT(MR_OK, mr_request_wait(request, MR_WAIT_FOREVER, &again, &error));
  CHECK(counted[MR_EVENT_CHUNKS] == 0 && counted[MR_EVENT_FINISHED] == 1 && counted[MR_EVENT_FAILED] == 0);
  CHECK(strcmp(strstr(data(once), "\"choices\""), strstr(data(again), "\"choices\"")) == 0);
  mr_request_free(request);
  EXPECT(MR_OK, mr_runtime_submit_completion(runtime, TEXT(COMPLETION(12)), &options, NULL, NULL, NULL, &request, &error));
  EXPECT(MR_DONE, mr_request_next(request, MR_WAIT_FOREVER, &event, &error));
  mr_request_free(request);
  EXPECT(MR_OK, mr_runtime_submit_chat(runtime, TEXT(CHAT(400)), &options, NULL, NULL, NULL, &request, &error));
  mr_request_cancel(request);
  mr_error *error = NULL;
  mr_status status = mr_request_next(request, MR_WAIT_FOREVER, &event, &error);
  CHECK(status == MR_E_CANCELLED || status == MR_DONE);
  mr_error_free(error);
  mr_request_free(request);
  request = NULL;
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_submit_completion(runtime, TEXT(streaming), &options, NULL, NULL, NULL, &request, &error));
  CHECK(request == NULL && event == NULL);
  mr_text_free(once);
  mr_text_free(again);
}

int main(int argc, char **argv) {
  CHECK(argc >= 2);
  mr_runtime *runtime = serve(argv[1]);
  two_threads(runtime);
  next_then_wait(runtime);
  cancels(runtime);
  server_sent(runtime);
  whole(runtime);
  freeing_races_with_use(runtime);
  mr_runtime_release(runtime);
  frees_while_running(argv[1]);
  removal(argv[1]);
  return 0;
}
