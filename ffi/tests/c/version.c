/* Header, library and Cargo.toml agree on the version. CARGO_VERSION comes from the compiler's command line. */
#include "check.h"

int main(void) {
  char text[64];
  snprintf(text, sizeof text, "%d.%d.%d", MR_VERSION_MAJOR, MR_VERSION_MINOR, MR_VERSION_PATCH);
  CHECK(strcmp(text, mr_version()) == 0);
  CHECK(strcmp(CARGO_VERSION, mr_version()) == 0);
  CHECK(mr_abi_version() == MR_ABI_VERSION);
  return 0;
}
