/* SPDX-License-Identifier: Apache-2.0 */
/* The list of live objects, and the check of it when the process ends. */
#include "live.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "call.h"

namespace esc_simt {
namespace {

const char *name(Kind kind) {
  switch (kind) {
    case Kind::device_memory: return "device memory";
    case Kind::pinned_memory: return "pinned host memory";
    case Kind::stream: return "stream";
    case Kind::event: return "event";
    case Kind::graph: return "graph";
    case Kind::executable_graph: return "executable graph";
    case Kind::cublas: return "cuBLAS handle";
  }
  return "object";
}

using Objects = std::map<const void *, Kind>;
Objects &objects();

/* The exit status of LeakSanitizer, which does not see these objects. */
void at_end() {
  if (objects().empty()) return;
  fprintf(stderr, "simt: not released when the process ends:\n");
  for (const auto &[object, kind] : objects()) fprintf(stderr, "  %s %p\n", name(kind), object);
  fflush(nullptr);
  _exit(23);
}

/* Never destroyed: other destructors may still use it. */
Objects &objects() {
  static Objects *const all = [] {
    atexit(at_end);
    return new Objects;
  }();
  return *all;
}

} /* namespace */

void live_add(Kind kind, const void *object) { objects()[object] = kind; }

bool live_has(Kind kind, const void *object) {
  const auto found = objects().find(object);
  return found != objects().end() && found->second == kind;
}

bool live_remove(Kind kind, const void *object) {
  if (!live_has(kind, object)) return false;
  objects().erase(object);
  return true;
}

} /* namespace esc_simt */

int64_t esc_simt_live() {
  const esc_simt::CallScope scope;
  return static_cast<int64_t>(esc_simt::objects().size());
}
