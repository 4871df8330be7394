// The whole way without exceptions and RTTI: nothing is thrown, and nothing that failed goes unseen. Compiled with
// -fno-exceptions -fno-rtti. Argument: the repository.
#include <future>

#include "check.hpp"

#ifndef MODEL_RUNTIME_NO_EXCEPTIONS
#error "the header did not notice that there are no exceptions"
#endif

using namespace std::chrono_literals;
using model_runtime::Code;
using model_runtime::Event;
using model_runtime::Flow;
using model_runtime::Runtime;
using model_runtime::Stream;

// There is no value() to forget to ask before.
template <class T, class = void>
struct HasValue : std::false_type {};
template <class T>
struct HasValue<T, std::void_t<decltype(std::declval<T>().value())>> : std::true_type {};
static_assert(!HasValue<model_runtime::Result<int>>::value && !HasValue<model_runtime::Result<void>>::value);

namespace {

std::string read(const Stream &stream) {
  std::string text;
  for (auto &event : stream) text += event.text();
  return text;
}

void streams(const Runtime &runtime) {
  const Stream stream = GIVEN(runtime.submit_chat(chat(20)));
  const std::string text = read(stream);
  CHECK(text.size() > 20 && !stream.error());
  CHECK(contains(GIVEN(stream.wait()), model_runtime::quote(text)));

  // A loop that ends early says why behind it.
  const Stream cancelled = GIVEN(runtime.submit_chat(chat(480)));
  for (auto &event : cancelled) {
    CHECK(!event.json().empty());
    cancelled.cancel();
  }
  CHECK(cancelled.error() && cancelled.error()->code() == Code::cancelled);
  CHECK(cancelled.next().code() == Code::cancelled && cancelled.next_for(0ms).code() == Code::cancelled);

  model_runtime::RequestOptions options;
  options.timeout = 1ms;
  const Stream late = GIVEN(runtime.submit_chat(chat(480), options));
  read(late);
  CHECK(late.error()->code() == Code::deadline_exceeded);
}

void callbacks(const Runtime &runtime, const Models &models) {
  std::string text;
  const auto request = GIVEN(runtime.submit_chat(chat(20), {}, [&](const Event &event) { text += event.text(); }));
  const auto response = GIVEN(request.wait());
  CHECK(contains(response, model_runtime::quote(text)) && !request.error());
  const auto stopped = GIVEN(runtime.submit_chat(chat(400), {}, [](const Event &) { return Flow::stop; }));
  const auto ended = stopped.wait();
  CHECK(ended.code() == Code::callback && ended.error().callback_result() == 1);
  CHECK(stopped.error()->code() == Code::callback);
  const auto load =
      runtime.serve("x", models.stories, {}, [](const model_runtime::Progress &) { return static_cast<Flow>(5); });
  CHECK(load.code() == Code::callback && load.error().callback_result() == 5);
}

void host(const Models &models) {
  std::atomic<int> asked{0};
  model_runtime::RuntimeOptions options;
  options.clock = [&](model_runtime::Clock which) {
    asked++;
    const std::chrono::nanoseconds since = std::chrono::steady_clock::now().time_since_epoch();
    return which == model_runtime::Clock::wall ? since + 1709553600s : since;
  };
  options.on_lifecycle = [](std::string_view) {};
  const Runtime runtime = GIVEN(Runtime::create(options));
  GIVEN(runtime.serve("plain", models.stories));
  GIVEN(runtime.complete(completion(2)));
  CHECK(asked > 0);
  const auto embeddings = GIVEN(runtime.serve("bge", models.tiny + "bert_bge"));
  std::promise<Code> ended;
  const auto vectors = GIVEN(runtime.submit_embeddings(R"({"model":"bge","input":"x"})"));
  GIVEN(vectors.notify([&](const model_runtime::Result<void> &end) { ended.set_value(end.code()); }));
  CHECK(ended.get_future().get() == Code::ok);
  GIVEN(vectors.wait());
  CHECK(vectors.row(0).size() == 64 && embeddings.size() > 0);
  CHECK(runtime.manage("registry.nothing").code() == Code::not_found);
}

}  // namespace

int main(int argc, char **argv) {
  CHECK(argc >= 2);
  const Models models(argv[1]);
  const Runtime runtime = serving(models);
  streams(runtime);
  callbacks(runtime, models);
  host(models);
}
