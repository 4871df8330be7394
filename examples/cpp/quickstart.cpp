#include <iostream>
#include <model_runtime.hpp>

int main() try {
  auto runtime = model_runtime::Runtime::create().value();
  runtime.serve("stories", "examples/models/stories260K").value();
  auto ask = R"({"model": "stories", "prompt": "Once upon a time", "max_tokens": 64, "temperature": 0})";
  auto stream = runtime.submit_completion(ask).value();
  for (auto &event : stream) std::cout << event.text() << std::flush;
  std::cout << "\nserved by " << stream.version() << '\n';
} catch (const std::exception &error) {
  std::cerr << error.what() << '\n';
  return 1;
}
