/* SPDX-License-Identifier: Apache-2.0 */
#include "base/version.h"

#include "commit.h"

const char *esc_library_version(void) { return ESC_VERSION_STRING; }
const char *esc_commit(void) { return ESC_COMMIT; }

const char *esc_compiler(void) {
#ifdef __clang__
  return "clang " __clang_version__ ", " ESC_BUILD_OPTIONS;
#else
  return "gcc " __VERSION__ ", " ESC_BUILD_OPTIONS;
#endif
}
