/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the runtime held by the program: handles are looked up here before they
 * are used, and what is left when the process ends is listed. */
#ifndef ESC_SIMT_LIVE_H
#define ESC_SIMT_LIVE_H

namespace esc_simt {

enum class Kind { device_memory, pinned_memory, stream, event, graph, executable_graph, cublas };

void live_add(Kind kind, const void *object);
bool live_has(Kind kind, const void *object);
/* False if there is no such object. */
bool live_remove(Kind kind, const void *object);

} /* namespace esc_simt */
#endif
