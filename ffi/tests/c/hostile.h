/* What the hostile programs share: memory that ends where the caller said it ends, outcomes that must leave everything else
   alone, and the question that the runtime must go on answering. */
#ifndef HOSTILE_H
#define HOSTILE_H

/* For MAP_ANONYMOUS. Before every other header. */
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

/* What out-parameters hold before a call. */
#define UNTOUCHED ((void *)(uintptr_t)0x5a5a)

/* A copy whose last byte lies before a page that nobody may read: a library that reads on dies. */
struct fenced {
  char *pages, *bytes;
  size_t mapped;
};

static inline struct fenced fence(const void *bytes, size_t len) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), used = (len / page + 1) * page;
  struct fenced copy = {.mapped = used + page};
  copy.pages = mmap(NULL, copy.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(copy.pages != MAP_FAILED && mprotect(copy.pages + used, page, PROT_NONE) == 0);
  copy.bytes = copy.pages + used - len;
  if (len > 0) memcpy(copy.bytes, bytes, len);
  return copy;
}

static inline void unfence(struct fenced copy) { CHECK(munmap(copy.pages, copy.mapped) == 0); }

/* A failure came with an error that tells all of it; anything else left the error alone. Frees the error. */
static inline void check_error(const char *what, mr_status status, mr_error *error) {
  if (status < 100) {
    if (error != UNTOUCHED) fprintf(stderr, "%s: answers %d and writes an error\n", what, (int)status);
    CHECK(error == UNTOUCHED);
    return;
  }
  CHECK(error != NULL && error != UNTOUCHED && mr_error_get_code(error) == status);
  size_t len = 0;
  const char *message = mr_error_get_message(error, &len);
  if (status == MR_E_INTERNAL) fprintf(stderr, "%s: %s\n", what, message);
  CHECK(status != MR_E_INTERNAL && len > 0 && strlen(message) == len);
  CHECK(mr_error_get_status(error) >= 400 && mr_error_get_status(error) <= 599);
  mr_error_free(error);
}

/* The status of a call that may only fail as the header says: with an error, and not by a defect. */
#define OUTCOME(into, call)                            \
  do {                                                 \
    mr_error *error = UNTOUCHED;                       \
    (into) = (call);                                   \
    check_error(#call, (into), error);                 \
  } while (0)

/* The answer to one question, from "choices" on: the rest has the time and the name of the answer in it. */
static inline char *ask(const mr_runtime *runtime) {
  mr_text *response = NULL;
  EXPECT(MR_OK, mr_runtime_complete(runtime, TEXT(COMPLETION(12)), NULL, &response, &error));
  const char *choices = strstr(data(response), "\"choices\":"), *end = choices ? strchr(choices, ']') : NULL;
  CHECK(end != NULL);
  size_t len = (size_t)(end - choices);
  char *kept = malloc(len + 1);
  CHECK(kept != NULL);
  memcpy(kept, choices, len);
  kept[len] = '\0';
  mr_text_free(response);
  return kept;
}

/* Whatever was done to it, the runtime gives the same answer as before. */
static inline void still_answers(const mr_runtime *runtime, const char *before) {
  char *now = ask(runtime);
  if (strcmp(before, now) != 0) fprintf(stderr, "was: %s\nis: %s\n", before, now);
  CHECK(strcmp(before, now) == 0);
  free(now);
}

#endif
