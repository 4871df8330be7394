// What the test programs share: checks that end the program with the place, models, and requests.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "model_runtime.hpp"

#define CHECK(condition)                                                                \
  do {                                                                                  \
    if (!(condition)) {                                                                 \
      std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);      \
      std::exit(1);                                                                     \
    }                                                                                   \
  } while (0)

// What the call gives; the error is shown where there is none.
#define GIVEN(call) given((call), __FILE__, __LINE__)

template <class T>
T given(model_runtime::Result<T> result, const char *file, int line) {
  if (!result) {
    const std::string message(result.error().message());
    std::fprintf(stderr, "%s:%d: %d: %s\n", file, line, static_cast<int>(result.code()), message.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// The models of the repository.
struct Models {
  explicit Models(std::string_view root)
      : stories(std::string(root) + "/examples/models/stories260K"),
        adapter(std::string(root) + "/tests/data/lora/stories260K-qkv"),
        tiny(std::string(root) + "/tests/data/tiny/") {}

  std::string stories, adapter, tiny;
};

// Serves the model twice: "plain", and "chat" with a template, since the model has none.
inline model_runtime::Runtime serving(const Models &models) {
  model_runtime::Runtime runtime = GIVEN(model_runtime::Runtime::create());
  CHECK(contains(GIVEN(runtime.serve("plain", models.stories)), "\"name\":\"plain\""));
  model_runtime::ServeOptions options;
  options.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}";
  options.version = "stories@1";
  CHECK(contains(GIVEN(runtime.serve("chat", models.stories, options)), "\"version\":\"stories@1\""));
  return runtime;
}

inline std::string chat(int tokens) {
  return R"({"model":"chat","messages":[{"role":"user","content":"Once upon a time"}],"temperature":0,"max_tokens":)" +
         std::to_string(tokens) + "}";
}

inline std::string completion(int tokens) {
  return R"({"model":"plain","prompt":"Lily and Tom","temperature":0,"max_tokens":)" + std::to_string(tokens) + "}";
}

#endif
