/* Options of every size and with every value that a caller could put into them: structs of older and newer headers, structs that
   were not initialised, numbers that mean nothing, numbers that are too large. Each struct ends at a page that nobody may read.
   Arguments: the repository, an empty folder to write in. */
#include "hostile.h"

static mr_runtime *runtime;
static char *before, model[4096], asked[4096], answered[4096];

/* Gives the struct to a function that reads it, and takes back what that made. */
typedef mr_status (*reader)(const void *options, mr_error **error);

static mr_status read_runtime(const void *options, mr_error **error) {
  mr_runtime *other = UNTOUCHED;
  mr_status status = mr_runtime_new(options, &other, error);
  if (status == MR_OK) mr_runtime_release(other);
  else CHECK(other == UNTOUCHED);
  return status;
}

static mr_status read_serve(const void *options, mr_error **error) {
  mr_text *plan = UNTOUCHED;
  mr_status status = mr_runtime_plan(runtime, TEXT(model), options, &plan, error);
  if (status == MR_OK) mr_text_free(plan);
  else CHECK(plan == UNTOUCHED);
  return status;
}

static mr_status read_request(const void *options, mr_error **error) {
  mr_text *response = UNTOUCHED;
  mr_status status = mr_runtime_complete(runtime, TEXT(COMPLETION(1)), options, &response, error);
  if (status == MR_OK) mr_text_free(response);
  else CHECK(response == UNTOUCHED);
  return status;
}

static mr_status read_batch(const void *options, mr_error **error) {
  mr_text *summary = UNTOUCHED;
  remove(answered);
  mr_status status = mr_runtime_run_batch(runtime, TEXT(asked), TEXT(answered), options, NULL, NULL, NULL, &summary, error);
  if (status == MR_OK) mr_text_free(summary);
  else CHECK(summary == UNTOUCHED && access(answered, F_OK) != 0);
  return status;
}

/* The initializers in one form. */
typedef mr_status (*initializer)(void *options, size_t size);
static mr_status init_runtime(void *options, size_t size) { return mr_runtime_options_init(options, size); }
static mr_status init_serve(void *options, size_t size) { return mr_serve_options_init(options, size); }
static mr_status init_batch(void *options, size_t size) { return mr_batch_options_init(options, size); }
static mr_status init_request(void *options, size_t size) { return mr_request_options_init(options, size); }

struct options {
  initializer init;
  reader read;
  /* Its size in an earlier release, 0 if there was none, and now. */
  size_t earlier, size;
};

/* A struct whose first field says `says`, with `there` bytes of it in memory, all others zero but the last, which is `last`. */
static mr_status read_sized(const struct options *of, size_t says, size_t there, char last) {
  char bytes[8192] = {0};
  CHECK(there <= sizeof bytes && there >= sizeof says);
  bytes[there - 1] = last;
  memcpy(bytes, &says, sizeof says);
  struct fenced copy = fence(bytes, there);
  mr_status status;
  OUTCOME(status, of->read(copy.bytes, &error));
  CHECK(memcmp(copy.bytes, bytes, there) == 0); /* It is const. */
  unfence(copy);
  return status;
}

static void sizes(const struct options *of) {
  enum { LARGEST = 4096 }; /* No header's struct will be larger. */
  static const size_t absurd[] = {LARGEST + 1, LARGEST + 8, INT32_MAX, UINT32_MAX, SIZE_MAX / 2, SIZE_MAX - 7, SIZE_MAX};
  /* Every size up to ours: only those that a release had. */
  for (size_t size = 0; size < of->size; size++) {
    mr_status status = read_sized(of, size, of->size, 0);
    CHECK(status == (size > 0 && size == of->earlier ? MR_OK : MR_E_INVALID_ARGUMENT));
  }
  /* An older caller's struct ends where it says: what lies behind it is neither read nor written. */
  if (of->earlier > 0) {
    CHECK(read_sized(of, of->earlier, of->earlier, 0) == MR_OK);
    CHECK(read_sized(of, of->earlier, of->earlier + 1, 1) == MR_OK);
  }
  CHECK(read_sized(of, of->size, of->size, 0) == MR_OK);
  /* A newer caller's. */
  for (size_t size = of->size + 1; size <= of->size + 16; size++) {
    CHECK(read_sized(of, size, size, 0) == MR_OK);
    CHECK(read_sized(of, size, size, 1) == MR_E_UNSUPPORTED);
  }
  CHECK(read_sized(of, LARGEST, LARGEST, 0) == MR_OK);
  CHECK(read_sized(of, LARGEST, LARGEST, 1) == MR_E_UNSUPPORTED);
  CHECK(read_sized(of, LARGEST, LARGEST, (char)0x80) == MR_E_UNSUPPORTED);
  /* A struct that was never initialised: only its first field may be looked at. */
  for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
    CHECK(read_sized(of, absurd[i], sizeof(size_t), (char)(absurd[i] >> (8 * (sizeof(size_t) - 1)))) ==
          MR_E_INVALID_ARGUMENT);
  }
}

static void initializers(const struct options *of) {
  char bytes[8192], untouched[8192];
  memset(untouched, 0x5a, sizeof untouched);
  CHECK(of->init(NULL, of->size) == MR_E_INVALID_ARGUMENT && of->init(NULL, 0) == MR_E_INVALID_ARGUMENT);
  static const size_t absurd[] = {0, 1, 8, 4097, SIZE_MAX / 2, SIZE_MAX};
  for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
    memcpy(bytes, untouched, sizeof bytes);
    CHECK(of->init(bytes, absurd[i]) == MR_E_INVALID_ARGUMENT && memcmp(bytes, untouched, sizeof bytes) == 0);
  }
  const size_t known[] = {of->earlier > 0 ? of->earlier : of->size, of->size, of->size + 8, 4096};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    struct fenced memory = fence(untouched, known[i]);
    size_t says = 0;
    CHECK(of->init(memory.bytes, known[i]) == MR_OK);
    memcpy(&says, memory.bytes, sizeof says);
    CHECK(says == known[i]);
    for (size_t at = sizeof says; at < known[i]; at++) CHECK(memory.bytes[at] == 0);
    CHECK(of->read(memory.bytes, NULL) == MR_OK);
    unfence(memory);
  }
}

/* Options with these assignments must be refused with this status. */
#define REFUSED(type, status, ...)                                                              \
  do {                                                                                          \
    mr_##type##_options given;                                                                  \
    mr_status answered;                                                                         \
    CHECK(mr_##type##_options_init(&given, sizeof given) == MR_OK);                             \
    __VA_ARGS__;                                                                                \
    OUTCOME(answered, read_##type(&given, &error));                                             \
    if (answered != (status)) fprintf(stderr, "%s answers %d\n", #__VA_ARGS__, (int)answered);  \
    CHECK(answered == (status));                                                                \
  } while (0)

/* Numbers that are no name of anything. */
#define GARBAGE(type, field)                                       \
  do {                                                             \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field = INT32_MIN); \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field = -1);        \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field = 99);        \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field = INT32_MAX); \
  } while (0)

#define RESERVED(type, field)                                  \
  do {                                                         \
    REFUSED(type, MR_E_UNSUPPORTED, given.field = 1);          \
    REFUSED(type, MR_E_UNSUPPORTED, given.field = UINT32_MAX); \
  } while (0)

/* A text or list of an option: NULL with a length, and lengths that no memory has. */
#define LENGTHS(type, field)                                                                                    \
  do {                                                                                                          \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field##_len = 1);                                                \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field##_len = SIZE_MAX / 2);                                     \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field##_len = SIZE_MAX);                                         \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field = (void *)model; given.field##_len = SIZE_MAX);            \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field = (void *)model; given.field##_len = SIZE_MAX / 2 + 1);    \
  } while (0)

#define NOT_UTF8(type, field)                                                                       \
  do {                                                                                              \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field = "\xff"; given.field##_len = 1);              \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field = "caf\xc3\xa9"; given.field##_len = 4);       \
    REFUSED(type, MR_E_INVALID_ARGUMENT, given.field = "\xed\xa0\x80"; given.field##_len = 3);      \
  } while (0)

static void values(void) {
  GARBAGE(serve, prefix_sharing);
  GARBAGE(serve, backend);
  GARBAGE(serve, compute);
  GARBAGE(serve, cache_type);
  GARBAGE(serve, quantize);
  RESERVED(serve, reserved);
  RESERVED(serve, reserved2);
  LENGTHS(serve, version);
  LENGTHS(serve, chat_template);
  LENGTHS(serve, affinity);
  NOT_UTF8(serve, version);
  NOT_UTF8(serve, chat_template);
  GARBAGE(request, lifecycle);
  RESERVED(request, reserved);
  GARBAGE(request, whole);
  LENGTHS(request, principal);
  LENGTHS(request, entity);
  NOT_UTF8(request, principal);
  NOT_UTF8(request, entity);
  GARBAGE(batch, order);
  REFUSED(batch, MR_E_INVALID_REQUEST, given.concurrency = 1025);
  REFUSED(batch, MR_E_INVALID_REQUEST, given.concurrency = UINT32_MAX);
  static const mr_request_options torn = {.struct_size = 3}, reserved = {.struct_size = sizeof reserved, .reserved = 1};
  REFUSED(batch, MR_E_INVALID_ARGUMENT, given.requests = &torn);
  REFUSED(batch, MR_E_UNSUPPORTED, given.requests = &reserved);
  LENGTHS(runtime, database);
  LENGTHS(runtime, catalog);
  NOT_UTF8(runtime, database);
  NOT_UTF8(runtime, catalog);
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  snprintf(model, sizeof model, "%s/examples/models/stories260K", argv[1]);
  snprintf(asked, sizeof asked, "%s/requests.jsonl", argv[2]);
  snprintf(answered, sizeof answered, "%s/results.jsonl", argv[2]);
  FILE *file = fopen(asked, "wb");
  CHECK(file != NULL && fclose(file) == 0);
  runtime = serve(model);
  before = ask(runtime);
  const struct options all[] = {
    {init_runtime, read_runtime, offsetof(mr_runtime_options, database), sizeof(mr_runtime_options)},
    {init_serve, read_serve, offsetof(mr_serve_options, backend), sizeof(mr_serve_options)},
    {init_request, read_request, offsetof(mr_request_options, principal), sizeof(mr_request_options)},
    {init_batch, read_batch, 0, sizeof(mr_batch_options)},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    sizes(&all[i]);
    initializers(&all[i]);
  }
  still_answers(runtime, before);
  values();
  still_answers(runtime, before);
  free(before);
  mr_runtime_release(runtime);
  return 0;
}
