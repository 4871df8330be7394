/* What the test programs share: checks that end the program with the place and the error. */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_runtime.h"

#define CHECK(condition)                                                          \
  do {                                                                            \
    if (!(condition)) {                                                           \
      fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);     \
      exit(1);                                                                    \
    }                                                                             \
  } while (0)

/* The call must return this status; an error is shown and freed. */
#define EXPECT(status, call)                                                      \
  do {                                                                            \
    mr_error *error = NULL;                                                       \
    mr_status got = (call);                                                       \
    if (got != (status)) {                                                        \
      const char *message = mr_error_get_message(error, NULL);                    \
      fprintf(stderr, "%s:%d: %s is %d instead of %d: %s\n", __FILE__, __LINE__,  \
              #call, (int)got, (int)(status), message ? message : "no message");  \
      exit(1);                                                                    \
    }                                                                             \
    CHECK((error != NULL) == (got >= 100));                                       \
    CHECK(mr_error_get_code(error) == (got >= 100 ? got : MR_OK));                \
    mr_error_free(error);                                                         \
  } while (0)

/* A string and its length, as two arguments. */
#define TEXT(literal) (literal), strlen(literal)

#define TEMPLATE "{% for message in messages %}{{ message.content }}{% endfor %}"

static inline const char *data(const mr_text *text) { return mr_text_get_data(text, NULL); }

/* Serves the model twice: "plain", and "chat" with a template, since the model has none. */
static inline mr_runtime *serve(const char *model) {
  mr_runtime *runtime = NULL;
  mr_text *info = NULL;
  mr_serve_options options = MR_SERVE_OPTIONS_INIT;
  EXPECT(MR_OK, mr_runtime_new(NULL, &runtime, &error));
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("plain"), TEXT(model), NULL, NULL, NULL, NULL, &info, &error));
  CHECK(strstr(data(info), "\"name\":\"plain\"") != NULL);
  mr_text_free(info);
  options.chat_template = TEMPLATE;
  options.chat_template_len = strlen(TEMPLATE);
  options.version = "stories@1";
  options.version_len = strlen(options.version);
  EXPECT(MR_OK, mr_runtime_serve(runtime, TEXT("chat"), TEXT(model), &options, NULL, NULL, NULL, &info, &error));
  CHECK(strstr(data(info), "\"version\":\"stories@1\"") != NULL);
  mr_text_free(info);
  return runtime;
}

#define CHAT(tokens)                                                                           \
  "{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":\"Once upon a time\"}]," \
  "\"temperature\":0,\"max_tokens\":" #tokens "}"
#define COMPLETION(tokens) \
  "{\"model\":\"plain\",\"prompt\":\"Lily and Tom\",\"temperature\":0,\"max_tokens\":" #tokens "}"

#endif
