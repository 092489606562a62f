/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trace.h"

#ifdef ESC_HAVE_CUDA
#include <nvtx3/nvToolsExt.h>
#include <pthread.h>

static nvtxDomainHandle_t domain;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void create_domain(void) { domain = nvtxDomainCreateA("escapement"); }

void esc_trace_begin(const char *range) {
  pthread_once(&once, create_domain);
  nvtxEventAttributes_t event = {0};
  event.version = NVTX_VERSION;
  event.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  event.messageType = NVTX_MESSAGE_TYPE_ASCII;
  event.message.ascii = range;
  nvtxDomainRangePushEx(domain, &event);
}

void esc_trace_end(void) { nvtxDomainRangePop(domain); }
#else
void esc_trace_begin(const char *range) { (void)range; }
void esc_trace_end(void) {}
#endif
