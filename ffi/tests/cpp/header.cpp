// The header alone, and twice.
#include "model_runtime.hpp"
#include "model_runtime.hpp"

static_assert(__cplusplus >= 201703L);
