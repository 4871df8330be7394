/* Registered versions, endpoints, updates, retirement, limits and usage over mr_runtime_manage, under the host's clock.
   Arguments: the repository, a folder to write to. */
#include <pthread.h>

#include "check.h"

#define SECONDS 1000000000LL
#define DAY (86400 * SECONDS)
/* 2024-03-04T12:00:00Z */
#define MARCH_4TH (1709553600 * SECONDS)

/* The host's own time, and what it heard. */
struct host {
  int64_t wall;
  int told, clocks_freed, listeners_freed;
  char last[512];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t tell_time(void *user_data, int32_t which) {
  pthread_mutex_lock(&lock);
  int64_t wall = ((struct host *)user_data)->wall;
  pthread_mutex_unlock(&lock);
  return which == MR_CLOCK_WALL ? wall : wall - MARCH_4TH;
}

static void set_time(struct host *host, int64_t wall) {
  pthread_mutex_lock(&lock);
  host->wall = wall;
  pthread_mutex_unlock(&lock);
}

static void hear(void *user_data, const char *event, size_t event_len) {
  struct host *host = user_data;
  pthread_mutex_lock(&lock);
  host->told++;
  snprintf(host->last, sizeof host->last, "%.*s", (int)event_len, event);
  pthread_mutex_unlock(&lock);
}

static void free_clock(void *user_data) { ((struct host *)user_data)->clocks_freed++; }
static void free_listener(void *user_data) { ((struct host *)user_data)->listeners_freed++; }

static mr_text *manage(const mr_runtime *runtime, const char *operation, const char *request) {
  mr_text *response = NULL;
  EXPECT(MR_OK, mr_runtime_manage(runtime, TEXT(operation), TEXT(request), &response, &error));
  return response;
}

/* Does an operation whose answer has this in it. */
static void gives(const mr_runtime *runtime, const char *operation, const char *request, const char *part) {
  mr_text *response = manage(runtime, operation, request);
  if (strstr(data(response), part) == NULL) fprintf(stderr, "%s gave %s\n", operation, data(response));
  CHECK(strstr(data(response), part) != NULL);
  mr_text_free(response);
}

static void refuses(const mr_runtime *runtime, const char *operation, const char *request, mr_status status) {
  mr_text *response = NULL;
  EXPECT(status, mr_runtime_manage(runtime, TEXT(operation), TEXT(request), &response, &error));
  CHECK(response == NULL);
}

/* Asks as somebody, of an entity or of none; the answer names this version. */
static void complete(mr_status wanted, const mr_runtime *runtime, const char *who, const char *entity,
                     const char *version) {
  const char *json = "{\"model\":\"teller\",\"prompt\":\"Once upon a time\",\"temperature\":0,\"max_tokens\":4}";
  mr_request_options options = MR_REQUEST_OPTIONS_INIT;
  options.principal = who;
  options.principal_len = strlen(who);
  options.entity = entity;
  options.entity_len = entity == NULL ? 0 : strlen(entity);
  options.lifecycle = 1;
  mr_text *answer = NULL;
  EXPECT(wanted, mr_runtime_complete(runtime, TEXT(json), &options, &answer, &error));
  if (wanted == MR_OK) {
    char named[256];
    snprintf(named, sizeof named, "\"model\":\"%s\"", version);
    CHECK(strstr(data(answer), named) != NULL);
    mr_text_free(answer);
  }
}

int main(int argc, char **argv) {
  CHECK(argc == 3);
  struct host host = {MARCH_4TH, 0, 0, 0, ""};
  char request[8192], database[4096];
  CHECK(snprintf(database, sizeof database, "%s/runtime.sqlite", argv[2]) < (int)sizeof database);

  mr_runtime_options options = MR_RUNTIME_OPTIONS_INIT;
  options.database = database;
  options.database_len = strlen(database);
  options.clock = tell_time;
  options.clock_data = &host;
  options.clock_data_free = free_clock;
  options.on_lifecycle = hear;
  options.lifecycle_data = &host;
  options.lifecycle_data_free = free_listener;
  mr_runtime *runtime = NULL;
  options.catalog = "this is no catalog";
  options.catalog_len = strlen(options.catalog);
  EXPECT(MR_E_INVALID_REQUEST, mr_runtime_new(&options, &runtime, &error));
  CHECK(host.clocks_freed == 1 && host.listeners_freed == 1);
  options.catalog = NULL;
  options.catalog_len = 0;
  EXPECT(MR_OK, mr_runtime_new(&options, &runtime, &error));

  /* Two versions of a model: the trained one, and a tiny one. */
  gives(runtime, "registry.create_model", "{\"name\":\"main.default.teller\",\"by\":\"c\"}", "\"main.default.teller\"");
  const char *sources[] = {"examples/models/stories260K", "tests/data/tiny/llama3"};
  for (int version = 0; version < 2; version++) {
    snprintf(request, sizeof request, "{\"name\":\"main.default.teller\",\"source\":\"%s/%s\"}", argv[1], sources[version]);
    gives(runtime, "registry.register", request, "\"status\":\"ready\"");
  }
  gives(runtime, "registry.set_alias", "{\"name\":\"main.default.teller\",\"version\":1,\"alias\":\"champion\"}", "null");
  gives(runtime, "registry.resolve", "{\"uri\":\"models:/main.default.teller@champion\"}", "\"version\":1");
  refuses(runtime, "registry.resolve", "{\"uri\":\"models:/main.default.teller/7\"}", MR_E_NOT_FOUND);
  refuses(runtime, "registry.resolve", "{\"uri\":\"models:/main.default.teller/1\",\"more\":1}", MR_E_INVALID_REQUEST);
  refuses(runtime, "registry.nothing", "", MR_E_NOT_FOUND);
  refuses(runtime, "registry.models", "[", MR_E_INVALID_REQUEST);

  /* By the token, three requests an hour for each principal; one entity that is updated, one that has to be asked for. */
  gives(runtime, "endpoint.serve",
        "{\"name\":\"teller\",\"offering\":\"pay_per_token\",\"subject\":{\"kind\":\"model\",\"name\":\"teller\"},"
        "\"limits\":{\"principal\":{\"queries_per_hour\":3}},"
        "\"entities\":[{\"name\":\"main\",\"model\":\"models:/main.default.teller@champion\","
        "\"options\":{\"base_id\":\"teller\",\"threads\":1}},"
        "{\"name\":\"shadow\",\"model\":\"models:/main.default.teller/2\",\"traffic\":0,\"options\":{\"version\":\"two\"}}]}",
        "\"name\":\"shadow\"");
  refuses(runtime, "endpoint.serve", "{\"name\":\"x\",\"entities\":[{\"traffic\":100}]}", MR_E_INVALID_REQUEST);
  complete(MR_OK, runtime, "ann", NULL, "teller");
  complete(MR_OK, runtime, "ann", "shadow", "two");
  complete(MR_E_NOT_FOUND, runtime, "ann", "nobody", "");
  gives(runtime, "endpoint.publish_update",
        "{\"name\":\"teller\",\"model\":\"models:/main.default.teller/2\",\"notes\":\"faster\"}",
        "\"response_id\":\"teller-030424\"");
  complete(MR_OK, runtime, "ann", NULL, "teller-030424");
  complete(MR_E_RATE_LIMITED, runtime, "ann", NULL, "");
  gives(runtime, "endpoint.roll_back", "{\"name\":\"teller\"}", "\"version\":\"teller\"");
  gives(runtime, "endpoint.updates", "{\"id\":\"teller\"}", "\"teller-030424\"");
  complete(MR_OK, runtime, "bob", NULL, "teller");

  /* Three months' notice, then it is gone; each is told each state once. */
  const char *early = "{\"subject\":{\"kind\":\"model\",\"name\":\"teller\"},\"offering\":\"pay_per_token\",\"who\":\"c\","
                      "\"reason\":\"\",\"change\":{\"plan\":{\"retire\":{\"day\":\"2024-06-01\",\"wording\":\"after\"}}}}";
  refuses(runtime, "lifecycle.revise", early, MR_E_INVALID_REQUEST);
  const char *plan = "{\"subject\":{\"kind\":\"model\",\"name\":\"teller\"},\"offering\":\"pay_per_token\",\"who\":\"c\","
                     "\"reason\":\"\",\"change\":{\"plan\":{\"retire\":{\"day\":\"2024-06-04\",\"wording\":\"after\"}}}}";
  gives(runtime, "lifecycle.revise", plan, "\"seq\":");
  set_time(&host, MARCH_4TH + 2 * DAY);
  complete(MR_OK, runtime, "bob", NULL, "teller");
  complete(MR_OK, runtime, "bob", NULL, "teller");
  CHECK(host.told == 1 && strstr(host.last, "\"principal\":\"bob\"") != NULL);
  gives(runtime, "lifecycle.status", "{\"endpoint\":\"teller\",\"principal\":\"bob\"}", "\"state\":\"announced\"");
  gives(runtime, "lifecycle.status", "{\"endpoint\":\"teller\"}", "\"shutdown_date\":\"2024-06-05\"");
  gives(runtime, "lifecycle.documents", "{\"at\":\"2024-11-15T00:00:00Z\"}", "databricks-dbrx-instruct");
  set_time(&host, MARCH_4TH + 93 * DAY);
  complete(MR_E_MODEL_RETIRED, runtime, "bob", NULL, "");
  CHECK(host.told == 2 && strstr(host.last, "\"state\":\"retired\"") != NULL);

  /* Everybody's use, and who still uses what is gone. */
  gives(runtime, "usage.flush", "", "null");
  gives(runtime, "usage.groups", "{\"by\":[\"requester\"]}", "\"requester\":\"ann\"");
  gives(runtime, "usage.retiring", "{}", "\"requester\":\"bob\"");
  gives(runtime, "usage.records", "{\"filter\":{\"status_code\":410}}", "\"outcome\":\"model_retired\"");

  CHECK(host.clocks_freed == 1 && host.listeners_freed == 1);
  mr_runtime_release(runtime);
  CHECK(host.clocks_freed == 2 && host.listeners_freed == 2);

  /* Another runtime on the same file knows all of it, and does not tell again what was told. */
  EXPECT(MR_OK, mr_runtime_new(&options, &runtime, &error));
  gives(runtime, "registry.versions", "{\"name\":\"main.default.teller\"}", "\"version\":2");
  gives(runtime, "endpoint.updates", "{\"id\":\"teller\"}", "\"teller-030424\"");
  gives(runtime, "endpoint.history", "{\"name\":\"teller\"}", "\"reason\":\"rolled back\"");
  gives(runtime, "usage.groups", "{\"by\":[\"requester\"]}", "\"requester\":\"bob\"");
  CHECK(host.told == 2);
  mr_runtime_release(runtime);
  CHECK(host.clocks_freed == 3 && host.listeners_freed == 3);
  return 0;
}
