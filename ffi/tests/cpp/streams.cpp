// Reading answers in pieces: as ranges and by hand, to the end, in part and beyond, from several threads; with handles that are
// moved and destroyed in every order. Argument: the repository.
#include <thread>
#include <vector>

#include "check.hpp"

#if __cplusplus >= 202002L
#include <ranges>
static_assert(std::ranges::input_range<model_runtime::Stream>);
static_assert(std::ranges::input_range<const model_runtime::Stream &>);
#endif

using namespace std::chrono_literals;
using model_runtime::Code;
using model_runtime::Exception;
using model_runtime::Runtime;
using model_runtime::Stream;
using model_runtime::Wait;

namespace {

// The code that the loop over a stream throws.
Code ends_with(const Stream &stream) {
  try {
    for (auto &event : stream) CHECK(!event.json().empty());
  } catch (const Exception &exception) {
    CHECK(exception.what() == exception.error().message() && exception.code() == exception.error().code());
    // It stays what it is, for every way to ask.
    CHECK(stream.next().code() == exception.code() && stream.next_for(0ms).code() == exception.code());
    CHECK(stream.wait().code() == exception.code() && stream.wait_for(0ms).code() == exception.code());
    CHECK(stream.error().has_value() && stream.error()->code() == exception.code());
    CHECK(stream.timings().code() == (stream.get() ? Code::conflict : Code::invalid_argument));
    return exception.code();
  }
  CHECK(!stream.error());
  return Code::ok;
}

std::string text_of(const Stream &stream) {
  std::string text;
  for (auto &event : stream) {
    CHECK(event.kind() == model_runtime::EventKind::chunks && event.error() == nullptr);
    CHECK(contains(event.json(), "\"choices\":"));
    text += event.text();
  }
  return text;
}

void loops_give_the_whole_answer(const Runtime &runtime) {
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (std::size_t at = 0; at < texts.size(); at++) {
    // A copy of the runtime for each thread, which outlives none of them.
    threads.emplace_back([runtime, at, &text = texts[at]] {
      auto stream = (at % 2 ? runtime.submit_chat(chat(20)) : runtime.submit_completion(completion(20))).value();
      text = text_of(stream);
      CHECK(text_of(stream).empty() && !stream.next().value() && stream.next_for(0ms)->status == Wait::done);
      CHECK(contains(stream.timings().value(), "\"total_seconds\":"));
    });
  }
  for (auto &thread : threads) thread.join();
  CHECK(texts[0].size() > 20 && texts[0] != texts[1] && texts[0] == texts[2] && texts[1] == texts[3]);
  const auto whole = runtime.complete(completion(20)).value();
  CHECK(contains(whole, "\"text\":" + model_runtime::quote(texts[0])));
  CHECK(contains(whole, "\"completion_tokens\":20"));
  CHECK(contains(runtime.chat(chat(20)).value(), "\"model\":\"stories@1\""));

  // A temporary lives as long as its loop.
  std::string text;
  for (auto &event : runtime.submit_completion(completion(20)).value()) text += event.text();
  CHECK(text == texts[0]);
  text.clear();
  for (auto &event : *runtime.submit_completion(completion(20))) text += event.text();
  CHECK(text == texts[0]);

  // What a loop left unread the next one reads.
  auto stream = runtime.submit_completion(completion(20)).value();
  text.clear();
  for (auto &event : stream) {
    text += event.text();
    if (!text.empty()) break;
  }
  CHECK(!text.empty() && text + text_of(stream) == texts[0]);

  // Two threads share one stream: each event goes to one of them.
  stream = runtime.submit_completion(completion(20)).value();
  std::string other;
  std::thread reader([&] { other = text_of(stream); });
  text = text_of(stream);
  reader.join();
  CHECK(text.size() + other.size() == texts[0].size());
}

void waits(const Runtime &runtime) {
  auto stream = runtime.submit_chat(chat(30)).value();
  CHECK(stream.version() == "stories@1");
  auto first = stream.next().value();
  CHECK(first);
  const auto response = stream.wait().value();
  CHECK(contains(response, "\"completion_tokens\":30") && stream.wait_for(0ms).value()->view() == response.view());
  CHECK(response.data()[response.size()] == '\0');

  stream = runtime.submit_chat(chat(400)).value();
  CHECK(!stream.error());
  CHECK(!stream.wait_for(0ms).value() && !stream.wait_for(-5s).value());
  for (;;) {
    auto next = stream.next_for(10s).value();
    CHECK((next.status == Wait::event) == next.event.has_value());
    if (next.status != Wait::event) {
      CHECK(next.status == Wait::done);
      break;
    }
  }
  // What was given lives on its own.
  CHECK(first->kind() == model_runtime::EventKind::chunks && response.size() > 100);
}

void ends_early(const Runtime &runtime) {
  auto stream = runtime.submit_chat(chat(480)).value();
  std::thread waiter([&] { CHECK(stream.wait().code() == Code::cancelled); });
  stream.cancel();
  waiter.join();
  CHECK(ends_with(stream) == Code::cancelled);

  model_runtime::RequestOptions options;
  options.priority = -1;
  for (const auto timeout : {1ms, 0ms, -1ms}) {
    options.timeout = timeout;
    CHECK(ends_with(runtime.submit_chat(chat(480), options).value()) == Code::deadline_exceeded);
  }
  options.timeout = 1h;
  CHECK(ends_with(runtime.submit_chat(chat(4), options).value()) == Code::ok);
}

void wholes(const Runtime &runtime) {
  const auto choices = [](const model_runtime::Text &response) {
    return std::string(response.view().substr(response.view().find("\"choices\"")));
  };
  model_runtime::RequestOptions whole;
  whole.whole = true;
  // The same answer, at once: there is nothing to read before its end.
  const auto once = runtime.complete(completion(12)).value();
  auto stream = runtime.submit_completion(completion(12), whole).value();
  CHECK(text_of(stream).empty() && stream.next_for(0ms)->status == Wait::done);
  CHECK(choices(stream.wait().value()) == choices(once));
  std::vector<model_runtime::EventKind> kinds;
  const auto request = runtime.submit_chat(chat(12), whole, [&](const model_runtime::Event &event) {
    kinds.push_back(event.kind());
  });
  CHECK(choices(request->wait().value()) == choices(runtime.chat(chat(12), whole).value()));
  CHECK(kinds == std::vector{model_runtime::EventKind::finished});

  stream = runtime.submit_chat(chat(480), whole).value();
  CHECK(!stream.wait_for(0ms).value());
  stream.cancel();
  CHECK(ends_with(stream) == Code::cancelled);

  const auto streaming = R"({"model":"plain","prompt":"x","max_tokens":2,"stream":true})";
  CHECK(text_of(runtime.submit_completion(streaming).value()).size() > 0);
  CHECK(runtime.submit_completion(streaming, whole).error().param() == "stream");
}

void handles_go_in_any_order(const Models &models) {
  std::optional<Runtime> runtime(serving(models));
  Runtime copy(*runtime);
  Runtime assigned = GIVEN(Runtime::create());
  assigned = copy;
  std::vector<Stream> streams;
  for (int at = 0; at < 6; at++) streams.push_back(copy.submit_chat(chat(at == 3 ? 10 : 480)).value());
  CHECK(contains(assigned.stats().value(), "\"endpoints\":[{"));
  const auto endpoints = copy.endpoints().value();
  CHECK(contains(endpoints, "\"plain\"") && contains(endpoints, "\"chat\""));
  streams.erase(streams.begin());
  runtime.reset();
  { const Runtime gone = std::move(copy); }
  assigned = GIVEN(Runtime::create());
  // Its runtime works on for a request without any other reference.
  CHECK(ends_with(streams[2]) == Code::ok);
  const Stream moved = std::move(streams[2]);
  CHECK(contains(moved.wait().value(), "\"completion_tokens\":10"));
  // What was moved from answers, and can be assigned to.
  CHECK(ends_with(streams[2]) == Code::invalid_argument && streams[2].version().empty());
  CHECK(copy.chat(chat(1)).code() == Code::invalid_argument);
  streams[2].cancel();
  streams[2] = std::move(streams[0]);
  CHECK(streams[2].version() == "stories@1");
  Runtime from_nothing(copy);
  CHECK(from_nothing.stats().code() == Code::invalid_argument);
}

void removal(const Models &models) {
  const Runtime runtime = serving(models);
  auto stream = runtime.submit_chat(chat(480)).value();
  GIVEN(runtime.remove("chat"));
  CHECK(ends_with(stream) == Code::shutting_down);
  const auto gone = runtime.submit_chat(chat(1));
  CHECK(!gone && gone.code() == Code::not_found);
}

}  // namespace

int main(int argc, char **argv) {
  CHECK(argc >= 2);
  const Models models(argv[1]);
  const Runtime runtime = serving(models);
  loops_give_the_whole_answer(runtime);
  waits(runtime);
  ends_early(runtime);
  wholes(runtime);
  handles_go_in_any_order(models);
  removal(models);
}
