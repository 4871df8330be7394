/* Callbacks: events in order on one thread, data freed exactly once, the host's number comes back.
   Argument: the model. */
#include <pthread.h>
#include <time.h>

#include "check.h"

typedef struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  pthread_t thread;
  int events, finished, failed, freed;
  mr_status error;
  char text[8192];
  /* What the callback does. */
  int return_at_event, result;
  mr_request *to_free, *to_wait_for;
  int held, let_go, free_returned;
} host;

static void host_init(host *self) {
  memset(self, 0, sizeof *self);
  CHECK(pthread_mutex_init(&self->mutex, NULL) == 0 && pthread_cond_init(&self->changed, NULL) == 0);
}

static void host_destroy(host *self) {
  CHECK(pthread_mutex_destroy(&self->mutex) == 0 && pthread_cond_destroy(&self->changed) == 0);
}

static int32_t on_event(void *user_data, const mr_event *event) {
  host *self = user_data;
  CHECK(pthread_mutex_lock(&self->mutex) == 0);
  CHECK(self->freed == 0 && self->finished == 0 && self->failed == 0);
  if (self->events++ == 0) self->thread = pthread_self();
  CHECK(pthread_equal(self->thread, pthread_self()));
  switch (mr_event_get_kind(event)) {
    case MR_EVENT_CHUNKS:
      strcat(self->text, mr_event_get_text(event, NULL));
      break;
    case MR_EVENT_FINISHED:
      self->finished = 1;
      break;
    case MR_EVENT_FAILED:
      self->failed = 1;
      self->error = mr_error_get_code(mr_event_get_error(event));
      break;
    default:
      CHECK(0);
  }
  /* Held in the callback until the test lets go. */
  while (self->held && !self->let_go) {
    self->held = 2;
    CHECK(pthread_cond_broadcast(&self->changed) == 0 && pthread_cond_wait(&self->changed, &self->mutex) == 0);
  }
  if (self->let_go) {
    /* Time for mr_request_free to return too early. */
    struct timespec until;
    CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
    until.tv_sec += (until.tv_nsec + 100000000) / 1000000000;
    until.tv_nsec = (until.tv_nsec + 100000000) % 1000000000;
    while (!self->free_returned && pthread_cond_timedwait(&self->changed, &self->mutex, &until) == 0) continue;
    CHECK(!self->free_returned);
  }
  if (self->to_wait_for != NULL) {
    EXPECT(MR_E_CONFLICT, mr_request_wait(self->to_wait_for, 0, &(mr_text *){NULL}, &error));
    self->to_wait_for = NULL;
  }
  mr_request_free(self->to_free);
  self->to_free = NULL;
  int32_t result = self->events == self->return_at_event ? self->result : 0;
  CHECK(pthread_cond_broadcast(&self->changed) == 0 && pthread_mutex_unlock(&self->mutex) == 0);
  return result;
}

static void on_free(void *user_data) {
  host *self = user_data;
  CHECK(pthread_mutex_lock(&self->mutex) == 0);
  self->freed++;
  CHECK(pthread_cond_broadcast(&self->changed) == 0 && pthread_mutex_unlock(&self->mutex) == 0);
}

static void until(host *self, const int *condition, int value) {
  CHECK(pthread_mutex_lock(&self->mutex) == 0);
  while (*condition < value) CHECK(pthread_cond_wait(&self->changed, &self->mutex) == 0);
  CHECK(pthread_mutex_unlock(&self->mutex) == 0);
}

static mr_request *submit(const mr_runtime *runtime, const char *json, host *self) {
  mr_request *request = NULL;
  EXPECT(MR_OK, mr_runtime_submit_chat(runtime, TEXT(json), NULL, on_event, self, on_free, &request, &error));
  return request;
}

static void reports_everything(const mr_runtime *runtime) {
  host hosts[3];
  mr_request *requests[3];
  for (int i = 0; i < 3; i++) {
    host_init(&hosts[i]);
    requests[i] = submit(runtime, CHAT(30), &hosts[i]);
  }
  for (int i = 0; i < 3; i++) {
    mr_text *response = NULL;
    EXPECT(MR_E_CONFLICT, mr_request_next(requests[i], 0, &(mr_event *){NULL}, &error));
    EXPECT(MR_OK, mr_request_wait(requests[i], MR_WAIT_FOREVER, &response, &error));
    CHECK(strstr(data(response), "\"completion_tokens\":30") != NULL);
    mr_text_free(response);
    /* After wait everything was reported and the data is freed. */
    CHECK(hosts[i].finished == 1 && hosts[i].failed == 0 && hosts[i].freed == 1 && hosts[i].events > 1);
    CHECK(strlen(hosts[i].text) > 30 && strcmp(hosts[i].text, hosts[0].text) == 0);
    CHECK(pthread_equal(hosts[i].thread, hosts[0].thread) && !pthread_equal(hosts[i].thread, pthread_self()));
    EXPECT(MR_OK, mr_request_timings(requests[i], &response, &error));
    mr_text_free(response);
  }
  for (int i = 0; i < 3; i++) {
    mr_request_free(requests[i]);
    CHECK(hosts[i].freed == 1);
    host_destroy(&hosts[i]);
  }
}

static void returns_its_number(const mr_runtime *runtime) {
  host self;
  mr_error *error = NULL;
  host_init(&self);
  self.return_at_event = 2;
  self.result = -77;
  mr_request *request = submit(runtime, CHAT(400), &self);
  CHECK(mr_request_wait(request, MR_WAIT_FOREVER, &(mr_text *){NULL}, &error) == MR_E_CALLBACK);
  CHECK(mr_error_get_code(error) == MR_E_CALLBACK && mr_error_get_callback_result(error) == -77);
  mr_error_free(error);
  CHECK(self.events == 2 && self.freed == 1 && !self.finished && !self.failed);
  mr_request_free(request);
  CHECK(self.events == 2 && self.freed == 1);
  host_destroy(&self);
}

static void reports_failures(const mr_runtime *runtime) {
  host self;
  host_init(&self);
  mr_request *request = submit(runtime, CHAT(400), &self);
  mr_request_cancel(request);
  EXPECT(MR_E_CANCELLED, mr_request_wait(request, MR_WAIT_FOREVER, &(mr_text *){NULL}, &error));
  CHECK(self.failed == 1 && self.error == MR_E_CANCELLED && self.freed == 1);
  mr_request_free(request);
  host_destroy(&self);
}

static mr_request *held_request;

static void *free_it(void *user_data) {
  host *self = user_data;
  mr_request_free(held_request);
  CHECK(pthread_mutex_lock(&self->mutex) == 0);
  CHECK(self->freed == 1);
  self->free_returned = 1;
  CHECK(pthread_cond_broadcast(&self->changed) == 0 && pthread_mutex_unlock(&self->mutex) == 0);
  return NULL;
}

static void frees_at_any_moment(const mr_runtime *runtime) {
  host self;
  for (int i = 0; i < 8; i++) {
    host_init(&self);
    mr_request *request = submit(runtime, CHAT(400), &self);
    if (i % 2 == 0) until(&self, &self.events, 1);
    mr_request_free(request);
    CHECK(self.freed == 1);
    host_destroy(&self);
  }

  /* While the callback runs, freeing waits for it. */
  pthread_t thread;
  host_init(&self);
  self.held = 1;
  held_request = submit(runtime, CHAT(400), &self);
  until(&self, &self.held, 2);
  CHECK(pthread_create(&thread, NULL, free_it, &self) == 0);
  CHECK(pthread_mutex_lock(&self.mutex) == 0);
  CHECK(self.freed == 0 && self.events == 1);
  self.let_go = 1;
  CHECK(pthread_cond_broadcast(&self.changed) == 0 && pthread_mutex_unlock(&self.mutex) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(self.freed == 1 && self.events == 1);
  host_destroy(&self);

  /* Inside the callback itself: the callback learns of its request before it runs on. */
  host_init(&self);
  CHECK(pthread_mutex_lock(&self.mutex) == 0);
  self.to_free = self.to_wait_for = submit(runtime, CHAT(400), &self);
  CHECK(pthread_mutex_unlock(&self.mutex) == 0);
  until(&self, &self.freed, 1);
  CHECK(self.events == 1);
  host_destroy(&self);
}

static void failing_calls_free_the_data(const mr_runtime *runtime, const char *model) {
  host self;
  mr_request *request = NULL;
  mr_text *info = NULL;
  host_init(&self);
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_submit_chat(runtime, "{", 1, NULL, on_event, &self, on_free, &request, &error));
  EXPECT(MR_E_INVALID_ARGUMENT, mr_runtime_submit_chat(NULL, "{", 1, NULL, on_event, &self, on_free, &request, &error));
  EXPECT(MR_E_INVALID_ARGUMENT,
         mr_runtime_submit_completion(runtime, TEXT(COMPLETION(1)), NULL, on_event, &self, on_free, NULL, &error));
  CHECK(self.freed == 3 && self.events == 0 && request == NULL);
  EXPECT(MR_E_INVALID_ARGUMENT,
         mr_runtime_serve(NULL, TEXT("x"), TEXT(model), NULL, NULL, &self, on_free, &info, &error));
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("x"), TEXT(model), NULL, NULL, &self, on_free, &info, &error));
  CHECK(self.freed == 5);
  mr_text_free(info);
  EXPECT(MR_OK, mr_runtime_remove(runtime, TEXT("x"), &error));
  host_destroy(&self);
}

typedef struct {
  int calls, freed;
  int32_t stop_at;
  uint64_t done;
} load;

static int32_t on_progress(void *user_data, int32_t phase, uint64_t done, uint64_t total) {
  load *self = user_data;
  CHECK(phase == MR_PHASE_DIGEST || phase == MR_PHASE_WEIGHTS);
  CHECK(done <= total && self->freed == 0);
  self->done = done;
  return ++self->calls == self->stop_at ? 13 : 0;
}

static void on_loaded(void *user_data) { ((load *)user_data)->freed++; }

static void progress(const mr_runtime *runtime, const char *model) {
  load self = {0, 0, 0, 0};
  mr_text *info = NULL;
  mr_error *error = NULL;
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("x"), TEXT(model), NULL, on_progress, &self, on_loaded, &info, &error));
  CHECK(self.calls > 1 && self.done > 0 && self.freed == 1);
  mr_text_free(info);
  EXPECT(MR_OK, mr_runtime_remove(runtime, TEXT("x"), &error));
  memset(&self, 0, sizeof self);
  self.stop_at = 1;
  CHECK(mr_runtime_serve(runtime, TEXT("x"), TEXT(model), NULL, on_progress, &self, on_loaded, &info, &error) ==
        MR_E_CALLBACK);
  CHECK(mr_error_get_callback_result(error) == 13 && self.calls == 1 && self.freed == 1);
  mr_error_free(error);
  EXPECT(MR_E_NOT_FOUND, mr_runtime_remove(runtime, TEXT("x"), &error));
}

/* The last handles of a runtime go away inside a callback. */
static void ends_inside_a_callback(const char *model) {
  mr_runtime *runtime = serve(model);
  host self;
  host_init(&self);
  CHECK(pthread_mutex_lock(&self.mutex) == 0);
  self.to_free = submit(runtime, CHAT(400), &self);
  mr_runtime_release(runtime);
  CHECK(pthread_mutex_unlock(&self.mutex) == 0);
  until(&self, &self.freed, 1);
  host_destroy(&self);
}

int main(int argc, char **argv) {
  CHECK(argc >= 2);
  mr_runtime *runtime = serve(argv[1]);
  reports_everything(runtime);
  returns_its_number(runtime);
  reports_failures(runtime);
  frees_at_any_moment(runtime);
  failing_calls_free_the_data(runtime, argv[1]);
  progress(runtime, argv[1]);
  mr_runtime_release(runtime);
  ends_inside_a_callback(argv[1]);
  return 0;
}
