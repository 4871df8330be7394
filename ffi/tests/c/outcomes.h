/* Calls that may end in several ways, because other threads do things meanwhile. */
#ifndef OUTCOMES_H
#define OUTCOMES_H

#include <stdarg.h>

#include "check.h"

/* Behind the last status of a list. */
#define END (-1)

/* Ends the program unless the status is one of those that the list has, which ends with END. Frees the error. */
static inline mr_status one_of(const char *what, mr_status status, mr_error *error, ...) {
  va_list list;
  va_start(list, error);
  for (int allowed; (allowed = va_arg(list, int)) != END;) {
    if (allowed == status) {
      va_end(list);
      CHECK((error != NULL) == (status >= 100) && mr_error_get_code(error) == (status >= 100 ? status : MR_OK));
      mr_error_free(error);
      return status;
    }
  }
  va_end(list);
  fprintf(stderr, "%s: %d: %s\n", what, (int)status, mr_error_get_message(error, NULL));
  exit(1);
}

/* A call, and what it may answer. */
#define TRY(into, call, ...)                                   \
  do {                                                         \
    mr_error *error = NULL;                                    \
    mr_status got = (call);                                    \
    (into) = one_of(#call, got, error, __VA_ARGS__, END);      \
  } while (0)

#define ALLOW(call, ...)                                       \
  do {                                                         \
    mr_error *error = NULL;                                    \
    mr_status got = (call);                                    \
    one_of(#call, got, error, __VA_ARGS__, END);               \
  } while (0)

#endif
