// Errors with all their fields, results, options that arrive, adapters, sessions, and what needs no runtime at all.
// Arguments: the repository, a folder to write to.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "check.hpp"

using model_runtime::Code;
using model_runtime::Error;
using model_runtime::Result;
using model_runtime::Runtime;
using model_runtime::ServeOptions;

static_assert(!std::is_copy_constructible_v<model_runtime::Text> && std::is_nothrow_move_constructible_v<model_runtime::Text>);
static_assert(!std::is_copy_constructible_v<model_runtime::Event> && std::is_nothrow_move_constructible_v<model_runtime::Event>);
static_assert(std::is_copy_constructible_v<Error> && std::is_nothrow_move_constructible_v<Error>);
static_assert(!std::is_copy_constructible_v<model_runtime::Stream> && std::is_nothrow_move_assignable_v<model_runtime::Stream>);
static_assert(!std::is_copy_constructible_v<model_runtime::Embeddings>);
static_assert(std::is_nothrow_copy_constructible_v<Runtime> && std::is_nothrow_move_assignable_v<Runtime>);
static_assert(std::is_nothrow_copy_constructible_v<model_runtime::Exception>);

namespace {

void quotes() {
  CHECK(model_runtime::quote("") == "\"\"");
  CHECK(model_runtime::quote("a\"b\\c\n\t\r\b\f") == R"("a\"b\\c\n\t\r\b\f")");
  CHECK(model_runtime::quote(std::string_view("\0\x1f\x7f/", 4)) == "\"\\u0000\\u001f\x7f/\"");
  CHECK(model_runtime::quote("größer 漢字 🐈") == "\"größer 漢字 🐈\"");
}

// Every code of the C header has its enumerator and its name.
void codes(const std::string &root) {
  std::ifstream header(root + "/include/model_runtime.h");
  int found = 0;
  for (std::string line; std::getline(header, line);) {
    std::istringstream words(line);
    std::string define, name;
    int value = 0;
    if (!(words >> define >> name >> value) || define != "#define" || name.rfind("MR_E_", 0) != 0) continue;
    for (char &c : name) c = static_cast<char>(std::tolower(c));
    CHECK(to_string(static_cast<Code>(value)) == name.substr(5));
    found++;
  }
  CHECK(found == 18 && to_string(Code::ok) == "ok" && to_string(static_cast<Code>(99999)) == "unknown");
  CHECK(model_runtime::abi_matches() && model_runtime::version() == CARGO_VERSION);
}

void errors(const Runtime &runtime, const Models &models) {
  Result<model_runtime::Text> refused = runtime.chat(R"({"model":"chat","messages":[{"role":"user","content":"x"}],"temperatur":1})");
  CHECK(!refused && !refused.has_value() && refused.code() == Code::invalid_request);
  const Error &error = refused.error();
  CHECK(error.param() == "temperatur" && contains(error.message(), "temperatur") && error.http_status() == 400);
  CHECK(!error.retryable() && !error.retry_after() && error.callback_result() == 0 && !error.exception());
  CHECK(error.json().rfind("{\"error\":{\"message\":\"", 0) == 0);
  std::ostringstream out;
  out << error;
  CHECK(out.str() == "invalid_request: " + error.message());

  // Thrown, copied and caught as what everybody catches.
  std::optional<model_runtime::Exception> kept;
  try {
    (void)refused.value();
  } catch (const std::runtime_error &exception) {
    kept = dynamic_cast<const model_runtime::Exception &>(exception);
  }
  // What was thrown is still there, and what is kept stays.
  CHECK(refused.error().param() == "temperatur");
  refused = runtime.chat(chat(1));
  CHECK(kept && kept->error().param() == "temperatur" && contains(kept->what(), "temperatur"));

  // Text that is no UTF-8, and no text.
  CHECK(runtime.chat("\xff").code() == Code::invalid_argument);
  CHECK(runtime.chat(std::string_view()).code() == Code::invalid_request);
  CHECK(runtime.chat("{}").error().param() == "model");
  CHECK(!runtime.chat("{").error().param().has_value());

  // A queue of one, and one that runs: come again.
  ServeOptions narrow;
  narrow.max_sequences = narrow.max_queue = 1;
  const std::string ask = R"({"model":"narrow","prompt":"x","max_tokens":400})";
  GIVEN(runtime.serve("narrow", models.stories, narrow));
  std::vector<model_runtime::Stream> streams;
  Result<model_runtime::Stream> last = runtime.submit_completion(ask);
  while (last) {
    streams.push_back(*std::move(last));
    CHECK(streams.size() < 4);
    last = runtime.submit_completion(ask);
  }
  CHECK(last.code() == Code::overloaded && last.error().retryable() && last.error().http_status() >= 429);
}

void results() {
  Result<int> number(7);
  CHECK(number && *number == 7 && number.value() == 7 && number.code() == Code::ok);
  number.value() = 8;
  CHECK(*std::move(number) == 8);
  const Result<std::string> text(std::string("abc"));
  CHECK(text->size() == 3 && &text.value() == &*text);
  const Result<void> fine;
  CHECK(fine && fine.code() == Code::ok);
  Result<void> failed = Error(MR_E_IO, nullptr);
  CHECK(!failed && failed.error().message().empty() && failed.code() == Code::io);
  CHECK(std::move(failed).error().code() == Code::io);
  Result<std::unique_ptr<int>> only_moved(std::make_unique<int>(3));
  const std::unique_ptr<int> taken = std::move(only_moved).value();
  CHECK(*taken == 3);
}

// Every option reaches the library: each makes a difference, or is refused where it must be.
void options(const Models &models) {
  const Runtime runtime = GIVEN(Runtime::create());
  const std::string plain = GIVEN(runtime.plan(models.stories)).str();
  CHECK(contains(plain, "\"total_bytes\":"));
  ServeOptions options;
  // Another plan, or none: this model's rows have no length that can be quantized.
  const auto differs = [&] {
    const auto planned = runtime.plan(models.stories, options);
    options = {};
    return planned ? planned->view() != plain : contains(planned.error().message(), "quantized to Q8_0");
  };
  CHECK(!differs());
  options.context_length = 100;
  CHECK(differs());
  options.cache_tokens = 640;
  CHECK(differs());
  options.max_batch_tokens = 4096;
  CHECK(differs());
  options.max_sequences = 3;
  CHECK(differs());
  options.cache_type = model_runtime::CacheType::f32;
  CHECK(differs());
  options.quantize = model_runtime::Quantize::q8_0;
  CHECK(differs());
  options.compute = model_runtime::Compute::int8;
  CHECK(differs());

  const auto refused = [&](Code code) {
    const auto result = runtime.serve("x", models.stories, options);
    options = {};
    return result.code() == code;
  };
  options.threads = 100000;
  CHECK(refused(Code::invalid_request));
  options.affinity = {0, 0};
  CHECK(refused(Code::invalid_request));
  options.chat_template = "{% broken";
  CHECK(refused(Code::invalid_model));
  options.version = "\xff";
  CHECK(refused(Code::invalid_argument));
  options.prefix_sharing = static_cast<model_runtime::PrefixSharing>(99);
  CHECK(refused(Code::invalid_argument));
  options.backend = static_cast<model_runtime::Backend>(99);
  CHECK(refused(Code::invalid_argument));
  options.max_prefill_tokens = 7;
  options.threads = 1;
  options.affinity = {0};
  options.prefix_sharing = model_runtime::PrefixSharing::off;
  GIVEN(runtime.serve("x", models.stories, options));

  model_runtime::RuntimeOptions small;
  small.memory_budget = 1000;
  CHECK(GIVEN(Runtime::create(small)).serve("x", models.stories).code() == Code::insufficient_memory);
}

void adapters(const Runtime &runtime, const Models &models) {
  const std::string ask = R"({"model":"plain","prompt":"Once","temperature":0,"max_tokens":8,"adapter":"qkv"})";
  CHECK(runtime.complete(ask).code() == Code::not_found);
  CHECK(contains(GIVEN(runtime.load_adapter("plain", "qkv", models.adapter)), "\"rank\":3"));
  CHECK(runtime.load_adapter("plain", "qkv", models.adapter).code() == Code::conflict);
  CHECK(contains(GIVEN(runtime.complete(ask)), "+qkv@"));
  GIVEN(runtime.unload_adapter("plain", "qkv"));
  CHECK(runtime.unload_adapter("plain", "qkv").code() == Code::not_found);
}

void sessions(const Models &models, const std::string &scratch) {
  const std::string ask =
      R"({"model":"llama","seed":7,"max_tokens":40,"messages":[{"role":"user","content":"Tell me a story"}]})";
  const std::string kept = scratch + "/kept.session";
  const auto choices = [](const model_runtime::Text &response) {
    const std::string_view text = response;
    return std::string(text.substr(text.find("\"choices\""), text.find("\"usage\"") - text.find("\"choices\"")));
  };
  std::string first;
  {
    const Runtime runtime = GIVEN(Runtime::create());
    GIVEN(runtime.serve("llama", models.tiny + "llama3"));
    const auto request = GIVEN(runtime.submit_chat(ask));
    first = choices(GIVEN(request.wait()));
    GIVEN(request.save_session(kept));
    CHECK(request.save_session(kept, 1).code() == Code::conflict);
    CHECK(request.save_session("/nowhere/at/all").code() == Code::io);
  }
  const Runtime runtime = GIVEN(Runtime::create());
  GIVEN(runtime.serve("llama", models.tiny + "llama3"));
  CHECK(runtime.restore_session("nobody", kept).code() == Code::not_found);
  const std::size_t tokens = GIVEN(runtime.restore_session("llama", kept));
  CHECK(tokens >= 16 && tokens % 16 == 0);
  CHECK(choices(GIVEN(runtime.chat(ask))) == first);
}

std::string read(const std::string &path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void batches(const Runtime &runtime, const std::string &scratch) {
  const std::string requests = scratch + "/requests.jsonl", results = scratch + "/results.jsonl";
  {
    std::ofstream file(requests);
    for (int number = 0; number < 8; number++) {
      file << R"({"custom_id": "r)" << number << R"(", "method": "POST", "url": "/v1/completions", "body": {"model": ")"
           << (number == 5 ? "nobody" : "plain") << R"(", "prompt": "Once", "max_tokens": 4, "seed": )" << number << "}}\n";
    }
  }
  // Ended by who hears about it, in either way, it goes on where it was.
  const auto stopped =
      runtime.run_batch(requests, results, {}, [](std::string_view) { return static_cast<model_runtime::Flow>(9); });
  CHECK(stopped.code() == Code::callback && stopped.error().callback_result() == 9);
  const auto threw = runtime.run_batch(requests, results, {}, [](std::string_view) { throw 3; });
  CHECK(threw.code() == Code::callback && threw.error().exception());
  model_runtime::BatchOptions options;
  options.concurrency = 2;
  options.order = model_runtime::Order::as_ready;
  options.requests.principal = "cpp";
  int heard = 0;
  const auto summary = GIVEN(runtime.run_batch(requests, results, options, [&](std::string_view progress) {
    CHECK(contains(progress, "\"waiting\":"));
    heard++;
  }));
  CHECK(heard > 0 && contains(summary, "\"complete\":true"));
  const std::string written = read(results);
  for (int number = 0; number < 8; number++) CHECK(contains(written, "\"custom_id\":\"r" + std::to_string(number) + "\""));
  CHECK(std::count(written.begin(), written.end(), '\n') == 8 && contains(written, "\"status_code\":404"));
  // Nothing is left to do.
  CHECK(contains(GIVEN(runtime.run_batch(requests, results)), "\"skipped\":8") && read(results) == written);
  options.concurrency = 5000;
  CHECK(runtime.run_batch(requests, results, options).code() == Code::invalid_request);
  CHECK(runtime.run_batch(scratch + "/none.jsonl", scratch + "/out.jsonl").code() == Code::not_found);
}

void server_sent_events(const Runtime &runtime) {
  std::string sent, finished;
  const auto request = GIVEN(runtime.submit_completion(completion(5), {}, [&](const model_runtime::Event &event) {
    (event.kind() == model_runtime::EventKind::finished ? finished : sent) += event.stream();
  }));
  GIVEN(request.wait());
  CHECK(sent.rfind("data: {", 0) == 0 && sent.substr(sent.size() - 2) == "\n\n" && finished == model_runtime::stream_done);
}

}  // namespace

int main(int argc, char **argv) {
  CHECK(argc == 3);
  const Models models(argv[1]);
  quotes();
  codes(argv[1]);
  results();
  const Runtime runtime = serving(models);
  errors(runtime, models);
  options(models);
  adapters(runtime, models);
  sessions(models, argv[2]);
  batches(runtime, argv[2]);
  server_sent_events(runtime);
}
