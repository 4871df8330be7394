// A C++ program that builds the runtime from source. Argument: the repository.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "model-runtime-cxx/src/lib.rs.h"
#include "rust/cxx.h"

namespace source = model_runtime::source;

static void check(bool condition, const char *what) {
  if (condition) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

static std::string text(source::Stream &stream) {
  std::string all;
  rust::String piece;
  while (stream.next(piece)) all += std::string(piece);
  return all;
}

int main(int argc, char **argv) {
  check(argc == 2, "one argument");
  const std::string root = argv[1];
  auto runtime = source::new_runtime();
  auto about = std::string(runtime->serve("stories", root + "/examples/models/stories260K"));
  check(about.find("\"name\":\"stories\"") != std::string::npos, "about the endpoint");
  runtime->serve("bge", root + "/tests/data/tiny/bert_bge");

  const char *ask = R"({"model": "stories", "prompt": "Once upon a time", "temperature": 0, "max_tokens": 24})";
  auto stream = runtime->stream_completion(ask);
  check(stream->version().length() > 0, "a version");
  const auto streamed = text(*stream);
  check(streamed.find(", there was a little girl named Lily.") == 0, streamed.c_str());
  check(std::string(runtime->complete(ask)).find("there was a little girl") != std::string::npos, "the same at once");

  auto vectors = runtime->embed(R"({"model": "bge", "input": ["one text", "another"]})");
  const auto values = vectors->values();
  check(vectors->rows() == 2 && values.size() == 2 * vectors->dimension() && vectors->normalized(), "two vectors");
  double length = 0;
  for (std::size_t i = 0; i < vectors->dimension(); i++) length += double(values[i]) * double(values[i]);
  check(std::fabs(length - 1) < 1e-3, "unit length");

  try {
    runtime->complete(R"({"model": "nobody", "prompt": "x"})");
    check(false, "nobody answers");
  } catch (const rust::Error &error) {
    check(std::string(error.what()).rfind("not_found: ", 0) == 0, error.what());
  }
  auto running = runtime->stream_completion(R"({"model": "stories", "prompt": "Tom", "max_tokens": 480, "n": 5})");
  running->cancel();
  try {
    text(*running);
    check(false, "it was cancelled");
  } catch (const rust::Error &error) {
    check(std::string(error.what()).rfind("cancelled: ", 0) == 0, error.what());
  }
  runtime->remove("bge");
  check(std::string(runtime->endpoints()).find("bge") == std::string::npos, "one endpoint is gone");
  std::puts("all is well");
}
