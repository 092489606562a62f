/* SPDX-License-Identifier: Apache-2.0 */
/* What a run with several devices hands to a worker process on its standard input: pairs of a name
 * and a value, each ended by a NUL, because paths are bytes and not always text. */
#ifndef ESC_WORKER_REQUEST_H
#define ESC_WORKER_REQUEST_H

#include <stddef.h>

#include "escapement/run.h"

typedef struct esc_worker_request {
  char *text; /* the whole of it; owned, to be freed with free() */
  size_t size;
  const char *spec; /* resolved; a part of the text, as those of the options are */
  int lock;         /* descriptor of the output's lock */
  esc_run_options options;
} esc_worker_request;

/* Writes a request into a file in memory, open for reading at its start: *descriptor, to be closed.
 */
esc_status esc_worker_request_write(const char *spec, const esc_run_options *options, int lock,
                                    int *descriptor);

/* Reads one. ESC_BAD_INPUT for anything else. Free out->text in either case. */
esc_status esc_worker_request_read(int descriptor, esc_worker_request *out);

#endif
