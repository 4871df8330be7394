// Many callers at once, whole answers and streams, vectors, cancelled, late, refused and dropped requests, each checked against
// what was answered to a caller alone:
//
//   load ROOT --seconds N --callers M --report FILE
//
// What each caller does and what the report has is in tests/conformance/README.md. Its status is 1 if an answer was wrong or memory
// has grown.
#include <array>
#include <cstring>
#include <fstream>
#include <iostream>
#include <mutex>
#include <thread>

#include <nlohmann/json.hpp>

#include "model_runtime.hpp"

using nlohmann::json;
using model_runtime::Code;
using model_runtime::Error;
using model_runtime::Runtime;
using Now = std::chrono::steady_clock;

namespace {

constexpr std::size_t completions = 16, sentences = 8;

json completion(std::size_t number) {
  static constexpr std::array<const char *, 4> prompts = {"Once", "Once upon", "Once upon a", "Once upon a time"};
  return {{"model", "stories"},
          {"prompt", prompts[number % 4]},
          {"max_tokens", 4 + 8 * number},
          {"temperature", 0.9},
          {"seed", number}};
}

std::string sentence(std::size_t number) {
  return json{{"model", "minilm"}, {"input", "sentence number " + std::to_string(number) + " about bread and rivers"}}.dump();
}

std::string text_of(const model_runtime::Text &response) {
  return json::parse(response).at("choices").at(0).at("text").get<std::string>();
}

std::string bytes_of(const model_runtime::Embeddings &embeddings) {
  std::string bytes(embeddings.values().size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), embeddings.values().data(), bytes.size());
  return bytes;
}

// What a caller alone is answered.
struct Alone {
  std::array<std::string, completions> texts;
  std::array<std::string, sentences> vectors;

  explicit Alone(const Runtime &runtime) {
    for (std::size_t at = 0; at < completions; at++) texts[at] = text_of(runtime.complete(completion(at).dump()).value());
    for (std::size_t at = 0; at < sentences; at++) {
      const auto made = runtime.submit_embeddings(sentence(at)).value();
      made.wait().value();
      vectors[at] = bytes_of(made);
    }
  }
};

// What all callers count together.
struct Tally {
  std::atomic<std::uint64_t> requests{0}, completed{0}, cancelled{0}, refused{0}, errors{0}, wrong{0};

  void say_wrong(const std::string &line) {
    wrong++;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!first_wrong_) first_wrong_ = line;
  }
  // An answer must be this one.
  void expect(const std::string &what, const std::string &answer, const std::string &alone) {
    if (answer == alone) {
      completed++;
    } else {
      say_wrong(what + ": other than alone");
    }
  }
  // An error must be this one, or a full queue.
  void failed(const std::string &what, const Error &error, Code asked_for) {
    if (error.code() == Code::overloaded) {
      refused++;
    } else if (asked_for != Code::ok && error.code() == asked_for) {
      (asked_for == Code::cancelled ? cancelled : errors)++;
    } else {
      say_wrong(what + ": " + std::string(to_string(error.code())) + ": " + error.message());
    }
  }
  std::optional<std::string> first_wrong() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return first_wrong_;
  }

 private:
  std::mutex mutex_;
  std::optional<std::string> first_wrong_;
};

class Caller {
 public:
  Caller(Runtime runtime, std::size_t number, const Alone &alone, Tally &tally)
      : runtime_(std::move(runtime)), number_(number), alone_(alone), tally_(tally) {}

  void run_until(Now::time_point end) const {
    for (std::size_t turn = 0; Now::now() < end; turn++) ask(turn);
  }

 private:
  void ask(std::size_t turn) const {
    const std::size_t kind = (number_ + turn) % 8, number = 7 * number_ + turn;
    const std::string what = "caller " + std::to_string(number_) + ", turn " + std::to_string(turn);
    tally_.requests++;
    try {
      switch (kind) {
        case 0:
        case 1: return whole(what, number % completions);
        case 2:
        case 3: return streamed(what, number % completions);
        case 4: return cancelled(what, number % completions);
        case 5: return vector(what, number % sentences);
        case 6: return refused(what, number % completions, turn % 3);
        default: return dropped(what, number % completions);
      }
    } catch (const std::exception &error) {
      tally_.say_wrong(what + ": " + error.what());
    }
  }

  void whole(const std::string &what, std::size_t at) const {
    const auto answer = runtime_.complete(completion(at).dump());
    if (!answer) return tally_.failed(what, answer.error(), Code::ok);
    tally_.expect(what, text_of(*answer), alone_.texts[at]);
  }

  void streamed(const std::string &what, std::size_t at) const {
    std::string text;
    try {
      for (auto &event : runtime_.submit_completion(completion(at).dump()).value()) text += event.text();
    } catch (const model_runtime::Exception &exception) {
      return tally_.failed(what, exception.error(), Code::ok);
    }
    tally_.expect(what, text, alone_.texts[at]);
  }

  void cancelled(const std::string &what, std::size_t at) const {
    std::string text;
    std::optional<model_runtime::Exception> end;
    try {
      const auto stream = runtime_.submit_completion(completion(at).dump()).value();
      for (auto &event : stream) {
        text += event.text();
        if (!text.empty()) stream.cancel();
      }
    } catch (const model_runtime::Exception &exception) {
      end = exception;
    }
    if (alone_.texts[at].compare(0, text.size(), text) != 0) return tally_.say_wrong(what + ": not the beginning of what it is alone");
    if (end) return tally_.failed(what, end->error(), Code::cancelled);
    tally_.completed++;
  }

  void vector(const std::string &what, std::size_t at) const {
    const auto made = runtime_.submit_embeddings(sentence(at));
    if (!made) return tally_.failed(what, made.error(), Code::ok);
    if (const auto done = made->wait(); !done) return tally_.failed(what, done.error(), Code::ok);
    tally_.expect(what, bytes_of(*made), alone_.vectors[at]);
  }

  void refused(const std::string &what, std::size_t at, std::size_t how) const {
    json request = completion(at);
    model_runtime::RequestOptions options;
    constexpr std::array<Code, 3> expected = {Code::deadline_exceeded, Code::invalid_request, Code::not_found};
    if (how == 0) options.timeout = std::chrono::milliseconds(1);
    if (how == 1) request["max_tokens"] = "many";
    if (how == 2) request["model"] = "nobody";
    const auto answer = runtime_.complete(request.dump(), options);
    if (!answer) return tally_.failed(what, answer.error(), expected[how]);
    if (how != 0) return tally_.say_wrong(what + ": answered, though it cannot be");
    tally_.expect(what, text_of(*answer), alone_.texts[at]);
  }

  void dropped(const std::string &what, std::size_t at) const {
    const auto stream = runtime_.submit_completion(completion(at).dump());
    if (!stream) return tally_.failed(what, stream.error(), Code::ok);
    tally_.cancelled++;
  }

  Runtime runtime_;
  std::size_t number_;
  const Alone &alone_;
  Tally &tally_;
};

std::uint64_t resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::stoull(line.substr(6)) * 1024;
  }
  throw std::runtime_error("/proc/self/status has no VmRSS");
}

bool load(const std::string &root, double seconds, std::size_t callers, const std::string &report) {
  const auto runtime = Runtime::create().value();
  runtime.serve("stories", root + "/examples/models/stories260K").value();
  runtime.serve("minilm", root + "/examples/models/all-MiniLM-L6-v2/all-MiniLM-L6-v2.gguf").value();
  const Alone alone(runtime);
  Tally tally;
  const auto start = Now::now();
  const auto after = [&](double part) { return start + std::chrono::duration_cast<Now::duration>(std::chrono::duration<double>(part)); };
  std::vector<std::thread> threads;
  for (std::size_t number = 0; number < callers; number++) {
    threads.emplace_back([&, caller = Caller(runtime, number, alone, tally)] { caller.run_until(after(seconds)); });
  }
  std::this_thread::sleep_until(after(seconds / 5));
  const std::uint64_t early = resident_bytes();
  for (auto &thread : threads) thread.join();
  const std::uint64_t end = resident_bytes();

  const auto first_wrong = tally.first_wrong();
  const json all = {{"language", "cpp"},
                    {"callers", callers},
                    {"seconds", seconds},
                    {"requests", tally.requests.load()},
                    {"completed", tally.completed.load()},
                    {"cancelled", tally.cancelled.load()},
                    {"refused", tally.refused.load()},
                    {"errors", tally.errors.load()},
                    {"wrong", tally.wrong.load()},
                    {"first_wrong", first_wrong ? json(*first_wrong) : json()},
                    {"rss_early_bytes", early},
                    {"rss_end_bytes", end}};
  std::ofstream out(report);
  if (!(out << all << '\n').flush()) throw std::runtime_error(report + " cannot be written");
  return tally.wrong == 0 && end <= early + early / 10 + (std::uint64_t{32} << 20);
}

}  // namespace

int main(int argc, char **argv) {
  try {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments.size() == 7 && arguments[1] == "--seconds" && arguments[3] == "--callers" && arguments[5] == "--report") {
      return load(arguments[0], std::stod(arguments[2]), std::stoul(arguments[4]), arguments[6]) ? 0 : 1;
    }
    std::cerr << "usage: " << argv[0] << " ROOT --seconds N --callers M --report FILE\n";
    return 2;
  } catch (const std::exception &error) {
    std::cerr << argv[0] << ": " << error.what() << '\n';
    return 1;
  }
}
