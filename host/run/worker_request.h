/* SPDX-License-Identifier: Apache-2.0 */
/* Request of a run with several devices to a worker process, on its standard input: pairs of a name
 * and a value, each terminated by NUL, because paths need not be valid text. */
#ifndef ESC_WORKER_REQUEST_H
#define ESC_WORKER_REQUEST_H

#include <stddef.h>

#include "escapement/run.h"

typedef struct esc_worker_request {
  char *text; /* the whole request; owned, to be freed with free() */
  size_t size;
  const char *spec; /* resolved; points into `text`, as the texts of the options do */
  int lock;         /* descriptor of the output's lock */
  esc_run_options options;
} esc_worker_request;

/* Writes a request into a file in memory, open for reading at its start: *descriptor, to be closed.
 */
esc_status esc_worker_request_write(const char *spec, const esc_run_options *options, int lock,
                                    int *descriptor);

/* Reads a request. ESC_BAD_INPUT for anything else. Free out->text in either case. */
esc_status esc_worker_request_read(int descriptor, esc_worker_request *out);

#endif
