/* What a run with several devices hands to a worker process on its standard input: pairs of a name
 * and a value, each ended by a NUL, because paths are bytes and not always text. */
#ifndef ESC_WORKER_H
#define ESC_WORKER_H

#include "escapement/run.h"

/* Writes the request into a file in memory, open for reading at its start: *descriptor, to be
 * closed. `spec` is the resolved text; `lock` the descriptor of the output's lock. */
esc_status esc_worker_write(const char *spec, const esc_run_options *options, int lock,
                            int *descriptor);

/* Reads a request from `descriptor` and does it, stopped by `stop`, telling `callbacks`. */
esc_status esc_worker_run(int descriptor, esc_stop *stop, const esc_run_callbacks *callbacks);

#endif
