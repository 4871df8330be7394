/*
 * Streams two answers at the same time, each read by a thread of its own, from one model.
 *
 * Build the library and this program, and run it, in the repository's folder (or `make -C examples/c run`):
 *
 *   cargo build --release -p model-runtime-ffi
 *   ln -sf libmodel_runtime.so target/release/libmodel_runtime.so.0.1
 *   cc -std=c11 -Wall -Wextra -Iinclude examples/c/chat.c -o target/chat \
 *      -Ltarget/release -lmodel_runtime -pthread -Wl,-rpath,"$PWD/target/release"
 *   target/chat examples/models/stories260K
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_runtime.h"

/* The model of this example was not made for conversations and brings no template: the last message as it is. */
static const char template[] = "{{ messages[-1].content }}";

typedef struct {
  const mr_runtime *runtime;
  int number;
  const char *content;
} conversation;

static void fail(const char *what, mr_error *error) {
  fprintf(stderr, "%s: %s\n", what, mr_error_get_message(error, NULL));
  mr_error_free(error);
  exit(1);
}

static void *stream(void *argument) {
  const conversation *self = argument;
  char json[512];
  mr_error *error = NULL;
  mr_request *request = NULL;

  int len = snprintf(json, sizeof json,
                     "{\"model\": \"stories\", \"messages\": [{\"role\": \"user\", \"content\": \"%s\"}],"
                     " \"max_tokens\": 64, \"temperature\": 0}",
                     self->content);
  if (mr_runtime_submit_chat(self->runtime, json, (size_t)len, NULL, NULL, NULL, NULL, &request, &error) != MR_OK) {
    fail("submit", error);
  }
  for (;;) {
    mr_event *event = NULL;
    mr_status status = mr_request_next(request, MR_WAIT_FOREVER, &event, &error);
    if (status == MR_DONE) break;
    if (status != MR_OK) fail("next", error);
    printf("%d> %s\n", self->number, mr_event_get_text(event, NULL));
    mr_event_free(event);
  }
  printf("%d: served by %s\n", self->number, mr_request_get_version(request, NULL));
  mr_request_free(request);
  return NULL;
}

int main(int argc, char **argv) {
  mr_error *error = NULL;
  mr_runtime *runtime = NULL;
  mr_text *info = NULL;
  mr_serve_options options = MR_SERVE_OPTIONS_INIT;

  if (argc != 2) {
    fprintf(stderr, "usage: %s MODEL\n", argv[0]);
    return 2;
  }
  if (mr_runtime_new(NULL, &runtime, &error) != MR_OK) fail("new", error);

  options.chat_template = template;
  options.chat_template_len = strlen(template);
  if (mr_runtime_serve(runtime, "stories", strlen("stories"), argv[1], strlen(argv[1]), &options, NULL, NULL, NULL,
                       &info, &error) != MR_OK) {
    fail("serve", error);
  }
  mr_text_free(info);

  conversation conversations[2] = {{runtime, 1, "One day, a little"}, {runtime, 2, "Tom and Lily"}};
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    if (pthread_create(&threads[i], NULL, stream, &conversations[i]) != 0) return 1;
  }
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  mr_runtime_release(runtime);
  return 0;
}
