/* SPDX-License-Identifier: Apache-2.0 */
/* The last words of a kernel that went wrong: which kernel, block and threads, and
 * which source lines. Then abort. */
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "block.h"

namespace esc_simt {
namespace {

void print_block() {
  fprintf(stderr, "simt: kernel %s, block (%u,%u,%u)", active.kernel, position.block.x,
          position.block.y, position.block.z);
}

const char *base_name(const char *path) {
  const char *slash = __builtin_strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

bool alike(const Thread &a, const Thread &b) {
  if (a.state != b.state) return false;
  return a.state == State::returned || (same_sync(a.wait, b.wait) && a.wait.mask == b.wait.mask);
}

/* "0-31, 64": the threads in the same state as thread `like`. */
std::string threads_alike(unsigned like) {
  std::string text;
  for (unsigned i = 0; i < active.threads; i++) {
    if (!alike(active.thread[i], active.thread[like])) continue;
    const unsigned first = i;
    while (i + 1 < active.threads && alike(active.thread[i + 1], active.thread[like])) i++;
    if (!text.empty()) text += ", ";
    text += std::to_string(first);
    if (i > first) text += "-" + std::to_string(i);
  }
  return text;
}

bool seen_before(unsigned number) {
  for (unsigned i = 0; i < number; i++) {
    if (alike(active.thread[i], active.thread[number])) return true;
  }
  return false;
}

void print_group(unsigned number) {
  const Thread &thread = active.thread[number];
  fprintf(stderr, "  threads %s ", threads_alike(number).c_str());
  if (thread.state == State::returned) {
    fprintf(stderr, "have returned\n");
    return;
  }
  const Wait &wait = thread.wait;
  fprintf(stderr, "wait in %s at %s:%d", wait.what, base_name(wait.site.file), wait.site.line);
  if (wait.kind != Sync::block) fprintf(stderr, " with mask 0x%08x", wait.mask);
  fprintf(stderr, "\n");
}

/* The cause of a deadlock. */
const char *cause() {
  bool barrier = false, returned = false, warp = false;
  for (unsigned i = 0; i < active.threads; i++) {
    const Thread &thread = active.thread[i];
    if (thread.state == State::returned) {
      returned = true;
    } else {
      (thread.wait.kind == Sync::block ? barrier : warp) = true;
    }
  }
  if (warp) return "a shuffle, vote or product names lanes that do not come to it";
  if (barrier && returned) return "a barrier is not reached by threads that have returned";
  return "threads wait at different barriers";
}

} /* namespace */

void fail_sync() {
  print_block();
  fprintf(stderr, ": %s\n", cause());
  for (unsigned i = 0; i < active.threads; i++) {
    if (!seen_before(i)) print_group(i);
  }
  abort();
}

void fail_thread(unsigned number, Site site, const char *format, ...) {
  const uint3 &index = active.thread[number].index;
  print_block();
  fprintf(stderr, ", thread (%u,%u,%u): %s:%d: ", index.x, index.y, index.z, base_name(site.file),
          site.line);
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fprintf(stderr, "\n");
  abort();
}

} /* namespace esc_simt */
