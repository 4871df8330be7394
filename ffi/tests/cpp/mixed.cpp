// One program of two translation units: this file compiled with exceptions and again without them (PART_WITHOUT). Each works by
// its own rules, since the linker knows their types by different names. Argument: the repository.
#include "check.hpp"

#ifdef PART_WITHOUT

int code_without_exceptions(const mr_runtime *shared) {
  mr_runtime_retain(shared);
  const model_runtime::Runtime runtime(const_cast<mr_runtime *>(shared));
  auto stream = GIVEN(runtime.submit_completion(completion(400)));
  stream.cancel();
  for (auto &event : stream) CHECK(!event.json().empty());
  return static_cast<int>(stream.error()->code());
}

#else

int code_without_exceptions(const mr_runtime *shared);

int main(int argc, char **argv) {
  CHECK(argc >= 2);
  const model_runtime::Runtime runtime = serving(Models(argv[1]));
  CHECK(code_without_exceptions(runtime.get()) == MR_E_CANCELLED);
  auto stream = runtime.submit_completion(completion(400)).value();
  stream.cancel();
  int code = 0;
  try {
    for (auto &event : stream) CHECK(!event.json().empty());
  } catch (const model_runtime::Exception &exception) {
    code = static_cast<int>(exception.code());
  }
  CHECK(code == MR_E_CANCELLED);
}

#endif
