/* The ends of handles: freed in every order, while others wait, inside callbacks, and left behind by a fork.
   Arguments: the repository, an empty folder to write in, optionally every which order of freeing is tried, and anything more to
   do without forks, whose children valgrind would search for leaks. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char model[4096], encoder[4096];
static atomic_int freed;

static mr_runtime *serve_both(void) {
  mr_runtime *runtime = NULL;
  mr_text *info = NULL;
  EXPECT(MR_OK, mr_runtime_new(NULL, &runtime, &error));
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("plain"), TEXT(model), NULL, NULL, NULL, NULL, &info, &error));
  mr_text_free(info);
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("vectors"), TEXT(encoder), NULL, NULL, NULL, NULL, &info, &error));
  mr_text_free(info);
  return runtime;
}

static void on_free(void *user_data) {
  (void)user_data;
  atomic_fetch_add(&freed, 1);
}

static int32_t on_event(void *user_data, const mr_event *event) { return user_data == event; }

static mr_request *submit(const mr_runtime *runtime, const char *json) {
  mr_request *request = NULL;
  EXPECT(MR_OK, mr_runtime_submit_completion(runtime, TEXT(json), NULL, NULL, NULL, NULL, &request, &error));
  return request;
}

/* One of everything that can be held. */
enum { RUNTIME, RUNNING, DONE, HEARD, VECTORS, EVENT, KINDS };

typedef struct {
  mr_runtime *runtime;
  mr_request *running, *done, *heard;
  mr_embeddings *vectors;
  mr_event *event;
  mr_text *text;
  mr_error *error;
} held;

static held hold(void) {
  held all = {0};
  const char *json = "{\"model\":\"vectors\",\"input\":[\"bread\",\"rivers\"]}";
  all.runtime = serve_both();
  all.running = submit(all.runtime, COMPLETION(400));
  all.done = submit(all.runtime, COMPLETION(2));
  EXPECT(MR_OK, mr_request_next(all.running, MR_WAIT_FOREVER, &all.event, &error));
  EXPECT(MR_OK, mr_request_wait(all.done, MR_WAIT_FOREVER, &all.text, &error));
  EXPECT(MR_OK, mr_runtime_submit_completion(all.runtime, TEXT(COMPLETION(400)), NULL, on_event, NULL, on_free, &all.heard, &error));
  EXPECT(MR_OK, mr_runtime_submit_embeddings(all.runtime, TEXT(json), NULL, &all.vectors, &error));
  CHECK(mr_runtime_remove(all.runtime, TEXT("nobody"), &all.error) == MR_E_NOT_FOUND);
  return all;
}

/* What is left goes on working. */
static void use(const held *all) {
  mr_event *event = NULL;
  mr_text *text = NULL;
  if (all->running != NULL) {
    EXPECT(MR_OK, mr_request_next(all->running, MR_WAIT_FOREVER, &event, &error));
    mr_event_free(event);
  }
  if (all->done != NULL) {
    EXPECT(MR_OK, mr_request_wait(all->done, 0, &text, &error));
    CHECK(strstr(data(text), "\"completion_tokens\":2") != NULL);
    mr_text_free(text);
  }
  if (all->vectors != NULL) {
    EXPECT(MR_OK, mr_embeddings_wait(all->vectors, MR_WAIT_FOREVER, &error));
    CHECK(mr_embeddings_get_values(all->vectors, NULL, NULL) != NULL);
  }
  if (all->heard != NULL) CHECK(mr_request_get_version(all->heard, NULL) != NULL);
  if (all->event != NULL) CHECK(mr_event_get_kind(all->event) == MR_EVENT_CHUNKS && mr_event_get_json(all->event, NULL)[0] == '[');
  CHECK(strstr(data(all->text), "\"model\":") != NULL && mr_error_get_code(all->error) == MR_E_NOT_FOUND);
}

static void give_back(held *all, int kind) {
  switch (kind) {
    case RUNTIME:
      mr_runtime_release(all->runtime);
      all->runtime = NULL;
      return;
    case RUNNING:
      mr_request_free(all->running);
      all->running = NULL;
      return;
    case DONE:
      mr_request_free(all->done);
      all->done = NULL;
      return;
    case HEARD:
      mr_request_free(all->heard);
      all->heard = NULL;
      return;
    case VECTORS:
      mr_embeddings_free(all->vectors);
      all->vectors = NULL;
      return;
    default:
      mr_event_free(all->event);
      all->event = NULL;
  }
}

/* Puts what is at `at` and behind it into every order; each `every`th order is tried. */
static void orders(int *order, int at, int every, int *count) {
  if (at == KINDS) {
    if ((*count)++ % every != 0) return;
    held all = hold();
    int before = atomic_load(&freed);
    for (int i = 0; i < KINDS; i++) {
      give_back(&all, order[i]);
      CHECK((order[i] == HEARD) <= (atomic_load(&freed) == before + 1));
      use(&all);
    }
    mr_text_free(all.text);
    mr_error_free(all.error);
    return;
  }
  for (int i = at; i < KINDS; i++) {
    int swapped = order[at];
    order[at] = order[i];
    order[i] = swapped;
    orders(order, at + 1, every, count);
    order[i] = order[at];
    order[at] = swapped;
  }
}

typedef struct {
  const mr_request *request;
  const mr_embeddings *vectors;
  atomic_int waiting;
} waiter;

static void *read_on(void *argument) {
  waiter *self = argument;
  mr_status status;
  atomic_store(&self->waiting, 1);
  do {
    mr_event *event = NULL;
    status = mr_request_next(self->request, MR_WAIT_FOREVER, &event, NULL);
    mr_event_free(event);
  } while (status == MR_OK);
  /* A call under way ends cancelled, one that comes later finds nothing. */
  CHECK(status == MR_E_CANCELLED || status == MR_E_INVALID_ARGUMENT || status == MR_DONE);
  return NULL;
}

/* The request is freed while another thread is in a call on it, and the runtime is released before and after that. */
static void freed_while_read(void) {
  for (int round = 0; round < 20; round++) {
    mr_runtime *runtime = serve_both();
    waiter self = {.request = submit(runtime, COMPLETION(480))};
    pthread_t thread;
    if (round % 2 == 0) mr_runtime_release(runtime);
    CHECK(pthread_create(&thread, NULL, read_on, &self) == 0);
    while (round % 4 < 2 && !atomic_load(&self.waiting)) continue;
    mr_request_free((mr_request *)(uintptr_t)self.request);
    if (round % 2 == 1) mr_runtime_release(runtime);
    CHECK(pthread_join(thread, NULL) == 0);
  }
}

typedef struct {
  mr_runtime *runtime;
  mr_request *request;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int calls, over;
} last_holder;

static int32_t release_all(void *user_data, const mr_event *event) {
  last_holder *self = user_data;
  CHECK(pthread_mutex_lock(&self->mutex) == 0);
  while (self->request == NULL) CHECK(pthread_cond_wait(&self->changed, &self->mutex) == 0);
  CHECK(mr_event_get_kind(event) == MR_EVENT_CHUNKS && self->calls++ == 0);
  /* The last reference and the last request: the runtime ends on its own thread. */
  mr_runtime_release(self->runtime);
  mr_request_free(self->request);
  CHECK(mr_event_get_text(event, NULL) != NULL && pthread_mutex_unlock(&self->mutex) == 0);
  return 0;
}

static void holder_over(void *user_data) {
  last_holder *self = user_data;
  CHECK(pthread_mutex_lock(&self->mutex) == 0);
  self->over = 1;
  CHECK(pthread_cond_broadcast(&self->changed) == 0 && pthread_mutex_unlock(&self->mutex) == 0);
}

static void released_in_a_callback(void) {
  last_holder self = {.runtime = serve_both()};
  mr_request *request = NULL;
  CHECK(pthread_mutex_init(&self.mutex, NULL) == 0 && pthread_cond_init(&self.changed, NULL) == 0);
  EXPECT(MR_OK, mr_runtime_submit_completion(self.runtime, TEXT(COMPLETION(400)), NULL, release_all, &self, holder_over, &request,
                                             &error));
  CHECK(pthread_mutex_lock(&self.mutex) == 0);
  self.request = request;
  CHECK(pthread_cond_broadcast(&self.changed) == 0);
  while (!self.over) CHECK(pthread_cond_wait(&self.changed, &self.mutex) == 0);
  CHECK(self.calls == 1 && pthread_mutex_unlock(&self.mutex) == 0);
  /* Nobody is left to tell when its threads have ended; that they do is seen in reload.c. */
  CHECK(pthread_mutex_destroy(&self.mutex) == 0 && pthread_cond_destroy(&self.changed) == 0);
}

/* In the child everything is refused and freeing does nothing: 7 if so. */
static int refused_in_child(held *all) {
  mr_runtime *runtime = NULL;
  mr_text *text = NULL;
  mr_event *event = NULL;
  mr_request *request = NULL;
  mr_error *error = NULL;
  int right = mr_runtime_new(NULL, &runtime, &error) == MR_E_CONFLICT && mr_error_get_code(error) == MR_E_CONFLICT;
  mr_error_free(error);
  right &= mr_runtime_complete(all->runtime, TEXT(COMPLETION(8)), NULL, &text, NULL) == MR_E_CONFLICT;
  right &= mr_runtime_submit_completion(all->runtime, TEXT(COMPLETION(8)), NULL, NULL, NULL, NULL, &request, NULL) == MR_E_CONFLICT;
  right &= mr_runtime_remove(all->runtime, TEXT("plain"), NULL) == MR_E_CONFLICT;
  right &= mr_request_next(all->running, 0, &event, NULL) == MR_E_CONFLICT;
  right &= mr_embeddings_wait(all->vectors, 0, NULL) == MR_E_CONFLICT;
  right &= runtime == NULL && text == NULL && event == NULL && request == NULL;
  for (int kind = 0; kind < KINDS; kind++) give_back(all, kind);
  return right ? 7 : 9;
}

/* A child of a process with a runtime ends as it likes, without a word to the library; its parent does not notice. */
static void forked(void) {
  held all = hold();
  const char *json = COMPLETION(8);
  for (int way = 0; way < 4; way++) {
    CHECK(fflush(NULL) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(60);
      if (way == 0) _exit(7);
      if (way == 1) execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
      if (way == 2) _exit(refused_in_child(&all));
      int right = mr_abi_version() == MR_ABI_VERSION && mr_version() != NULL ? 7 : 8;
#ifdef __SANITIZE_ADDRESS__
      /* exit would search for leaks, and what only threads know that the child has not got would be one. */
      _exit(right);
#endif
      exit(right);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    mr_text *text = NULL;
    EXPECT(MR_OK, mr_runtime_complete(all.runtime, TEXT(json), NULL, &text, &error));
    mr_text_free(text);
  }
  use(&all);
  for (int kind = 0; kind < KINDS; kind++) give_back(&all, kind);
  mr_text_free(all.text);
  mr_error_free(all.error);
}

int main(int argc, char **argv) {
  int order[KINDS], count = 0, every = argc > 3 ? atoi(argv[3]) : 1;
  CHECK(argc >= 3 && every > 0);
  snprintf(model, sizeof model, "%s/examples/models/stories260K", argv[1]);
  snprintf(encoder, sizeof encoder, "%s/tests/data/tiny/bert_bge", argv[1]);
  for (int kind = 0; kind < KINDS; kind++) order[kind] = kind;
  orders(order, 0, every, &count);
  CHECK(count == 720);
  freed_while_read();
  released_in_a_callback();
  if (argc < 5) forked();
  return 0;
}
