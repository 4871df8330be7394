// Callbacks: events in order, function objects destroyed exactly once, exceptions and numbers that come back to who asks, time
// and news. Arguments: the repository, a folder to write to.
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "check.hpp"

using namespace std::chrono_literals;
using model_runtime::Clock;
using model_runtime::Code;
using model_runtime::Event;
using model_runtime::EventKind;
using model_runtime::Exception;
using model_runtime::Flow;
using model_runtime::Progress;
using model_runtime::Request;
using model_runtime::Runtime;

namespace {

// Thrown by callbacks: no type of the library.
struct Mine {
  int number;
};

// One that is told, and one that waits until it was.
class Signal {
 public:
  void tell() {
    const std::lock_guard<std::mutex> lock(mutex_);
    told_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return told_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool told_ = false;
};

void reports_everything(const Runtime &runtime) {
  const auto alive = std::make_shared<int>(0);
  std::string text, last;
  int finished = 0;
  const auto request = runtime
                           .submit_chat(chat(30), {},
                                        [&, alive](const Event &event) {
                                          CHECK(finished == 0 && event.error() == nullptr);
                                          text += event.text();
                                          finished += event.kind() == EventKind::finished;
                                        })
                           .value();
  const auto response = request.wait().value();
  CHECK(finished == 1 && alive.use_count() == 1);
  CHECK(contains(response, model_runtime::quote(text)) && text.size() > 30);
  CHECK(request.version() == "stories@1" && contains(request.timings().value(), "\"preemptions\":"));
  CHECK(!request.error());

  // A stored std::function does as well as a lambda, and completions as chats.
  const std::function<Flow(const Event &)> stored = [&last](const Event &event) {
    last = event.text();
    return event.kind() == EventKind::failed ? Flow::stop : Flow::go_on;
  };
  CHECK(runtime.submit_completion(completion(3), {}, stored).value().wait().has_value());

  // Failures are told with their error.
  std::optional<model_runtime::Error> failed;
  const auto cancelled = runtime
                             .submit_chat(chat(480), {},
                                          [&](const Event &event) {
                                            if (event.kind() == EventKind::failed) failed = *event.error();
                                          })
                             .value();
  cancelled.cancel();
  CHECK(cancelled.wait().code() == Code::cancelled && failed->code() == Code::cancelled && !failed->message().empty());
  CHECK(cancelled.error()->code() == Code::cancelled);
}

void stops(const Runtime &runtime) {
  const auto alive = std::make_shared<int>(0);
  int events = 0;
  auto request = runtime
                     .submit_chat(chat(400), {},
                                  [&, alive](const Event &) {
                                    return ++events == 2 ? static_cast<Flow>(-77) : Flow::go_on;
                                  })
                     .value();
  const auto ended = request.wait();
  CHECK(ended.code() == Code::callback && ended.error().callback_result() == -77 && !ended.error().exception());
  CHECK(events == 2 && alive.use_count() == 1);
  try {
    (void)ended.value();
    CHECK(false);
  } catch (const Exception &exception) {
    CHECK(exception.code() == Code::callback);
  }
}

void exceptions_come_back(const Runtime &runtime) {
  const auto alive = std::make_shared<int>(0);
  auto request = runtime.submit_chat(chat(400), {}, [alive](const Event &) { throw Mine{*alive + 7}; }).value();
  // To everybody who asks, each time.
  for (int times = 0; times < 2; times++) {
    try {
      (void)request.wait().value();
      CHECK(false);
    } catch (const Mine &mine) {
      CHECK(mine.number == 7);
    }
  }
  CHECK(alive.use_count() == 1 && request.error()->exception() != nullptr);
  // A request that is moved takes along what was thrown.
  const Request moved = std::move(request);
  CHECK(moved.wait().error().exception() != nullptr);
  // The runtime and the others go on.
  CHECK(runtime.chat(chat(2)).has_value());
  // What nobody asks for goes with its request.
  Signal thrown;
  const auto ignored = runtime.submit_chat(chat(400), {}, [&](const Event &) {
    thrown.tell();
    throw Mine{1};
  });
  thrown.wait();
}

void destroyed_at_any_moment(const Runtime &runtime) {
  for (int round = 0; round < 8; round++) {
    const auto alive = std::make_shared<int>(0);
    Signal first;
    auto request = runtime.submit_chat(chat(400), {}, [&, alive](const Event &) { first.tell(); });
    if (round % 2 == 0) first.wait();
    request = model_runtime::Error(MR_E_CANCELLED, nullptr);
    CHECK(alive.use_count() == 1);
  }

  // In the callback itself, which may wait for nothing there.
  const auto alive = std::make_shared<int>(0);
  std::optional<Request> request;
  Signal there, gone;
  auto at_end = std::shared_ptr<Signal>(&gone, [](Signal *signal) { signal->tell(); });
  request = runtime
                .submit_chat(chat(400), {},
                             [&, alive, at_end](const Event &) {
                               there.wait();
                               if (!request) return;
                               CHECK(request->wait().code() == Code::conflict && !request->error());
                               request.reset();
                             })
                .value();
  at_end.reset();
  there.tell();
  gone.wait();
  CHECK(!request);

  // A call that fails has destroyed the function when it returns.
  CHECK(runtime.submit_chat("{", {}, [alive](const Event &) {}).code() == Code::invalid_request);
  CHECK(Runtime(nullptr).submit_chat("{", {}, [alive](const Event &) {}).code() == Code::invalid_argument);
}

void loads(const Runtime &runtime, const Models &models) {
  int calls = 0;
  std::uint64_t done = 0;
  GIVEN(runtime.serve("x", models.stories, {}, [&](const Progress &progress) {
    CHECK(progress.phase == model_runtime::Phase::digest || progress.phase == model_runtime::Phase::weights);
    CHECK(progress.done_bytes <= progress.total_bytes);
    done = progress.done_bytes;
    calls++;
  }));
  CHECK(calls > 1 && done > 0);
  GIVEN(runtime.remove("x"));

  const auto stopped = runtime.serve("x", models.stories, {}, [](const Progress &) { return static_cast<Flow>(13); });
  CHECK(stopped.code() == Code::callback && stopped.error().callback_result() == 13);
  const auto threw = runtime.serve("x", models.stories, {}, [](const Progress &) { throw std::out_of_range("mine"); });
  CHECK(threw.code() == Code::callback && threw.error().exception() != nullptr);
  try {
    threw.value();
    CHECK(false);
  } catch (const std::out_of_range &error) {
    CHECK(std::string_view(error.what()) == "mine");
  }
  CHECK(runtime.remove("x").code() == Code::not_found);
}

// 2024-03-04T12:00:00Z
constexpr auto march_4th = 1709553600s;

void time_and_news(const Models &models, const std::string &scratch) {
  const auto alive = std::make_shared<int>(0);
  std::atomic<std::int64_t> wall{std::chrono::nanoseconds(march_4th).count()};
  std::atomic<bool> broken{false};
  std::mutex mutex;
  std::vector<std::string> told;
  model_runtime::RuntimeOptions options;
  options.database = scratch + "/runtime.sqlite";
  options.clock = [&, alive](Clock which) {
    if (broken) throw Mine{2};
    return std::chrono::nanoseconds(wall) - (which == Clock::wall ? 0s : march_4th);
  };
  options.on_lifecycle = [&, alive](std::string_view event) {
    const std::lock_guard<std::mutex> lock(mutex);
    told.emplace_back(event);
    throw Mine{3};
  };
  options.catalog = "this is no catalog";
  CHECK(Runtime::create(options).code() == Code::invalid_request);
  options.catalog = std::nullopt;
  std::optional<Runtime> runtime(GIVEN(Runtime::create(options)));
  options = {};
  CHECK(alive.use_count() == 3);

  GIVEN(runtime->manage("registry.create_model", R"({"name": "main.default.teller", "by": "cpp"})"));
  const auto source = R"({"name": "main.default.teller", "source": )" + model_runtime::quote(models.stories) + "}";
  CHECK(contains(GIVEN(runtime->manage("registry.register", source)), "\"status\":\"ready\""));
  GIVEN(runtime->manage("endpoint.serve", R"({"name": "teller", "offering": "pay_per_token",
      "subject": {"kind": "model", "name": "teller"},
      "entities": [{"name": "main", "model": "models:/main.default.teller/1", "options": {"base_id": "teller"}},
                   {"name": "shadow", "model": "models:/main.default.teller/1", "traffic": 0, "options": {"version": "two"}}]})"));
  CHECK(contains(GIVEN(runtime->manage("registry.models")), "main.default.teller"));
  CHECK(runtime->manage("registry.nothing").code() == Code::not_found);

  const std::string ask = R"({"model": "teller", "prompt": "Once", "max_tokens": 2, "temperature": 0})";
  model_runtime::RequestOptions as;
  as.principal = "ann";
  CHECK(!contains(GIVEN(runtime->complete(ask, as)), "x_lifecycle"));
  as.entity = "shadow";
  CHECK(contains(GIVEN(runtime->complete(ask, as)), "\"model\":\"two\""));
  as.entity = "nobody";
  CHECK(runtime->complete(ask, as).code() == Code::not_found);
  as.entity = std::nullopt;

  GIVEN(runtime->manage("lifecycle.revise", R"({"subject": {"kind": "model", "name": "teller"}, "offering": "pay_per_token",
      "who": "cpp", "reason": "", "change": {"plan": {"retire": {"day": "2024-06-04", "wording": "after"}}}})"));
  // A listener that throws is no reason for a request to fail, and neither is a clock: its last time holds.
  as.lifecycle = true;
  CHECK(contains(GIVEN(runtime->complete(ask, as)), "x_lifecycle"));
  CHECK(told.size() == 1 && contains(told[0], "\"principal\":\"ann\"") && contains(told[0], "announced"));
  broken = true;
  GIVEN(runtime->complete(ask, as));
  broken = false;
  wall = std::chrono::nanoseconds(march_4th + 93 * 24h).count();
  const auto retired = runtime->complete(ask, as);
  CHECK(retired.code() == Code::model_retired && retired.error().http_status() == 410 && told.size() == 2);
  GIVEN(runtime->manage("usage.flush"));
  CHECK(contains(GIVEN(runtime->manage("usage.groups", R"({"by": ["requester"]})")), "\"requester\":\"ann\""));
  runtime.reset();
  CHECK(alive.use_count() == 1);
}

}  // namespace

int main(int argc, char **argv) {
  CHECK(argc == 3);
  const Models models(argv[1]);
  const Runtime runtime = serving(models);
  reports_everything(runtime);
  stops(runtime);
  exceptions_come_back(runtime);
  destroyed_at_any_moment(runtime);
  loads(runtime, models);
  time_and_news(models, argv[2]);
}
