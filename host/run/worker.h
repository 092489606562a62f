/* SPDX-License-Identifier: Apache-2.0 */
/* A worker process of a run with several devices: trains its shard. */
#ifndef ESC_WORKER_H
#define ESC_WORKER_H

#include "escapement/run.h"

/* Reads a request (worker_request.h) from `descriptor` and executes it, with `stop` and
 * `callbacks`. */
esc_status esc_worker_run(int descriptor, esc_stop *stop, const esc_run_callbacks *callbacks);

#endif
