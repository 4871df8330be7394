/* Every function that can fail and takes more than options, in one form: its arguments as a list, each of a kind that says how it
   can be wrong. A new function gets a line here and one in the table of hostile_arguments.c. */
#ifndef HOSTILE_FUNCTIONS_H
#define HOSTILE_FUNCTIONS_H

#include "hostile.h"

enum kind {
  NOTHING,
  RUNTIME,
  REQUEST,
  VECTORS,
  /* The next argument is its length. */
  STRING,
  LENGTH,
  /* NULL stands for the defaults. */
  OPTIONS,
  TIMEOUT,
  CHOICE,
  CALLBACK,
  USER_DATA,
  USER_DATA_FREE,
  OUT,
  /* NULL stands for not wanted. */
  OUT_OPTIONAL
};

typedef union {
  const void *pointer;
  const mr_runtime *runtime;
  const mr_request *request;
  const mr_embeddings *vectors;
  const char *string;
  size_t size;
  int64_t timeout;
  const mr_runtime_options *runtime_options;
  const mr_serve_options *serve_options;
  const mr_request_options *request_options;
  const mr_batch_options *batch_options;
  mr_progress_callback progress;
  mr_event_callback events;
  mr_batch_callback run;
  mr_user_data_free user_data_free;
  void *user_data;
  mr_text **text_out;
  mr_event **event_out;
  mr_request **request_out;
  mr_embeddings **vectors_out;
  mr_runtime **runtime_out;
  size_t *size_out;
} value;

struct argument {
  enum kind kind;
  value value;
};

struct function {
  const char *name;
  mr_status (*call)(const value *, mr_error **);
  /* What it answers when all is well, and what then takes back what it did and frees what it gave. */
  mr_status good;
  void (*undo)(void *given);
  struct argument arguments[11];
};

#define CALL(name, ...) \
  static mr_status name(const value *v, mr_error **error) { return __VA_ARGS__; }
CALL(new, mr_runtime_new(v[0].runtime_options, v[1].runtime_out, error))
CALL(serve_, mr_runtime_serve(v[0].runtime, v[1].string, v[2].size, v[3].string, v[4].size, v[5].serve_options, v[6].progress,
                           v[7].user_data, v[8].user_data_free, v[9].text_out, error))
CALL(remove_, mr_runtime_remove(v[0].runtime, v[1].string, v[2].size, error))
CALL(endpoints, mr_runtime_endpoints(v[0].runtime, v[1].text_out, error))
CALL(plan, mr_runtime_plan(v[0].runtime, v[1].string, v[2].size, v[3].serve_options, v[4].text_out, error))
CALL(stats, mr_runtime_stats(v[0].runtime, v[1].text_out, error))
CALL(load, mr_runtime_load_adapter(v[0].runtime, v[1].string, v[2].size, v[3].string, v[4].size, v[5].string, v[6].size,
                                v[7].text_out, error))
CALL(unload, mr_runtime_unload_adapter(v[0].runtime, v[1].string, v[2].size, v[3].string, v[4].size, error))
CALL(manage, mr_runtime_manage(v[0].runtime, v[1].string, v[2].size, v[3].string, v[4].size, v[5].text_out, error))
CALL(chat, mr_runtime_chat(v[0].runtime, v[1].string, v[2].size, v[3].request_options, v[4].text_out, error))
CALL(complete, mr_runtime_complete(v[0].runtime, v[1].string, v[2].size, v[3].request_options, v[4].text_out, error))
CALL(submit_chat, mr_runtime_submit_chat(v[0].runtime, v[1].string, v[2].size, v[3].request_options, v[4].events,
                                      v[5].user_data, v[6].user_data_free, v[7].request_out, error))
CALL(submit_completion, mr_runtime_submit_completion(v[0].runtime, v[1].string, v[2].size, v[3].request_options, v[4].events,
                                                  v[5].user_data, v[6].user_data_free, v[7].request_out, error))
CALL(next, mr_request_next(v[0].request, v[1].timeout, v[2].event_out, error))
CALL(wait_, mr_request_wait(v[0].request, v[1].timeout, v[2].text_out, error))
CALL(timings, mr_request_timings(v[0].request, v[1].text_out, error))
CALL(save, mr_request_save_session(v[0].request, v[1].size, v[2].string, v[3].size, error))
CALL(restore, mr_runtime_restore_session(v[0].runtime, v[1].string, v[2].size, v[3].string, v[4].size, v[5].size_out, error))
CALL(embeddings, mr_runtime_embeddings(v[0].runtime, v[1].string, v[2].size, v[3].request_options, v[4].text_out, error))
CALL(submit_embeddings, mr_runtime_submit_embeddings(v[0].runtime, v[1].string, v[2].size, v[3].request_options,
                                                  v[4].vectors_out, error))
CALL(run_batch, mr_runtime_run_batch(v[0].runtime, v[1].string, v[2].size, v[3].string, v[4].size, v[5].batch_options, v[6].run,
                                     v[7].user_data, v[8].user_data_free, v[9].text_out, error))
CALL(vectors_wait, mr_embeddings_wait(v[0].vectors, v[1].timeout, error))
CALL(vectors_response, mr_embeddings_response(v[0].vectors, v[1].text_out, error))

#endif
