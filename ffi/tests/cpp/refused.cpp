// What must not compile, each behind a name of its own; without a name all of it compiles.
#include <string_view>

#include "model_runtime.hpp"

using namespace model_runtime;

void use(Runtime &runtime, Request &request, Stream &stream, Text &text, Embeddings &embeddings, Event &event) {
  const Runtime counted = runtime;
  (void)counted, (void)request, (void)stream, (void)text, (void)embeddings, (void)event;
#if defined(COPIES_A_REQUEST)
  const Request copy = request;
#elif defined(COPIES_A_STREAM)
  const Stream copy = stream;
#elif defined(COPIES_A_TEXT)
  const Text copy = text;
#elif defined(COPIES_EMBEDDINGS)
  const Embeddings copy = embeddings;
#elif defined(COPIES_AN_EVENT)
  const Event copy = event;
#elif defined(KEEPS_A_LENT_EVENT)
  std::optional<Event> kept;
  (void)runtime.submit_chat("{}", {}, [&](const Event &lent) { kept = std::move(lent); });
#elif defined(FORGETS_A_RESULT)
  runtime.remove("x");
#elif defined(FORGETS_AN_ANSWER)
  runtime.chat("{}");
#elif defined(KEEPS_VALUES_OF_A_TEMPORARY)
  const auto values = std::move(embeddings).values();
#elif defined(READS_A_REQUEST_WITH_A_CALLBACK)
  for (auto &read : request) (void)read;
#elif defined(ANSWERS_WITH_A_TRUTH)
  (void)runtime.submit_chat("{}", {}, [](const Event &) { return true; });
#elif defined(ANSWERS_TO_AN_END)
  (void)embeddings.notify([](const Result<void> &) { return Flow::stop; });
#elif defined(HEARS_OF_AN_END_AS_AN_EVENT)
  (void)embeddings.notify([](const Event &) {});
#elif defined(MAKES_AN_EVENT_CALLBACK_OF_PROGRESS)
  (void)runtime.submit_chat("{}", {}, [](const Progress &) {});
#endif
}
