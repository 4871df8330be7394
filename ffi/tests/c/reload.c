/* The library as a plug-in: loaded, used, unloaded and loaded again, and two copies of it in one process. This program is not linked
   to it.
   Arguments: the repository, an empty folder to write in, the shared library. */
/* For realpath. Before every header. */
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "check.h"

/* The functions of one copy. */
typedef struct {
  void *library;
  __typeof__(mr_runtime_new) *runtime_new;
  __typeof__(mr_runtime_release) *runtime_release;
  __typeof__(mr_runtime_serve) *runtime_serve;
  __typeof__(mr_runtime_complete) *runtime_complete;
  __typeof__(mr_runtime_submit_completion) *runtime_submit_completion;
  __typeof__(mr_request_free) *request_free;
  __typeof__(mr_text_get_data) *text_get_data;
  __typeof__(mr_text_free) *text_free;
  __typeof__(mr_error_get_code) *error_get_code;
  __typeof__(mr_error_free) *error_free;
} plugin;

static char model[4096];
static const char question[] = "{\"model\":\"plain\",\"prompt\":\"Once upon a time\",\"max_tokens\":24,\"temperature\":0.9,\"seed\":5}";
static const char long_question[] = "{\"model\":\"plain\",\"prompt\":\"Once\",\"max_tokens\":400,\"temperature\":0}";

static void *symbol(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (found == NULL) fprintf(stderr, "%s\n", dlerror());
  CHECK(found != NULL);
  return found;
}

/* POSIX has functions and data alike; ISO C has not, hence the detour by the pointer's memory. */
#define FIND(plugin, name) (*(void **)&(plugin)->name = symbol((plugin)->library, "mr_" #name))

static plugin load(const char *path) {
  plugin self = {.library = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
  if (self.library == NULL) fprintf(stderr, "%s\n", dlerror());
  CHECK(self.library != NULL);
  FIND(&self, runtime_new);
  FIND(&self, runtime_release);
  FIND(&self, runtime_serve);
  FIND(&self, runtime_complete);
  FIND(&self, runtime_submit_completion);
  FIND(&self, request_free);
  FIND(&self, text_get_data);
  FIND(&self, text_free);
  FIND(&self, error_get_code);
  FIND(&self, error_free);
  return self;
}

static mr_runtime *serve_plain(const plugin *self) {
  mr_runtime *runtime = NULL;
  mr_text *info = NULL;
  CHECK(self->runtime_new(NULL, &runtime, NULL) == MR_OK);
  CHECK(self->runtime_serve(runtime, TEXT("plain"), TEXT(model), NULL, NULL, NULL, NULL, &info, NULL) == MR_OK);
  self->text_free(info);
  return runtime;
}

/* The answer's choices: what is not the answer's own name and time. */
static void answer(const plugin *self, const mr_runtime *runtime, char *into, size_t size) {
  mr_text *response = NULL;
  mr_error *error = NULL;
  CHECK(self->runtime_complete(runtime, TEXT(question), NULL, &response, NULL) == MR_OK);
  const char *choices = strstr(self->text_get_data(response, NULL), "\"choices\":");
  CHECK(choices != NULL && strlen(choices) < size);
  strcpy(into, choices);
  self->text_free(response);
  CHECK(self->runtime_complete(runtime, "{", 1, NULL, &response, &error) == MR_E_INVALID_REQUEST);
  CHECK(self->error_get_code(error) == MR_E_INVALID_REQUEST);
  self->error_free(error);
}

static int threads(void) {
  int count = 0;
  DIR *tasks = opendir("/proc/self/task");
  CHECK(tasks != NULL);
  for (struct dirent *task; (task = readdir(tasks)) != NULL;) count += task->d_name[0] != '.';
  CHECK(closedir(tasks) == 0);
  return count;
}

static int is_mapped(const char *path) {
  char line[8192], real[4096 + 1];
  int found = 0;
  CHECK(realpath(path, real) != NULL);
  FILE *maps = fopen("/proc/self/maps", "r");
  CHECK(maps != NULL);
  while (fgets(line, sizeof line, maps) != NULL) found |= strstr(line, real) != NULL;
  CHECK(fclose(maps) == 0);
  return found;
}

typedef struct {
  const char *path;
  plugin copy;
  mr_runtime *runtime;
  mr_request *request;
  pthread_mutex_t mutex;
  char answer[8192];
} user;

static void *load_and_use(void *argument) {
  user *self = argument;
  int before = threads();
  self->copy = load(self->path);
  CHECK(threads() == before); /* Loading alone starts nothing. */
  mr_runtime *runtime = serve_plain(&self->copy);
  CHECK(threads() > before);
  answer(&self->copy, runtime, self->answer, sizeof self->answer);
  self->copy.runtime_release(runtime);
  /* Released is joined. */
  CHECK(threads() == before);
  return NULL;
}

/* When every thread that called the library has ended, it leaves the process wholly, again and again. */
static void unloaded(const char *path, char *right) {
  for (int round = 0; round < 3; round++) {
    user self = {.path = path};
    pthread_t thread;
    CHECK(!is_mapped(path));
    CHECK(pthread_create(&thread, NULL, load_and_use, &self) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(is_mapped(path) && dlclose(self.copy.library) == 0);
    CHECK(!is_mapped(path));
    if (round == 0) strcpy(right, self.answer);
    CHECK(strcmp(self.answer, right) == 0);
  }
}

static int32_t release_all(void *user_data, const mr_event *event) {
  user *self = user_data;
  (void)event;
  CHECK(pthread_mutex_lock(&self->mutex) == 0);
  self->copy.runtime_release(self->runtime);
  self->copy.request_free(self->request);
  CHECK(pthread_mutex_unlock(&self->mutex) == 0);
  return 0;
}

/* The last of everything is given back in a callback, on a thread that nobody joins: it ends all the same. Only to see that, the
   process is looked at again and again; a host has no reason to. */
static void ended_by_itself(const char *path) {
  user self = {.path = path, .copy = load(path), .mutex = PTHREAD_MUTEX_INITIALIZER};
  struct timespec begin, now;
  int before = threads();
  self.runtime = serve_plain(&self.copy);
  CHECK(pthread_mutex_lock(&self.mutex) == 0);
  CHECK(self.copy.runtime_submit_completion(self.runtime, TEXT(long_question), NULL, release_all, &self, NULL, &self.request,
                                            NULL) == MR_OK);
  CHECK(pthread_mutex_unlock(&self.mutex) == 0 && clock_gettime(CLOCK_MONOTONIC, &begin) == 0);
  do {
    CHECK(sched_yield() == 0 && clock_gettime(CLOCK_MONOTONIC, &now) == 0);
  } while (threads() > before && now.tv_sec - begin.tv_sec < 60);
  CHECK(threads() == before && dlclose(self.copy.library) == 0);
}

/* A thread that called the library and lives on keeps it in the process: it can be loaded and used again. */
static void kept(const char *path, const char *right) {
  for (int round = 0; round < 3; round++) {
    user self = {.path = path};
    load_and_use(&self);
    CHECK(dlclose(self.copy.library) == 0 && strcmp(self.answer, right) == 0);
  }
}

static void copy_file(const char *from, const char *to) {
  static char bytes[1 << 20];
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  CHECK(in != NULL && out != NULL);
  for (size_t len; (len = fread(bytes, 1, sizeof bytes, in)) > 0;) CHECK(fwrite(bytes, 1, len, out) == len);
  CHECK(!ferror(in) && fclose(in) == 0 && fclose(out) == 0);
}

static void *ask_often(void *argument) {
  user *self = argument;
  char again[sizeof self->answer];
  for (int round = 0; round < 10; round++) {
    answer(&self->copy, self->runtime, again, sizeof again);
    CHECK(strcmp(again, self->answer) == 0);
  }
  return NULL;
}

/* Two copies under two names, as two plug-ins of one host may bring them: each has its own state, both answer at once. */
static void two_copies(const char *path, const char *folder, const char *right) {
  char other[4200];
  pthread_t thread_of[2];
  int before = threads();
  snprintf(other, sizeof other, "%s/libanother.so", folder);
  copy_file(path, other);
  user users[2] = {{.path = path}, {.path = other}};
  for (int i = 0; i < 2; i++) {
    users[i].copy = load(users[i].path);
    users[i].runtime = serve_plain(&users[i].copy);
    strcpy(users[i].answer, right);
  }
  CHECK(users[0].copy.runtime_new != users[1].copy.runtime_new);
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&thread_of[i], NULL, ask_often, &users[i]) == 0);
  for (int i = 0; i < 2; i++) CHECK(pthread_join(thread_of[i], NULL) == 0);
  /* One goes, the other stays. */
  users[0].copy.runtime_release(users[0].runtime);
  CHECK(dlclose(users[0].copy.library) == 0);
  ask_often(&users[1]);
  users[1].copy.runtime_release(users[1].runtime);
  CHECK(dlclose(users[1].copy.library) == 0 && threads() == before && remove(other) == 0);
}

int main(int argc, char **argv) {
  char right[sizeof((user *)NULL)->answer];
  CHECK(argc == 4);
  snprintf(model, sizeof model, "%s/examples/models/stories260K", argv[1]);
  unloaded(argv[3], right);
  ended_by_itself(argv[3]);
  kept(argv[3], right);
  two_copies(argv[3], argv[2], right);
  return 0;
}
