// Vectors: read where they lie, waited for with a thread and without, cancelled, and their handles destroyed in every order.
// Argument: the repository.
#include <cmath>
#include <cstring>
#include <future>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

#include "check.hpp"

#if __cplusplus >= 202002L
#include <span>
static_assert(std::is_convertible_v<model_runtime::Span<const float>, std::span<const float>>);
static_assert(std::ranges::contiguous_range<model_runtime::Span<const float>>);
#endif

using namespace std::chrono_literals;
using model_runtime::Code;
using model_runtime::Embeddings;
using model_runtime::Result;
using model_runtime::Runtime;

namespace {

// While it is set, other threads than this one have no memory for C++.
std::atomic<bool> scarce{false};
thread_local bool spared = false;

}  // namespace

void *operator new(std::size_t size) {
  void *memory = scarce && !spared ? nullptr : std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }

namespace {

std::string input(std::string_view model, std::string_view rest = "") {
  return "{\"model\":" + model_runtime::quote(model) +
         R"(,"input":["The cat sat on the mat.","A block table maps positions to blocks.","x"])" + std::string(rest) + "}";
}

double norm(model_runtime::Span<const float> row) {
  return std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0));
}

void values(const Runtime &runtime) {
  for (const bool unit : {true, false}) {
    const Embeddings embeddings = GIVEN(runtime.submit_embeddings(input(unit ? "bge" : "gte")));
    GIVEN(embeddings.wait());
    CHECK(embeddings.rows() == 3 && embeddings.dimension() == 64 && embeddings.done() == 3);
    const auto values = embeddings.values();
    CHECK(values.size() == 3 * 64 && !values.empty());
    std::size_t seen = 0;
    for (std::size_t row = 0; row < embeddings.rows(); row++) {
      const auto vector = embeddings.row(row);
      CHECK(vector.data() == values.data() + row * 64 && vector.size() == 64 && &vector[1] == &values[row * 64 + 1]);
      CHECK((std::abs(norm(vector) - 1) < 1e-3) == unit);
      for (const float value : vector) seen += std::isfinite(value);
    }
    CHECK(seen == values.size() && embeddings.row(3).empty());
    CHECK(embeddings.normalize() == (unit ? model_runtime::Normalize::l2 : model_runtime::Normalize::none));
#if __cplusplus >= 202002L
    const std::span<const float> standard = embeddings.values();
    CHECK(standard.data() == values.data() && standard.size() == values.size());
#endif
  }
}

void answers(const Runtime &runtime) {
  const Embeddings embeddings =
      GIVEN(runtime.submit_embeddings(input("bge", R"(,"dimensions":16,"encoding_format":"base64")")));
  CHECK(GIVEN(embeddings.wait_for(10s)));
  CHECK(embeddings.dimension() == 16 && std::abs(norm(embeddings.row(2)) - 1) < 1e-3);
  CHECK(embeddings.tokens(0) > 4 && embeddings.tokens(3) == 0 && !embeddings.truncated(0));
  CHECK(embeddings.version() == "bge@1");
  const auto response = GIVEN(embeddings.response());
  CHECK(contains(response, "\"object\":\"list\"") && contains(response, "\"model\":\"bge@1\""));
  CHECK(contains(GIVEN(runtime.embeddings(input("gte"))), "\"normalize\":\"none\""));

  std::string words;
  for (int word = 0; word < 2000; word++) words += "cat ";
  const auto request = [&](std::string_view truncate) {
    return R"({"model":"bge","truncate":")" + std::string(truncate) + R"(","input":)" + model_runtime::quote(words) + "}";
  };
  const Embeddings cut = GIVEN(runtime.submit_embeddings(request("end")));
  CHECK(cut.truncated(0));
  CHECK(runtime.submit_embeddings(request("error")).code() == Code::context_length_exceeded);
  CHECK(runtime.submit_embeddings(R"({"model":"bge","input":"x","speed":1})").error().param() == "speed");
  CHECK(runtime.embeddings(R"({"model":"nobody","input":"x"})").code() == Code::not_found);
}

void the_same_bits(const Runtime &runtime) {
  const Embeddings alone = GIVEN(runtime.submit_embeddings(input("bge")));
  GIVEN(alone.wait());
  std::vector<std::thread> threads;
  for (int at = 0; at < 4; at++) {
    threads.emplace_back([&, runtime] {
      for (int round = 0; round < 8; round++) {
        const Embeddings again = GIVEN(runtime.submit_embeddings(input("bge")));
        GIVEN(again.wait());
        CHECK(std::memcmp(again.values().data(), alone.values().data(), alone.values().size() * sizeof(float)) == 0);
      }
    });
  }
  for (auto &thread : threads) thread.join();
}

// Work for longer than a test takes.
std::string many() {
  std::string request = R"({"model":"gte","input":["x")";
  for (int text = 0; text < 20000; text++) request += R"(,"a text of some words")";
  return request + "]}";
}

void ends_early(const Runtime &runtime) {
  const std::string many = ::many();
  Embeddings embeddings = GIVEN(runtime.submit_embeddings(many));
  CHECK(!GIVEN(embeddings.wait_for(0ms)) && !GIVEN(embeddings.wait_for(-1s)));
  CHECK(embeddings.values().empty() && embeddings.row(0).empty() && embeddings.rows() == 0 && embeddings.dimension() == 0);
  CHECK(embeddings.response().code() == Code::conflict);
  std::thread waiter([&] { CHECK(embeddings.wait().code() == Code::cancelled); });
  embeddings.cancel();
  waiter.join();
  CHECK(embeddings.wait_for(0ms).code() == Code::cancelled);

  model_runtime::RequestOptions options;
  options.timeout = 1ms;
  embeddings = GIVEN(runtime.submit_embeddings(many, options));
  CHECK(embeddings.wait().code() == Code::deadline_exceeded);
  const Embeddings moved = std::move(embeddings);
  CHECK(embeddings.wait().code() == Code::invalid_argument && embeddings.values().empty() && embeddings.version().empty());
  CHECK(moved.wait().code() == Code::deadline_exceeded);
  // Given up without being waited for.
  GIVEN(runtime.submit_embeddings(many));
}

// The end of vectors, for whom a promise is kept: it cannot be copied.
std::future<Result<void>> end_of(const Embeddings &embeddings) {
  std::promise<Result<void>> promise;
  auto end = promise.get_future();
  GIVEN(embeddings.notify([promise = std::move(promise)](const Result<void> &how) mutable { promise.set_value(how); }));
  return end;
}

void notified(const Runtime &runtime) {
  for (const bool made : {false, true}) {
    const Embeddings embeddings = GIVEN(runtime.submit_embeddings(input("bge")));
    if (made) GIVEN(embeddings.wait());
    GIVEN(end_of(embeddings).get());
    CHECK(GIVEN(embeddings.wait_for(0ms)) && embeddings.rows() == 3);
    // One hears of it; the other is destroyed unheard.
    const auto alive = std::make_shared<int>(0);
    CHECK(embeddings.notify([alive](const Result<void> &) { CHECK(false); }).code() == Code::conflict);
    CHECK(alive.use_count() == 1);
  }

  const Embeddings cancelled = GIVEN(runtime.submit_embeddings(many()));
  auto future = end_of(cancelled);
  cancelled.cancel();
  const auto how = future.get();
  CHECK(how.code() == Code::cancelled && how.error().message() == cancelled.wait().error().message());
  CHECK(!how.error().message().empty() && how.error().http_status() == cancelled.wait().error().http_status());

  // Nothing that is thrown goes anywhere, and the thread that it was thrown on goes on.
  std::promise<void> entered;
  const Embeddings thrown = GIVEN(runtime.submit_embeddings(input("bge")));
  GIVEN(thrown.notify([&](const Result<void> &end) {
    entered.set_value();
    if (end) throw 7;
  }));
  entered.get_future().wait();
  GIVEN(thrown.wait());
  GIVEN(end_of(GIVEN(runtime.submit_embeddings(input("gte")))).get());

  Embeddings moved = GIVEN(runtime.submit_embeddings(input("gte")));
  const Embeddings taken = std::move(moved);
  const auto alive = std::make_shared<int>(0);
  CHECK(moved.notify([alive](const Result<void> &) {}).code() == Code::invalid_argument);
  CHECK(alive.use_count() == 1);
  GIVEN(end_of(taken).get());
}

void destroyed_while_somebody_listens(const Runtime &runtime) {
  // By another thread, at any moment: the function is gone when the destructor returns, and was called once or never.
  for (int round = 0; round < 40; round++) {
    const auto calls = std::make_shared<int>(0);
    {
      const Embeddings embeddings = GIVEN(runtime.submit_embeddings(input("gte")));
      GIVEN(embeddings.notify([calls](const Result<void> &) { ++*calls; }));
      if (round % 2) embeddings.cancel();
      if (round % 3) (void)embeddings.wait();
    }
    CHECK(calls.use_count() == 1 && *calls <= 1);
  }

  // By the function itself: in the call, and behind it, since it is the last that keeps them.
  for (const bool in_the_call : {true, false}) {
    auto gone = std::make_shared<std::promise<void>>();
    auto waiter = gone->get_future();
    auto told = std::shared_ptr<void>(nullptr, [gone](void *) { gone->set_value(); });
    auto embeddings = std::make_shared<Embeddings>(GIVEN(runtime.submit_embeddings(input("bge"))));
    std::promise<void> ready;
    GIVEN(embeddings->notify([told, &embeddings, in_the_call, kept = in_the_call ? nullptr : embeddings,
                              ready = ready.get_future()](const Result<void> &end) {
      ready.wait();
      CHECK(end && (kept ? kept : embeddings)->rows() == 3);
      if (in_the_call) embeddings.reset();
    }));
    if (!in_the_call) embeddings.reset();
    told.reset();
    ready.set_value();
    waiter.wait();
    CHECK(!embeddings);
  }
}

// Who waits hears of the end also where there is no memory to say why.
void notified_without_memory(const Runtime &runtime) {
  spared = true;
  std::promise<Code> heard;
  const Embeddings embeddings = GIVEN(runtime.submit_embeddings(many()));
  GIVEN(embeddings.notify([&](const Result<void> &end) {
    CHECK(scarce && end.error().message().empty() && end.error().json().empty());
    scarce = false;
    heard.set_value(end.code());
  }));
  scarce = true;
  embeddings.cancel();
  CHECK(heard.get_future().get() == Code::cancelled);
  CHECK(!embeddings.wait().error().message().empty());
}

}  // namespace

int main(int argc, char **argv) {
  CHECK(argc >= 2);
  const Models models(argv[1]);
  std::optional<Runtime> runtime(GIVEN(Runtime::create()));
  model_runtime::ServeOptions options;
  options.version = "bge@1";
  GIVEN(runtime->serve("bge", models.tiny + "bert_bge", options));
  GIVEN(runtime->serve("gte", models.tiny + "new_gte"));
  values(*runtime);
  answers(*runtime);
  the_same_bits(*runtime);
  ends_early(*runtime);
  notified(*runtime);
  destroyed_while_somebody_listens(*runtime);
  notified_without_memory(*runtime);
  // Vectors outlive their runtime.
  const Embeddings last = GIVEN(runtime->submit_embeddings(input("bge")));
  runtime.reset();
  GIVEN(end_of(last).get());
  GIVEN(last.wait());
  CHECK(last.rows() == 3);
}
