// Vectors: read where they lie, waited for, cancelled, and their handles destroyed in every order. Argument: the repository.
#include <cmath>
#include <cstring>
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
using model_runtime::Runtime;

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

void ends_early(const Runtime &runtime) {
  std::string many = R"({"model":"gte","input":["x")";
  for (int text = 0; text < 20000; text++) many += R"(,"a text of some words")";
  many += "]}";
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
  // Vectors outlive their runtime.
  const Embeddings last = GIVEN(runtime->submit_embeddings(input("bge")));
  runtime.reset();
  GIVEN(last.wait());
  CHECK(last.rows() == 3);
}
