// Asks the library everything that tests/conformance/cases.json says, in C++, and writes every answer down:
//
//   conformance CASES ROOT SCRATCH OUTPUT
//
// What the cases and the results are is in tests/conformance/README.md. JSON is read and written by nlohmann::json
// (Debian: nlohmann-json3-dev), in the order in which members are written: that of a schema is the order of an answer.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>

#include "model_runtime.hpp"

using Json = nlohmann::ordered_json;
using model_runtime::Clock;
using model_runtime::Error;
using model_runtime::Result;
using model_runtime::Runtime;
using model_runtime::Stream;
using model_runtime::Text;

namespace {

// Seconds since 1970 of a moment such as 2024-03-04T12:00:00Z.
std::int64_t seconds(const std::string &moment) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, end = 0;
  const int fields =
      std::sscanf(moment.c_str(), "%d-%d-%dT%d:%d:%dZ%n", &year, &month, &day, &hour, &minute, &second, &end);
  if (fields != 6 || static_cast<std::size_t>(end) != moment.size()) throw std::runtime_error(moment + ": no moment in UTC");
  // Days of years that begin in March, so that a leap day is the last of its year.
  const std::int64_t years = month > 2 ? year : year - 1, months = (month + 9) % 12;
  const std::int64_t days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 719469;
  return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

// A clock that a case sets.
struct HostClock {
  std::int64_t start;
  std::atomic<std::int64_t> now;

  explicit HostClock(std::int64_t from) : start(from), now(from) {}
  std::chrono::nanoseconds tell(Clock which) const {
    return std::chrono::seconds(which == Clock::wall ? now.load() : std::max<std::int64_t>(now - start, 0));
  }
};

Json describe(const Error &error) {
  const auto param = error.param();
  const auto after = error.retry_after();
  return {{"code", to_string(error.code())},
          {"status", error.http_status()},
          {"message", error.message()},
          {"param", param ? Json(*param) : Json()},
          {"retryable", error.retryable()},
          {"retry_after_ms", after ? Json(after->count()) : Json()},
          {"json", Json::parse(error.json())}};
}

model_runtime::RequestOptions options(const Json &step) {
  model_runtime::RequestOptions options;
  const Json given = step.value("options", Json::object());
  if (given.contains("principal")) options.principal = given["principal"];
  if (given.contains("entity")) options.entity = given["entity"];
  if (given.contains("timeout_ms")) options.timeout = std::chrono::milliseconds(given["timeout_ms"].get<std::int64_t>());
  options.priority = given.value("priority", 0);
  options.lifecycle = given.value("lifecycle", false);
  return options;
}

// A request that is a string is the text itself, so that it may be no JSON.
std::string request(const Json &step) {
  const Json &request = step.at("request");
  return request.is_string() ? request.get<std::string>() : request.dump();
}

std::string text(const Json &step, const char *field) { return step.at(field).get<std::string>(); }

Json vectors(const model_runtime::Embeddings &made) {
  made.wait().value();
  std::string values;
  for (const float value : made.values()) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    for (int byte = 0; byte < 4; byte++, bits >>= 8) {
      values += "0123456789abcdef"[bits >> 4 & 15];
      values += "0123456789abcdef"[bits & 15];
    }
  }
  Json tokens = Json::array(), truncated = Json::array();
  for (std::size_t row = 0; row < made.rows(); row++) {
    tokens.push_back(made.tokens(row));
    truncated.push_back(made.truncated(row));
  }
  return {{"rows", made.rows()},
          {"dimension", made.dimension()},
          {"values", values},
          {"tokens", tokens},
          {"truncated", truncated},
          {"normalize", made.normalize() == model_runtime::Normalize::l2 ? "l2" : "none"},
          {"version", made.version()}};
}

Json streamed(const Stream &stream) {
  std::string text;
  for (auto &event : stream) text += event.text();
  return {{"text", text}, {"response", Json::parse(stream.wait().value())}};
}

// A case's runtime and its time.
class Bench {
 public:
  explicit Bench(const Json &of) {
    model_runtime::RuntimeOptions options;
    if (of.contains("start")) {
      clock_ = std::make_shared<HostClock>(seconds(of["start"]));
      options.clock = [clock = clock_](Clock which) { return clock->tell(which); };
    }
    if (of.contains("database")) options.database = of["database"];
    if (of.contains("catalog")) options.catalog = of["catalog"];
    runtime_ = Runtime::create(options).value();
  }

  // What a step gives: what fails in the library is a result, too.
  Json result(const Json &step) const {
    try {
      return {{"ok", perform(step)}};
    } catch (const model_runtime::Exception &exception) {
      return {{"error", describe(exception.error())}};
    }
  }

 private:
  Json perform(const Json &step) const {
    const std::string action = step.at("do");
    const auto parsed = [](Result<Text> text) { return Json::parse(std::move(text).value()); };
    if (action == "serve") return parsed(runtime_->serve(text(step, "name"), text(step, "model")));
    if (action == "remove") return runtime_->remove(text(step, "name")).value(), nullptr;
    if (action == "endpoints") return parsed(runtime_->endpoints());
    if (action == "plan") return parsed(runtime_->plan(text(step, "model")));
    if (action == "manage") return parsed(runtime_->manage(text(step, "operation"), request(step)));
    if (action == "chat") return parsed(runtime_->chat(request(step), options(step)));
    if (action == "complete") return parsed(runtime_->complete(request(step), options(step)));
    if (action == "embeddings") return parsed(runtime_->embeddings(request(step), options(step)));
    if (action == "stream_chat") return streamed(runtime_->submit_chat(request(step), options(step)).value());
    if (action == "stream_complete") return streamed(runtime_->submit_completion(request(step), options(step)).value());
    if (action == "vectors") return vectors(runtime_->submit_embeddings(request(step), options(step)).value());
    if (action == "cancel") {
      const Stream stream = runtime_->submit_completion(request(step)).value();
      for (auto &event : stream) {
        if (!event.text().empty()) stream.cancel();
      }
      return nullptr;
    }
    if (action == "drop") return (void)runtime_->submit_completion(request(step)).value(), nullptr;
    if (action == "set_clock") return clock_->now = seconds(text(step, "now")), nullptr;
    if (action == "load_adapter") {
      return parsed(runtime_->load_adapter(text(step, "endpoint"), text(step, "name"), text(step, "path")));
    }
    if (action == "unload_adapter") {
      return runtime_->unload_adapter(text(step, "endpoint"), text(step, "name")).value(), nullptr;
    }
    if (action == "together") return together(step);
    throw std::runtime_error(action + ": no such step");
  }

  Json together(const Json &step) const {
    const Json &steps = step.at("steps");
    std::vector<Json> results(steps.size() * step.value("copies", std::size_t{1}));
    std::vector<std::exception_ptr> failures(results.size());
    std::vector<std::thread> threads;
    for (std::size_t at = 0; at < results.size(); at++) {
      threads.emplace_back([&, at] {
        try {
          results[at] = result(steps[at % steps.size()]);
        } catch (...) {
          failures[at] = std::current_exception();
        }
      });
    }
    for (auto &thread : threads) thread.join();
    for (const auto &failure : failures) {
      if (failure) std::rethrow_exception(failure);
    }
    return results;
  }

  std::shared_ptr<HostClock> clock_;
  std::optional<Runtime> runtime_;
};

void replace(std::string &text, const std::string &name, const std::string &by) {
  for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += by.size()) text.replace(at, name.size(), by);
}

void run(const std::string &cases, const std::string &root, const std::string &scratch, const std::string &output) {
  std::ifstream file(cases);
  std::string written((std::istreambuf_iterator<char>(file)), {});
  replace(written, "@ROOT@", root);
  replace(written, "@SCRATCH@", scratch);
  std::ofstream out(output);
  for (const Json &one : Json::parse(written)) {
    const Bench bench(one);
    Json results = Json::array();
    for (const Json &step : one.at("steps")) results.push_back(bench.result(step));
    out << Json{{"case", one.at("name")}, {"results", results}} << '\n';
  }
  if (!out.flush()) throw std::runtime_error(output + " cannot be written");
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 5) {
    std::cerr << "usage: " << argv[0] << " CASES ROOT SCRATCH OUTPUT\n";
    return 2;
  }
  try {
    run(argv[1], argv[2], argv[3], argv[4]);
  } catch (const std::exception &error) {
    std::cerr << argv[0] << ": " << error.what() << '\n';
    return 1;
  }
}
